#include "token.h"

/* ---- frames ----------------------------------------------------------- */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t u;

	memcpy(&u, p, sizeof(u));
	return __builtin_bswap32(u);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t u;

	memcpy(&u, p, sizeof(u));
	return __builtin_bswap64(u);
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

/* A big-endian unsigned number of 1, 2, 4 or 8 bytes, which are there. */
static uint64_t get_uint(const uint8_t *p, size_t n)
{
	return n == 1 ? p[0] : n == 2 ? get16(p) : n == 4 ? get32(p) : get64(p);
}

static int take_bytes(struct reader *r, struct token *ret, enum token_type type, size_t len)
{
	ret->type = type;
	ret->bytes.len = len;
	return take(r, len, &ret->bytes.data);
}

static void set_unsigned(struct token *ret, uint64_t u)
{
	ret->type = u > INT64_MAX ? TOKEN_UINT : TOKEN_INT;
	ret->uinteger = u;
}

static void set_signed(struct token *ret, uint64_t u, size_t n)
{
	ret->type = TOKEN_INT;
	ret->integer = n == 1 ? (int8_t)u : n == 2 ? (int16_t)u : n == 4 ? (int32_t)u : (int64_t)u;
}

static void set_float(struct token *ret, uint64_t u, size_t n)
{
	ret->type = TOKEN_REAL;
	if (n == 4) {
		uint32_t bits = (uint32_t)u;
		float f;
		memcpy(&f, &bits, sizeof(f));
		ret->real = (double)f;
	} else {
		memcpy(&ret->real, &u, sizeof(u));
	}
}

static int set_count(struct token *ret, enum token_type type, uint64_t count)
{
	ret->type = type;
	ret->count = (uint32_t)count;
	return 0;
}

/* What a number behind the first byte means, and how many bytes it has. */
enum meaning {
	BAD,
	NIL,
	NO,
	YES,
	UNSIGNED,
	SIGNED,
	FLOATING,
	STR_BYTES,
	BIN_BYTES,
	EXT_BYTES,
	EXT_FIXED,
	ITEMS,
	PAIRS
};

static const struct {
	uint8_t meaning, size;
} leads[0x20] = {
	{NIL, 0},	{BAD, 0},	{NO, 0},	{YES, 0},	{BIN_BYTES, 1}, {BIN_BYTES, 2},
	{BIN_BYTES, 4}, {EXT_BYTES, 1}, {EXT_BYTES, 2}, {EXT_BYTES, 4}, {FLOATING, 4},	{FLOATING, 8},
	{UNSIGNED, 1},	{UNSIGNED, 2},	{UNSIGNED, 4},	{UNSIGNED, 8},	{SIGNED, 1},	{SIGNED, 2},
	{SIGNED, 4},	{SIGNED, 8},	{EXT_FIXED, 0}, {EXT_FIXED, 0}, {EXT_FIXED, 0}, {EXT_FIXED, 0},
	{EXT_FIXED, 0}, {STR_BYTES, 1}, {STR_BYTES, 2}, {STR_BYTES, 4}, {ITEMS, 2},	{ITEMS, 4},
	{PAIRS, 2},	{PAIRS, 4},
};

/* A first byte from 0xc0 to 0xdf. */
static int take_sized(struct reader *r, struct token *ret, uint8_t b)
{
	size_t size = leads[b - 0xc0].size;
	const uint8_t *p;

	if (take(r, size, &p) < 0)
		return -1;
	uint64_t u = size ? get_uint(p, size) : 0;
	switch (leads[b - 0xc0].meaning) {
	case NIL:
		ret->type = TOKEN_NIL;
		return 0;
	case NO:
	case YES:
		ret->type = TOKEN_BOOL;
		ret->boolean = b == 0xc3;
		return 0;
	case UNSIGNED:
		set_unsigned(ret, u);
		return 0;
	case SIGNED:
		set_signed(ret, u, size);
		return 0;
	case FLOATING:
		set_float(ret, u, size);
		return 0;
	case STR_BYTES:
		return take_bytes(r, ret, TOKEN_STR, u);
	case BIN_BYTES:
		return take_bytes(r, ret, TOKEN_BIN, u);
	case EXT_BYTES: /* the type byte belongs to the payload */
		return take_bytes(r, ret, TOKEN_EXT, u + 1);
	case EXT_FIXED:
		return take_bytes(r, ret, TOKEN_EXT, ((size_t)1 << (b - 0xd4)) + 1);
	case ITEMS:
		return set_count(ret, TOKEN_ARRAY, u);
	case PAIRS:
		return set_count(ret, TOKEN_MAP, u);
	default: /* 0xc1 is never used */
		return -1;
	}
}

int reader_next_any(struct reader *r, struct token *ret)
{
	const uint8_t *p;

	if (take(r, 1, &p) < 0)
		return -1;
	uint8_t b = *p;
	if (b >= 0xc0 && b <= 0xdf)
		return take_sized(r, ret, b);
	if (b >= 0xa0 && b <= 0xbf)
		return take_bytes(r, ret, TOKEN_STR, b & 0x1f);
	if (b >= 0x80 && b <= 0x9f)
		return set_count(ret, b <= 0x8f ? TOKEN_MAP : TOKEN_ARRAY, b & 0x0f);
	ret->type = TOKEN_INT;
	ret->integer = (int8_t)b;
	return 0;
}

/* The same as reader_next() where whole messages are walked: texts of up to 255 bytes and reals, which rows
 * are full of, are read in place too. */
static inline int walk_next(struct reader *r, struct token *ret)
{
	const uint8_t *at = r->at;
	size_t left = (size_t)(r->end - at);

	if (left > sizeof(uint64_t) && *at == 0xcb) {
		ret->type = TOKEN_REAL; /* nobody asks which */
		r->at = at + 1 + sizeof(uint64_t);
		return 0;
	}
	if (left > 2 && *at == 0xd9 && left - 2 >= at[1]) {
		ret->type = TOKEN_STR;
		ret->bytes = span_of(at + 2, at[1]);
		r->at = at + 2 + at[1];
		return 0;
	}
	return reader_next(r, ret);
}

struct span reader_skip(struct reader *r)
{
	const uint8_t *start = r->at;
	uint64_t left = 1; /* values still to step over */

	while (left > 0) {
		struct token t;
		if (walk_next(r, &t) < 0)
			break;
		left--;
		if (t.type == TOKEN_ARRAY)
			left += t.count;
		else if (t.type == TOKEN_MAP)
			left += 2 * (uint64_t)t.count;
	}
	return span_of(start, (size_t)(r->at - start));
}

/* Eight bytes at once; the last ones may be looked at twice. */
static bool is_ascii(struct span text)
{
	uint64_t w, all = 0;
	size_t i = 0;

	for (; i + sizeof(w) <= text.len; i += sizeof(w)) {
		memcpy(&w, text.data + i, sizeof(w));
		all |= w;
	}
	if (i > 0) {
		memcpy(&w, text.data + text.len - sizeof(w), sizeof(w));
		all |= w;
	} else {
		for (; i < text.len; i++)
			all |= text.data[i];
	}
	return (all & UINT64_C(0x8080808080808080)) == 0;
}

size_t utf8_prefix(struct span text)
{
	const uint8_t *p = text.data, *end = p + text.len;

	if (is_ascii(text)) /* as most are */
		return text.len;
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
		if (walk_next(&r, &t) < 0)
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
