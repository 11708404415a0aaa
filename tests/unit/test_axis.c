/* Axes: ends, round ticks, and what stands below them. */
#include "unit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "axis_time.h"

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

/* Seconds of a time. */
static double at(const char *text)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);

	assert_non_null(end);
	return (double)timegm(&tm) + (*end ? atof(end) : 0);
}

static void times(void **state)
{
	static const struct {
		const char *low, *high;
		size_t most;
		const char *labels, *span;
	} cases[] = {
		{"2026-07-31 08:15:00", "2026-07-31 08:15:00", 5,
		 "08:14:00 08:14:30 08:15:00 08:15:30 08:16:00", "2026-07-31"},
		{"2026-07-31 08:15:00.25", "2026-07-31 08:15:00.75", 5, "00.3 00.4 00.5 00.6 00.7",
		 "2026-07-31 08:15"},
		{"2026-07-31 08:15:59.9", "2026-07-31 08:16:00.1", 4, "59.90 59.95 00.00 00.05 00.10",
		 "2026-07-31 08:15 to 2026-07-31 08:16"},
		{"2026-07-31 08:15:00.000001", "2026-07-31 08:15:00.000004", 3, "00.000002 00.000004",
		 "2026-07-31 08:15"},
		{"2026-07-31 08:15:03", "2026-07-31 08:15:21", 4, "08:15:05 08:15:10 08:15:15 08:15:20",
		 "2026-07-31"},
		{"2026-07-31 08:15:03", "2026-07-31 09:10:00", 6, "08:20 08:30 08:40 08:50 09:00 09:10",
		 "2026-07-31"},
		{"2026-07-31 08:15:03", "2026-08-01 11:00:00", 5, "12:00 18:00 08-01 06:00",
		 "2026-07-31 to 2026-08-01"},
		{"2026-07-30 00:00:00", "2026-08-02 00:00:00", 4, "07-30 07-31 08-01 08-02",
		 "2026-07-30 to 2026-08-01"},
		{"2026-12-20 10:00:00", "2027-01-20 10:00:00", 5, "12-21 12-28 01-04 01-11 01-18",
		 "2026-12-20 to 2027-01-20"}, /* Mondays */
		{"2026-01-15 00:00:00", "2026-06-15 00:00:00", 6, "2026-02 2026-03 2026-04 2026-05 2026-06",
		 ""},
		{"2024-05-01 00:00:00", "2026-06-15 00:00:00", 5, "2024-07 2025-01 2025-07 2026-01", ""},
		{"1969-12-31 23:59:58", "1970-01-01 00:00:02", 4,
		 "23:59:58 23:59:59 00:00:00 00:00:01 00:00:02", "1969-12-31 to 1970-01-01"},
		{"1850-03-01 00:00:00", "2026-01-01 00:00:00", 4, "1900 1950 2000", ""},
		{"0001-01-01 00:00:00", "9999-12-31 23:59:59", 5, "2000 4000 6000 8000", ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char span[AXIS_SPAN];
		struct axis a;
		axis_init(&a, at(cases[i].low), at(cases[i].high), cases[i].most, AXIS_TIME);
		assert_string_equal(labels_of(&a), cases[i].labels);
		assert_string_equal(axis_time_span(&a, span), cases[i].span);
	}
}

/* However near or far from each other: ticks are between the ends, in order, few, and have short labels. */
static void any_times(void **state)
{
	static const double ends[] = {-62135596800.0, -1e9, -0.5, 0, 1, 1785485700.123456, 253402300799.0};
	char label[AXIS_LABEL];

	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++)
		for (int k = 0; k < 80; k++)
			for (size_t most = 2; most < 20; most++) {
				struct axis a;
				double high = fmin(ends[i] + 1e-7 * pow(1.7, k), 253402300799.0);
				axis_init(&a, ends[i], high, most, AXIS_TIME);
				assert_true(a.low < a.high && a.n <= most + 2);
				for (size_t t = 0; t < a.n; t++) {
					assert_true(a.ticks[t] >= a.low && a.ticks[t] <= a.high);
					assert_true(t == 0 || a.ticks[t] > a.ticks[t - 1]);
					assert_true(strlen(axis_label(&a, t, label)) <= 9);
				}
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
		cmocka_unit_test(labels),    cmocka_unit_test(times),  cmocka_unit_test(any_times),
		cmocka_unit_test(any_range), cmocka_unit_test(places), cmocka_unit_test(round_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
