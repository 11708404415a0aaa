/* Rows of one time: what one side has and the other has not. */
#include "unit.h"

#include "group.h"

#define ROW(...) ((const xt_value[]){xt_text("t"), __VA_ARGS__})

static void put(struct group *g, const xt_value *row)
{
	assert_int_equal(group_add(g, row, 2), 0);
}

static void equal_ones_are_counted(void **state)
{
	struct group theirs = {0}, ours = {0};
	bool missing[6];

	(void)state;
	put(&theirs, ROW(xt_int(1)));
	put(&theirs, ROW(xt_text("b")));
	put(&theirs, ROW(xt_int(1)));
	put(&theirs, ROW(xt_null()));
	put(&theirs, ROW(xt_real(1))); /* the same to SQLite */
	put(&theirs, ROW(xt_blob("b", 1)));
	put(&ours, ROW(xt_blob("b", 1)));
	put(&ours, ROW(xt_int(1)));
	put(&ours, ROW(xt_real(1)));
	put(&ours, ROW(xt_text("a")));
	assert_int_equal(group_missing(&theirs, &ours, 2, missing), 0);
	assert_int_equal(missing[0] + missing[2] + missing[4], 1);
	assert_true(missing[1]);
	assert_true(missing[3]);
	assert_false(missing[5]);
	group_clear(&ours);
	assert_int_equal(group_missing(&theirs, &ours, 2, missing), 0);
	for (size_t i = 0; i < 6; i++)
		assert_true(missing[i]);
	group_done(&theirs);
	group_done(&ours);
}

static void values_have_an_order(void **state)
{
	const xt_value sorted[] = {xt_null(),	      xt_real(-1e300),	  xt_int(INT64_MIN),
				   xt_int(-1),	      xt_real(-0.5),	  xt_bool(false),
				   xt_real(0.5),      xt_bool(true),	  xt_int(INT64_MAX - 1),
				   xt_int(INT64_MAX), xt_real(1e300),	  xt_text(""),
				   xt_text("a"),      xt_textn("a\0", 2), xt_text("b"),
				   xt_blob("", 0),    xt_blob("a", 1)};

	(void)state;
	for (size_t i = 0; i < COUNT(sorted); i++)
		for (size_t k = 0; k < COUNT(sorted); k++) {
			int order = value_order(&sorted[i], &sorted[k]);
			assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
		}
}

static void copies_are_whole(void **state)
{
	struct group g = {0};
	char text[] = "text";

	(void)state;
	put(&g, ROW(xt_textn(text, 4)));
	text[0] = 'n';
	assert_memory_equal(g.rows[0][1].as.text, "text", 4);
	group_done(&g);
	assert_null(g.rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_ones_are_counted),
		cmocka_unit_test(values_have_an_order),
		cmocka_unit_test(copies_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
