/*
 * The rows that one database has of a run in a table, sorted by time, a time after the other.
 */
#ifndef XTCTL_SIDE_H
#define XTCTL_SIDE_H

#include "transfer.h"

/* Zeroed: closed. A cursor that was idle for too long, since the other database is slow, or whose
 * daemon has died, is opened again behind the last time that was seen. */
struct side {
	struct source *source;
	char *sql;   /* owned: from the beginning */
	char *again; /* owned: from a time on */
	xt_value track_id;
	struct question question;
	xt_value *last;	    /* owned: the last time seen, one value; NULL: none */
	uint64_t seen;	    /* rows with it */
	uint64_t skip;	    /* rows to pass over */
	struct group group; /* rows of one time */
	xt_value *ahead;    /* owned: the first row of the next time */
	bool ended;
};

/* mapped: the columns by the names that the target has for them. side_close() is due in any case. CTL_OK, or
 * the failure is reported. */
int side_open(struct side *s, struct source *source, const struct transfer *t, const xt_value *run,
	      bool mapped) __attribute__((warn_unused_result));
void side_close(struct side *s);

/* Reads the rows of the next time into s->group, which is empty at the end. CTL_OK, or the failure is
 * reported. */
int side_next(struct side *s, size_t n_values) __attribute__((warn_unused_result));

#endif
