#include "token.h"

/* ---- frames ----------------------------------------------------------- */

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

enum frame_status frame_next(struct span in, size_t max_frame, struct span *ret_body, size_t *ret_size)
{
	*ret_size = FRAME_HEADER;
	if (in.len < FRAME_HEADER)
		return FRAME_MORE;
	size_t len = get32(in.data);
	if (len == 0 || len > max_frame)
		return FRAME_BAD;
	*ret_size = FRAME_HEADER + len;
	if (in.len < *ret_size)
		return FRAME_MORE;
	*ret_body = span_of(in.data + FRAME_HEADER, len);
	return FRAME_OK;
}

/* ---- reading ---------------------------------------------------------- */

static int take(struct reader *r, size_t n, const uint8_t **ret)
{
	if ((size_t)(r->end - r->at) < n)
		return -1;
	*ret = r->at;
	r->at += n;
	return 0;
}

/* A big-endian unsigned number of 1, 2, 4 or 8 bytes. */
static int take_uint(struct reader *r, size_t n, uint64_t *ret)
{
	const uint8_t *p;

	if (take(r, n, &p) < 0)
		return -1;
	switch (n) {
	case 1:
		*ret = p[0];
		break;
	case 2:
		*ret = (uint64_t)p[0] << 8 | p[1];
		break;
	case 4:
		*ret = get32(p);
		break;
	default:
		*ret = get64(p);
	}
	return 0;
}

static int take_bytes(struct reader *r, struct token *ret, enum token_type type, size_t len)
{
	ret->type = type;
	ret->bytes.len = len;
	return take(r, len, &ret->bytes.data);
}

static int take_sized(struct reader *r, struct token *ret, enum token_type type, size_t size_bytes)
{
	uint64_t len;

	if (take_uint(r, size_bytes, &len) < 0)
		return -1;
	return take_bytes(r, ret, type, len);
}

static int take_head(struct reader *r, struct token *ret, enum token_type type, size_t size_bytes)
{
	uint64_t count;

	if (take_uint(r, size_bytes, &count) < 0)
		return -1;
	ret->type = type;
	ret->count = (uint32_t)count;
	return 0;
}

static int take_unsigned(struct reader *r, struct token *ret, size_t n)
{
	uint64_t u;

	if (take_uint(r, n, &u) < 0)
		return -1;
	ret->type = u > INT64_MAX ? TOKEN_UINT : TOKEN_INT;
	ret->uinteger = u;
	return 0;
}

static int take_signed(struct reader *r, struct token *ret, size_t n)
{
	uint64_t u;

	if (take_uint(r, n, &u) < 0)
		return -1;
	ret->type = TOKEN_INT;
	ret->integer = n == 1 ? (int8_t)u : n == 2 ? (int16_t)u : n == 4 ? (int32_t)u : (int64_t)u;
	return 0;
}

static int take_float(struct reader *r, struct token *ret, size_t n)
{
	uint64_t u;

	if (take_uint(r, n, &u) < 0)
		return -1;
	ret->type = TOKEN_REAL;
	if (n == 4) {
		uint32_t bits = (uint32_t)u;
		float f;
		memcpy(&f, &bits, sizeof(f));
		ret->real = (double)f;
	} else {
		memcpy(&ret->real, &u, sizeof(u));
	}
	return 0;
}

static int take_ext(struct reader *r, struct token *ret, size_t size_bytes)
{
	uint64_t len;

	if (take_uint(r, size_bytes, &len) < 0)
		return -1;
	return take_bytes(r, ret, TOKEN_EXT, len + 1); /* the type byte belongs to the payload */
}

int reader_next_any(struct reader *r, struct token *ret)
{
	const uint8_t *p;

	if (take(r, 1, &p) < 0)
		return -1;
	uint8_t b = *p;
	if (b <= 0x7f) {
		ret->type = TOKEN_INT;
		ret->integer = b;
		return 0;
	}
	if (b >= 0xe0) {
		ret->type = TOKEN_INT;
		ret->integer = (int8_t)b;
		return 0;
	}
	if (b >= 0xa0 && b <= 0xbf)
		return take_bytes(r, ret, TOKEN_STR, b & 0x1f);
	if (b <= 0x8f || (b >= 0x90 && b <= 0x9f)) {
		ret->type = b <= 0x8f ? TOKEN_MAP : TOKEN_ARRAY;
		ret->count = b & 0x0f;
		return 0;
	}
	switch (b) {
	case 0xc0:
		ret->type = TOKEN_NIL;
		return 0;
	case 0xc2:
	case 0xc3:
		ret->type = TOKEN_BOOL;
		ret->boolean = b == 0xc3;
		return 0;
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return take_sized(r, ret, TOKEN_BIN, (size_t)1 << (b - 0xc4));
	case 0xc7:
	case 0xc8:
	case 0xc9:
		return take_ext(r, ret, (size_t)1 << (b - 0xc7));
	case 0xca:
	case 0xcb:
		return take_float(r, ret, b == 0xca ? 4 : 8);
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		return take_unsigned(r, ret, (size_t)1 << (b - 0xcc));
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return take_signed(r, ret, (size_t)1 << (b - 0xd0));
	case 0xd4:
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8:
		return take_bytes(r, ret, TOKEN_EXT, ((size_t)1 << (b - 0xd4)) + 1);
	case 0xd9:
	case 0xda:
	case 0xdb:
		return take_sized(r, ret, TOKEN_STR, (size_t)1 << (b - 0xd9));
	case 0xdc:
	case 0xdd:
		return take_head(r, ret, TOKEN_ARRAY, b == 0xdc ? 2 : 4);
	case 0xde:
	case 0xdf:
		return take_head(r, ret, TOKEN_MAP, b == 0xde ? 2 : 4);
	default: /* 0xc1 is never used */
		return -1;
	}
}

struct span reader_skip(struct reader *r)
{
	const uint8_t *start = r->at;
	uint64_t left = 1; /* values still to step over */

	while (left > 0) {
		struct token t;
		if (reader_next(r, &t) < 0)
			break;
		left--;
		if (t.type == TOKEN_ARRAY)
			left += t.count;
		else if (t.type == TOKEN_MAP)
			left += 2 * (uint64_t)t.count;
	}
	return span_of(start, (size_t)(r->at - start));
}

size_t utf8_prefix(struct span text)
{
	const uint8_t *p = text.data, *end = p + text.len;

	while (p < end) {
		if (end - p >= 8) { /* eight ASCII bytes at once */
			uint64_t w;
			memcpy(&w, p, 8);
			if ((w & UINT64_C(0x8080808080808080)) == 0) {
				p += 8;
				continue;
			}
		}
		const uint8_t *start = p;
		uint8_t b = *p++;
		if (b < 0x80)
			continue;
		int more = b >= 0xf0 ? 3 : b >= 0xe0 ? 2 : 1;
		if (b < 0xc2 || b > 0xf4 || end - p < more)
			return (size_t)(start - text.data);
		uint8_t low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;  /* overlong forms */
		uint8_t high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf; /* surrogates, above U+10FFFF */
		if (*p < low || *p > high)
			return (size_t)(start - text.data);
		for (p++; --more > 0; p++)
			if ((*p & 0xc0) != 0x80)
				return (size_t)(start - text.data);
	}
	return text.len;
}

int wire_scan(struct span body, struct xt_err *err)
{
	uint32_t items;

	return wire_scan_within(body, XT_MAX_DEPTH, XT_MAX_ITEMS, &items, err);
}

int wire_scan_within(struct span body, unsigned max_depth, uint32_t max_items, uint32_t *ret_items,
		     struct xt_err *err)
{
	struct reader r = reader_of(body);
	uint64_t left[XT_MAX_DEPTH + 1]; /* values to come in each open container */
	unsigned depth = 0;
	uint32_t items = 0;
	bool utf8 = true;

	left[0] = 1;
	for (;;) {
		while (left[depth] == 0) {
			if (depth-- == 0) {
				if (r.at != r.end)
					return xt_err_set(err, XT_E_bad_message, NULL,
							  "%zu bytes after the message's end",
							  (size_t)(r.end - r.at));
				if (!utf8)
					return xt_err_set(err, XT_E_bad_utf8, NULL,
							  "a text is not valid UTF-8; send bytes as bin");
				*ret_items = items;
				return 0;
			}
		}
		left[depth]--;
		struct token t;
		if (reader_next(&r, &t) < 0)
			return xt_err_set(err, XT_E_bad_message, NULL,
					  "the message is cut short, or not MessagePack, at byte %zu",
					  (size_t)(r.at - body.data));
		if (++items > max_items)
			return xt_err_set(err, XT_E_too_many_items, NULL,
					  "more than %u values in one message; send several", max_items);
		if (t.type == TOKEN_STR && utf8 && !utf8_valid(t.bytes))
			utf8 = false;
		if (t.type != TOKEN_ARRAY && t.type != TOKEN_MAP)
			continue;
		if (depth == max_depth)
			return xt_err_set(err, XT_E_too_deep, NULL,
					  "more than %u arrays and maps inside each other", max_depth);
		left[++depth] = t.type == TOKEN_MAP ? 2 * (uint64_t)t.count : t.count;
	}
}
