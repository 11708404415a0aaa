/*
 * What a run logs, told by a look at some of its rows that is bounded: it is taken between two rows of
 * somebody else. Where an index leads to the rows of a run, at its first and last ones; else among the last
 * rows of the table, for to find the others all of it would have to be read.
 */
#ifndef XT_GLANCE_H
#define XT_GLANCE_H

#include "table.h"

#define GLANCE_COLUMNS 24    /* that are asked for at once */
#define GLANCE_WINDOW  10000 /* last rows of a table without such an index, and for the run before */

struct glance {
	int64_t rows;		     /* of the run that were seen */
	bool ends;		     /* they are its first and last ones, or all */
	int64_t has[GLANCE_COLUMNS]; /* of them, those with a value in each column */
};

/* Looks at the values of some columns in a run's rows, `sample` at either end. What takes too long is not
 * seen: nothing fails. */
void glance_at_run(struct store *s, const struct table *t, struct span track_id, const size_t *columns,
		   size_t n, int sample, struct glance *ret);

/* The run whose rows lie before those of another; or, where that has logged for long, the one that started
 * last of those that are known. "": there is none. */
int glance_run_before(struct store *s, const struct table *t, struct span track_id,
		      char ret[XT_MAX_TRACK_ID + 1], struct xt_err *err) __attribute__((warn_unused_result));

#endif
