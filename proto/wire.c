#include "wire.h"

#include <assert.h>

/* ---- messages --------------------------------------------------------- */

static const uint8_t empty_map[1] = {0x80};

static int open_params(struct reader *r, struct wire_msg *msg, struct xt_err *err)
{
	struct token t;

	if (reader_next(r, &t) < 0 || t.type != TOKEN_STR)
		return xt_err_set(err, XT_E_bad_message, NULL, "the method's name must be a string");
	msg->name = t.bytes;
	msg->method = proto_method_named(t.bytes);
	msg->params = span_of(empty_map, 1);
	if (reader_next(r, &t) < 0 || t.type != TOKEN_ARRAY || t.count > 1)
		return xt_err_set(err, XT_E_bad_message, NULL, "params must be an array of one map");
	if (t.count == 1) {
		msg->params = span_of(r->at, (size_t)(r->end - r->at)); /* scanned, and the last of all */
		struct reader inner = reader_of(msg->params);
		if (reader_next(&inner, &t) < 0 || t.type != TOKEN_MAP)
			return xt_err_set(err, XT_E_bad_message, NULL, "params must be an array of one map");
	}
	return 0;
}

int wire_open(struct span body, struct wire_msg *ret, struct xt_err *err)
{
	struct reader r = reader_of(body);
	struct token head, kind, id;
	int scanned = wire_scan(body, err);

	if (scanned < 0 && err->code != XT_E_bad_utf8)
		return -1;
	*ret = (struct wire_msg){0};
	if (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY || head.count == 0 ||
	    reader_next(&r, &kind) < 0 || kind.type != TOKEN_INT || kind.integer < WIRE_REQUEST ||
	    kind.integer > WIRE_NOTIFY || head.count != (kind.integer == WIRE_NOTIFY ? 3u : 4u))
		return xt_err_set(err, XT_E_bad_message, NULL,
				  "not a MessagePack-RPC message: [0, msgid, method, params], "
				  "[1, msgid, error, result] or [2, method, params]");
	ret->kind = (enum wire_kind)kind.integer;
	if (ret->kind != WIRE_NOTIFY) {
		if (reader_next(&r, &id) < 0 || id.type != TOKEN_INT || id.integer < 0 ||
		    id.integer > UINT32_MAX)
			return xt_err_set(err, XT_E_bad_message, NULL,
					  "msgid must be an unsigned 32-bit number");
		ret->msgid = (uint32_t)id.integer;
	}
	if (ret->kind == WIRE_RESPONSE) {
		ret->error = reader_skip(&r);
		ret->result = span_of(r.at, (size_t)(r.end - r.at)); /* scanned, and the last of all */
	} else {
		struct xt_err why;
		if (open_params(&r, ret, &why) < 0) {
			*err = why;
			return -1;
		}
	}
	return scanned;
}

static int bad_field(struct xt_err *err, const struct field_desc *f, const char *want)
{
	return xt_err_set(err, XT_E_bad_type, f->name, "field '%s' must be %s", f->name, want);
}

static int decode_length(const struct field_desc *f, size_t len, struct xt_err *err)
{
	if ((int64_t)len < f->min || len > f->max)
		return xt_err_set(err, XT_E_out_of_range, f->name,
				  "field '%s' has %zu bytes, allowed are %lld to %llu", f->name, len,
				  (long long)f->min, (unsigned long long)f->max);
	return 0;
}

static int decode_number(const struct field_desc *f, const struct token *t, void *at, struct xt_err *err)
{
	if (t->type != TOKEN_INT && t->type != TOKEN_UINT)
		return bad_field(err, f, "an integer");
	bool fits;
	if (f->type == TYPE_U64)
		fits = (t->type == TOKEN_UINT || t->integer >= 0) && t->uinteger >= (uint64_t)f->min &&
		       t->uinteger <= f->max;
	else
		fits = t->type == TOKEN_INT && t->integer >= f->min;
	if (!fits)
		return xt_err_set(err, XT_E_out_of_range, f->name, "field '%s' must be in %lld to %llu",
				  f->name, (long long)f->min, (unsigned long long)f->max);
	memcpy(at, &t->uinteger, sizeof(uint64_t));
	return 0;
}

/* The bytes of a value; the last of a map reaches to its end and need not be walked. */
static void take_value(struct reader *r, bool last, void *at)
{
	struct span s = last ? span_of(r->at, (size_t)(r->end - r->at)) : reader_skip(r);

	memcpy(at, &s, sizeof(s));
}

static int decode_field(const struct field_desc *f, struct reader *r, bool last, void *at, struct xt_err *err)
{
	struct reader start = *r;
	struct token t;

	if (f->type == TYPE_ANY) {
		take_value(r, last, at);
		return 0;
	}
	if (reader_next(r, &t) < 0)
		return xt_err_set(err, XT_E_bad_message, f->name, "field '%s' is cut short", f->name);
	switch (f->type) {
	case TYPE_U64:
	case TYPE_I64:
		return decode_number(f, &t, at, err);
	case TYPE_BOOL:
		if (t.type != TOKEN_BOOL)
			return bad_field(err, f, "true or false");
		memcpy(at, &t.boolean, sizeof(bool));
		return 0;
	case TYPE_STR:
	case TYPE_BIN:
		if (t.type != (f->type == TYPE_STR ? TOKEN_STR : TOKEN_BIN))
			return bad_field(err, f, f->type == TYPE_STR ? "a string" : "bin");
		if (decode_length(f, t.bytes.len, err) < 0)
			return -1;
		memcpy(at, &t.bytes, sizeof(t.bytes));
		return 0;
	default: {
		if (t.type != (f->type == TYPE_MAP ? TOKEN_MAP : TOKEN_ARRAY))
			return bad_field(err, f, f->type == TYPE_MAP ? "a map" : "an array");
		*r = start;
		take_value(r, last, at);
		return 0;
	}
	}
}

static const struct field_desc *find_field(const struct shape_desc *shape, struct span name,
					   size_t *ret_index)
{
	for (size_t i = 0; i < shape->count; i++) {
		const struct field_desc *f = &shape->fields[i];
		if (f->name_len == name.len && memcmp(f->name, name.data, name.len) == 0) {
			*ret_index = i;
			return f;
		}
	}
	return NULL;
}

int wire_decode(const struct shape_desc *shape, struct span map, void *ret, struct xt_err *err)
{
	struct reader r = reader_of(map);
	struct token head, key;
	uint64_t has = 0;

	memset(ret, 0, shape->size);
	if (reader_next(&r, &head) < 0 || head.type != TOKEN_MAP)
		return xt_err_set(err, XT_E_bad_type, NULL, "a map was expected");
	for (uint32_t n = head.count; n > 0; n--) {
		size_t i;
		if (reader_next(&r, &key) < 0 || key.type != TOKEN_STR)
			return xt_err_set(err, XT_E_bad_type, NULL, "a field's name must be a string");
		const struct field_desc *f = find_field(shape, key.bytes, &i);
		if (!f) {
			reader_skip(&r);
			continue;
		}
		if (has & (UINT64_C(1) << i))
			return xt_err_set(err, XT_E_duplicate_key, f->name, "field '%s' occurs twice",
					  f->name);
		if (decode_field(f, &r, n == 1, (uint8_t *)ret + f->offset, err) < 0)
			return -1;
		has |= UINT64_C(1) << i;
	}
	for (size_t i = 0; i < shape->count; i++)
		if (shape->fields[i].required && !(has & (UINT64_C(1) << i)))
			return xt_err_set(err, XT_E_missing_field, shape->fields[i].name,
					  "field '%s' is missing", shape->fields[i].name);
	memcpy(ret, &has, sizeof(has)); /* `has` is the first member of every shape */
	return 0;
}

int wire_decode_error(struct span error, struct xt_err *ret)
{
	struct reader r = reader_of(error);
	struct token head, key, value;

	*ret = (struct xt_err){.code = XT_E_internal};
	if (reader_next(&r, &head) < 0 || head.type != TOKEN_MAP)
		return -1;
	for (uint32_t n = head.count; n > 0; n--) {
		if (reader_next(&r, &key) < 0)
			return -1;
		struct span raw = reader_skip(&r);
		struct reader inner = reader_of(raw);
		if (key.type != TOKEN_STR || reader_next(&inner, &value) < 0 || value.type != TOKEN_STR)
			continue;
		int len = value.bytes.len > 4096 ? 4096 : (int)value.bytes.len;
		if (span_is(key.bytes, "code"))
			ret->code = proto_error_code(value.bytes);
		else if (span_is(key.bytes, "message"))
			snprintf(ret->message, sizeof(ret->message), "%.*s", len,
				 (const char *)value.bytes.data);
		else if (span_is(key.bytes, "field"))
			snprintf(ret->field, sizeof(ret->field), "%.*s", len, (const char *)value.bytes.data);
	}
	return 0;
}

/* ---- writing ---------------------------------------------------------- */

static int pack_to_buf(void *data, const char *bytes, size_t n)
{
	struct buf *b = data;

	buf_add(b, bytes, n);
	return b->failed ? -1 : 0;
}

msgpack_packer wire_packer(struct buf *out)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, pack_to_buf);
	return pk;
}

static void put_str(msgpack_packer *pk, struct span s)
{
	msgpack_pack_str(pk, s.len);
	msgpack_pack_str_body(pk, s.data, s.len);
}

size_t wire_begin_frame(struct buf *out)
{
	size_t start = out->len;

	buf_add(out, "\0\0\0\0", FRAME_HEADER);
	return start;
}

void wire_end_frame(struct buf *out, size_t start)
{
	if (out->failed)
		return;
	size_t len = out->len - start - FRAME_HEADER;
	if (len > XT_MAX_FRAME) {
		out->failed = true;
		return;
	}
	uint8_t *p = out->data + start;
	p[0] = (uint8_t)(len >> 24);
	p[1] = (uint8_t)(len >> 16);
	p[2] = (uint8_t)(len >> 8);
	p[3] = (uint8_t)len;
}

static void put_field(msgpack_packer *pk, struct buf *out, const struct field_desc *f, const uint8_t *at)
{
	uint64_t u;
	struct span s;

	switch (f->type) {
	case TYPE_U64:
		memcpy(&u, at, sizeof(u));
		msgpack_pack_uint64(pk, u);
		return;
	case TYPE_I64:
		memcpy(&u, at, sizeof(u));
		msgpack_pack_int64(pk, (int64_t)u);
		return;
	case TYPE_BOOL:
		if (*(const bool *)at)
			msgpack_pack_true(pk);
		else
			msgpack_pack_false(pk);
		return;
	case TYPE_STR:
		memcpy(&s, at, sizeof(s));
		put_str(pk, s);
		return;
	case TYPE_BIN:
		memcpy(&s, at, sizeof(s));
		msgpack_pack_bin(pk, s.len);
		msgpack_pack_bin_body(pk, s.data, s.len);
		return;
	default:
		memcpy(&s, at, sizeof(s));
		buf_add(out, s.data, s.len);
	}
}

void wire_put_shape(struct buf *out, const struct shape_desc *shape, const void *data)
{
	msgpack_packer pk = wire_packer(out);
	uint64_t has = 0;
	size_t count = 0;

	if (data)
		memcpy(&has, data, sizeof(has));
	for (size_t i = 0; i < shape->count; i++) {
		if (shape->fields[i].required)
			has |= UINT64_C(1) << i;
		count += has >> i & 1;
	}
	msgpack_pack_map(&pk, count);
	for (size_t i = 0; i < shape->count; i++) {
		const struct field_desc *f = &shape->fields[i];
		if (!(has >> i & 1))
			continue;
		put_str(&pk, span_of(f->name, f->name_len));
		put_field(&pk, out, f, (const uint8_t *)data + f->offset);
	}
}

void wire_put_error_object(struct buf *out, const struct xt_err *err)
{
	msgpack_packer pk = wire_packer(out);

	msgpack_pack_map(&pk, err->field[0] ? 3 : 2);
	put_str(&pk, span_str("code"));
	put_str(&pk, span_str(proto_error_name(err->code)));
	put_str(&pk, span_str("message"));
	put_str(&pk, span_str(err->message));
	if (err->field[0]) {
		put_str(&pk, span_str("field"));
		put_str(&pk, span_str(err->field));
	}
}

static void put_call(struct buf *out, const struct method_desc *m, const void *params)
{
	msgpack_packer pk = wire_packer(out);

	put_str(&pk, span_of(m->name, m->name_len));
	msgpack_pack_array(&pk, 1);
	wire_put_shape(out, &m->params, params);
}

void wire_put_request(struct buf *out, uint32_t msgid, enum method_id method, const void *params)
{
	const struct method_desc *m = proto_method(method);
	msgpack_packer pk = wire_packer(out);
	size_t start = wire_begin_frame(out);

	assert(m);
	msgpack_pack_array(&pk, 4);
	msgpack_pack_int(&pk, WIRE_REQUEST);
	msgpack_pack_uint32(&pk, msgid);
	put_call(out, m, params);
	wire_end_frame(out, start);
}

void wire_put_notify(struct buf *out, enum method_id method, const void *params)
{
	const struct method_desc *m = proto_method(method);
	msgpack_packer pk = wire_packer(out);
	size_t start = wire_begin_frame(out);

	assert(m);
	msgpack_pack_array(&pk, 3);
	msgpack_pack_int(&pk, WIRE_NOTIFY);
	put_call(out, m, params);
	wire_end_frame(out, start);
}

static size_t begin_response(struct buf *out, uint32_t msgid)
{
	msgpack_packer pk = wire_packer(out);
	size_t start = wire_begin_frame(out);

	msgpack_pack_array(&pk, 4);
	msgpack_pack_int(&pk, WIRE_RESPONSE);
	msgpack_pack_uint32(&pk, msgid);
	return start;
}

void wire_put_result(struct buf *out, uint32_t msgid, enum method_id method, const void *result)
{
	const struct method_desc *m = proto_method(method);
	size_t start = begin_response(out, msgid);
	msgpack_packer pk = wire_packer(out);

	assert(m);
	msgpack_pack_nil(&pk);
	wire_put_shape(out, &m->result, result);
	wire_end_frame(out, start);
}

void wire_put_error(struct buf *out, uint32_t msgid, const struct xt_err *err)
{
	size_t start = begin_response(out, msgid);
	msgpack_packer pk = wire_packer(out);

	wire_put_error_object(out, err);
	msgpack_pack_nil(&pk);
	wire_end_frame(out, start);
}

void wire_put_response(struct buf *out, uint32_t msgid, struct span error, struct span result)
{
	size_t start = begin_response(out, msgid);

	buf_add(out, error.data, error.len);
	buf_add(out, result.data, result.len);
	wire_end_frame(out, start);
}
