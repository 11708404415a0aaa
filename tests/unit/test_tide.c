#include "tide.h"
#include "unit.h"

static uint64_t level(struct tide *t, const char *table)
{
	return tide_level(t, span_str(table));
}

static void a_table_rises_alone(void **state)
{
	struct tide t;

	(void)state;
	tide_init(&t, 1000);
	assert_int_equal(level(&t, "events"), 1000);
	assert_false(tide_news(&t));
	tide_rise(&t, "events");
	assert_true(tide_news(&t));
	assert_false(tide_news(&t));
	tide_rise(&t, "events");
	assert_int_equal(level(&t, "events"), 1002);
	assert_int_equal(level(&t, "Events"), 1002);
	assert_int_equal(level(&t, "event"), 1000);
	assert_int_equal(level(&t, "events_2"), 1000);
	tide_done(&t);
}

static void all_rise(void **state)
{
	struct tide t;

	(void)state;
	tide_init(&t, 1);
	tide_rise(&t, "a");
	tide_rise(&t, NULL);
	assert_true(tide_news(&t));
	assert_int_equal(level(&t, "a"), 3);
	assert_int_equal(level(&t, "b"), 2);
	tide_done(&t);
}

/* More tables than are told apart: each one's rows are still told of. */
static void too_many_tables(void **state)
{
	char name[32];
	struct tide t;

	(void)state;
	tide_init(&t, 1);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		uint64_t before = level(&t, name);
		tide_rise(&t, name);
		assert_true(level(&t, name) > before);
	}
	tide_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_rises_alone),
		cmocka_unit_test(all_rise),
		cmocka_unit_test(too_many_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
