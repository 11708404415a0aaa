/*
 * The noise floor: how far runs of the very same configuration differ. Two runs are repeats when xt_runs has
 * the same parameters for both; inputs that both measured are held against each other, or, where rows do not
 * pair, the means of both.
 */
#ifndef XTCTL_COMPARE_NOISE_H
#define XTCTL_COMPARE_NOISE_H

#include "compare.h"

struct noise_table;

/* Finds the repeated runs among the table's; *ret is NULL when there are none. CTL_OK, or the failure is
 * reported. */
int noise_open(struct noise_table **ret, const struct ctl *ctl, xt_client *client, const struct relation *r,
	       const struct values *v) __attribute__((warn_unused_result));
void noise_free(struct noise_table *t);

/* A row of a group and its run, whose numbers follow. Rows of one unit and group come run by run. */
int noise_begin_row(struct noise_table *t, size_t group, const xt_value *run)
	__attribute__((warn_unused_result));
void noise_add(struct noise_table *t, size_t metric, double value);

/* The rows of the present unit and group are over. */
void noise_end_unit(struct noise_table *t, size_t group);

/* Makes values->noise; t may be NULL. 0, or -1 when out of memory. */
int noise_close(const struct noise_table *t, struct values *v) __attribute__((warn_unused_result));

#endif
