/* Streams of frames: however they are cut into pieces, the same bodies come out. */
#include "fuzz.h"

#include <stdlib.h>

#include "wire.h"

#define SMALL 40 /* the other max_frame, so that lengths above it occur */

/* As a slow peer sends them: after each byte there is no frame yet, or exactly the one that the whole
 * stream begins with. Each piece is in memory of its own size. */
static void check_pieces(struct span in, size_t max, enum frame_status want, size_t want_size)
{
	size_t last = in.len < want_size ? in.len : want_size;

	for (size_t n = 0; n <= last; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		struct span body = {0};
		size_t size = 0;
		assert(copy);
		if (n > 0)
			memcpy(copy, in.data, n);
		enum frame_status got = frame_next(span_of(copy, n), max, &body, &size);
		if (n < FRAME_HEADER) {
			assert(got == FRAME_MORE && size == FRAME_HEADER);
		} else if (want == FRAME_BAD) {
			assert(got == FRAME_BAD && !body.data);
		} else if (n < want_size) {
			assert(got == FRAME_MORE && size == want_size && !body.data);
		} else {
			assert(got == FRAME_OK && size == want_size);
			assert(body.data == copy + FRAME_HEADER && body.len == want_size - FRAME_HEADER);
		}
		free(copy);
	}
}

/* What the encoder frames is what was framed. */
static void check_again(struct span frame, struct span body)
{
	struct buf out = {0};
	size_t start = wire_begin_frame(&out);

	buf_add(&out, body.data, body.len);
	wire_end_frame(&out, start);
	assert(!buf_failed(&out) && span_eq(buf_span(&out), frame));
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), body = {0};
	size_t max = take_byte(&in) & 1 ? SMALL : XT_MAX_FRAME, used = 0;
	enum frame_status status;

	do {
		status = frame_next(in, max, &body, &used);
		if (in.len <= 1024) /* the work grows with its square */
			check_pieces(in, max, status, used);
		if (status != FRAME_OK)
			break;
		assert(used <= in.len && body.len > 0 && body.len <= max);
		check_again(span_of(in.data, used), body);
		in = span_of(in.data + used, in.len - used);
	} while (in.len > 0);
	if (status == FRAME_MORE)
		assert(used > in.len || in.len < FRAME_HEADER);
	return 0;
}
