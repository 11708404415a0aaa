/*
 * Random numbers that are the same for the same seed on every machine. Not for secrets, nor for ids.
 */
#ifndef STATS_RNG_H
#define STATS_RNG_H

#include <stdint.h>

/* xoshiro256++ (Blackman & Vigna, "Scrambled linear pseudorandom number generators", 2021). */
struct rng {
	uint64_t s[4];
};

/* Stream `stream` of a seed: the streams have nothing to do with each other. */
void rng_init(struct rng *r, uint64_t seed, uint64_t stream);

/* 64 random bits. Inline, as the next one: a bootstrap draws a billion. */
static inline uint64_t rng_next(struct rng *r)
{
	uint64_t *s = r->s, sum = s[0] + s[3], kept = s[1] << 17;
	uint64_t bits = (sum << 23 | sum >> 41) + s[0];

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= kept;
	s[3] = s[3] << 45 | s[3] >> 19;
	return bits;
}

/* Two numbers below n, each as likely as the others (Lemire, "Fast random integer generation in an
 * interval", 2019): the few draws that would favour some are drawn again. n from 1 to 2^32 - 1. */
static inline void rng_two_below(struct rng *r, uint32_t n, uint32_t ret[2])
{
	for (;;) {
		uint64_t bits = rng_next(r), a = (bits >> 32) * n, b = (bits & UINT32_MAX) * n;
		ret[0] = (uint32_t)(a >> 32);
		ret[1] = (uint32_t)(b >> 32);
		if ((uint32_t)a >= n && (uint32_t)b >= n)
			return;
		uint32_t least = -n % n;
		if ((uint32_t)a >= least && (uint32_t)b >= least)
			return;
	}
}

#endif
