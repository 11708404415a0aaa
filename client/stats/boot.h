/*
 * The bootstrap: what would have come out had the measured inputs been drawn again, many times over.
 *
 * Intervals are BCa, bias-corrected and accelerated (Efron 1987). Time is a nanosecond or two a resample
 * and value; memory 16 bytes a value and 24 bytes a resample.
 */
#ifndef STATS_BOOT_H
#define STATS_BOOT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sample.h"

struct boot_options {
	uint64_t seed;	  /* the same seed, the same intervals */
	uint64_t stream;  /* tells the bootstraps of one seed apart */
	size_t resamples; /* at least 1 */
	double confidence;
	const atomic_int *stop; /* borrowed: given up once it is set; NULL: never */
};

/* Of the difference of the means, second minus first, and of that difference over the first mean's size
 * (NAN where a resampled first mean can be 0 or have another sign). */
struct boot_means {
	struct interval difference, relative;
};

/* n pairs, 1 <= n < 2^32; whole pairs are drawn. 0, -ENOMEM, or -EINTR: stopped. */
int boot_pairs(const double *a, const double *b, size_t n, const struct boot_options *options,
	       struct boot_means *ret) __attribute__((warn_unused_result));

/* Two samples, drawn apart. */
int boot_two(const double *a, size_t n_a, const double *b, size_t n_b, const struct boot_options *options,
	     struct boot_means *ret) __attribute__((warn_unused_result));

/*
 * The BCa interval of a statistic: `value` on the data, n `resampled` ones, which are sorted here, and the
 * acceleration, for which see boot_acceleration(). All resampled ones equal: an interval of no width.
 */
struct interval boot_bca(double *resampled, size_t n, double value, double acceleration, double confidence);

/* A sample's influences on a statistic, by leaving each value out in turn. */
struct influence {
	double squares, cubes; /* sums of ((n - 1) (mean of those left out - this one left out) / n), ², ³ */
};

double boot_acceleration(const struct influence *a, const struct influence *b);

#endif
