/* The bootstrap: its random numbers, and that its intervals cover what they say. */
#include "unit.h"

#include <errno.h>
#include <math.h>

#include "boot.h"
#include "dist.h"
#include "means.h"
#include "rng.h"

/* The first numbers of the authors' own code for the state 1, 2, 3, 4. */
static void test_known_numbers(void **state)
{
	static const uint64_t known[] = {41943041, 58720359, 3588806011781223, 3591011842654386,
					 UINT64_C(9228616714210784205)};
	struct rng r = {{1, 2, 3, 4}};

	(void)state;
	for (size_t i = 0; i < COUNT(known); i++)
		assert_true(rng_next(&r) == known[i]);
}

static void test_streams(void **state)
{
	struct rng a, b, c, d;

	(void)state;
	rng_init(&a, 1, 0);
	rng_init(&b, 1, 0);
	rng_init(&c, 1, 1);
	rng_init(&d, 0, 1);
	uint64_t first = rng_next(&a);
	assert_true(first == rng_next(&b));
	assert_true(first != rng_next(&c));
	assert_true(first != rng_next(&d));
}

static void test_below(void **state)
{
	size_t seen[7] = {0};
	struct rng r;
	uint32_t two[2];

	(void)state;
	rng_init(&r, 5, 0);
	for (size_t i = 0; i < 35000; i++) {
		rng_two_below(&r, 7, two);
		assert_true(two[0] < 7 && two[1] < 7);
		seen[two[0]]++;
		seen[two[1]]++;
	}
	for (size_t i = 0; i < 7; i++) /* 10,000 each, give or take five deviations */
		assert_in_range(seen[i], 9550, 10450);
	for (size_t i = 0; i < 100; i++) {
		rng_two_below(&r, 1, two);
		assert_true(two[0] == 0 && two[1] == 0);
		rng_two_below(&r, UINT32_MAX, two); /* where some are drawn again */
		assert_true(two[0] < UINT32_MAX && two[1] < UINT32_MAX);
	}
}

/* A normal number, from a uniform one. */
static double normal(struct rng *r)
{
	return dist_normal_quantile(((double)(rng_next(r) >> 11) + 0.5) / 9007199254740992.0);
}

static const struct boot_options usual = {.seed = 1, .resamples = 4000, .confidence = 0.95};

static void test_repeats(void **state)
{
	struct boot_options other = usual, stream = usual;
	struct boot_means one, two, three, four;
	double a[31], b[31];
	struct rng r;

	(void)state;
	other.seed = 2;
	stream.stream = 1;
	rng_init(&r, 9, 0);
	for (size_t i = 0; i < 31; i++) {
		a[i] = 10 + normal(&r);
		b[i] = a[i] * 1.2 + normal(&r) / 4;
	}
	assert_int_equal(boot_pairs(a, b, 31, &usual, &one), 0);
	assert_int_equal(boot_pairs(a, b, 31, &usual, &two), 0);
	assert_int_equal(boot_pairs(a, b, 31, &other, &three), 0);
	assert_int_equal(boot_pairs(a, b, 31, &stream, &four), 0);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_true(one.difference.low != three.difference.low && one.difference.low != four.difference.low);
	assert_true(one.difference.low < 2 && 2 < one.difference.high);
	assert_true(one.relative.low < 0.2 && 0.2 < one.relative.high);
	assert_true(one.relative.high - one.relative.low < 0.05);
	/* Drawn apart, the inputs' own spread is not taken out. */
	assert_int_equal(boot_two(a, 31, b, 31, &usual, &two), 0);
	assert_true(two.difference.high - two.difference.low >
		    3 * (one.difference.high - one.difference.low));
}

static void test_edges(void **state)
{
	static const double a[] = {1, 2, 4, 0.5}, b[] = {3, 4, 6, 2.5}, zeros[] = {0, 0, 0, 0},
			    signs[] = {-1, 1, 3, -2};
	const atomic_int stop = 1;
	struct boot_options stopped = usual;
	struct boot_means m;

	(void)state;
	assert_int_equal(boot_pairs(a, b, 4, &usual, &m), 0);
	assert_true(m.difference.low == 2 && m.difference.high == 2);
	assert_int_equal(boot_pairs(zeros, zeros, 4, &usual, &m), 0);
	assert_true(m.difference.low == 0 && m.difference.high == 0 && isnan(m.relative.low));
	assert_int_equal(boot_pairs(signs, b, 4, &usual, &m), 0);
	assert_true(isfinite(m.difference.low) && isnan(m.relative.low) && isnan(m.relative.high));
	assert_int_equal(boot_pairs(a, b, 1, &usual, &m), 0);
	assert_true(isnan(m.difference.low));
	assert_int_equal(boot_two(a, 1, b, 4, &usual, &m), 0);
	assert_true(isnan(m.difference.low));
	assert_int_equal(boot_two(a, 2, b, 3, &usual, &m), 0);
	assert_true(m.difference.low < m.difference.high);
	stopped.stop = &stop;
	assert_int_equal(boot_two(a, 2, b, 3, &stopped, &m), -EINTR);
}

/* Resampled values that equal the statistic count half: of a distribution that is even about it there is no
 * bias. */
static void test_ties(void **state)
{
	double even[] = {3, 2, 1, 2, 3, 2, 1, 2}, same[] = {5, 5, 5};
	struct interval i = boot_bca(even, 8, 2, 0, 0.5);

	(void)state;
	assert_true(i.low == 1.75 && i.high == 2.25); /* the quartiles, of type 7 */
	i = boot_bca(same, 3, 5, 0, 0.95);
	assert_true(i.low == 5 && i.high == 5);
}

/* Of intervals that say 95 %, about so many hold the truth, also where the values are skewed. */
static void test_covers(void **state)
{
	struct boot_options options = {.seed = 3, .resamples = 1000, .confidence = 0.95};
	size_t pairs = 0, two = 0, rounds = 400;
	double a[40], b[40];
	struct boot_means m;
	struct rng r;

	(void)state;
	rng_init(&r, 4, 0);
	for (size_t k = 0; k < rounds; k++) {
		for (size_t i = 0; i < 40; i++) {
			a[i] = exp(normal(&r) / 2);
			b[i] = a[i] + exp(normal(&r) / 2) - exp(0.125);
		}
		options.stream = k;
		assert_int_equal(boot_pairs(a, b, 40, &options, &m), 0);
		pairs += m.difference.low <= 0 && 0 <= m.difference.high;
		for (size_t i = 0; i < 40; i++)
			b[i] = exp(normal(&r) / 2);
		assert_int_equal(boot_two(a, 40, b, 40, &options, &m), 0);
		two += m.difference.low <= 0 && 0 <= m.difference.high;
	}
	assert_in_range(pairs, rounds * 90 / 100, rounds * 98 / 100);
	assert_in_range(two, rounds * 91 / 100, rounds * 98 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_numbers), cmocka_unit_test(test_streams),
		cmocka_unit_test(test_below),	      cmocka_unit_test(test_repeats),
		cmocka_unit_test(test_edges),	      cmocka_unit_test(test_ties),
		cmocka_unit_test(test_covers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
