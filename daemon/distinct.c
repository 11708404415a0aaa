#include "distinct.h"

#include <math.h>
#include <sqlite3.h>
#include <string.h>

#define LEAST_CAP 16
#define BITS	  14 /* of a hash choose its register */
#define REGISTERS (1 << BITS)
#define MOST_RANK (64 - BITS + 1)

/* ---- hashes ----------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint64_t distinct_hash(const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t hash = mix(n + 0x9e3779b97f4a7c15u), word;

	for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		hash = mix(hash ^ word) + 0x9e3779b97f4a7c15u;
	}
	word = 0;
	if (n > 0)
		memcpy(&word, p, n);
	return mix(hash ^ word);
}

/* ---- the set ---------------------------------------------------------- */

/* Its place, or the free one where it belongs. */
static uint64_t *place(uint64_t *set, size_t cap, uint64_t hash)
{
	size_t at = (size_t)hash & (cap - 1);

	while (set[at] && set[at] != hash)
		at = (at + 1) & (cap - 1);
	return &set[at];
}

static uint64_t *new_set(size_t cap)
{
	uint64_t *set = sqlite3_malloc64(cap * sizeof(*set));

	if (set)
		memset(set, 0, cap * sizeof(*set));
	return set;
}

static int grow(struct distinct *d)
{
	size_t cap = d->cap ? d->cap * 2 : LEAST_CAP;
	uint64_t *set = new_set(cap);

	if (!set)
		return -1;
	for (size_t i = 0; i < d->cap; i++)
		if (d->set[i])
			*place(set, cap, d->set[i]) = d->set[i];
	sqlite3_free(d->set);
	d->set = set;
	d->cap = cap;
	return 0;
}

/* ---- HyperLogLog ------------------------------------------------------ */

/* The longest run of zeros that a register's hashes begin with tells how many there were. */
static void note(uint8_t *registers, uint64_t hash)
{
	uint64_t rest = hash << BITS;
	int rank = rest ? __builtin_clzll(rest) + 1 : MOST_RANK;
	uint8_t *reg = &registers[hash >> (64 - BITS)];

	if (*reg < rank)
		*reg = (uint8_t)rank;
}

static int begin_registers(struct distinct *d)
{
	d->registers = sqlite3_malloc64(REGISTERS);
	if (!d->registers)
		return -1;
	memset(d->registers, 0, REGISTERS);
	for (size_t i = 0; i < d->cap; i++)
		if (d->set[i])
			note(d->registers, d->set[i]);
	sqlite3_free(d->set);
	d->set = NULL;
	d->cap = 0;
	return 0;
}

/* What registers at 0 and at the highest rank stand for: Ertl, "New cardinality estimation algorithms for
 * HyperLogLog sketches", 2017, which has no bias at any count. */
static double of_empty(double x)
{
	double y = 1, z = x, before;

	if (x == 1)
		return INFINITY;
	do {
		before = z;
		x *= x;
		z += x * y;
		y += y;
	} while (z != before);
	return z;
}

static double of_full(double x)
{
	double y = 1, z = 1 - x, before;

	if (x == 0 || x == 1)
		return 0;
	do {
		before = z;
		x = sqrt(x);
		y *= 0.5;
		z -= (1 - x) * (1 - x) * y;
	} while (z != before);
	return z / 3;
}

static double estimate(const uint8_t *registers)
{
	double m = REGISTERS;
	int counts[MOST_RANK + 1] = {0};

	for (int i = 0; i < REGISTERS; i++)
		counts[registers[i]]++;
	double z = m * of_full(1 - counts[MOST_RANK] / m);
	for (int rank = MOST_RANK - 1; rank >= 1; rank--)
		z = 0.5 * (z + counts[rank]);
	z += m * of_empty(counts[0] / m);
	return m * m / (2 * log(2) * z);
}

/* ---- all -------------------------------------------------------------- */

int distinct_add(struct distinct *d, uint64_t hash)
{
	hash = hash ? hash : 1;
	if (d->registers) {
		note(d->registers, hash);
		return 0;
	}
	if (d->n * 2 >= d->cap && grow(d) < 0)
		return -1;
	uint64_t *at = place(d->set, d->cap, hash);
	if (*at)
		return 0;
	*at = hash;
	d->n++;
	return d->n > DISTINCT_EXACT ? begin_registers(d) : 0;
}

int64_t distinct_count(const struct distinct *d)
{
	return d->registers ? (int64_t)llround(estimate(d->registers)) : (int64_t)d->n;
}

void distinct_done(struct distinct *d)
{
	sqlite3_free(d->set);
	sqlite3_free(d->registers);
	*d = (struct distinct){0};
}
