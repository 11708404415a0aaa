/* Quantiles: of all values, and of thinned ones. */
#include "unit.h"

#include <math.h>

#include "quantile.h"

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void few(void **state)
{
	static const double x[] = {3, -1.5, 0, 2, -1e300};
	struct bag b = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(x); i++)
		assert_int_equal(bag_add_real(&b, x[i]), 0);
	assert_true(bag_between(&b, 0) == -1e300);
	assert_true(bag_between(&b, 0.5) == 0);
	assert_true(bag_between(&b, 0.625) == 1); /* half way between 0 and 2 */
	assert_true(bag_between(&b, 1) == 3);
	assert_true(bag_at(&b, 0).value == -1e300);
	assert_true(bag_at(&b, 0.6).value == 0);
	assert_true(bag_at(&b, 0.61).value == 2);
	bag_done(&b);
}

static void whole_numbers_stay_whole(void **state)
{
	struct bag b = {0};

	(void)state;
	assert_int_equal(bag_add_integer(&b, INT64_MAX), 0);
	assert_int_equal(bag_add_integer(&b, INT64_MIN), 0);
	assert_int_equal(bag_add_integer(&b, INT64_MAX - 1), 0);
	assert_false(bag_at(&b, 0.5).real);
	assert_int_equal(bag_at(&b, 0.5).integer, INT64_MAX - 1);
	assert_int_equal(bag_at(&b, 0).integer, INT64_MIN);
	/* One that is not makes reals of all. */
	assert_int_equal(bag_add_real(&b, 0.5), 0);
	assert_true(bag_at(&b, 0.5).real);
	assert_true(bag_at(&b, 0.5).value == 0.5);
	assert_true(bag_at(&b, 0).value == -0x1p63);
	bag_done(&b);
}

static void hundred_values(void **state)
{
	struct bag b = {0};

	(void)state;
	for (int i = 100; i >= 1; i--)
		assert_int_equal(bag_add_integer(&b, i), 0);
	for (int i = 1; i <= 100; i++)
		assert_int_equal(bag_at(&b, i / 100.0).integer, i);
	bag_done(&b);
}

static void infinities(void **state)
{
	struct bag b = {0};

	(void)state;
	assert_int_equal(bag_add_real(&b, INFINITY), 0);
	assert_int_equal(bag_add_real(&b, 1), 0);
	assert_int_equal(bag_add_real(&b, -INFINITY), 0);
	assert_true(bag_between(&b, 0.5) == 1);
	assert_true(bag_between(&b, 0) == -INFINITY);
	assert_true(bag_between(&b, 0.75) == INFINITY);
	bag_done(&b);
}

/* As a window slides: held against sorting. */
static void dropping(void **state)
{
	enum { ROWS = 3000, WIDTH = 37 };
	uint64_t random = 1;
	double all[ROWS];
	struct bag b = {0};

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		all[i] = (double)(next_random(&random) % 1000) - 500;
		assert_int_equal(bag_add_real(&b, all[i]), 0);
		if (i < WIDTH)
			continue;
		bag_drop(&b);
		double sorted[WIDTH];
		memcpy(sorted, all + i + 1 - WIDTH, sizeof(sorted));
		qsort(sorted, WIDTH, sizeof(*sorted), compare);
		assert_true(bag_between(&b, 0.5) == sorted[WIDTH / 2]);
		assert_true(bag_between(&b, 1) == sorted[WIDTH - 1]);
	}
	assert_true(b.parts[0].cap < 4 * WIDTH);
	bag_done(&b);
}

/* The share of the n values, which are 0 to n - 1 in some order, by which a quantile is off. */
static double off_by(const struct bag *b, double q)
{
	return fabs(bag_between(b, q) / (double)(b->n - 1) - q);
}

static void check_thinned(uint64_t n, uint64_t step)
{
	static const double asked[] = {0.001, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999};
	struct bag b = {.thin = true};
	double most = log2((double)n / BAG_PART) / (2 * BAG_PART);

	for (uint64_t i = 0, x = 0; i < n; i++, x = (x + step) % n)
		assert_int_equal(bag_add_integer(&b, (int64_t)x), 0);
	assert_int_equal(b.n, n);
	for (size_t i = 0; i < COUNT(asked); i++)
		assert_true(off_by(&b, asked[i]) <= most);
	size_t kept = 0;
	for (size_t h = 0; h < BAG_LEVELS; h++)
		kept += b.parts[h].cap;
	assert_true(kept <= 8 * BAG_PART);
	bag_done(&b);
}

/* In order, backwards, and scattered: whatever order values come in. */
static void thinned(void **state)
{
	(void)state;
	check_thinned(2000003, 1);
	check_thinned(2000003, 2000002);
	check_thinned(2000003, 1234567);
}

static void exact_until_it_is_too_much(void **state)
{
	struct bag b = {.thin = true};

	(void)state;
	for (int64_t i = 0; i < BAG_EXACT; i++)
		assert_int_equal(bag_add_integer(&b, (i * 7919) % BAG_EXACT), 0);
	assert_null(b.spare);
	for (int q = 0; q <= 100; q++)
		assert_true(bag_between(&b, q / 100.0) == q / 100.0 * (BAG_EXACT - 1));
	assert_int_equal(bag_add_real(&b, 1e9), 0);
	assert_non_null(b.spare);
	assert_true(b.reals);
	assert_true(fabs(bag_between(&b, 0.5) / BAG_EXACT - 0.5) < 1e-4);
	bag_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few),
		cmocka_unit_test(whole_numbers_stay_whole),
		cmocka_unit_test(hundred_values),
		cmocka_unit_test(infinities),
		cmocka_unit_test(dropping),
		cmocka_unit_test(thinned),
		cmocka_unit_test(exact_until_it_is_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
