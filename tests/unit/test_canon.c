/* test-canon DIRECTORY: canonical forms and cache keys against tests/vectors/canon.json. */
#include "unit.h"

#include <jansson.h>

#include "canon.h"

static const char *dir; /* of the vectors, from the command line */

static json_t *load(void)
{
	char path[4096];
	json_error_t why;

	snprintf(path, sizeof(path), "%s/canon.json", dir);
	json_t *root = json_load_file(path, JSON_ALLOW_NUL, &why);
	if (!root)
		fail_msg("%s:%d: %s", path, why.line, why.text);
	return root;
}

static const char *text_of(json_t *v, const char *key)
{
	return json_string_value(json_object_get(v, key));
}

/* Bytes of hexadecimal text, in memory of exactly their size. The caller frees them. */
static struct span unhex(const char *hex)
{
	assert_non_null(hex);
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len ? len : 1);
	unsigned byte;

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		bytes[i] = (uint8_t)byte;
	}
	return span_of(bytes, len);
}

static void release(struct span s)
{
	free((void *)(uintptr_t)s.data);
}

static struct canon_options options_of(json_t *v)
{
	json_t *digits = json_object_get(v, "digits");

	return (struct canon_options){.round = digits != NULL, .digits = (int)json_integer_value(digits)};
}

static void same_as(const char *name, const struct buf *got, const char *hex)
{
	struct span want = unhex(hex);

	if (!span_eq(buf_span(got), want))
		fail_msg("%s: another form", name);
	release(want);
}

static void values(void **state)
{
	json_t *root = load(), *v;
	size_t i;

	(void)state;
	assert_true(json_array_size(json_object_get(root, "values")) > 60);
	json_array_foreach(json_object_get(root, "values"), i, v)
	{
		struct span bytes = unhex(text_of(v, "bytes"));
		struct reader r = reader_of(bytes);
		struct canon_options o = options_of(v);
		struct buf out = {0};
		struct xt_err err = {0};
		int got = canon_put(&out, &r, &o, &err);
		if (text_of(v, "error")) {
			if (got == 0 || strcmp(proto_error_name(err.code), text_of(v, "error")) != 0)
				fail_msg("%s: not refused with %s", text_of(v, "name"), text_of(v, "error"));
		} else {
			if (got < 0 || r.at != r.end)
				fail_msg("%s: %s", text_of(v, "name"), err.message);
			same_as(text_of(v, "name"), &out, text_of(v, "canonical"));
		}
		buf_done(&out);
		release(bytes);
	}
	json_decref(root);
}

/* What is canonical stays as it is. */
static void forms_are_fixed_points(void **state)
{
	json_t *root = load(), *v;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(root, "values"), i, v)
	{
		if (!text_of(v, "canonical"))
			continue;
		struct span bytes = unhex(text_of(v, "canonical"));
		struct reader r = reader_of(bytes);
		struct canon_options o = options_of(v);
		struct buf out = {0};
		struct xt_err err = {0};
		assert_int_equal(canon_put(&out, &r, &o, &err), 0);
		same_as(text_of(v, "name"), &out, text_of(v, "canonical"));
		buf_done(&out);
		release(bytes);
	}
	json_decref(root);
}

static void calls(void **state)
{
	json_t *root = load(), *v;
	size_t i;

	(void)state;
	assert_true(json_array_size(json_object_get(root, "calls")) > 10);
	json_array_foreach(json_object_get(root, "calls"), i, v)
	{
		struct span args = unhex(text_of(v, "args_bytes")),
			    params = unhex(text_of(v, "params_bytes"));
		struct canon_options o = options_of(v);
		struct buf parts = {0};
		struct xt_err err = {0};
		uint8_t key[XT_CACHE_KEY];
		struct span function = span_str(text_of(v, "function"));
		if (canon_parts(&parts, function, span_str(text_of(v, "version")), args, params, &o, &err) <
		    0)
			fail_msg("%s: %s", text_of(v, "name"), err.message);
		same_as(text_of(v, "name"), &parts, text_of(v, "parts"));
		canon_key(buf_span(&parts), key);
		struct span want = unhex(text_of(v, "key"));
		assert_span_equal(span_of(key, sizeof(key)), want);
		assert_span_equal(canon_function(buf_span(&parts)), function);
		release(want);
		release(args);
		release(params);
		buf_done(&parts);
	}
	json_decref(root);
}

static void too_many_parts_are_refused(void **state)
{
	struct buf args = {0}, parts = {0};
	struct xt_err err = {0};
	struct canon_options o = {0};

	(void)state;
	buf_add(&args, "\xdd\0\0\0\0", 5);
	args.data[0] = 0xdf;
	args.data[3] = 1200 >> 8;
	args.data[4] = (uint8_t)(1200 & 255);
	for (int i = 0; i < 1200; i++)
		buf_printf(&args, "%c%06d%c%c%060d", 0xa6, i, 0xd9, 60, i);
	assert_int_equal(canon_parts(&parts, span_str("f"), span_of(NULL, 0), buf_span(&args),
				     span_of(NULL, 0), &o, &err),
			 -1);
	assert_int_equal(err.code, XT_E_too_large);
	buf_done(&args);
	buf_done(&parts);
}

static void a_buffer_that_is_full(void **state)
{
	struct reader r = reader_of(BYTES("\x82\xa1\x62\x01\xa1\x61\x02"));
	struct buf out = {.max = 4};
	struct canon_options o = {0};
	struct xt_err err = {0};

	(void)state;
	assert_int_equal(canon_put(&out, &r, &o, &err), -1);
	buf_done(&out);
}

static void no_parts_have_no_function(void **state)
{
	(void)state;
	assert_int_equal(canon_function(span_of(NULL, 0)).len, 0);
	assert_int_equal(canon_function(BYTES("\x93\xa1\x66\xc0\x80")).len, 0);
	assert_int_equal(canon_function(BYTES("\x94\x01\xc0\x80\x80")).len, 0);
	assert_span_equal(canon_function(BYTES("\x94\xa1\x66\xc0\x80\x80")), BYTES("f"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(forms_are_fixed_points),
		cmocka_unit_test(calls),
		cmocka_unit_test(too_many_parts_are_refused),
		cmocka_unit_test(a_buffer_that_is_full),
		cmocka_unit_test(no_parts_have_no_function),
	};

	if (argc != 2)
		return 2;
	dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
