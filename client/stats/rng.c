#include "rng.h"

/* SplitMix64 (Steele, Lea & Flood 2014): spreads a small number over all bits. */
static uint64_t spread(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
	uint64_t state = seed, other = stream;

	state = spread(&state) ^ spread(&other) * UINT64_C(0xd1342543de82ef95);
	for (int i = 0; i < 4; i++)
		r->s[i] = spread(&state);
}
