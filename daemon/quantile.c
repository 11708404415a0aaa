#include "quantile.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#define LEAST_CAP 16
#define DIGIT	  11 /* bits that sorting and choosing look at in one pass */
#define DIGITS	  (1 << DIGIT)
#define SIGN	  ((uint64_t)1 << 63)

/* ---- keys ------------------------------------------------------------- */

static uint64_t key_of_integer(int64_t i)
{
	return (uint64_t)i ^ SIGN;
}

static int64_t integer_of(uint64_t key)
{
	return (int64_t)(key ^ SIGN);
}

/* Negative numbers have their bits turned, for the larger ones are the smaller. */
static uint64_t key_of_real(double d)
{
	uint64_t bits;

	d += 0.0; /* -0 is 0 */
	memcpy(&bits, &d, sizeof(bits));
	return bits & SIGN ? ~bits : bits | SIGN;
}

static double real_of(uint64_t key)
{
	uint64_t bits = key & SIGN ? key ^ SIGN : ~key;
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

static void make_real(struct bag *b)
{
	for (size_t h = 0; h < BAG_LEVELS; h++)
		for (size_t i = b->parts[h].start; i < b->parts[h].end; i++)
			b->parts[h].keys[i] = key_of_real((double)integer_of(b->parts[h].keys[i]));
	b->reals = true;
}

/* ---- thinning --------------------------------------------------------- */

static size_t digit_of(uint64_t key, unsigned shift)
{
	return (size_t)(key >> shift) & (DIGITS - 1);
}

/* Sorts by one digit into `to`. False: all have the same, and nothing was moved. */
static bool sort_by(const uint64_t *from, uint64_t *to, size_t n, unsigned shift)
{
	size_t at[DIGITS] = {0}, next = 0;

	for (size_t i = 0; i < n; i++)
		at[digit_of(from[i], shift)]++;
	if (at[digit_of(from[0], shift)] == n)
		return false;
	for (size_t d = 0; d < DIGITS; d++) {
		size_t count = at[d];
		at[d] = next;
		next += count;
	}
	for (size_t i = 0; i < n; i++)
		to[at[digit_of(from[i], shift)]++] = from[i];
	return true;
}

/* Returns where the sorted keys are: in one of the two. */
static uint64_t *sort(uint64_t *keys, uint64_t *spare, size_t n)
{
	for (unsigned shift = 0; shift < 64; shift += DIGIT) {
		if (!sort_by(keys, spare, n, shift))
			continue;
		uint64_t *sorted = spare;
		spare = keys;
		keys = sorted;
	}
	return keys;
}

static int reserve(struct bag_part *p, size_t cap)
{
	uint64_t *keys = sqlite3_realloc64(p->keys, cap * sizeof(*keys));

	if (!keys)
		return -1;
	p->keys = keys;
	p->cap = cap;
	return 0;
}

/* Takes BAG_PART keys of level h, in whatever order, up to the levels above. */
static int raise_part(struct bag *b, uint64_t *keys, size_t h)
{
	for (;; h++) {
		struct bag_part *from = &b->parts[h], *to = &b->parts[h + 1];
		assert(h + 1 < BAG_LEVELS);
		if (!to->keys && reserve(to, BAG_PART) < 0)
			return -1;
		const uint64_t *sorted = sort(keys, b->spare, BAG_PART);
		for (size_t i = from->odd; i < BAG_PART; i += 2)
			to->keys[to->end++] = sorted[i];
		from->odd = !from->odd;
		if (to->end < BAG_PART)
			return 0;
		to->end = 0;
		keys = to->keys;
	}
}

/* Empties the first level, which is full. */
static int thin_out(struct bag *b)
{
	struct bag_part *p = &b->parts[0];

	if (!b->spare)
		b->spare = sqlite3_malloc64(BAG_PART * sizeof(*b->spare));
	if (!b->spare)
		return -1;
	for (size_t i = 0; i < p->end; i += BAG_PART)
		if (raise_part(b, p->keys + i, 0) < 0)
			return -1;
	p->end = 0;
	return p->cap == BAG_PART ? 0 : reserve(p, BAG_PART);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- adding and dropping ---------------------------------------------- */

/* Makes room for one more at the end. */
static int make_room(struct bag *b)
{
	struct bag_part *p = &b->parts[0];
	size_t most = b->thin ? BAG_EXACT : SIZE_MAX / sizeof(*p->keys);
	size_t cap = p->cap ? p->cap * 2 : LEAST_CAP;

	if (b->thin && (b->spare || p->end == BAG_EXACT))
		return thin_out(b);
	if (p->start > p->cap / 2) { /* what was dropped leaves enough */
		memmove(p->keys, p->keys + p->start, (p->end - p->start) * sizeof(*p->keys));
		p->end -= p->start;
		p->start = 0;
		return 0;
	}
	/* Near the end of what a statement may have, a smaller step may still go. */
	return reserve(p, smaller(cap, most)) == 0 ||
			       (p->cap > 8 && reserve(p, smaller(p->cap + p->cap / 8, most)) == 0)
		       ? 0
		       : -1;
}

static int put(struct bag *b, uint64_t key)
{
	struct bag_part *p = &b->parts[0];

	if (p->end == p->cap && make_room(b) < 0)
		return -1;
	p->keys[p->end++] = key;
	b->n++;
	return 0;
}

int bag_add_integer(struct bag *b, int64_t i)
{
	return put(b, b->reals ? key_of_real((double)i) : key_of_integer(i));
}

int bag_add_real(struct bag *b, double d)
{
	if (!b->reals)
		make_real(b);
	return put(b, key_of_real(d));
}

void bag_drop(struct bag *b)
{
	struct bag_part *p = &b->parts[0];

	assert(!b->thin && b->n > 0);
	b->n--;
	if (++p->start == p->end)
		p->start = p->end = 0;
}

void bag_done(struct bag *b)
{
	for (size_t h = 0; h < BAG_LEVELS; h++)
		sqlite3_free(b->parts[h].keys);
	sqlite3_free(b->spare);
	*b = (struct bag){0};
}

/* ---- choosing --------------------------------------------------------- */

/* How many keys there are for each value of a digit, among those whose digits above are `above`. */
static void count(const struct bag *b, uint64_t above, unsigned shift, unsigned bits, uint64_t *counts)
{
	uint64_t mask = shift + bits < 64 ? ~(uint64_t)0 << (shift + bits) : 0;
	uint64_t digit = ((uint64_t)1 << bits) - 1;

	memset(counts, 0, DIGITS * sizeof(*counts));
	for (unsigned h = 0; h < BAG_LEVELS; h++) {
		const struct bag_part *p = &b->parts[h];
		for (size_t i = p->start; i < p->end; i++)
			if ((p->keys[i] & mask) == above)
				counts[(p->keys[i] >> shift) & digit] += (uint64_t)1 << h;
	}
}

/* The key at a rank, from 0, digit by digit from the highest: no copy, and a time that no order of the
 * values makes worse. */
static uint64_t choose(const struct bag *b, uint64_t rank)
{
	uint64_t counts[DIGITS], key = 0;

	for (unsigned left = 64; left > 0;) {
		unsigned bits = left < DIGIT ? left : DIGIT, shift = left - bits;
		uint64_t digit = 0;
		count(b, key, shift, bits, counts);
		for (; rank >= counts[digit]; digit++)
			rank -= counts[digit];
		key |= digit << shift;
		left = shift;
	}
	return key;
}

static struct bag_number number_of(const struct bag *b, uint64_t key)
{
	int64_t i = integer_of(key);

	if (b->reals)
		return (struct bag_number){.real = true, .value = real_of(key)};
	return (struct bag_number){.integer = i, .value = (double)i};
}

double bag_between(const struct bag *b, double q)
{
	double last = (double)(b->n - 1), at = q * last, below = floor(at), share = at - below;
	uint64_t rank = below < last ? (uint64_t)below : b->n - 1;
	double low = number_of(b, choose(b, rank)).value;

	if (share <= 0 || rank + 1 >= b->n)
		return low;
	double high = number_of(b, choose(b, rank + 1)).value;
	return high == low ? low : low * (1 - share) + high * share;
}

struct bag_number bag_at(const struct bag *b, double q)
{
	/* 0.55 is a little more than it says, but 0.55 of 100 values are 55. */
	double many = ceil(q * (double)b->n * (1 - 4 * DBL_EPSILON));
	uint64_t rank = many < 1 ? 0 : (uint64_t)many - 1;

	return number_of(b, choose(b, rank < b->n ? rank : b->n - 1));
}
