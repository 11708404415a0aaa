/*
 * The values of a comparison, side by side.
 */
#ifndef XTCTL_COMPARE_SIDES_H
#define XTCTL_COMPARE_SIDES_H

#include "compare.h"

/* The values of both sides; in pairs they stand at the same place. Zeroed is valid. */
struct sides {
	double *a, *b; /* owned */
	size_t n_a, n_b;
	double rounding; /* what a difference of their means must exceed to be one */
};

/* Those of a cell, whose metric and group are set; sets what the cell tells of them. Values that differ by
 * rounding only are equal. 0, or -ENOMEM; sides_done() is due in any case. */
int sides_take(struct sides *s, const struct values *v, struct cell *c) __attribute__((warn_unused_result));
void sides_done(struct sides *s);

#endif
