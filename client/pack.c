#include "client.h"

/* ---- values ----------------------------------------------------------- */

static uint8_t *pack_container(uint8_t *p, const xt_value *v)
{
	p = v->type == XT_T_MAP ? put_map(p, v->n) : put_array(p, v->n);
	for (size_t i = 0; i < v->n; i++) {
		switch (v->type) {
		case XT_T_INTS:
			p = put_int(p, v->as.integers[i]);
			break;
		case XT_T_REALS:
			p = put_real(p, v->as.reals[i]);
			break;
		case XT_T_ARRAY:
			p = pack_value(p, &v->as.items[i]);
			break;
		default:
			p = put_str(p, v->as.fields[i].key, strlen(v->as.fields[i].key));
			p = pack_value(p, &v->as.fields[i].value);
		}
	}
	return p;
}

uint8_t *pack_value(uint8_t *p, const xt_value *v)
{
	switch (v->type) {
	case XT_T_NULL:
		return put_nil(p);
	case XT_T_BOOL:
		return put_bool(p, v->as.boolean);
	case XT_T_INT:
		return put_int(p, v->as.integer);
	case XT_T_UINT:
		return put_uint(p, v->as.uinteger);
	case XT_T_REAL:
		return put_real(p, v->as.real);
	case XT_T_TEXT:
		return put_str(p, v->as.text, v->n);
	case XT_T_BLOB:
		return put_bin(p, v->as.blob, v->n);
	case XT_T_RAW:
		return put_bytes(p, v->as.blob, v->n);
	default:
		return pack_container(p, v);
	}
}

/* ---- measuring -------------------------------------------------------- */

static const char *measure_nested(const xt_value *v, unsigned depth, size_t *bytes, size_t *items)
{
	const char *why = NULL;

	if (depth == 0)
		return "has too many arrays and maps inside each other";
	if (v->n > ROW_ITEMS)
		return "has more than 65,000 items; store it as a blob";
	if (v->n > 0 && !v->as.items)
		return "is NULL but has a length";
	*bytes += 5;
	if (v->type == XT_T_INTS || v->type == XT_T_REALS) {
		*bytes += 9 * v->n;
		*items += v->n;
		return NULL;
	}
	for (size_t i = 0; i < v->n && !why; i++) {
		if (v->type == XT_T_ARRAY) {
			why = pack_measure(&v->as.items[i], depth - 1, bytes, items);
			continue;
		}
		const xt_field *f = &v->as.fields[i];
		if (!f->key)
			return "has a NULL key";
		*bytes += 5 + strlen(f->key);
		*items += 1;
		why = pack_measure(&f->value, depth - 1, bytes, items);
	}
	return why;
}

static const char *measure_raw(const xt_value *v, unsigned depth, size_t *bytes, size_t *items)
{
	struct xt_err err;
	uint32_t n;

	if (!v->as.blob)
		return "is NULL";
	if (wire_scan_within(span_of(v->as.blob, v->n), depth, ROW_ITEMS, &n, &err) == 0) {
		*bytes += v->n;
		*items += n - 1;
		return NULL;
	}
	return err.code == XT_E_too_deep	 ? "has too many arrays and maps inside each other"
	       : err.code == XT_E_too_many_items ? "has more than 65,000 items; store it as a blob"
	       : err.code == XT_E_bad_utf8	 ? "has text that is not valid UTF-8"
						 : "is not one MessagePack value";
}

const char *pack_measure(const xt_value *v, unsigned depth, size_t *bytes, size_t *items)
{
	*items += 1;
	switch (v->type) {
	case XT_T_NULL:
	case XT_T_BOOL:
	case XT_T_INT:
	case XT_T_UINT:
	case XT_T_REAL:
		*bytes += 9;
		return NULL;
	case XT_T_TEXT:
	case XT_T_BLOB:
		if (v->n > 0 && !v->as.blob)
			return "is NULL but has a length";
		if (v->n > UINT32_MAX)
			return "is longer than 4 GiB";
		*bytes += 5 + v->n;
		return NULL;
	case XT_T_ARRAY:
	case XT_T_MAP:
	case XT_T_INTS:
	case XT_T_REALS:
		return measure_nested(v, depth, bytes, items);
	case XT_T_RAW:
		return measure_raw(v, depth, bytes, items);
	}
	return "has a type that does not exist";
}

int pack_to(struct xt_client *c, struct buf *out, const char *what, const xt_value *v)
{
	size_t bytes = 0, items = 0;
	const char *why = pack_measure(v, ROW_DEPTH, &bytes, &items);

	if (!why && items > ROW_ITEMS)
		why = "has more than 65,000 items";
	if (why)
		return client_fail(c, XT_EINVAL, "'%s' %s", what, why);
	if (bytes > XT_MAX_FRAME)
		return client_fail(c, XT_EINVAL, "'%s' has %zu bytes, a message holds %d", what, bytes,
				   XT_MAX_FRAME);
	if (buf_reserve(out, bytes) < 0)
		return client_fail(c, XT_ENOMEM, "out of memory");
	out->len = (size_t)(pack_value(out->data + out->len, v) - out->data);
	return XT_OK;
}
