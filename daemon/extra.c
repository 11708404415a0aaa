#include "extra.h"

#include "wire.h"

void extra_add(struct extra *x, struct span pairs)
{
	struct reader r = reader_of(pairs);
	struct token key;

	while (r.at < r.end && x->n < EXTRA_MAX) {
		const uint8_t *start = r.at;
		if (reader_next(&r, &key) < 0 || key.type != TOKEN_STR)
			return;
		struct span value = reader_skip(&r);
		x->fields[x->n].key = key.bytes;
		x->fields[x->n].value = value;
		x->fields[x->n++].pair = span_of(start, (size_t)(r.at - start));
	}
}

/* Notes that the row has that key by itself: a bit of each field. */
static uint32_t note_key(const struct extra *x, const struct token *key)
{
	for (uint32_t i = 0; i < x->n; i++)
		if (key->type == TOKEN_STR && span_eq(key->bytes, x->fields[i].key))
			return UINT32_C(1) << i;
	return 0;
}

static uint32_t count_missing(const struct extra *x, uint32_t had)
{
	return x->n - (uint32_t)__builtin_popcount(had);
}

/* ---- maps ------------------------------------------------------------- */

static void put_map(const struct extra *x, struct span row, struct buf *out)
{
	struct reader r = reader_of(row);
	struct token head, key;
	uint32_t had = 0;

	if (reader_next(&r, &head) < 0 || head.type != TOKEN_MAP) {
		buf_add(out, row.data, row.len); /* is rejected as what it is */
		return;
	}
	struct span pairs = span_of(r.at, (size_t)(r.end - r.at));
	for (uint32_t i = 0; i < head.count && reader_next(&r, &key) == 0; i++) {
		had |= note_key(x, &key);
		if (key.type == TOKEN_ARRAY || key.type == TOKEN_MAP)
			break; /* no key; nothing behind it counts */
		reader_skip(&r);
	}
	uint32_t missing = count_missing(x, had);
	if (head.count + (uint64_t)missing > XT_MAX_COLUMNS) {
		buf_add(out, row.data, row.len);
		return;
	}
	msgpack_packer pk = wire_packer(out);
	msgpack_pack_map(&pk, head.count + missing);
	buf_add(out, pairs.data, pairs.len);
	for (uint32_t i = 0; i < x->n; i++)
		if (!(had & UINT32_C(1) << i))
			buf_add(out, x->fields[i].pair.data, x->fields[i].pair.len);
}

/* ---- columns ---------------------------------------------------------- */

/* The longer list of names; *ret_n: names in the one that was given. False: it stays as it is. */
static bool put_columns(const struct extra *x, struct span columns, struct buf *out, uint32_t *ret_n,
			uint32_t *ret_had)
{
	struct reader r = reader_of(columns);
	struct token head, name;
	uint32_t had = 0;

	if (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY)
		return false;
	struct span names = span_of(r.at, (size_t)(r.end - r.at));
	for (uint32_t i = 0; i < head.count; i++) {
		if (reader_next(&r, &name) < 0 || name.type != TOKEN_STR)
			return false;
		had |= note_key(x, &name);
	}
	uint32_t missing = count_missing(x, had);
	if (head.count == 0 || head.count + (uint64_t)missing > XT_MAX_COLUMNS)
		return false;
	msgpack_packer pk = wire_packer(out);
	msgpack_pack_array(&pk, head.count + missing);
	buf_add(out, names.data, names.len);
	for (uint32_t i = 0; i < x->n; i++) {
		const struct span key = x->fields[i].key;
		if (had & UINT32_C(1) << i)
			continue;
		msgpack_pack_str(&pk, key.len);
		msgpack_pack_str_body(&pk, key.data, key.len);
	}
	*ret_n = head.count;
	*ret_had = had;
	return true;
}

/* A row of another length than the names must not become one of the right length: nil is no row either. */
static void put_array(const struct extra *x, struct span row, uint32_t n, uint32_t had, struct buf *out)
{
	struct reader r = reader_of(row);
	msgpack_packer pk = wire_packer(out);
	struct token head;

	if (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY || head.count != n) {
		msgpack_pack_nil(&pk);
		return;
	}
	msgpack_pack_array(&pk, n + count_missing(x, had));
	buf_add(out, r.at, (size_t)(r.end - r.at));
	for (uint32_t i = 0; i < x->n; i++)
		if (!(had & UINT32_C(1) << i))
			buf_add(out, x->fields[i].value.data, x->fields[i].value.len);
}

/* ---- both ------------------------------------------------------------- */

void extra_put(const struct extra *x, struct span *columns, struct span *rows, struct buf *out)
{
	struct reader r = reader_of(*rows);
	struct token head;
	uint32_t n = 0, had = 0;

	buf_clear(out);
	if (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY)
		return;
	if (columns->len > 0 && !put_columns(x, *columns, out, &n, &had))
		return;
	size_t at = out->len;
	msgpack_packer pk = wire_packer(out);
	msgpack_pack_array(&pk, head.count);
	for (uint32_t i = 0; i < head.count; i++) {
		struct span row = reader_skip(&r);
		if (columns->len > 0)
			put_array(x, row, n, had, out);
		else
			put_map(x, row, out);
	}
	if (buf_failed(out))
		return;
	*columns = span_of(out->data, at);
	*rows = span_of(out->data + at, out->len - at);
}
