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
#include "token.h"

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
