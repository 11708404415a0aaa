/* Rows that are read ahead, by a thread, of a cursor of our own: they come in order, and stay until they were
 * looked at. */
#include "unit.h"

#include <sched.h>

#include "duck_ahead.h"

#define AT_ONCE 2048
#define ROWS	100000

static struct {
	atomic_size_t made; /* rows that were asked for */
	size_t all;	    /* rows that there are */
	int end;	    /* what is said behind them */
	xt_value row[1];
} cursor;

/* In place of the library's (see meson.build). */
int __wrap_xt_cursor_next(xt_cursor *c, const xt_value **ret_row);

int __wrap_xt_cursor_next(xt_cursor *c, const xt_value **ret_row)
{
	size_t n = atomic_load(&cursor.made);

	(void)c;
	if (n == cursor.all)
		return cursor.end;
	cursor.row[0] = n == 70000 ? xt_text("a text") : xt_int((int64_t)n);
	*ret_row = cursor.row;
	atomic_store(&cursor.made, n + 1);
	return XT_OK;
}

static int64_t numbers[AT_ONCE];
static duck_count n_numbers;

static void *get_data(duck_handle v)
{
	(void)v;
	return numbers;
}

static duck_handle get_vector(duck_handle c, duck_count i)
{
	(void)c;
	(void)i;
	return NULL;
}

static void set_size(duck_handle c, duck_count n)
{
	(void)c;
	n_numbers = n;
}

static duck_count vector_size(void)
{
	return AT_ONCE;
}

static const struct duck_api api = {
	.vector_size = vector_size,
	.vector_get_data = get_data,
	.data_chunk_get_vector = get_vector,
	.data_chunk_set_size = set_size,
};

static struct duck_ahead *start(size_t all, int end)
{
	static const enum duck_type type = DUCK_BIGINT;
	static const char *const name = "number";
	static const size_t place;
	static atomic_uint leaving;
	const struct duck_reading reading = {
		.api = &api, .types = &type, .places = &place, .names = &name, .n = 1, .leaving = &leaving};

	cursor.all = all;
	cursor.end = end;
	atomic_store(&cursor.made, 0);
	return duck_ahead_start(&reading);
}

/* While a batch is looked at the thread goes on as far as it may, which must not touch it. */
static void in_order(void **state)
{
	struct duck_ahead *a = start(60000, XT_DONE);
	const struct duck_batch *b;
	const char *why;
	size_t seen = 0, taken = 0;

	(void)state;
	assert_non_null(a);
	while (duck_ahead_next(a, &b, &why) == XT_OK) {
		size_t ahead = ++taken < 8 ? taken : 7, made = seen + duck_batch_rows(b) + ahead * AT_ONCE;
		while (atomic_load(&cursor.made) < (made < 60000 ? made : 60000))
			sched_yield();
		duck_batch_give(b, NULL);
		for (size_t i = 0; i < n_numbers; i++)
			assert_true(numbers[i] == (int64_t)(seen + i));
		seen += n_numbers;
	}
	assert_int_equal(seen, 60000);
	assert_int_equal(duck_ahead_next(a, &b, &why), XT_DONE); /* and stays so */
	duck_ahead_stop(a);
}

/* Who takes nothing, or little, is not read for. */
static void no_further_than_needed(void **state)
{
	struct duck_ahead *a = start(ROWS, XT_DONE);
	const struct duck_batch *b;
	const char *why;

	(void)state;
	assert_non_null(a);
	assert_int_equal(duck_ahead_next(a, &b, &why), XT_OK);
	duck_ahead_stop(a);
	assert_in_range(atomic_load(&cursor.made), AT_ONCE, 2 * AT_ONCE);
	duck_ahead_stop(start(ROWS, XT_DONE));
	assert_in_range(atomic_load(&cursor.made), 0, AT_ONCE);
	duck_ahead_stop(NULL);
}

static void what_does_not_fit(void **state)
{
	struct duck_ahead *a = start(ROWS, XT_DONE);
	const struct duck_batch *b;
	const char *why;
	int r;

	(void)state;
	assert_non_null(a);
	while ((r = duck_ahead_next(a, &b, &why)) == XT_OK)
		continue;
	assert_int_equal(r, XT_EINVAL);
	assert_non_null(strstr(why, "column 'number' is one of whole numbers, and row 70001 has another"));
	duck_ahead_stop(a);
}

static void failures(void **state)
{
	struct duck_ahead *a = start(3000, XT_ENOMEM);
	const struct duck_batch *b;
	const char *why;
	int r;

	(void)state;
	assert_non_null(a);
	while ((r = duck_ahead_next(a, &b, &why)) == XT_OK)
		continue;
	assert_int_equal(r, XT_ENOMEM);
	assert_string_equal(why, "out of memory");
	duck_ahead_stop(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(no_further_than_needed),
		cmocka_unit_test(what_does_not_fit),
		cmocka_unit_test(failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
