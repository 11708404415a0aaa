/* The name that may be meant. */
#include "unit.h"

#include <limits.h>
#include <string.h>

#include "near.h"

static const char *nearest(const char *word, const char *const *names)
{
	static struct near near;

	near_init(&near, word, strlen(word));
	for (; *names; names++)
		near_try(&near, *names);
	return near.found;
}

static void test_distance(void **state)
{
	(void)state;
	assert_int_equal(near_distance("", ""), 0);
	assert_int_equal(near_distance("kitten", "sitting"), 3); /* Levenshtein's usual examples */
	assert_int_equal(near_distance("saturday", "sunday"), 3);
	assert_int_equal(near_distance("abc", ""), 3);
	assert_int_equal(near_distance("Level", "lEVEL"), 0);
}

static void test_the_nearest_is_found(void **state)
{
	static const char *const names[] = {"latency", "level", "lever", "accuracy", NULL};

	(void)state;
	assert_string_equal(nearest("latncy", names), "latency");
	assert_string_equal(nearest("lvel", names), "level");
	assert_string_equal(nearest("leve", names), "level"); /* the first of two */
	assert_string_equal(nearest("ACURACY", names), "accuracy");
}

static void test_what_is_too_far_is_not(void **state)
{
	static const char *const names[] = {"lr", "x", "learning_rate", NULL};

	(void)state;
	assert_string_equal(nearest("y", names), "");	/* nothing of it would be right */
	assert_string_equal(nearest("acc", names), ""); /* three of three letters */
	assert_string_equal(nearest("learn", names), "");
	assert_string_equal(nearest("", names), "");
}

static void test_long_names(void **state)
{
	char longer[NEAR_SIZE + 1], longest[NEAR_SIZE];
	const char *names[] = {longer, longest, NULL};

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(near_distance(longer, "a"), UINT_MAX);
	assert_string_equal(nearest(longer, names), "");
	assert_string_equal(nearest(longest + 1, names), longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_the_nearest_is_found),
		cmocka_unit_test(test_what_is_too_far_is_not),
		cmocka_unit_test(test_long_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
