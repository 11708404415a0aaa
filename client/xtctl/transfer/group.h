/*
 * Rows of one run that have the same time, kept together: what one database has of them and another has not.
 */
#ifndef XTCTL_GROUP_H
#define XTCTL_GROUP_H

#include "xetrack.h"

/* Zeroed: empty. Every row has the same number of values, the first of which is its time. */
struct group {
	xt_value **rows; /* owned, each with what it points to */
	size_t n, cap;
};

/* A copy of a row, which free() takes. NULL: out of memory. */
xt_value *group_copy(const xt_value *row, size_t n_values);

/* Adds a copy. 0, or -1 when out of memory. */
int group_add(struct group *g, const xt_value *row, size_t n_values) __attribute__((warn_unused_result));
void group_clear(struct group *g);
void group_done(struct group *g);

/* Which of two values sorts first, as SQLite has it: NULL, numbers, texts, blobs; 0: they are equal. */
int value_order(const xt_value *a, const xt_value *b);

/* Sets missing[i] for the rows of `theirs` that `ours` has not: of several equal ones as many as are missing.
 * 0, or -1 when out of memory. */
int group_missing(const struct group *theirs, const struct group *ours, size_t n_values, bool *missing)
	__attribute__((warn_unused_result));

#endif
