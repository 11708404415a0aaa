/*
 * Many tests at once: p values adjusted so that of the differences called real, few are not.
 */
#ifndef STATS_FDR_H
#define STATS_FDR_H

#include <stddef.h>

/* Adjusted p values (Benjamini & Hochberg 1995), in the order given: where they are held to be at most alpha,
 * at most a share alpha of those is expected to be false. NAN counts as no test and stays NAN. `ret` may be
 * `p`. 0, or -ENOMEM. */
int fdr_adjust(const double *p, size_t n, double *ret) __attribute__((warn_unused_result));

#endif
