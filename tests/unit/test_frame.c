/* Frames: whole, cut at every byte, one byte at a time, and lengths that are refused. */
#include "unit.h"

#include "wire.h"

#define MAX 1000

static void whole(void **state)
{
	struct span in = BYTES("\0\0\0\3abc"), body;
	size_t size;

	(void)state;
	assert_int_equal(frame_next(in, MAX, &body, &size), FRAME_OK);
	assert_int_equal(size, 7);
	assert_span_equal(body, BYTES("abc"));
	assert_ptr_equal(body.data, in.data + FRAME_HEADER);
}

static void every_truncation_asks_for_more(void **state)
{
	struct span in = BYTES("\0\0\0\5abcde");

	(void)state;
	for (size_t n = 0; n < in.len; n++) {
		struct span body = span_of("untouched", 9);
		size_t size;
		uint8_t *copy = exact_copy(span_of(in.data, n));
		assert_int_equal(frame_next(span_of(copy, n), MAX, &body, &size), FRAME_MORE);
		assert_int_equal(size, n < FRAME_HEADER ? FRAME_HEADER : in.len);
		assert_span_equal(body, BYTES("untouched"));
		free(copy);
	}
}

/* As a slow peer sends them: after each byte, no frame or exactly the next one. */
static void one_byte_at_a_time(void **state)
{
	struct span in = BYTES("\0\0\0\1x\0\0\0\3abc\0\0\0\2yz");
	const char *const want[] = {"x", "abc", "yz"};
	size_t start = 0, found = 0;

	(void)state;
	for (size_t end = 1; end <= in.len; end++) {
		struct span body = {0};
		size_t size;
		if (frame_next(span_of(in.data + start, end - start), MAX, &body, &size) != FRAME_OK)
			continue;
		if (found == COUNT(want)) {
			fail_msg("a frame too many");
			return;
		}
		assert_true(span_is(body, want[found++]));
		start += size;
		assert_int_equal(start, end);
	}
	assert_int_equal(found, COUNT(want));
	assert_int_equal(start, in.len);
}

static void several_at_once(void **state)
{
	struct span in = BYTES("\0\0\0\1x\0\0\0\1y\0\0\0\2z"), body;
	size_t size;

	(void)state;
	assert_int_equal(frame_next(in, MAX, &body, &size), FRAME_OK);
	assert_true(span_is(body, "x"));
	in = span_of(in.data + size, in.len - size);
	assert_int_equal(frame_next(in, MAX, &body, &size), FRAME_OK);
	assert_true(span_is(body, "y"));
	in = span_of(in.data + size, in.len - size);
	assert_int_equal(frame_next(in, MAX, &body, &size), FRAME_MORE);
	assert_int_equal(size, 6);
}

/* Refused as soon as the length is there, before any of the body is. */
static void bad_lengths(void **state)
{
	static const char heads[][5] = {
		{0, 0, 0, 0},
		{0, 0, 3, (char)0xe9},
		{1, 0, 0, 0},
		{(char)0x80, 0, 0, 0},
		{(char)0xff, (char)0xff, (char)0xff, (char)0xff},
		"GET ",
		{0x16, 3, 1, 2}, /* how TLS begins */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		struct span body = {0};
		size_t size;
		assert_int_equal(frame_next(span_of(heads[i], FRAME_HEADER), MAX, &body, &size), FRAME_BAD);
		assert_null(body.data);
	}
}

static void longest(void **state)
{
	uint8_t in[FRAME_HEADER + MAX] = {0, 0, MAX >> 8, MAX & 0xff};
	struct span body;
	size_t size;

	(void)state;
	assert_int_equal(frame_next(span_of(in, sizeof(in)), MAX, &body, &size), FRAME_OK);
	assert_int_equal(body.len, MAX);
	assert_int_equal(frame_next(span_of(in, sizeof(in)), MAX - 1, &body, &size), FRAME_BAD);
}

/* What the encoder frames is what the decoder finds. */
static void begin_and_end(void **state)
{
	struct buf b = {0};
	struct span body;
	size_t size;

	(void)state;
	for (size_t len = 1; len <= MAX; len++) {
		size_t start = wire_begin_frame(&b);
		for (size_t i = 0; i < len; i++)
			buf_add(&b, &(uint8_t){(uint8_t)i}, 1);
		wire_end_frame(&b, start);
		assert_false(buf_failed(&b));
		assert_int_equal(frame_next(span_of(b.data + start, b.len - start), MAX, &body, &size),
				 FRAME_OK);
		assert_int_equal(body.len, len);
		assert_int_equal(body.data[len - 1], (uint8_t)(len - 1));
	}
	buf_done(&b);
}

static void too_large_to_send(void **state)
{
	struct buf b = {0};

	(void)state;
	size_t start = wire_begin_frame(&b);
	assert_int_equal(buf_reserve(&b, XT_MAX_FRAME + 1), 0);
	memset(b.data + b.len, 0, XT_MAX_FRAME + 1);
	b.len += XT_MAX_FRAME;
	wire_end_frame(&b, start);
	assert_false(buf_failed(&b));
	assert_memory_equal(b.data, "\1\0\0\0", FRAME_HEADER);
	b.len++;
	wire_end_frame(&b, start);
	assert_true(buf_failed(&b));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(every_truncation_asks_for_more),
		cmocka_unit_test(one_byte_at_a_time),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(bad_lengths),
		cmocka_unit_test(longest),
		cmocka_unit_test(begin_and_end),
		cmocka_unit_test(too_large_to_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
