/*
 * Bytes to messages and back, driven by the tables of proto.h.
 *
 * A frame is a 4-byte big-endian length and one MessagePack value. Decoding goes in two
 * steps: wire_scan() walks a value with budgets for bytes, depth and items and allocates
 * nothing; only what passed it is read, in place, with struct reader. Encoding is done by
 * msgpack-c's packer into a struct buf. Sources: the MessagePack specification
 * (github.com/msgpack/msgpack, spec.md) and the MessagePack-RPC specification.
 */
#ifndef XT_WIRE_H
#define XT_WIRE_H

#include <msgpack.h>

#include "buf.h"
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
	return (struct reader){s.data, s.data + s.len};
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

/* True when the bytes are valid UTF-8. */
bool utf8_valid(struct span text);

/* ---- messages --------------------------------------------------------- */

enum wire_kind { WIRE_REQUEST = 0, WIRE_RESPONSE = 1, WIRE_NOTIFY = 2 };

/* A MessagePack-RPC message, opened but not decoded. */
struct wire_msg {
	enum wire_kind kind;
	uint32_t msgid;			  /* of requests and responses */
	struct span name;		  /* method name, of requests and notifications */
	const struct method_desc *method; /* NULL: unknown name */
	struct span params;	   /* requests, notifications: the encoded map; empty map when absent */
	struct span error, result; /* responses: encoded values */
};

/* Scans and opens a frame's body. On -1 the stream can not be parsed further, except for
 * XT_E_bad_utf8, where *ret is set as far as it could be read. */
int wire_open(struct span body, struct wire_msg *ret, struct xt_err *err) __attribute__((warn_unused_result));

/* Decodes a map, which is all of the span, into a struct params_x or result_x: types, bounds, required
 * and duplicate fields. Unknown fields are skipped. */
int wire_decode(const struct shape_desc *shape, struct span map, void *ret, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Decodes an error object. */
int wire_decode_error(struct span error, struct xt_err *ret) __attribute__((warn_unused_result));

/* ---- writing ---------------------------------------------------------- */

/* Whole frames, appended to `out`. A frame that would be larger than max_frame sets out's error. */
void wire_put_request(struct buf *out, uint32_t msgid, enum method_id method, const void *params);
void wire_put_notify(struct buf *out, enum method_id method, const void *params);
void wire_put_result(struct buf *out, uint32_t msgid, enum method_id method, const void *result);
void wire_put_error(struct buf *out, uint32_t msgid, const struct xt_err *err);
/* A response made of an encoded error (nil or an error object) and an encoded result. */
void wire_put_response(struct buf *out, uint32_t msgid, struct span error, struct span result);

/* The parts of it: the map of a struct, an error object, without a frame. */
void wire_put_shape(struct buf *out, const struct shape_desc *shape, const void *data);
void wire_put_error_object(struct buf *out, const struct xt_err *err);

/* A frame whose body the caller packs: begin, pack, end with what begin returned. */
size_t wire_begin_frame(struct buf *out);
void wire_end_frame(struct buf *out, size_t start);

/* A msgpack-c packer that appends to a buffer; sticky errors as the buffer's. */
msgpack_packer wire_packer(struct buf *out);

#endif
