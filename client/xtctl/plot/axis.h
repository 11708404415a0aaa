/*
 * An axis of a picture: its ends, its ticks at round numbers, and their labels.
 */
#ifndef XTCTL_AXIS_H
#define XTCTL_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#define AXIS_TICKS 32
#define AXIS_LABEL 32

enum axis_flags {
	AXIS_LOG = 1,	/* logarithmic: min is above 0 */
	AXIS_WHOLE = 2, /* whole numbers: no tick between two */
	AXIS_ROUND = 4, /* ends are ticks */
	AXIS_TIME = 8,	/* seconds since 1970: see axis_time.h; alone */
};

struct axis {
	unsigned flags;
	double low, high; /* its ends; of a logarithmic one the decimal logarithms of them */
	double step;	  /* between ticks; 0: a logarithmic one */
	int months;	  /* of times: between ticks that are the first days of months; else 0 */
	double ticks[AXIS_TICKS];
	size_t n;
};

/* An axis for values from min to max, which are finite, with about `most` ticks or fewer. Equal ones get room
 * on both sides. */
void axis_init(struct axis *a, double min, double max, size_t most, unsigned flags);

/* Where a value is: 0 at the low end, 1 at the high one. */
double axis_at(const struct axis *a, double value);

/* A tick's label, with as many decimals as its neighbours; returns ret. */
const char *axis_label(const struct axis *a, size_t tick, char ret[AXIS_LABEL]);

/* The round number (1, 2 or 5 times a power of ten) that is not below x, which is above 0. */
double axis_round_step(double x);

#endif
