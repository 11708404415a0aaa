/*
 * Bytes cut into frames, and values into tokens, in place: nothing here allocates. Everything that came
 * from a socket passes wire_scan() before anything else reads it. Source: the MessagePack specification
 * (github.com/msgpack/msgpack, spec.md).
 */
#ifndef XT_TOKEN_H
#define XT_TOKEN_H

#include "proto.h"

/* ---- frames ----------------------------------------------------------- */

#define FRAME_HEADER 4

enum frame_status { FRAME_OK, FRAME_MORE, FRAME_BAD };

/*
 * The first frame of some bytes. FRAME_OK: *ret_body is its value, *ret_size its bytes with the
 * length. FRAME_MORE: *ret_size is how many bytes it needs in all (FRAME_HEADER when that is not
 * known yet). FRAME_BAD: a length of zero or above max_frame.
 */
enum frame_status frame_next(struct span in, size_t max_frame, struct span *ret_body, size_t *ret_size);

/* ---- reading ---------------------------------------------------------- */

enum token_type {
	TOKEN_NIL,
	TOKEN_BOOL,
	TOKEN_INT,
	TOKEN_UINT,
	TOKEN_REAL,
	TOKEN_STR,
	TOKEN_BIN,
	TOKEN_ARRAY,
	TOKEN_MAP,
	TOKEN_EXT
};

/* One scalar, or the head of a container. */
struct token {
	enum token_type type;
	union {
		bool boolean;
		int64_t integer;   /* TOKEN_INT: any integer that fits */
		uint64_t uinteger; /* TOKEN_UINT: 2^63 and above only */
		double real;
		uint32_t count; /* TOKEN_ARRAY: values, TOKEN_MAP: pairs */
	};
	struct span bytes; /* TOKEN_STR, TOKEN_BIN, TOKEN_EXT: payload, borrowed */
};

/* A position in scanned bytes. */
struct reader {
	const uint8_t *at, *end;
};

static inline struct reader reader_of(struct span s)
{
	return (struct reader){s.data, s.len ? s.data + s.len : s.data};
}

/* Any token; what reader_next() does not do itself. */
int reader_next_any(struct reader *r, struct token *ret) __attribute__((warn_unused_result));

/* The next token; 0, or -1 when the bytes end inside it or it is no MessagePack. Short strings and
 * small integers, which most tokens are, are read in place. */
__attribute__((warn_unused_result)) static inline int reader_next(struct reader *r, struct token *ret)
{
	if (r->at < r->end) {
		uint8_t b = *r->at;
		size_t len = b & 0x1f;
		if ((b & 0xe0) == 0xa0 && (size_t)(r->end - r->at) > len) {
			ret->type = TOKEN_STR;
			ret->bytes = span_of(r->at + 1, len);
			r->at += len + 1;
			return 0;
		}
		if (b <= 0x7f) {
			ret->type = TOKEN_INT;
			ret->integer = b;
			r->at++;
			return 0;
		}
	}
	return reader_next_any(r, ret);
}

/* Steps over one whole value, which must have been scanned, and returns its bytes. */
struct span reader_skip(struct reader *r);

/*
 * Checks that the bytes hold exactly one well-formed value within the budgets (XT_MAX_DEPTH,
 * XT_MAX_ITEMS, text is UTF-8, map keys not checked). Allocates nothing.
 */
int wire_scan(struct span body, struct xt_err *err) __attribute__((warn_unused_result));

/* The same with budgets of one's own: at most XT_MAX_DEPTH containers inside each other. *ret_items: how many
 * values there are. */
int wire_scan_within(struct span body, unsigned max_depth, uint32_t max_items, uint32_t *ret_items,
		     struct xt_err *err) __attribute__((warn_unused_result));

/* How many of the first bytes are valid UTF-8. */
size_t utf8_prefix(struct span text);

static inline bool utf8_valid(struct span text)
{
	return utf8_prefix(text) == text.len;
}

#endif
