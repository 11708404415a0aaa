/* Who waits for rows of which table, found by table, owner and time. */
#include "unit.h"

#include "await.h"
#include "random.h"

static struct wait *add(struct await *a, struct await_owner *o, const char *table, uint32_t msgid,
			uint64_t until_ms)
{
	struct wait *w = await_add(a, o, span_str(table), until_ms);

	assert_non_null(w);
	w->msgid = msgid;
	return w;
}

static size_t count(const struct await_table *t)
{
	size_t n = 0;

	for (const struct wait *w = t ? t->first : NULL; w; w = w->next)
		n++;
	return n;
}

static void found_by_table(void **state)
{
	struct await_owner x = {0}, y = {0};
	struct await a = {0};

	(void)state;
	add(&a, &x, "events", 1, AWAIT_NEVER);
	struct wait *w = add(&a, &y, "Events", 1, AWAIT_NEVER);
	add(&a, &x, "event", 2, 5);
	assert_int_equal(count(await_table(&a, span_str("EVENTS"))), 2);
	assert_int_equal(count(await_table(&a, span_str("event"))), 1);
	assert_null(await_table(&a, span_str("other")));
	await_end(&a, w);
	assert_int_equal(count(await_table(&a, span_str("Events"))), 1);
	await_end(&a, x.first->next_owned);
	assert_null(await_table(&a, span_str("events")));
	assert_int_equal(a.n, 1);
	assert_int_equal(y.n, 0);
	await_done(&a);
}

static void found_by_owner(void **state)
{
	struct await_owner x = {0}, y = {0};
	struct await a = {0};

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		add(&a, i % 2 ? &x : &y, "t", i / 2, AWAIT_NEVER);
	assert_ptr_equal(await_of(&x, 3)->owner, &x);
	assert_null(await_of(&x, 5));
	await_end(&a, await_of(&x, 3));
	assert_null(await_of(&x, 3));
	assert_non_null(await_of(&y, 3));
	while (y.first)
		await_end(&a, y.first);
	assert_int_equal(x.n, 4);
	assert_int_equal(a.n, 4);
	await_done(&a);
}

/* Added and ended in any order, they come by their time. */
static void found_by_time(void **state)
{
	enum { N = 500 };
	struct await_owner o = {0};
	struct await a = {0};
	uint64_t random = 42;
	struct wait *all[N], *w;
	uint64_t before = 0;

	(void)state;
	assert_int_equal(await_next(&a, &w), AWAIT_NEVER);
	assert_null(w);
	for (uint32_t i = 0; i < N; i++)
		all[i] = add(&a, &o, i % 3 ? "a" : "b", i, i % 5 ? random_below(&random, 1000) : AWAIT_NEVER);
	for (size_t i = 0; i < N; i += 1 + random_below(&random, 3))
		await_end(&a, all[i]);
	while (await_next(&a, &w) != AWAIT_NEVER) {
		assert_true(w->until_ms >= before);
		before = w->until_ms;
		await_end(&a, w);
	}
	assert_int_equal(a.n, o.n);
	for (w = o.first; w; w = w->next_owned)
		assert_true(w->until_ms == AWAIT_NEVER);
	await_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_table),
		cmocka_unit_test(found_by_owner),
		cmocka_unit_test(found_by_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
