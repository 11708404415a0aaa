/* Values written in place: read back they are the same, and take no more bytes than they must. */
#include "unit.h"

#include <math.h>

#include "put.h"
#include "token.h"

/* What was written, as its one token. */
static struct token back(const uint8_t *start, const uint8_t *end)
{
	struct reader r = {start, end};
	struct token t = {0};

	assert_int_equal(reader_next(&r, &t), 0);
	assert_ptr_equal(r.at, r.end);
	return t;
}

static void integers(void **state)
{
	static const struct {
		int64_t value;
		size_t bytes;
	} cases[] = {{0, 1},	     {1, 1},	     {127, 1},	  {128, 2},	   {255, 2},
		     {256, 3},	     {65535, 3},     {65536, 5},  {UINT32_MAX, 5}, {INT64_C(4294967296), 9},
		     {INT64_MAX, 9}, {-1, 1},	     {-32, 1},	  {-33, 2},	   {-128, 2},
		     {-129, 3},	     {INT16_MIN, 3}, {-32769, 5}, {INT32_MIN, 5},  {INT64_C(-2147483649), 9},
		     {INT64_MIN, 9}};
	uint8_t bytes[PUT_SCALAR];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t *end = put_int(bytes, cases[i].value);
		struct token t = back(bytes, end);
		assert_int_equal(end - bytes, cases[i].bytes);
		assert_int_equal(t.type, TOKEN_INT);
		assert_true(t.integer == cases[i].value);
	}
	struct token t = back(bytes, put_uint(bytes, UINT64_MAX));
	assert_int_equal(t.type, TOKEN_UINT);
	assert_true(t.uinteger == UINT64_MAX);
}

static void other_scalars(void **state)
{
	static const double reals[] = {0.0, -0.0, 0.1, -1e308, 5e-324, HUGE_VAL};
	uint8_t bytes[PUT_SCALAR];

	(void)state;
	for (size_t i = 0; i < COUNT(reals); i++) {
		struct token t = back(bytes, put_real(bytes, reals[i]));
		assert_int_equal(t.type, TOKEN_REAL);
		assert_memory_equal(&t.real, &reals[i], sizeof(t.real));
	}
	assert_int_equal(back(bytes, put_nil(bytes)).type, TOKEN_NIL);
	assert_true(back(bytes, put_bool(bytes, true)).boolean);
	assert_false(back(bytes, put_bool(bytes, false)).boolean);
}

static void lengths(void **state)
{
	static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 70000};
	uint8_t *text = malloc(70000), *bytes = malloc(PUT_HEAD + 70000);

	(void)state;
	assert_non_null(text);
	assert_non_null(bytes);
	for (size_t i = 0; i < 70000; i++)
		text[i] = (uint8_t)('a' + i % 26);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t n = sizes[i], head = n < 32 ? 1 : n < 256 ? 2 : n < 65536 ? 3 : 5;
		uint8_t *end = put_str(bytes, text, n);
		struct token t = back(bytes, end);
		assert_int_equal(end - bytes, head + n);
		assert_int_equal(t.type, TOKEN_STR);
		assert_span_equal(t.bytes, span_of(text, n));
		t = back(bytes, put_bin(bytes, text, n));
		assert_int_equal(t.type, TOKEN_BIN);
		assert_span_equal(t.bytes, span_of(text, n));
	}
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct token array = back(bytes, put_array(bytes, sizes[i]));
		struct token map = back(bytes, put_map(bytes, sizes[i]));
		assert_true(array.type == TOKEN_ARRAY && array.count == sizes[i]);
		assert_true(map.type == TOKEN_MAP && map.count == sizes[i]);
	}
	free(text);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers),
		cmocka_unit_test(other_scalars),
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
