/*
 * Whole messages as they come from a socket, and the decoder of every method: what was decoded, encoded
 * again, comes back as the same; what is refused is refused with an error that can itself be sent.
 */
#include "fuzz.h"

#include "wire.h"

#define MOST_SHAPE 1024 /* bytes of the largest struct of a method */

union any_shape {
	uint64_t has;
	uint8_t bytes[MOST_SHAPE];
};

static const void *at(const union any_shape *s, const struct field_desc *f)
{
	return s->bytes + f->offset;
}

static bool same_field(const struct field_desc *f, const void *a, const void *b)
{
	struct span x, y;

	if (f->type == TYPE_BOOL)
		return *(const bool *)a == *(const bool *)b;
	if (f->type == TYPE_U64 || f->type == TYPE_I64)
		return memcmp(a, b, sizeof(uint64_t)) == 0;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return span_eq(x, y);
}

static void check_same(const struct shape_desc *shape, const union any_shape *a, const union any_shape *b)
{
	assert(a->has == b->has);
	for (size_t i = 0; i < shape->count; i++)
		if (a->has >> i & 1)
			assert(same_field(&shape->fields[i], at(a, &shape->fields[i]),
					  at(b, &shape->fields[i])));
}

/* Bounds are checked once, here they must hold. */
static void check_bounds(const struct shape_desc *shape, const union any_shape *s)
{
	for (size_t i = 0; i < shape->count; i++) {
		const struct field_desc *f = &shape->fields[i];
		struct span text;
		uint64_t number;
		assert(!f->required || (s->has >> i & 1));
		if (!(s->has >> i & 1))
			continue;
		memcpy(&number, at(s, f), f->type == TYPE_BOOL ? sizeof(bool) : sizeof(number));
		if (f->type == TYPE_U64)
			assert(number >= (uint64_t)f->min && number <= f->max);
		else if (f->type == TYPE_I64)
			assert((int64_t)number >= f->min);
		if (f->type != TYPE_STR && f->type != TYPE_BIN)
			continue;
		memcpy(&text, at(s, f), sizeof(text));
		assert((int64_t)text.len >= f->min && text.len <= f->max);
	}
}

/* An error is sent to the peer, so it must be readable, and say something. */
static void check_error(const struct xt_err *err)
{
	struct buf out = {0};
	struct xt_err again, scan;

	assert(err->code != XT_E_ok && err->message[0]);
	wire_put_error_object(&out, err);
	assert(!buf_failed(&out) && wire_scan(buf_span(&out), &scan) == 0);
	assert(wire_decode_error(buf_span(&out), &again) == 0);
	assert(again.code == err->code && strcmp(again.message, err->message) == 0 &&
	       strcmp(again.field, err->field) == 0);
	buf_done(&out);
}

/* A map read as one shape: 0 when it is one. */
static int check_shape(const struct shape_desc *shape, struct span map, union any_shape *ret)
{
	union any_shape again;
	struct xt_err err = {0};
	struct buf out = {0}, twice = {0};

	assert(shape->size <= sizeof(*ret));
	if (wire_decode(shape, map, ret, &err) < 0) {
		check_error(&err);
		return -1;
	}
	check_bounds(shape, ret);
	wire_put_shape(&out, shape, ret);
	assert(!buf_failed(&out));
	assert(wire_decode(shape, buf_span(&out), &again, &err) == 0);
	check_same(shape, ret, &again);
	wire_put_shape(&twice, shape, &again);
	assert(span_eq(buf_span(&out), buf_span(&twice)));
	buf_done(&out);
	buf_done(&twice);
	return 0;
}

static bool is_within(struct span part, struct span whole)
{
	return part.data >= whole.data && part.data + part.len <= whole.data + whole.len;
}

/* Opens the one frame in `out`, which is the message again. */
static void open_again(const struct buf *out, const struct wire_msg *m, struct wire_msg *ret)
{
	struct xt_err err = {0};
	struct span body;
	size_t size;

	assert(!buf_failed(out));
	assert(frame_next(buf_span(out), XT_MAX_FRAME, &body, &size) == FRAME_OK && size == out->len);
	assert(wire_open(body, ret, &err) == 0 || err.code == XT_E_bad_utf8);
	assert(ret->kind == m->kind && ret->msgid == m->msgid && ret->method == m->method);
}

static void check_call(const struct wire_msg *m)
{
	union any_shape params, again;
	struct buf out = {0};
	struct wire_msg second;
	struct xt_err err;

	if (!m->method || check_shape(&m->method->params, m->params, &params) < 0)
		return;
	if (m->kind == WIRE_REQUEST)
		wire_put_request(&out, m->msgid, m->method->id, &params);
	else
		wire_put_notify(&out, m->method->id, &params);
	open_again(&out, m, &second);
	assert(wire_decode(&m->method->params, second.params, &again, &err) == 0);
	check_same(&m->method->params, &params, &again);
	buf_done(&out);
}

static void check_response(const struct wire_msg *m)
{
	struct buf out = {0};
	struct wire_msg second;

	wire_put_response(&out, m->msgid, m->error, m->result);
	open_again(&out, m, &second);
	assert(span_eq(m->error, second.error) && span_eq(m->result, second.result));
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body = span_of(data, size);
	struct wire_msg m = {0};
	union any_shape any;
	struct xt_err err = {0};

	if (wire_open(body, &m, &err) < 0) {
		check_error(&err);
		if (err.code != XT_E_bad_utf8)
			return 0;
	}
	if (m.kind == WIRE_RESPONSE) {
		assert(is_within(m.error, body) && is_within(m.result, body));
		check_response(&m);
		assert(wire_decode_error(m.error, &err) < 0 || proto_error_name(err.code)[0]);
	} else {
		check_call(&m);
	}
	/* No decoder trusts another's map either. */
	struct span map = m.kind == WIRE_RESPONSE ? m.result : m.params;
	for (size_t i = 0; i < proto_n_methods; i++) {
		(void)check_shape(&proto_methods[i].params, map, &any);
		(void)check_shape(&proto_methods[i].result, map, &any);
	}
	return 0;
}
