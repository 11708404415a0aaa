/*
 * A sample of numbers: its moments, its quantiles, its ranks. Values are finite.
 */
#ifndef STATS_SAMPLE_H
#define STATS_SAMPLE_H

#include <stddef.h>

/* Ends of an interval; NAN where there is none. */
struct interval {
	double low, high;
};

struct moments {
	size_t n;
	double mean;
	double variance; /* over n - 1; NAN for n < 2 */
};

/* In two passes, the second of which also takes back the first one's rounding. */
struct moments sample_moments(const double *values, size_t n);

/* Sorts upwards. */
void sample_sort(double *values, size_t n);

/* The p-quantile of sorted values, n > 0, on the line between its neighbours: type 7 of Hyndman & Fan (1996),
 * which R, NumPy and spreadsheets take. */
double sample_quantile(const double *sorted, size_t n, double p);

/* Ranks from 1 on, equal values sharing the mean of theirs. *ret_ties: the sum of t³ - t over groups of t
 * equal values. 0, or -ENOMEM. */
int sample_ranks(const double *values, size_t n, double *ret_ranks, double *ret_ties)
	__attribute__((warn_unused_result));

#endif
