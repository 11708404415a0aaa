/* test-vectors DIRECTORY: the conformance vectors of tests/vectors, read through jansson. */
#include "unit.h"

#include <jansson.h>
#include <math.h>

#include "wire.h"

static const char *dir; /* of the vectors, from the command line */

static json_t *load(const char *name)
{
	char path[4096];
	json_error_t why;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	json_t *root = json_load_file(path, JSON_ALLOW_NUL, &why);
	if (!root)
		fail_msg("%s:%d: %s", path, why.line, why.text);
	assert_true(json_array_size(json_object_get(root, "vectors")) > 0);
	return root;
}

static const char *text_of(json_t *v, const char *key)
{
	return json_string_value(json_object_get(v, key));
}

static unsigned digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Bytes of hexadecimal text, in memory of exactly their size. The caller frees them. */
static struct span unhex(const char *hex)
{
	assert_non_null(hex);
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len ? len : 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	return span_of(bytes, len);
}

static void release(struct span s)
{
	free((void *)s.data);
}

static bool same_hex(struct span got, const char *hex)
{
	struct span want = unhex(hex);
	bool same = span_eq(got, want);

	release(want);
	return same;
}

/* ---- values ----------------------------------------------------------- */

static bool same(struct reader *r, json_t *want);

static bool same_integer(const struct token *t, const char *want)
{
	char got[32];

	if (t->type == TOKEN_UINT)
		snprintf(got, sizeof(got), "%llu", (unsigned long long)t->uinteger);
	else
		snprintf(got, sizeof(got), "%lld", (long long)t->integer);
	return (t->type == TOKEN_INT || t->type == TOKEN_UINT) && strcmp(got, want) == 0;
}

static bool same_pairs(struct reader *r, const struct token *t, json_t *pairs)
{
	if (t->type != TOKEN_MAP || t->count != json_array_size(pairs))
		return false;
	for (size_t i = 0; i < t->count; i++) {
		json_t *pair = json_array_get(pairs, i);
		if (!same(r, json_array_get(pair, 0)) || !same(r, json_array_get(pair, 1)))
			return false;
	}
	return true;
}

/* What JSON has no word for: an object whose one key starts with '$'. */
static bool same_special(struct reader *r, const struct token *t, const char *key, json_t *v)
{
	const char *text = json_string_value(v);
	char got[32];

	if (strcmp(key, "$bin") == 0)
		return t->type == TOKEN_BIN && same_hex(t->bytes, text);
	if (strcmp(key, "$int") == 0)
		return same_integer(t, text);
	if (strcmp(key, "$real") == 0) {
		snprintf(got, sizeof(got), "%g", isnan(t->real) ? NAN : t->real);
		return t->type == TOKEN_REAL && strcmp(got, text) == 0;
	}
	if (strcmp(key, "$ext") == 0)
		return t->type == TOKEN_EXT &&
		       (int8_t)t->bytes.data[0] == json_integer_value(json_array_get(v, 0)) &&
		       same_hex(span_of(t->bytes.data + 1, t->bytes.len - 1),
				json_string_value(json_array_get(v, 1)));
	return strcmp(key, "$map") == 0 && same_pairs(r, t, v);
}

static bool same_map(struct reader *r, const struct token *t, json_t *want)
{
	if (t->type != TOKEN_MAP || t->count != json_object_size(want))
		return false;
	for (uint32_t i = 0; i < t->count; i++) {
		struct token key = {0};
		char name[128];
		if (reader_next(r, &key) < 0 || key.type != TOKEN_STR || key.bytes.len >= sizeof(name))
			return false;
		snprintf(name, sizeof(name), "%.*s", SPAN_ARG(key.bytes));
		json_t *value = json_object_get(want, name);
		if (!value || !same(r, value))
			return false;
	}
	return true;
}

/* Whether the next value of the bytes is what the JSON says. */
static bool same(struct reader *r, json_t *want)
{
	struct token t = {0};
	char number[32];

	if (!want || reader_next(r, &t) < 0)
		return false;
	switch (json_typeof(want)) {
	case JSON_NULL:
		return t.type == TOKEN_NIL;
	case JSON_TRUE:
	case JSON_FALSE:
		return t.type == TOKEN_BOOL && t.boolean == json_is_true(want);
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(want));
		return same_integer(&t, number);
	case JSON_REAL:
		return t.type == TOKEN_REAL && t.real == json_real_value(want);
	case JSON_STRING:
		return t.type == TOKEN_STR &&
		       span_eq(t.bytes, span_of(json_string_value(want), json_string_length(want)));
	case JSON_ARRAY:
		if (t.type != TOKEN_ARRAY || t.count != json_array_size(want))
			return false;
		for (size_t i = 0; i < t.count; i++)
			if (!same(r, json_array_get(want, i)))
				return false;
		return true;
	default: {
		const char *key = json_object_iter_key(json_object_iter(want));
		if (json_object_size(want) == 1 && key[0] == '$')
			return same_special(r, &t, key, json_object_get(want, key));
		return same_map(r, &t, want);
	}
	}
}

static bool whole_same(struct span encoded, json_t *want)
{
	struct reader r = reader_of(encoded);

	return same(&r, want) && r.at == r.end;
}

static void values(void **state)
{
	json_t *root = load("values.json"), *v;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(root, "vectors"), i, v)
	{
		const char *error = text_of(v, "error");
		struct span body = unhex(text_of(v, "bytes"));
		struct xt_err err = {0};
		int r = wire_scan(body, &err);
		if (error && (r == 0 || strcmp(proto_error_name(err.code), error) != 0))
			fail_msg("%s: refused with %s, not %s", text_of(v, "name"),
				 proto_error_name(err.code), error);
		if (!error && (r < 0 || !whole_same(body, json_object_get(v, "value"))))
			fail_msg("%s: read as something else (%s)", text_of(v, "name"), err.message);
		release(body);
	}
	json_decref(root);
}

/* ---- frames ----------------------------------------------------------- */

static void frames(void **state)
{
	json_t *root = load("frames.json"), *v;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(root, "vectors"), i, v)
	{
		const char *error = text_of(v, "error"), *name = text_of(v, "name");
		struct span all = unhex(text_of(v, "bytes")), left = all, body;
		json_t *bodies = json_object_get(v, "bodies");
		enum frame_status status;
		size_t size, n = 0;
		while ((status = frame_next(left, XT_MAX_FRAME, &body, &size)) == FRAME_OK) {
			if (n >= json_array_size(bodies) ||
			    !same_hex(body, json_string_value(json_array_get(bodies, n))))
				fail_msg("%s: body %zu is another", name, n);
			n++;
			left = span_of(left.data + size, left.len - size);
		}
		if (n != json_array_size(bodies) || (status == FRAME_BAD) != (error != NULL))
			fail_msg("%s: %zu bodies, then %s", name, n, status == FRAME_BAD ? "bad" : "more");
		if (!error && left.len != (size_t)json_integer_value(json_object_get(v, "rest")))
			fail_msg("%s: %zu bytes are left", name, left.len);
		release(all);
	}
	json_decref(root);
}

/* ---- messages --------------------------------------------------------- */

union any_shape {
	uint64_t has;
	uint8_t bytes[1024]; /* larger than any struct of a method */
};

/* What becomes of a message before a handler sees it: 0, or -1 with the error. */
static int take(struct span body, struct wire_msg *m, bool *ret_closes, struct xt_err *err)
{
	union any_shape any;

	*ret_closes = false;
	if (wire_open(body, m, err) < 0) {
		*ret_closes = err->code != XT_E_bad_utf8;
		return -1;
	}
	if (m->kind == WIRE_RESPONSE)
		return 0;
	if (!m->method)
		return xt_err_set(err, XT_E_unknown_method, NULL, "no such method");
	return wire_decode(&m->method->params, m->params, &any, err);
}

static const char *check_call(const struct wire_msg *m, json_t *v)
{
	if (strcmp(text_of(v, "kind"), m->kind == WIRE_REQUEST ? "request" : "notification") != 0)
		return "another kind";
	if (m->kind == WIRE_REQUEST && m->msgid != json_integer_value(json_object_get(v, "msgid")))
		return "another msgid";
	if (!span_is(m->name, text_of(v, "method")))
		return "another method";
	return whole_same(m->params, json_object_get(v, "params")) ? NULL : "other params";
}

static const char *check_response(const struct wire_msg *m, json_t *v)
{
	json_t *fails = json_object_get(v, "fails");
	union any_shape any;
	struct xt_err err;

	if (strcmp(text_of(v, "kind"), "response") != 0)
		return "another kind";
	if (m->msgid != json_integer_value(json_object_get(v, "msgid")))
		return "another msgid";
	if (fails) {
		const char *field = text_of(fails, "field");
		if (!whole_same(m->error, fails) || !span_is(m->result, "\xc0") ||
		    wire_decode_error(m->error, &err) < 0)
			return "another error";
		if (strcmp(proto_error_name(err.code), text_of(fails, "code")) != 0 ||
		    strcmp(err.message, text_of(fails, "message")) != 0 ||
		    strcmp(err.field, field ? field : "") != 0)
			return "another error when decoded";
		return NULL;
	}
	const struct method_desc *d = proto_method_named(span_str(text_of(v, "method")));
	if (!span_is(m->error, "\xc0") || !whole_same(m->result, json_object_get(v, "result")))
		return "another result";
	return wire_decode(&d->result, m->result, &any, &err) < 0 ? "a result that is refused" : NULL;
}

static void messages(void **state)
{
	json_t *root = load("messages.json"), *v;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(root, "vectors"), i, v)
	{
		const char *error = text_of(v, "error"), *field = text_of(v, "field"),
			   *name = text_of(v, "name");
		struct span body = unhex(text_of(v, "bytes"));
		const char *wrong = NULL;
		struct wire_msg m;
		struct xt_err err = {0};
		bool closes;
		int r = take(body, &m, &closes, &err);
		if (error && (r == 0 || strcmp(proto_error_name(err.code), error) != 0 ||
			      closes != json_is_true(json_object_get(v, "closes"))))
			fail_msg("%s: %s instead of %s", name, r == 0 ? "taken" : proto_error_name(err.code),
				 error);
		if (error && field && strcmp(err.field, field) != 0)
			fail_msg("%s: about '%s'", name, err.field);
		if (!error)
			wrong = r < 0			  ? err.message
				: m.kind == WIRE_RESPONSE ? check_response(&m, v)
							  : check_call(&m, v);
		if (wrong)
			fail_msg("%s: %s", name, wrong);
		release(body);
	}
	json_decref(root);
}

/* Every method has vectors, as a call and, where it is answered, as a response. */
static void every_method_has_vectors(void **state)
{
	json_t *root = load("messages.json"), *v;

	(void)state;
	for (size_t k = 0; k < proto_n_methods; k++) {
		const struct method_desc *d = &proto_methods[k];
		bool called = false;
		size_t i;
		json_array_foreach(json_object_get(root, "vectors"), i, v)
		{
			const char *method = text_of(v, "method");
			called |= method && strcmp(method, d->name) == 0 && json_object_get(v, "params");
		}
		if (!called)
			fail_msg("no vector has method '%s'", d->name);
	}
	json_decref(root);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(frames),
		cmocka_unit_test(messages),
		cmocka_unit_test(every_method_has_vectors),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test-vectors DIRECTORY\n");
		return 2;
	}
	dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
