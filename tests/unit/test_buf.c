/* The buffer: growth, its hard maximum, its sticky error. */
#include "unit.h"

#include "buf.h"

static void zeroed_is_valid(void **state)
{
	struct buf b = {0};

	(void)state;
	assert_span_equal(buf_span(&b), span_of(NULL, 0));
	buf_add(&b, NULL, 0);
	assert_null(b.data);
	buf_add_str(&b, "");
	buf_done(&b);
	buf_done(NULL);
}

static void grows(void **state)
{
	struct buf b = {0};

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		buf_add(&b, &(uint8_t){(uint8_t)(i * 7)}, 1);
	assert_false(buf_failed(&b));
	assert_int_equal(b.len, 100000);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], (uint8_t)(i * 7));
	buf_done(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
}

static void maximum_is_hard_and_the_error_sticks(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	buf_add_str(&b, "0123456789");
	assert_false(buf_failed(&b));
	buf_add_str(&b, "x");
	assert_true(buf_failed(&b));
	assert_true(span_is(buf_span(&b), "0123456789"));
	buf_consume(&b, 5);
	buf_add_str(&b, "y");
	assert_true(buf_failed(&b));
	assert_true(span_is(buf_span(&b), "56789"));
	assert_int_equal(buf_reserve(&b, 1), -1);
	buf_clear(&b);
	assert_false(buf_failed(&b));
	buf_add_str(&b, "z");
	assert_true(span_is(buf_span(&b), "z"));
	buf_done(&b);
	assert_int_equal(b.max, 10);
}

static void room_is_bounded_too(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < 250; i++) {
		uint8_t *p = buf_room(&b, 4);
		assert_ptr_equal(p, b.data + b.len);
		memcpy(p, "abcd", 4);
		b.len += 4;
	}
	assert_memory_equal(b.data + 996, "abcd", 4);
	assert_null(buf_room(&b, 1));
	assert_true(buf_failed(&b));
	buf_clear(&b);
	assert_non_null(buf_room(&b, 1));
	assert_null(buf_room(&b, 1001));
	assert_null(buf_room(&b, 1)); /* the error sticks */
	buf_done(&b);
}

static void one_addition_above_the_maximum(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	buf_add_str(&b, "01234567890");
	assert_true(buf_failed(&b));
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void absurd_sizes(void **state)
{
	const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct buf b = {0};
		buf_add_str(&b, "abc");
		assert_int_equal(buf_reserve(&b, sizes[i]), -1);
		assert_true(buf_failed(&b));
		assert_true(span_is(buf_span(&b), "abc"));
		buf_done(&b);
	}
}

static void printf_appends(void **state)
{
	struct buf b = {0};

	(void)state;
	buf_add_str(&b, "n=");
	buf_printf(&b, "%d/%s", 5, "six");
	buf_printf(&b, "%s", "");
	assert_true(span_is(buf_span(&b), "n=5/six"));
	buf_clear(&b);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%04d", i);
	assert_int_equal(b.len, 4000);
	assert_memory_equal(b.data + 3996, "0999", 4);
	buf_done(&b);
	buf_init(&b, 8);
	buf_printf(&b, "%s", "123456789");
	assert_true(buf_failed(&b));
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void consume(void **state)
{
	struct buf b = {0};

	(void)state;
	buf_add_str(&b, "abcdef");
	buf_consume(&b, 0);
	assert_true(span_is(buf_span(&b), "abcdef"));
	buf_consume(&b, 2);
	assert_true(span_is(buf_span(&b), "cdef"));
	buf_add_str(&b, "g");
	buf_consume(&b, 5);
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_is_valid),
		cmocka_unit_test(grows),
		cmocka_unit_test(maximum_is_hard_and_the_error_sticks),
		cmocka_unit_test(room_is_bounded_too),
		cmocka_unit_test(one_addition_above_the_maximum),
		cmocka_unit_test(absurd_sizes),
		cmocka_unit_test(printf_appends),
		cmocka_unit_test(consume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
