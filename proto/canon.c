#include "canon.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define NAN_BITS UINT64_C(0x7ff8000000000000)
#define EXACT	 9007199254740992.0 /* 2^53: reals from here on are whole */

/* ---- scalars ---------------------------------------------------------- */

/* A head byte and the n low bytes of a number, big-endian. */
static void put_number(struct buf *out, uint8_t head, uint64_t u, size_t n)
{
	uint8_t bytes[9] = {head};

	for (size_t i = 0; i < n; i++)
		bytes[1 + i] = (uint8_t)(u >> 8 * (n - 1 - i));
	buf_add(out, bytes, 1 + n);
}

static void put_uint(struct buf *out, uint64_t u)
{
	if (u < 0x80)
		put_number(out, (uint8_t)u, 0, 0);
	else if (u <= UINT8_MAX)
		put_number(out, 0xcc, u, 1);
	else if (u <= UINT16_MAX)
		put_number(out, 0xcd, u, 2);
	else if (u <= UINT32_MAX)
		put_number(out, 0xce, u, 4);
	else
		put_number(out, 0xcf, u, 8);
}

static void put_int(struct buf *out, int64_t i)
{
	if (i >= 0)
		put_uint(out, (uint64_t)i);
	else if (i >= -32)
		put_number(out, (uint8_t)i, 0, 0);
	else if (i >= INT8_MIN)
		put_number(out, 0xd0, (uint64_t)i, 1);
	else if (i >= INT16_MIN)
		put_number(out, 0xd1, (uint64_t)i, 2);
	else if (i >= INT32_MIN)
		put_number(out, 0xd2, (uint64_t)i, 4);
	else
		put_number(out, 0xd3, (uint64_t)i, 8);
}

/* The decimal that is nearest to the exact value, a tie to even: what printf and Python's round() do. */
static double rounded(double d, int digits)
{
	char text[64];

	if (!isfinite(d) || fabs(d) >= EXACT)
		return d;
	snprintf(text, sizeof(text), "%.*f", digits, d);
	return strtod(text, NULL) + 0.0; /* no negative zero */
}

static void put_real(struct buf *out, double d, const struct canon_options *o)
{
	uint64_t bits = NAN_BITS;

	if (o->round)
		d = rounded(d, o->digits);
	if (!isnan(d))
		memcpy(&bits, &d, sizeof(bits));
	put_number(out, 0xcb, bits, 8);
}

static void put_str_head(struct buf *out, size_t n)
{
	if (n < 32)
		put_number(out, (uint8_t)(0xa0 | n), 0, 0);
	else if (n <= UINT8_MAX)
		put_number(out, 0xd9, n, 1);
	else if (n <= UINT16_MAX)
		put_number(out, 0xda, n, 2);
	else
		put_number(out, 0xdb, n, 4);
}

static void put_str(struct buf *out, struct span s)
{
	put_str_head(out, s.len);
	buf_add(out, s.data, s.len);
}

static void put_bin(struct buf *out, struct span s)
{
	if (s.len <= UINT8_MAX)
		put_number(out, 0xc4, s.len, 1);
	else if (s.len <= UINT16_MAX)
		put_number(out, 0xc5, s.len, 2);
	else
		put_number(out, 0xc6, s.len, 4);
	buf_add(out, s.data, s.len);
}

static void put_array_head(struct buf *out, uint32_t n)
{
	if (n < 16)
		put_number(out, (uint8_t)(0x90 | n), 0, 0);
	else if (n <= UINT16_MAX)
		put_number(out, 0xdc, n, 2);
	else
		put_number(out, 0xdd, n, 4);
}

static void put_map_head(struct buf *out, uint32_t n)
{
	if (n < 16)
		put_number(out, (uint8_t)(0x80 | n), 0, 0);
	else if (n <= UINT16_MAX)
		put_number(out, 0xde, n, 2);
	else
		put_number(out, 0xdf, n, 4);
}

/* ---- maps ------------------------------------------------------------- */

/* A pair of a map, encoded: an offset until all are there, for the buffer moves. */
struct pair {
	const uint8_t *bytes; /* of the key, then of the value */
	size_t at, key, len;  /* where it begins in the buffer, bytes of the key, of both */
};

static int by_key(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int r = memcmp(x->bytes, y->bytes, x->key < y->key ? x->key : y->key);

	return r ? r : x->key < y->key ? -1 : x->key > y->key;
}

/* Puts the n pairs that are the buffer's bytes from `from` on in the order of their keys. */
static int sort_pairs(struct buf *out, size_t from, struct pair *pairs, uint32_t n, struct xt_err *err)
{
	size_t len = out->len - from;
	uint8_t *copy = malloc(len + 1);

	if (!copy)
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	memcpy(copy, out->data + from, len);
	for (uint32_t i = 0; i < n; i++)
		pairs[i].bytes = copy + (pairs[i].at - from);
	qsort(pairs, n, sizeof(*pairs), by_key);
	int r = 0;
	for (uint32_t i = 1; i < n && r == 0; i++)
		if (by_key(&pairs[i - 1], &pairs[i]) == 0)
			r = xt_err_set(err, XT_E_duplicate_key, NULL, "a map has the same key twice");
	uint8_t *to = out->data + from;
	for (uint32_t i = 0; i < n; i++) {
		memcpy(to, pairs[i].bytes, pairs[i].len);
		to += pairs[i].len;
	}
	free(copy);
	return r;
}

/* Appends one value: canon_put, or component for what lies directly in `args` and `params`. */
typedef int put_value(struct buf *out, struct reader *r, const struct canon_options *o, struct xt_err *err);

static int put_map(struct buf *out, struct reader *r, uint32_t n, put_value *put,
		   const struct canon_options *o, struct xt_err *err)
{
	put_map_head(out, n);
	if (n == 0)
		return 0;
	size_t from = out->len;
	struct pair *pairs = calloc(n, sizeof(*pairs));
	if (!pairs)
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	int ret = 0;
	for (uint32_t i = 0; i < n && ret == 0; i++) {
		pairs[i].at = out->len;
		ret = canon_put(out, r, o, err);
		pairs[i].key = out->len - pairs[i].at;
		if (ret == 0)
			ret = put(out, r, o, err);
		pairs[i].len = out->len - pairs[i].at;
	}
	if (ret == 0 && buf_failed(out))
		ret = xt_err_set(err, XT_E_internal, NULL, "out of memory");
	if (ret == 0)
		ret = sort_pairs(out, from, pairs, n, err);
	free(pairs);
	return ret;
}

/* ---- values ----------------------------------------------------------- */

int canon_put(struct buf *out, struct reader *r, const struct canon_options *o, struct xt_err *err)
{
	struct token t;
	int ret = 0;

	if (reader_next(r, &t) < 0)
		return xt_err_set(err, XT_E_bad_message, NULL, "a value is cut short");
	switch (t.type) {
	case TOKEN_NIL:
		put_number(out, 0xc0, 0, 0);
		break;
	case TOKEN_BOOL:
		put_number(out, t.boolean ? 0xc3 : 0xc2, 0, 0);
		break;
	case TOKEN_INT:
		put_int(out, t.integer);
		break;
	case TOKEN_UINT:
		put_uint(out, t.uinteger);
		break;
	case TOKEN_REAL:
		put_real(out, t.real, o);
		break;
	case TOKEN_STR:
		put_str(out, t.bytes);
		break;
	case TOKEN_BIN:
		put_bin(out, t.bytes);
		break;
	case TOKEN_ARRAY:
		put_array_head(out, t.count);
		for (uint32_t i = 0; i < t.count && ret == 0; i++)
			ret = canon_put(out, r, o, err);
		break;
	case TOKEN_MAP:
		ret = put_map(out, r, t.count, canon_put, o, err);
		break;
	case TOKEN_EXT:
		ret = xt_err_set(err, XT_E_bad_type, NULL, "a MessagePack extension has no canonical form");
	}
	return ret;
}

/* ---- keys ------------------------------------------------------------- */

static int put_component(struct buf *out, struct reader *r, const struct canon_options *o, struct xt_err *err)
{
	uint8_t digest[XT_CACHE_KEY];
	size_t from = out->len;

	if (canon_put(out, r, o, err) < 0)
		return -1;
	if (out->len - from <= CANON_INLINE || buf_failed(out))
		return 0;
	crypto_generichash(digest, sizeof(digest), out->data + from, out->len - from, NULL, 0);
	out->len = from;
	const uint8_t head[] = {0xc7, sizeof(digest), CANON_DIGEST};
	buf_add(out, head, sizeof(head));
	buf_add(out, digest, sizeof(digest));
	return 0;
}

static int put_components(struct buf *out, struct span map, const struct canon_options *o, struct xt_err *err)
{
	struct reader r = reader_of(map);
	struct token head = {0};

	if (map.len == 0) {
		put_map_head(out, 0);
		return 0;
	}
	if (reader_next(&r, &head) < 0 || head.type != TOKEN_MAP)
		return xt_err_set(err, XT_E_bad_type, NULL, "arguments and parameters must be maps");
	return put_map(out, &r, head.count, put_component, o, err);
}

int canon_parts(struct buf *out, struct span function, struct span version, struct span args,
		struct span params, const struct canon_options *o, struct xt_err *err)
{
	size_t from = out->len;

	put_array_head(out, 4);
	put_str(out, function);
	if (version.data)
		put_str(out, version);
	else
		put_number(out, 0xc0, 0, 0);
	if (put_components(out, args, o, err) < 0 || put_components(out, params, o, err) < 0)
		return -1;
	if (buf_failed(out))
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	if (out->len - from > XT_MAX_PARTS)
		return xt_err_set(
			err, XT_E_too_large, NULL,
			"the function, its arguments and parameters have %zu bytes, %d are allowed; "
			"pass what belongs together as one list or map, which counts by its digest",
			out->len - from, XT_MAX_PARTS);
	return 0;
}

void canon_key(struct span parts, uint8_t ret_key[XT_CACHE_KEY])
{
	crypto_generichash(ret_key, XT_CACHE_KEY, parts.data, parts.len, NULL, 0);
}

struct span canon_function(struct span parts)
{
	struct reader r = reader_of(parts);
	struct token head, name;

	if (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY || head.count != 4 ||
	    reader_next(&r, &name) < 0 || name.type != TOKEN_STR)
		return span_of(NULL, 0);
	return name.bytes;
}
