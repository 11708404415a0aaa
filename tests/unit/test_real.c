/* Reals as decimals: what the C library writes, to the byte. */
#include "unit.h"

#include <math.h>

#include "random.h"
#include "real.h"

/* The shortest of 15, 16 and 17 digits that reads back, with a point. */
static void by_the_library(char ret[40], double d)
{
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(ret, 38, "%.*g", digits, d);
		if (strtod(ret, NULL) == d)
			break;
	}
	if (!strpbrk(ret, ".e"))
		strcat(ret, ".0");
}

static void check(double d)
{
	char ours[REAL_MOST], theirs[40];
	int n = real_text(ours, d);

	if (n == 0)
		return;
	by_the_library(theirs, d);
	assert_string_equal(ours, theirs);
	assert_int_equal(n, strlen(ours));
}

static void known(void **state)
{
	static const struct {
		double d;
		const char *text;
	} cases[] = {{0, "0.0"},
		     {-0.0, "-0.0"},
		     {0.1, "0.1"},
		     {-1, "-1.0"},
		     {1.0 / 3, "0.3333333333333333"},
		     {0.1 + 0.2, "0.30000000000000004"},
		     {1e-6, "1e-06"},
		     {1.5e-5, "1.5e-05"},
		     {0.0001, "0.0001"},
		     {999999999999999.9, "999999999999999.9"},
		     {123456789012345, "123456789012345.0"},
		     {5e-324, ""},
		     {1e15, ""},
		     {9.9e-7, ""}};
	char text[REAL_MOST];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int n = real_text(text, cases[i].d);
		assert_int_equal(n, strlen(cases[i].text));
		if (n > 0)
			assert_string_equal(text, cases[i].text);
	}
	assert_int_equal(real_text(text, NAN), 0);
	assert_int_equal(real_text(text, INFINITY), 0);
}

static void of_all_sizes(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 50000; i++) {
		uint64_t bits = random_next(&seed);
		double d;
		/* From 2^-20 to 2^50, all digits. */
		bits = (bits >> 12) | (uint64_t)(1003 + random_below(&seed, 71)) << 52;
		memcpy(&d, &bits, sizeof(d));
		check(i % 2 ? d : -d);
	}
}

/* Decimals with few digits, whole numbers, halves, and the neighbours of all of them: what is likely to be
 * rounded wrong. */
static void near_short_ones(void **state)
{
	uint64_t seed = 2;

	(void)state;
	for (int i = 0; i < 25000; i++) {
		double ten = pow(10, (double)random_below(&seed, 20)),
		       d = (double)random_below(&seed, 1000000) / ten;
		check(d);
		check(nextafter(d, INFINITY));
		check(nextafter(d, 0));
		check((double)(random_next(&seed) >> 14) / 2);
	}
	for (int i = -20; i <= 50; i++) {
		check(ldexp(1, i));
		check(nextafter(ldexp(1, i), 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(of_all_sizes),
		cmocka_unit_test(near_short_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
