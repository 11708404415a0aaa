/* Axes: ends, round ticks, and what stands below them. */
#include "unit.h"

#include <float.h>
#include <math.h>

#include "axis.h"

/* All labels in one line. */
static const char *labels_of(const struct axis *a)
{
	static char line[AXIS_TICKS * AXIS_LABEL];
	char label[AXIS_LABEL];
	size_t at = 0;

	line[0] = '\0';
	for (size_t i = 0; i < a->n; i++)
		at += (size_t)snprintf(line + at, sizeof(line) - at, "%s%s", i ? " " : "",
				       axis_label(a, i, label));
	return line;
}

static void labels(void **state)
{
	static const struct {
		double min, max;
		size_t most;
		unsigned flags;
		const char *labels;
	} cases[] = {
		{0, 10, 6, 0, "0 2 4 6 8 10"},
		{0.764, 10.76, 6, 0, "2 4 6 8 10"},
		{0.764, 10.76, 6, AXIS_ROUND, "0 2 4 6 8 10 12"},
		{-1, 1, 5, 0, "-1.0 -0.5 0 0.5 1.0"},
		{0, 0.3, 3, 0, "0 0.1 0.2 0.3"},
		{1, 3, 9, AXIS_WHOLE, "1 2 3"},
		{0, 1, 9, AXIS_WHOLE, "0 1"},
		{0, 2500000, 5, 0, "0 5e5 1e6 1.5e6 2e6 2.5e6"},
		{0, 999999, 5, 0, "0 200000 400000 600000 800000"},
		{0, 0.00003, 3, 0, "0 0.00001 0.00002 0.00003"},
		{0, 0.000003, 3, 0, "0 1e-6 2e-6 3e-6"},
		{7, 7, 5, AXIS_WHOLE, "6 7 8"},
		{5, 5, 5, 0, "4.6 4.8 5.0 5.2 5.4"},
		{0, 0, 4, 0, "-1.0 -0.5 0 0.5 1.0"},
		{1, 1000, 5, AXIS_LOG, "1 10 100 1000"},
		{2, 30, 6, AXIS_LOG, "2 5 10 20"},
		{3, 4, 5, AXIS_LOG, "3 3.2 3.4 3.6 3.8 4"},
		{1e-9, 1e9, 4, AXIS_LOG, "1e-5 1 100000"},
		{0.5, 1500, 4, AXIS_LOG, "1 10 100 1000"},
		{1e300, 1e300, 4, AXIS_LOG, "5e299 1e300 2e300"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct axis a;
		axis_init(&a, cases[i].min, cases[i].max, cases[i].most, cases[i].flags);
		assert_string_equal(labels_of(&a), cases[i].labels);
	}
}

/* Whatever the values: ticks lie between the ends, in order, and are not too many. */
static void any_range(void **state)
{
	static const double values[] = {-DBL_MAX, -1e300, -12345.678, -1,    -DBL_MIN, 0,
					5e-324,	  1e-300, 0.1,	      0.3,   1,	       1 + DBL_EPSILON,
					97,	  1e9,	  1e15 + 0.3, 1e300, DBL_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++)
		for (size_t j = i; j < COUNT(values); j++)
			for (unsigned flags = 0; flags < 8; flags++) {
				if ((flags & AXIS_LOG) && values[i] <= 0)
					continue;
				struct axis a;
				axis_init(&a, values[i], values[j], 7, flags);
				if (!(a.low < a.high))
					fail_msg("%g to %g, %u: %g to %g", values[i], values[j], flags, a.low,
						 a.high);
				for (size_t t = 0; t < a.n; t++) {
					double at = axis_at(&a, a.ticks[t]);
					if (!(at > -1e-6 && at < 1 + 1e-6))
						fail_msg("%g to %g, %u: %.17g at %.17g of %.17g to %.17g",
							 values[i], values[j], flags, a.ticks[t], at, a.low,
							 a.high);
					assert_true(t == 0 || a.ticks[t] > a.ticks[t - 1]);
				}
				assert_true(strlen(labels_of(&a)) < a.n * AXIS_LABEL + 1);
			}
}

static void places(void **state)
{
	struct axis a;

	(void)state;
	axis_init(&a, -10, 30, 5, 0);
	assert_true(axis_at(&a, -10) == 0 && axis_at(&a, 0) == 0.25 && axis_at(&a, 30) == 1);
	axis_init(&a, 1, 10000, 5, AXIS_LOG);
	assert_true(fabs(axis_at(&a, 100) - 0.5) < 1e-12);
}

static void round_steps(void **state)
{
	static const double pairs[][2] = {{1, 1},    {1.01, 2},	 {2, 2},	  {2.1, 5},
					  {5.1, 10}, {0.3, 0.5}, {0.0011, 0.002}, {7e8, 1e9}};

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++)
		assert_true(fabs(axis_round_step(pairs[i][0]) / pairs[i][1] - 1) < 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels),
		cmocka_unit_test(any_range),
		cmocka_unit_test(places),
		cmocka_unit_test(round_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
