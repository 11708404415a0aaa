#include "tide.h"
#include "unit.h"

static uint64_t level(struct tide *t, const char *table)
{
	return tide_level(t, span_str(table));
}

/* Names of those that rose, each with a comma behind it; "*": any may have; "": none has. */
static const char *risen(struct tide *t)
{
	static char text[200];
	struct buf names = {0};
	bool all;

	text[0] = '\0';
	if (tide_take(t, &names, &all)) {
		snprintf(text, sizeof(text), "%s", all ? "*" : "");
		for (size_t at = 0; at < names.len; at += strlen((const char *)names.data + at) + 1)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s,",
				 (const char *)names.data + at);
	}
	buf_done(&names);
	return text;
}

static void a_table_rises_alone(void **state)
{
	struct tide t;

	(void)state;
	tide_init(&t, 1000);
	assert_int_equal(level(&t, "events"), 1000);
	assert_string_equal(risen(&t), "");
	tide_rise(&t, "events");
	assert_string_equal(risen(&t), "events,");
	assert_string_equal(risen(&t), "");
	tide_rise(&t, "Events");
	tide_rise(&t, "runs");
	tide_rise(&t, "events");
	assert_string_equal(risen(&t), "events,runs,");
	tide_rise(&t, "events");
	assert_string_equal(risen(&t), "events,");
	assert_int_equal(level(&t, "events"), 1004);
	assert_int_equal(level(&t, "Events"), 1004);
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
	tide_rise(&t, "a");
	assert_string_equal(risen(&t), "*");
	tide_rise(&t, "a");
	assert_string_equal(risen(&t), "a,");
	assert_int_equal(level(&t, "a"), 5);
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
	assert_string_equal(risen(&t), "*");
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
