/* What one process may hold of that which is bounded. */
#include "unit.h"

#include "share.h"

static void one_process_gets_half(void **state)
{
	struct shares all = {.max[SHARE_CONNS] = 100};
	struct share *a = share_of(&all, 1, 10), *b = share_of(&all, 1, 11);
	int n = 0;

	(void)state;
	for (; share_allows(a, SHARE_CONNS, 1); n++)
		share_take(a, SHARE_CONNS, 1);
	assert_int_equal(n, 50);
	for (n = 0; share_allows(b, SHARE_CONNS, 1); n++)
		share_take(b, SHARE_CONNS, 1);
	assert_int_equal(n, 25);
	share_give(a, SHARE_CONNS, 50);
	assert_true(share_allows(b, SHARE_CONNS, 1));
	share_give(b, SHARE_CONNS, 25);
	share_unref(a);
	share_unref(b);
}

static void large_pieces(void **state)
{
	struct shares all = {.max[SHARE_ROOM] = 128};
	struct share *a = share_of(&all, 1, 10), *b = share_of(&all, 2, 10);

	(void)state;
	assert_true(share_allows(a, SHARE_ROOM, 64));
	assert_false(share_allows(a, SHARE_ROOM, 129));
	share_take(a, SHARE_ROOM, 64);
	assert_false(share_allows(a, SHARE_ROOM, 1));
	assert_true(share_allows(b, SHARE_ROOM, 16));
	share_take(b, SHARE_ROOM, 64);
	assert_false(share_allows(a, SHARE_ROOM, 0));
	share_give(a, SHARE_ROOM, 64);
	share_give(b, SHARE_ROOM, 64);
	share_unref(a);
	share_unref(b);
}

static void the_same_process_has_one(void **state)
{
	struct shares all = {0};
	struct share *a = share_of(&all, 1, 10), *again = share_of(&all, 1, 10),
		     *other = share_of(&all, 2, 10);

	(void)state;
	assert_ptr_equal(a, again);
	assert_ptr_not_equal(a, other);
	share_unref(a);
	assert_int_equal(again->refs, 1);
	share_unref(again);
	share_unref(other);
	share_unref(NULL);
	for (size_t i = 0; i < SHARE_BUCKETS; i++)
		assert_null(all.buckets[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_process_gets_half),
		cmocka_unit_test(large_pieces),
		cmocka_unit_test(the_same_process_has_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
