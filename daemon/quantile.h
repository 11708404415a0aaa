/*
 * Numbers whose quantiles are asked for: all of them, or, where memory must stay constant, a thinned
 * selection of those that were added.
 *
 * Thinning: values come into a part of fixed size; a full part is sorted, and every second value of it goes
 * on to the next part, where each stands for twice as many. Beginning with the first and with the second
 * value in turns keeps the errors from adding up: of n values, a rank is off by less than
 * n log2(n / BAG_PART) / (2 BAG_PART). Up to BAG_EXACT values nothing is thinned.
 *
 * Memory is SQLite's, so that it is counted for the statement (mem.h).
 */
#ifndef XT_QUANTILE_H
#define XT_QUANTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BAG_PART   32768  /* values of a part */
#define BAG_EXACT  262144 /* values up to which nothing is thinned */
#define BAG_LEVELS 48

/* Numbers are kept as keys: whole numbers whose order is theirs. */
struct bag_part {
	uint64_t *keys;	   /* owned */
	size_t start, end; /* those in use */
	size_t cap;	   /* allocated */
	bool odd;	   /* the next thinning begins with the second value */
};

/* Zeroed to begin with. */
struct bag {
	bool thin;			   /* set by the caller: memory stays constant */
	bool reals;			   /* keys are of reals; else all numbers are whole */
	uint64_t n;			   /* numbers that were added, less those dropped */
	struct bag_part parts[BAG_LEVELS]; /* each value of part i stands for 2^i */
	uint64_t *spare;		   /* owned: for sorting a part; NULL: nothing was thinned */
};

struct bag_number {
	bool real;
	int64_t integer;
	double value; /* either way */
};

/* 0, or -1 when out of memory. No NaN. */
int bag_add_integer(struct bag *b, int64_t i) __attribute__((warn_unused_result));
int bag_add_real(struct bag *b, double d) __attribute__((warn_unused_result));

/* Drops the number that has been in it longest. Not of a thin one. */
void bag_drop(struct bag *b);

/* The value at q (0 to 1) of those in order, interpolated between neighbours; and the first value that at
 * least the share q of all does not exceed. There must be one. */
double bag_between(const struct bag *b, double q);
struct bag_number bag_at(const struct bag *b, double q);

void bag_done(struct bag *b);

#endif
