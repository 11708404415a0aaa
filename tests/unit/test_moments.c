/* Sums of squares and products. */
#include "unit.h"

#include <float.h>
#include <math.h>

#include "moments.h"

static void assert_close(double got, double want)
{
	if (!(fabs(got - want) <= 1e-14 * fabs(want)))
		fail_msg("%.17g is not %.17g", got, want);
}

static void a_known_sample(void **state)
{
	static const double x[] = {2, 4, 4, 4, 5, 5, 7, 9}; /* mean 5, squares 32 */
	struct moments m = {0};

	(void)state;
	assert_true(isnan(moments_xx(&m)));
	assert_true(isnan(moments_mean_x(&m)));
	for (size_t i = 0; i < COUNT(x); i++)
		moments_add(&m, x[i], 1);
	assert_int_equal(m.n, 8);
	assert_close(moments_xx(&m), 32);
	assert_close(moments_mean_x(&m), 5);
}

/* Each of these loses all its digits when squares are summed plainly. */
static void nothing_cancels(void **state)
{
	struct moments high = {0}, outlier = {0}, same = {0};

	(void)state;
	for (int i = 1; i <= 3; i++)
		moments_add(&high, 1e9 + i, 1);
	assert_close(moments_xx(&high), 2);
	/* The first value is what all are measured from: it may be a bad choice. */
	moments_add(&outlier, 1e12, 1);
	for (int i = 1; i <= 3; i++)
		moments_add(&outlier, i, 1);
	moments_add(&outlier, 1e12, -1);
	assert_close(moments_xx(&outlier), 2);
	for (int i = 0; i < 1000; i++)
		moments_add(&same, 0.1, 1);
	assert_true(moments_xx(&same) == 0);
}

static void what_is_taken_out_is_out(void **state)
{
	struct moments window = {0}, fresh = {0};

	(void)state;
	for (int i = 0; i < 100000; i++) {
		moments_add_pair(&window, sin(i) * 1e6, cos(3 * i), 1);
		if (i >= 10)
			moments_add_pair(&window, sin(i - 10) * 1e6, cos(3 * (i - 10)), -1);
	}
	for (int i = 99990; i < 100000; i++)
		moments_add_pair(&fresh, sin(i) * 1e6, cos(3 * i), 1);
	assert_int_equal(window.n, 10);
	assert_close(moments_xx(&window), moments_xx(&fresh));
	assert_close(moments_yy(&window), moments_yy(&fresh));
	assert_close(moments_xy(&window), moments_xy(&fresh));
	assert_close(moments_mean_x(&window), moments_mean_x(&fresh));
}

static void pairs(void **state)
{
	struct moments m = {0};

	(void)state;
	for (int i = 0; i < 5; i++)
		moments_add_pair(&m, i, 3 - 2 * i, 1);
	assert_close(moments_xx(&m), 10);
	assert_close(moments_yy(&m), 40);
	assert_close(moments_xy(&m), -20);
	assert_close(moments_mean_y(&m), -1);
}

/* While an infinity is in, there is no variance; when it has left, there is one again. */
static void beyond(void **state)
{
	static const double far[] = {INFINITY, -INFINITY, 1e200, -DBL_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(far); i++) {
		struct moments m = {0};
		moments_add(&m, 1, 1);
		moments_add(&m, far[i], 1);
		moments_add(&m, 3, 1);
		assert_true(isnan(moments_xx(&m)));
		moments_add(&m, far[i], -1);
		assert_close(moments_xx(&m), 2);
	}
	struct moments first = {0};
	moments_add(&first, INFINITY, 1);
	moments_add(&first, 1, 1);
	moments_add(&first, INFINITY, -1);
	moments_add(&first, 3, 1);
	assert_close(moments_xx(&first), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_known_sample),
		cmocka_unit_test(nothing_cancels),
		cmocka_unit_test(what_is_taken_out_is_out),
		cmocka_unit_test(pairs),
		cmocka_unit_test(beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
