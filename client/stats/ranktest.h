/*
 * Tests that look at the order of values, not at their size.
 */
#ifndef STATS_RANKTEST_H
#define STATS_RANKTEST_H

#include <stdbool.h>
#include <stddef.h>

#include "sample.h"

struct signed_rank {
	size_t n;	    /* differences that are not 0 */
	double plus;	    /* the sum of the ranks of those above 0 */
	double p;	    /* of both sides; 1 when all are 0 */
	double correlation; /* rank-biserial, -1 … 1; 0 when all are 0 */
	bool exact; /* p counts all signs; else it is the normal's, for ties and continuity corrected */
};

/* Wilcoxon's signed-rank test of paired differences. Exact for at most 50 of them without a 0 or equal ones.
 * 0, or -ENOMEM. */
int ranktest_signed(const double *differences, size_t n, struct signed_rank *ret)
	__attribute__((warn_unused_result));

struct rank_sum {
	double u;			/* pairs (a, b) with a < b, and half of those with a = b */
	double p;			/* of both sides; 1 when all values are equal */
	double delta;			/* Cliff's: P(b > a) - P(b < a) */
	struct interval delta_interval; /* at the confidence asked for */
	bool exact;			/* as above */
};

/* The Mann-Whitney U test of two samples, none of them empty. Exact for less than 50 each without equal
 * values. 0, or -ENOMEM. */
int ranktest_two(const double *a, size_t n_a, const double *b, size_t n_b, double confidence,
		 struct rank_sum *ret) __attribute__((warn_unused_result));

#endif
