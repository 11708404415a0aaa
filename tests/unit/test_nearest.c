/* Keys that a frozen table refused: a bounded number is remembered, and never the wrong one is given. */
#include "unit.h"

#include "nearest.h"

static void known_and_unknown(void **state)
{
	struct nearest n = {0};
	long column = 7;

	(void)state;
	assert_false(nearest_get(&n, BYTES("lr"), &column));
	nearest_put(&n, BYTES("lr"), 3);
	nearest_put(&n, BYTES("zzz"), -1);
	assert_true(nearest_get(&n, BYTES("lr"), &column));
	assert_int_equal(column, 3);
	assert_true(nearest_get(&n, BYTES("zzz"), &column));
	assert_int_equal(column, -1);
	assert_false(nearest_get(&n, BYTES("LR"), &column));
	nearest_put(&n, BYTES("lr"), 4);
	assert_true(nearest_get(&n, BYTES("lr"), &column));
	assert_int_equal(column, 4);
	nearest_done(&n);
	assert_false(nearest_get(&n, BYTES("lr"), &column));
	nearest_done(&n);
}

static void many_keys(void **state)
{
	struct nearest n = {0};
	size_t known = 0;
	long column;
	char key[300];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "key_%d", i);
		nearest_put(&n, span_str(key), i);
		assert_true(nearest_get(&n, span_str(key), &column));
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "key_%d", i);
		if (!nearest_get(&n, span_str(key), &column))
			continue;
		assert_int_equal(column, i);
		known++;
	}
	assert_true(known > NEAREST_KEPT / 2 && known <= NEAREST_KEPT);
	memset(key, 'k', sizeof(key));
	nearest_put(&n, span_of(key, sizeof(key)), 1);
	assert_false(nearest_get(&n, span_of(key, sizeof(key)), &column));
	nearest_done(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_and_unknown),
		cmocka_unit_test(many_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
