/* Messages: what is scanned, opened, decoded and encoded, and everything that is refused. */
#include "unit.h"

#include "wire.h"

/* ---- scanning --------------------------------------------------------- */

static void scan_is(struct span body, enum xt_code want)
{
	struct xt_err err = {0};
	uint8_t *copy = exact_copy(body);
	int r = wire_scan(span_of(copy, body.len), &err);

	free(copy);
	assert_int_equal(r, want == XT_E_ok ? 0 : -1);
	assert_int_equal(err.code, want);
	assert_int_equal(err.message[0] == '\0', want == XT_E_ok);
}

static void scan_whole_values(void **state)
{
	(void)state;
	scan_is(BYTES("\xc0"), XT_E_ok);
	scan_is(BYTES("\x80"), XT_E_ok);
	scan_is(BYTES("\x90"), XT_E_ok);
	scan_is(BYTES("\xa0"), XT_E_ok);
	scan_is(BYTES("\xc4\x00"), XT_E_ok);
	scan_is(BYTES("\xc7\x00\x05"), XT_E_ok);
	scan_is(BYTES("\xdf\0\0\0\1\xa1k\xdd\0\0\0\2\x01\x02"), XT_E_ok);
	scan_is(BYTES("\x82\x90\x80\x80\x90"), XT_E_ok); /* keys of any type: who decodes, decides */
}

static void scan_broken_values(void **state)
{
	(void)state;
	scan_is(BYTES(""), XT_E_bad_message);
	scan_is(BYTES("\xc1"), XT_E_bad_message);
	scan_is(BYTES("\x91\xc1"), XT_E_bad_message);
	scan_is(BYTES("\xc0\xc0"), XT_E_bad_message);
	scan_is(BYTES("\x90\x90"), XT_E_bad_message);
	scan_is(BYTES("\x81\xa1k"), XT_E_bad_message);
	scan_is(BYTES("\xdb\xff\xff\xff\xff"), XT_E_bad_message);
	scan_is(BYTES("\xc6\xff\xff\xff\xff"), XT_E_bad_message);
	scan_is(BYTES("\xc9\xff\xff\xff\xff"), XT_E_bad_message);
	scan_is(BYTES("\xdf\xff\xff\xff\xff"), XT_E_bad_message);
}

/* Five bytes that announce a hundred million values: refused, and nothing is allocated for them. */
static void scan_announced_array(void **state)
{
	(void)state;
	scan_is(BYTES("\xdd\x05\xf5\xe1\x00"), XT_E_bad_message);
}

static void scan_depth(void **state)
{
	uint8_t deep[XT_MAX_DEPTH + 2];

	(void)state;
	memset(deep, 0x91, sizeof(deep));
	deep[XT_MAX_DEPTH] = 0xc0;
	scan_is(span_of(deep, XT_MAX_DEPTH + 1), XT_E_ok);
	deep[XT_MAX_DEPTH - 1] = 0x90;
	scan_is(span_of(deep, XT_MAX_DEPTH), XT_E_ok);
	deep[XT_MAX_DEPTH - 1] = deep[XT_MAX_DEPTH] = 0x91;
	deep[XT_MAX_DEPTH + 1] = 0xc0;
	scan_is(span_of(deep, XT_MAX_DEPTH + 2), XT_E_too_deep);
	deep[XT_MAX_DEPTH] = 0x90;
	scan_is(span_of(deep, XT_MAX_DEPTH + 1), XT_E_too_deep);
	for (size_t i = 0; i < XT_MAX_DEPTH;
	     i++) /* as the second value of each, so that others are left open */
		deep[i] = 0x92;
	scan_is(span_of(deep, XT_MAX_DEPTH + 1), XT_E_too_deep);
	memset(deep, 0x81, sizeof(deep));
	scan_is(span_of(deep, sizeof(deep)), XT_E_too_deep);
}

static void scan_items(void **state)
{
	size_t len = 5 + XT_MAX_ITEMS;
	uint8_t *body = malloc(len);

	(void)state;
	assert_non_null(body);
	memset(body, 0xc0, len);
	uint32_t count = XT_MAX_ITEMS - 1; /* and the array itself */
	memcpy(body, (uint8_t[]){0xdd, 0, (uint8_t)(count >> 16), (uint8_t)(count >> 8), (uint8_t)count}, 5);
	scan_is(span_of(body, 5 + count), XT_E_ok);
	count++;
	memcpy(body, (uint8_t[]){0xdd, 0, (uint8_t)(count >> 16), (uint8_t)(count >> 8), (uint8_t)count}, 5);
	scan_is(span_of(body, 5 + count), XT_E_too_many_items);
	count = XT_MAX_ITEMS / 2; /* of a map keys and values count */
	memcpy(body, (uint8_t[]){0xdf, 0, (uint8_t)(count >> 16), (uint8_t)(count >> 8), (uint8_t)count}, 5);
	scan_is(span_of(body, 5 + 2 * count), XT_E_too_many_items);
	free(body);
}

static void utf8(void **state)
{
	static const char *const valid[] = {"",
					    "a",
					    "größe",
					    "損失",
					    "😀",
					    "\x7f",
					    "\xc2\x80",
					    "\xdf\xbf",
					    "\xe0\xa0\x80",
					    "\xed\x9f\xbf",
					    "\xee\x80\x80",
					    "\xef\xbf\xbf",
					    "\xf0\x90\x80\x80",
					    "\xf4\x8f\xbf\xbf",
					    "1234567ü",
					    "12345678ü12345678",
					    "1234567\xf0\x9f\x98\x80"};
	static const char *const invalid[] = {"\x80",
					      "\xbf",
					      "\xc0\x80",
					      "\xc1\xbf",
					      "\xc3",
					      "\xc3\x28",
					      "\xe0\x80\x80",
					      "\xe0\x9f\xbf",
					      "\xe2\x82",
					      "\xe2\x28\xa1",
					      "\xed\xa0\x80",
					      "\xed\xbf\xbf",
					      "\xf0\x8f\xbf\xbf",
					      "\xf0\x9f\x98",
					      "\xf0\x9f\x28\x80",
					      "\xf4\x90\x80\x80",
					      "\xf5\x80\x80\x80",
					      "\xff",
					      "\xfe",
					      "12345678\xff",
					      "1234567\xc3",
					      "123456789012345\xe2\x82"};

	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++)
		assert_true(utf8_valid(span_str(valid[i])));
	for (size_t i = 0; i < COUNT(invalid); i++) {
		struct span s = span_str(invalid[i]);
		uint8_t *copy = exact_copy(s);
		assert_false(utf8_valid(span_of(copy, s.len)));
		free(copy);
	}
	assert_true(utf8_valid(BYTES("\0\0\0")));
	for (size_t len = 1; len < 40;
	     len++) { /* one bad byte anywhere among good ones, however many are looked at at once */
		for (size_t at = 0; at < len; at++) {
			uint8_t text[40] = {0};
			text[at] = 0x80;
			uint8_t *copy = exact_copy(span_of(text, len));
			assert_int_equal(utf8_prefix(span_of(copy, len)), at);
			free(copy);
		}
	}
	scan_is(BYTES("\xa2\xc3\x28"), XT_E_bad_utf8);
	scan_is(BYTES("\xc4\x02\xc3\x28"), XT_E_ok);
	scan_is(BYTES("\x92\xa2\xc3\x28\xc1"), XT_E_bad_message); /* the graver error wins */
}

/* ---- opening ---------------------------------------------------------- */

static void open_fails(struct span body, enum xt_code want)
{
	struct wire_msg m;
	struct xt_err err = {0};

	assert_int_equal(wire_open(body, &m, &err), -1);
	assert_int_equal(err.code, want);
}

static void open_each_kind(void **state)
{
	struct wire_msg m;
	struct xt_err err;

	(void)state;
	assert_int_equal(wire_open(BYTES("\x94\x00\x05\xa6status\x91\x80"), &m, &err), 0);
	assert_int_equal(m.kind, WIRE_REQUEST);
	assert_int_equal(m.msgid, 5);
	assert_ptr_equal(m.method, proto_method(METHOD_status));
	assert_span_equal(m.params, BYTES("\x80"));

	assert_int_equal(wire_open(BYTES("\x93\x02\xa3"
					 "bye\x90"),
				   &m, &err),
			 0);
	assert_int_equal(m.kind, WIRE_NOTIFY);
	assert_ptr_equal(m.method, proto_method(METHOD_bye));
	assert_span_equal(m.params, BYTES("\x80")); /* absent params are an empty map */

	assert_int_equal(wire_open(BYTES("\x94\x01\xce\xff\xff\xff\xff\xc0\x81\xa1x\x01"), &m, &err), 0);
	assert_int_equal(m.kind, WIRE_RESPONSE);
	assert_int_equal(m.msgid, UINT32_MAX);
	assert_span_equal(m.error, BYTES("\xc0"));
	assert_span_equal(m.result, BYTES("\x81\xa1x\x01"));

	assert_int_equal(wire_open(BYTES("\x94\x00\x05\xa4nope\x91\x80"), &m, &err), 0);
	assert_null(m.method);
	assert_true(span_is(m.name, "nope"));
}

static void open_other_forms(void **state)
{
	(void)state;
	open_fails(BYTES("\xc0"), XT_E_bad_message);
	open_fails(BYTES("\x90"), XT_E_bad_message);
	open_fails(BYTES("\x91\x00"), XT_E_bad_message);
	open_fails(BYTES("\x94\x03\x01\xa6status\x90"), XT_E_bad_message);
	open_fails(BYTES("\x94\xff\x01\xa6status\x90"), XT_E_bad_message);
	open_fails(BYTES("\x93\x00\x01\xa6status"), XT_E_bad_message);
	open_fails(BYTES("\x94\x02\xa3"
			 "bye\x90\xc0"),
		   XT_E_bad_message);
	open_fails(BYTES("\x94\x00\xff\xa6status\x90"), XT_E_bad_message);
	open_fails(BYTES("\x94\x00\xcf\0\0\0\1\0\0\0\0\xa6status\x90"), XT_E_bad_message);
	open_fails(BYTES("\x94\x00\xcb\0\0\0\0\0\0\0\0\xa6status\x90"), XT_E_bad_message);
	open_fails(BYTES("\x94\x00\x01\x05\x90"), XT_E_bad_message);
	open_fails(BYTES("\x94\x00\x01\xc4\x06status\x90"), XT_E_bad_message);
	open_fails(BYTES("\x94\x00\x01\xa6status\xc0"), XT_E_bad_message);
	open_fails(BYTES("\x94\x00\x01\xa6status\x91\x01"), XT_E_bad_message);
	open_fails(BYTES("\x94\x00\x01\xa6status\x92\x80\x80"), XT_E_bad_message);
	open_fails(BYTES("\x84\x00\x01\x02\x03\x04\x05\x06\x07"), XT_E_bad_message);
}

/* Bad text is the one error after which the stream goes on: the message is opened as far as it goes. */
static void open_bad_utf8_still_tells_the_request(void **state)
{
	struct wire_msg m;
	struct xt_err err;

	(void)state;
	assert_int_equal(wire_open(BYTES("\x94\x00\x09\xa5query\x91\x81\xa3sql\xa2\xc3\x28"), &m, &err), -1);
	assert_int_equal(err.code, XT_E_bad_utf8);
	assert_int_equal(m.msgid, 9);
	assert_ptr_equal(m.method, proto_method(METHOD_query));
	open_fails(BYTES("\x92\xa2\xc3\x28\x01"), XT_E_bad_message);
}

/* ---- decoding --------------------------------------------------------- */

static void decode_fails(const struct shape_desc *shape, struct span map, enum xt_code want,
			 const char *field)
{
	union {
		uint64_t align;
		uint8_t bytes[PROTO_MAX_PARAMS];
	} any;
	struct xt_err err = {0};

	assert_true(shape->size <= sizeof(any));
	assert_int_equal(wire_decode(shape, map, &any, &err), -1);
	assert_int_equal(err.code, want);
	assert_string_equal(err.field, field);
	assert_true(err.message[0] != '\0');
	assert_true(err.message[strlen(err.message) - 1] != '.');
}

static void decode_refusals(void **state)
{
	const struct shape_desc *fetch = &proto_method(METHOD_fetch)->params;
	const struct shape_desc *query = &proto_method(METHOD_query)->params;
	const struct shape_desc *hello = &proto_method(METHOD_hello)->params;
	const struct shape_desc *stop = &proto_method(METHOD_shutdown)->params;

	(void)state;
	decode_fails(fetch, BYTES("\x80"), XT_E_missing_field, "cursor");
	decode_fails(fetch,
		     BYTES("\x81\xa6"
			   "Cursor\x01"),
		     XT_E_missing_field, "cursor");
	decode_fails(fetch,
		     BYTES("\x81\xa6"
			   "cursor\xc0"),
		     XT_E_bad_type, "cursor");
	decode_fails(fetch,
		     BYTES("\x81\xa6"
			   "cursor\xa1"
			   "1"),
		     XT_E_bad_type, "cursor");
	decode_fails(fetch,
		     BYTES("\x81\xa6"
			   "cursor\xcb\x3f\xf0\0\0\0\0\0\0"),
		     XT_E_bad_type, "cursor");
	decode_fails(fetch,
		     BYTES("\x81\xa6"
			   "cursor\xff"),
		     XT_E_out_of_range, "cursor");
	decode_fails(fetch,
		     BYTES("\x81\xa6"
			   "cursor\xcf\0\0\0\1\0\0\0\0"),
		     XT_E_out_of_range, "cursor");
	decode_fails(fetch,
		     BYTES("\x81\xa6"
			   "cursor\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
		     XT_E_out_of_range, "cursor");
	decode_fails(fetch,
		     BYTES("\x82\xa6"
			   "cursor\x01\xa6"
			   "cursor\x01"),
		     XT_E_duplicate_key, "cursor");
	decode_fails(fetch, BYTES("\x81\x01\x01"), XT_E_bad_type, "");
	decode_fails(fetch, BYTES("\x90"), XT_E_bad_type, "");
	decode_fails(query, BYTES("\x81\xa3sql\xc4\x01x"), XT_E_bad_type, "sql");
	decode_fails(query, BYTES("\x81\xa3sql\xa0"), XT_E_out_of_range, "sql");
	decode_fails(query, BYTES("\x82\xa3sql\xa1x\xa9page_rows\x00"), XT_E_out_of_range, "page_rows");
	decode_fails(hello,
		     BYTES("\x82\xa8protocol\x00\xa6"
			   "client\xc4\x01x"),
		     XT_E_out_of_range, "protocol");
	decode_fails(hello,
		     BYTES("\x82\xa8protocol\x01\xa6"
			   "client\xc4\x01x"),
		     XT_E_out_of_range, "client");
	decode_fails(hello,
		     BYTES("\x82\xa8protocol\x01\xa6"
			   "client\xa1x"),
		     XT_E_bad_type, "client");
	decode_fails(stop, BYTES("\x81\xa4hold\x01"), XT_E_bad_type, "hold");
}

static void decode_ignores_what_it_does_not_know(void **state)
{
	struct params_fetch p;
	struct xt_err err;

	(void)state;
	assert_int_equal(wire_decode(&proto_method(METHOD_fetch)->params,
				     BYTES("\x83\xa6"
					   "colour\x82\x01\x91\x90\x02\xc0\xa6"
					   "cursor\x07\xa6"
					   "colour\xc0"),
				     &p, &err),
			 0);
	assert_int_equal(p.cursor, 7);
}

/* A value for each field: the smallest and the largest number it may have, the shortest text. */
static void fill(const struct shape_desc *shape, void *data, bool large)
{
	static const uint8_t bytes[] = "0123456789abcdef0123456789ABCDE", map[] = {0x81, 0xa1, 'k', 0x90},
			     array[] = {0x91, 0xc0};

	memset(data, 0, shape->size);
	for (size_t i = 0; i < shape->count; i++) {
		const struct field_desc *f = &shape->fields[i];
		uint8_t *at = (uint8_t *)data + f->offset;
		uint64_t number = large ? f->max : (uint64_t)f->min;
		size_t len = f->max < sizeof(bytes) ? (size_t)f->max : sizeof(bytes);
		struct span s = span_of(bytes, large ? len : (size_t)f->min);
		if (!f->required && !large)
			continue;
		switch (f->type) {
		case TYPE_U64:
		case TYPE_I64:
			memcpy(at, &number, sizeof(number));
			break;
		case TYPE_BOOL:
			*(bool *)at = large;
			break;
		case TYPE_STR:
		case TYPE_BIN:
			memcpy(at, &s, sizeof(s));
			break;
		default:
			s = f->type == TYPE_MAP ? span_of(map, sizeof(map)) : span_of(array, sizeof(array));
			memcpy(at, &s, sizeof(s));
		}
		*(uint64_t *)data |= UINT64_C(1) << i; /* `has` comes first */
	}
}

static void same_fields(const struct shape_desc *shape, const void *a, const void *b)
{
	assert_int_equal(*(const uint64_t *)a, *(const uint64_t *)b);
	for (size_t i = 0; i < shape->count; i++) {
		const struct field_desc *f = &shape->fields[i];
		const uint8_t *x = (const uint8_t *)a + f->offset, *y = (const uint8_t *)b + f->offset;
		if (f->type == TYPE_U64 || f->type == TYPE_I64)
			assert_memory_equal(x, y, sizeof(uint64_t));
		else if (f->type == TYPE_BOOL)
			assert_memory_equal(x, y, sizeof(bool));
		else
			assert_span_equal(*(const struct span *)(const void *)x,
					  *(const struct span *)(const void *)y);
	}
}

/* Encodes, decodes whole, refuses every truncation, and is found when it comes one byte at a time. */
static void there_and_back(const struct method_desc *m, const struct shape_desc *shape, bool large)
{
	uint64_t in[128], out[128]; /* larger than any shape, and aligned */
	bool params = shape == &m->params;
	struct buf b = {0};
	struct span body;
	struct wire_msg msg;
	struct xt_err err;
	size_t size;

	assert_true(shape->size <= sizeof(in));
	fill(shape, in, large);
	if (params && m->kind == KIND_REQUEST)
		wire_put_request(&b, 77, m->id, in);
	else if (params)
		wire_put_notify(&b, m->id, in);
	else
		wire_put_result(&b, 77, m->id, in);
	assert_false(buf_failed(&b));
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(frame_next(span_of(b.data, n), XT_MAX_FRAME, &body, &size), FRAME_MORE);
	assert_int_equal(frame_next(buf_span(&b), XT_MAX_FRAME, &body, &size), FRAME_OK);
	assert_int_equal(size, b.len);
	for (size_t n = 0; n < body.len; n++) {
		uint8_t *copy = exact_copy(span_of(body.data, n));
		assert_int_equal(wire_open(span_of(copy, n), &msg, &err), -1);
		assert_int_equal(err.code, XT_E_bad_message);
		free(copy);
	}
	assert_int_equal(wire_open(body, &msg, &err), 0);
	if (params)
		assert_ptr_equal(msg.method, m);
	assert_int_equal(wire_decode(shape, params ? msg.params : msg.result, out, &err), 0);
	same_fields(shape, in, out);
	buf_done(&b);
}

static void every_method_there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < proto_n_methods; i++) {
		const struct method_desc *m = &proto_methods[i];
		for (int large = 0; large < 2; large++) {
			there_and_back(m, &m->params, large);
			if (m->kind == KIND_REQUEST || m->kind == KIND_EITHER)
				there_and_back(m, &m->result, large);
		}
	}
}

static void errors_there_and_back(void **state)
{
	struct buf b = {0};
	struct span body;
	struct wire_msg m;
	struct xt_err err, got, unused;
	size_t size;

	(void)state;
	for (size_t i = 0; i < proto_n_errors; i++) {
		buf_clear(&b);
		xt_err_set(&err, proto_errors[i].code, i % 2 ? "key" : NULL, "cannot do '%zu'", i);
		wire_put_error(&b, 3, &err);
		assert_int_equal(frame_next(buf_span(&b), XT_MAX_FRAME, &body, &size), FRAME_OK);
		assert_int_equal(wire_open(body, &m, &unused), 0);
		assert_int_equal(m.kind, WIRE_RESPONSE);
		assert_span_equal(m.result, BYTES("\xc0"));
		assert_int_equal(wire_decode_error(m.error, &got), 0);
		assert_int_equal(got.code, err.code);
		assert_string_equal(got.message, err.message);
		assert_string_equal(got.field, err.field);
	}
	buf_done(&b);
}

/* A quoted name may be cut inside a character, and a whole message too: it is sent all the same. */
static void errors_are_text(void **state)
{
	char name[600] = "x";
	struct xt_err err;

	(void)state;
	for (size_t i = 1; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "ö", 2);
	xt_err_set(&err, XT_E_no_such_table, "\xff", "no '%.4s', no '%s'", name, name);
	assert_string_equal(err.field, "?");
	assert_int_equal(memcmp(err.message, "no 'xö?', no 'xö", 17), 0);
	assert_true(utf8_valid(span_str(err.message)));
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

static void foreign_errors(void **state)
{
	struct xt_err err;

	(void)state;
	assert_int_equal(wire_decode_error(BYTES("\xc0"), &err), -1);
	assert_int_equal(wire_decode_error(BYTES("\xa3"
						 "bad"),
					   &err),
			 -1);
	assert_int_equal(wire_decode_error(BYTES("\x83\xa4"
						 "code\xa6unseen\xa7message\xa1m\x05\x06"),
					   &err),
			 0);
	assert_int_equal(err.code, XT_E_internal);
	assert_string_equal(err.message, "m");
	assert_int_equal(wire_decode_error(BYTES("\x82\xa4"
						 "code\x05\xa7message\xc0"),
					   &err),
			 0);
	assert_int_equal(err.code, XT_E_internal);
	assert_string_equal(err.message, "");
}

/* ---- the tables ------------------------------------------------------- */

static void tables_are_consistent(void **state)
{
	(void)state;
	for (size_t i = 0; i < proto_n_methods; i++) {
		const struct method_desc *m = &proto_methods[i];
		assert_ptr_equal(proto_method(m->id), m);
		assert_ptr_equal(proto_method_named(span_str(m->name)), m);
		assert_true(m->params.count <= 64 && m->result.count <= 64);
		assert_int_equal(m->kind == KIND_EVENT, m->thread == THREAD_CLIENT);
		if (m->kind == KIND_NOTIFY || m->kind == KIND_EVENT)
			assert_int_equal(m->result.count, 0);
		if (m->flags & METHOD_SEQ)
			assert_string_equal(m->params.fields[0].name, "seq");
	}
	for (size_t i = 0; i < proto_n_errors; i++) {
		assert_string_equal(proto_error_name(proto_errors[i].code), proto_errors[i].name);
		assert_int_equal(proto_error_code(span_str(proto_errors[i].name)), proto_errors[i].code);
	}
	assert_null(proto_method(METHOD_NONE));
	assert_null(proto_method_named(span_of(NULL, 0)));
	assert_null(proto_method_named(span_str("logs")));
	assert_int_equal(proto_error_code(span_str("nonsense")), XT_E_internal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scan_whole_values),
		cmocka_unit_test(scan_broken_values),
		cmocka_unit_test(scan_announced_array),
		cmocka_unit_test(scan_depth),
		cmocka_unit_test(scan_items),
		cmocka_unit_test(utf8),
		cmocka_unit_test(open_each_kind),
		cmocka_unit_test(open_other_forms),
		cmocka_unit_test(open_bad_utf8_still_tells_the_request),
		cmocka_unit_test(decode_refusals),
		cmocka_unit_test(decode_ignores_what_it_does_not_know),
		cmocka_unit_test(every_method_there_and_back),
		cmocka_unit_test(errors_there_and_back),
		cmocka_unit_test(errors_are_text),
		cmocka_unit_test(foreign_errors),
		cmocka_unit_test(tables_are_consistent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
