/*
 * What of a difference is the arithmetic's own. A mean of three equal values is an ulp beside that of two,
 * and tests that look at the order would take each ulp for a difference.
 */
#ifndef STATS_ROUNDING_H
#define STATS_ROUNDING_H

#include <stdbool.h>
#include <stddef.h>

/* Beside the values' size: some 4500 ulps, which is more than sums of millions of values leave, and far less
 * than anybody measures. */
#define ROUNDING 1e-12

/* Whether two numbers differ by no more than rounding. */
bool rounding_same(double a, double b);

/* The same as an amount: ROUNDING times the median size of the values that are not 0, so that a huge one does
 * not hide what the others differ by. 0 where there are none. 0, or -ENOMEM. */
int rounding_of(const double *values, size_t n, double *ret) __attribute__((warn_unused_result));

/* Makes those equal, of both samples together, that differ by rounding only. 0, or -ENOMEM. */
int rounding_settle(double *a, size_t n_a, double *b, size_t n_b) __attribute__((warn_unused_result));

/* Makes the sizes of differences equal that are at most `most` apart; their signs stay. 0, or -ENOMEM. */
int rounding_settle_sizes(double *differences, size_t n, double most) __attribute__((warn_unused_result));

#endif
