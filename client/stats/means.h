/*
 * Tests and intervals of means that rest on Student's t, and how large a difference is beside the spread.
 */
#ifndef STATS_MEANS_H
#define STATS_MEANS_H

#include "sample.h"

struct t_test {
	double difference;	  /* of the means: second minus first */
	double t, df;		  /* NAN when there is no spread to measure it by, or too few values */
	double p;		  /* of both sides; NAN likewise */
	struct interval interval; /* of the difference */
};

/* A difference beside the spread: Hedges' g, which is Cohen's d without its bias in small samples. */
struct effect {
	double d, g;		  /* NAN: no spread */
	struct interval interval; /* of g, from the noncentral t distribution */
};

/* Student's t of paired differences, of which these are the moments. */
struct t_test means_paired(const struct moments *differences, double confidence);

/* Welch's t of two samples, whose spreads need not be equal. */
struct t_test means_welch(const struct moments *a, const struct moments *b, double confidence);

/* The mean difference over the differences' standard deviation (dz). */
struct effect means_effect_paired(const struct moments *differences, double confidence);

/* The difference of means over the pooled standard deviation. */
struct effect means_effect_two(const struct moments *a, const struct moments *b, double confidence);

/*
 * What a t test can see. `scale` is the standard error of the difference times √n: the differences' standard
 * deviation for n pairs; for two samples of n each the pooled one's times √2.
 */
struct plan {
	double scale;
	double df_for_n; /* degrees of freedom for each of n, less that for the means: 1 for pairs, 2 for two
			  */
	double alpha;	 /* the chance of seeing a difference where there is none, both sides */
	double power;	 /* the chance of seeing one of the size asked for */
};

/* The chance of seeing a difference with n. */
double means_power(const struct plan *plan, double n, double difference);

/* The smallest difference that is seen with n; NAN for n < 2. */
double means_detectable(const struct plan *plan, double n);

/* How many are needed to see a difference, not rounded: at least 2; INFINITY for one of 0. */
double means_needed(const struct plan *plan, double difference);

#endif
