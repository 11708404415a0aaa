/*
 * Idle times in a line over time: no line is drawn over them, since nothing is known of them.
 */
#ifndef XTCTL_PLOT_GAPS_H
#define XTCTL_PLOT_GAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows that are drawn as one point. */
struct spot {
	size_t group;
	double x, y;
	double from, to; /* the first of them and the last, on the scale of x */
	int64_t rows;	 /* how many different x they have at most */
};

/* Zeroed is valid. */
struct spots {
	struct spot *list; /* owned; those of a group stand together, in the order of x */
	size_t n, cap;
};

/* 0, or -1 when out of memory. */
int spots_add(struct spots *s, const struct spot *one) __attribute__((warn_unused_result));
void spots_done(struct spots *s);

/* The longest way from one spot of a group to the next that is no idle time: many times the usual step
 * between two rows, and at least `least`. 0, or -1 when out of memory. */
int spots_reach(const struct spots *s, double least, double *ret) __attribute__((warn_unused_result));

/* Whether a line goes from spot i - 1 to spot i. */
bool spots_joined(const struct spots *s, size_t i, double reach);

#endif
