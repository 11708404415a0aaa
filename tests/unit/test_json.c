/* MessagePack as JSON text: each type, and random values that another parser must take. */
#include "unit.h"

#include <jansson.h>

#include "json.h"
#include "random.h"

static void json_is(struct span value, const char *want)
{
	struct buf b = {0};
	struct xt_err err;
	struct reader r = reader_of(value);

	assert_int_equal(wire_scan(value, &err), 0);
	json_put(&b, &r);
	assert_ptr_equal(r.at, r.end);
	assert_false(buf_failed(&b));
	buf_add(&b, "", 1);
	assert_string_equal((const char *)b.data, want);
	buf_done(&b);
}

static void scalars(void **state)
{
	(void)state;
	json_is(BYTES("\xc0"), "null");
	json_is(BYTES("\xc2"), "false");
	json_is(BYTES("\xc3"), "true");
	json_is(BYTES("\x05"), "5");
	json_is(BYTES("\xd3\x80\0\0\0\0\0\0\0"), "-9223372036854775808");
	json_is(BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615");
	json_is(BYTES("\xc4\x03\x00\xab\xff"), "\"00abff\"");
	json_is(BYTES("\xc4\x00"), "\"\"");
}

static void reals(void **state)
{
	(void)state;
	json_is(BYTES("\xcb\x3f\xf0\0\0\0\0\0\0"), "1.0");
	json_is(BYTES("\xcb\x80\0\0\0\0\0\0\0"), "-0.0");
	json_is(BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1");
	json_is(BYTES("\xca\x3f\x00\x00\x00"), "0.5");
	json_is(BYTES("\xcb\x3f\xd5\x55\x55\x55\x55\x55\x55"), "0.3333333333333333");
	json_is(BYTES("\xcb\x7f\xef\xff\xff\xff\xff\xff\xff"), "1.7976931348623157e+308");
	json_is(BYTES("\xcb\x00\x00\x00\x00\x00\x00\x00\x01"), "4.94065645841247e-324");
	json_is(BYTES("\xcb\x7f\xf8\0\0\0\0\0\0"), "null");
	json_is(BYTES("\xcb\x7f\xf0\0\0\0\0\0\0"), "null");
	json_is(BYTES("\xcb\xff\xf0\0\0\0\0\0\0"), "null");
}

static void texts(void **state)
{
	(void)state;
	json_is(BYTES("\xa0"), "\"\"");
	json_is(BYTES("\xa5"
		      "a\"b\\c"),
		"\"a\\\"b\\\\c\"");
	json_is(BYTES("\xa6"
		      "\n\t\r\0\x1f\x7f"),
		"\"\\n\\t\\u000d\\u0000\\u001f\x7f\"");
	json_is(BYTES("\xa7größe"), "\"größe\"");
	json_is(BYTES("\xa4😀"), "\"😀\"");
}

static void containers(void **state)
{
	(void)state;
	json_is(BYTES("\x90"), "[]");
	json_is(BYTES("\x80"), "{}");
	json_is(BYTES("\x93\x01\xa1x\x91\xc0"), "[1,\"x\",[null]]");
	json_is(BYTES("\x82\xa1"
		      "a\x01\xa1"
		      "b\x81\xa1k\x90"),
		"{\"a\":1,\"b\":{\"k\":[]}}");
}

static void keys_that_are_no_text(void **state)
{
	(void)state;
	json_is(BYTES("\x81\x05\x01"), "{\"5\":1}");
	json_is(BYTES("\x81\xc0\x01"), "{\"null\":1}");
	json_is(BYTES("\x81\x92\x01\xa1x\x01"), "{\"[1,\\\"x\\\"]\":1}");
	json_is(BYTES("\x81\xc4\x01\xff\x01"), "{\"\\\"ff\\\"\":1}");
}

static void buffer_that_is_too_small(void **state)
{
	struct buf b;
	struct reader r = reader_of(BYTES("\xa5"
					  "hello"));

	(void)state;
	buf_init(&b, 3);
	json_put(&b, &r);
	assert_true(buf_failed(&b));
	assert_true(b.len <= 3);
	buf_done(&b);
}

static void another_parser_takes_it(void **state)
{
	uint64_t seed = 42;
	struct buf value = {0}, text = {0};

	(void)state;
	for (int i = 0; i < 4000; i++) {
		json_error_t why;
		msgpack_packer pk = wire_packer(&value);
		buf_clear(&value);
		buf_clear(&text);
		random_value(&pk, &seed, 4);
		struct reader r = reader_of(buf_span(&value));
		json_put(&text, &r);
		assert_false(buf_failed(&text));
		json_t *json = json_loadb((const char *)text.data, text.len,
					  JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &why);
		if (!json)
			fail_msg("%s in %.*s", why.text, (int)text.len, (const char *)text.data);
		json_decref(json);
	}
	buf_done(&value);
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars),
		cmocka_unit_test(reals),
		cmocka_unit_test(texts),
		cmocka_unit_test(containers),
		cmocka_unit_test(keys_that_are_no_text),
		cmocka_unit_test(buffer_that_is_too_small),
		cmocka_unit_test(another_parser_takes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
