#include "pairs.h"

#include <stdlib.h>

void pairs_done(struct pairs *p)
{
	buf_done(&p->bytes);
	free(p->pairs);
	*p = (struct pairs){0};
}

static struct span name_of(const struct pairs *p, const struct pair *pair)
{
	return span_of(p->bytes.data + pair->value - pair->name_len, pair->name_len);
}

static struct pair *find(const struct pairs *p, struct span key)
{
	for (size_t i = 0; i < p->n; i++)
		if (span_eq(name_of(p, &p->pairs[i]), key))
			return &p->pairs[i];
	return NULL;
}

/* Room for a key and a value of so many bytes, and the place of the pair: that of an older value, or a new
 * one. NULL: out of memory. */
static struct pair *place(struct pairs *p, struct span key, size_t bytes)
{
	struct pair *pair = find(p, key);

	if (p->failed || buf_reserve(&p->bytes, key.len + 5 + bytes) < 0) {
		p->failed = true;
		return NULL;
	}
	if (pair)
		return pair;
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 16;
		struct pair *more = realloc(p->pairs, cap * sizeof(*more));
		if (!more) {
			p->failed = true;
			return NULL;
		}
		p->pairs = more;
		p->cap = cap;
	}
	return &p->pairs[p->n++];
}

/* Encodes the key; returns where the value goes. */
static uint8_t *put_key(struct pairs *p, struct pair *pair, struct span key)
{
	pair->key = p->bytes.len;
	pair->name_len = key.len;
	uint8_t *at = put_str(p->bytes.data + p->bytes.len, (const char *)key.data, key.len);
	pair->value = (size_t)(at - p->bytes.data);
	return at;
}

void pairs_add(struct pairs *p, struct span key, const xt_value *v)
{
	size_t bytes = 0, items = 0;

	if (pack_measure(v, ROW_DEPTH, &bytes, &items)) {
		p->failed = true; /* cannot be: it was measured before */
		return;
	}
	struct pair *pair = place(p, key, bytes);
	if (!pair)
		return;
	p->bytes.len = (size_t)(pack_value(put_key(p, pair, key), v) - p->bytes.data);
	pair->end = p->bytes.len;
}

void pairs_add_raw(struct pairs *p, struct span key, struct span value)
{
	struct pair *pair = place(p, key, value.len);

	if (!pair)
		return;
	uint8_t *at = put_key(p, pair, key);
	memcpy(at, value.data, value.len);
	pair->end = pair->value + value.len;
	p->bytes.len = pair->end;
}

void pairs_add_all(struct pairs *p, const struct pairs *from)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct pair *pair = &from->pairs[i];
		pairs_add_raw(p, name_of(from, pair),
			      span_of(from->bytes.data + pair->value, pair->end - pair->value));
	}
	p->failed = p->failed || from->failed;
}

void pairs_add_map(struct pairs *p, struct span map)
{
	struct reader r = reader_of(map);
	struct token head, key;
	struct xt_err err;

	if (wire_scan(map, &err) < 0 || reader_next(&r, &head) < 0 || head.type != TOKEN_MAP)
		return;
	for (uint32_t i = 0; i < head.count && reader_next(&r, &key) == 0; i++) {
		if (key.type == TOKEN_ARRAY || key.type == TOKEN_MAP)
			return;
		struct span value = reader_skip(&r);
		if (key.type == TOKEN_STR)
			pairs_add_raw(p, key.bytes, value);
	}
}

void pairs_put_map(const struct pairs *p, struct buf *out)
{
	uint8_t head[5];

	buf_add(out, head, (size_t)(put_map(head, p->n) - head));
	for (size_t i = 0; i < p->n; i++)
		buf_add(out, p->bytes.data + p->pairs[i].key, p->pairs[i].end - p->pairs[i].key);
	out->failed = out->failed || p->failed;
}

bool pairs_get(const struct pairs *p, struct span key, xt_value *ret)
{
	const struct pair *pair = find(p, key);
	struct token t;

	if (!pair)
		return false;
	struct reader r = reader_of(span_of(p->bytes.data + pair->value, pair->end - pair->value));
	if (reader_next(&r, &t) < 0)
		return false;
	switch (t.type) {
	case TOKEN_NIL:
		*ret = xt_null();
		return true;
	case TOKEN_BOOL:
		*ret = xt_bool(t.boolean);
		return true;
	case TOKEN_INT:
		*ret = xt_int(t.integer);
		return true;
	case TOKEN_UINT:
		*ret = xt_uint(t.uinteger);
		return true;
	case TOKEN_REAL:
		*ret = xt_real(t.real);
		return true;
	case TOKEN_STR:
		*ret = xt_textn((const char *)t.bytes.data, t.bytes.len);
		return true;
	case TOKEN_BIN:
		*ret = xt_blob(t.bytes.data, t.bytes.len);
		return true;
	default:
		return false;
	}
}
