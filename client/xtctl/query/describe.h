/*
 * Summaries of columns: numbers by count, mean, deviation and quantiles, other values by how many different
 * ones there are, how long they are and which is the most frequent.
 */
#ifndef XTCTL_DESCRIBE_H
#define XTCTL_DESCRIBE_H

#include "relation.h"

#define DESCRIBE_QUANTILES 16 /* most of them */

struct describe {
	struct ctl *ctl;
	xt_client *client;
	const struct relation *rel;
	const char *where;			/* of SQL: the rows that are looked at */
	const struct relation_column **columns; /* borrowed: n of them */
	size_t n;
	const struct relation_column **by; /* borrowed: n_by of them, a summary for each combination of
					      their values; NULL: one of all rows */
	size_t n_by;
	double quantiles[DESCRIBE_QUANTILES];
	size_t n_quantiles;
};

/* Prints them. CTL_OK, or the failure is reported. */
int describe_columns(const struct describe *d) __attribute__((warn_unused_result));

#endif
