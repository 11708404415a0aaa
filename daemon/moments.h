/*
 * Sums of numbers and of their squares and products, from which variance, correlation and regression
 * follow.
 *
 * Each sum keeps the digits that its additions lose, and everything is measured from the first value, so
 * that nothing cancels away: 1e9 + 1, 1e9 + 2, 1e9 + 3 has the variance 1. Values can be taken out again,
 * as the frames of window functions do.
 */
#ifndef XT_MOMENTS_H
#define XT_MOMENTS_H

#include <stdbool.h>
#include <stdint.h>

/* A sum and the digits that did not fit into it; their sum is meant. */
struct moment {
	double sum, rest;
};

/* Of numbers x, or of pairs of x and y. Zeroed to begin with. */
struct moments {
	int64_t n;	     /* of those that are in */
	int64_t beyond;	     /* of them, those that are infinite or whose squares are: left out of the sums */
	bool begun;	     /* x0 and y0 are set */
	double x0, y0;	     /* what everything is measured from: the first value */
	struct moment x, xx; /* sums of x - x0 and its square */
	struct moment y, yy, xy; /* of pairs */
};

/* Puts one in (times 1), or takes one out that was put in (times -1). */
void moments_add(struct moments *m, double x, int times);
void moments_add_pair(struct moments *m, double x, double y, int times);

/* Sums of squared distances from the mean, and of their products; NaN when something lies beyond. */
double moments_xx(const struct moments *m);
double moments_yy(const struct moments *m);
double moments_xy(const struct moments *m);

/* Means; NaN when something lies beyond, or nothing is in. */
double moments_mean_x(const struct moments *m);
double moments_mean_y(const struct moments *m);

#endif
