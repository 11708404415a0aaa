/*
 * Inputs that are MessagePack, changed as such: libFuzzer alone changes bytes, and most of what it makes is
 * refused by the scanner. Half of the time one value of the input is replaced by another one of it, or by
 * one that is a limit of something; so what was a message stays one.
 */
#include "fuzz.h"

#include "token.h"

#define MOST_VALUES 512 /* of an input that are looked at */

/* libFuzzer's: its own mutations, and the one that it calls where there is one. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#define VALUE(literal)                                          \
	{                                                       \
		(const uint8_t *)(literal), sizeof(literal) - 1 \
	}

static const struct span limits[] = {
	VALUE("\x00"),
	VALUE("\x01"),
	VALUE("\xff"),
	VALUE("\xc0"),
	VALUE("\xc2"),
	VALUE("\xc3"),
	VALUE("\x80"),
	VALUE("\x90"),
	VALUE("\xa0"),
	VALUE("\xc4\x00"),
	VALUE("\xc7\x00\x05"),
	VALUE("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), /* 2^63 - 1, 2^63, -2^63, 2^53 + 1 */
	VALUE("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"),
	VALUE("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
	VALUE("\xcf\x00\x20\x00\x00\x00\x00\x00\x01"),
	VALUE("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), /* NaN, infinity, -0, 2^53, the largest */
	VALUE("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"),
	VALUE("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"),
	VALUE("\xcb\x43\x40\x00\x00\x00\x00\x00\x00"),
	VALUE("\xcb\x7f\xef\xff\xff\xff\xff\xff\xff"),
	VALUE("\xa3"
	      "007"),
	VALUE("\xa2\xc3\x28"), /* not UTF-8 */
	VALUE("\xa1\x00"),
	VALUE("\xa2 5"),
	VALUE("\xa5rowid"),
	VALUE("\xa8track_id"),
	VALUE("\xa9timestamp"),
	VALUE("\xa6"
	      "events"),
};

/* All values of the input, those inside others too. */
static size_t list_values(struct span in, struct span values[MOST_VALUES])
{
	struct reader r = reader_of(in);
	struct token t;
	size_t n = 0;

	while (n < MOST_VALUES && r.at < r.end) {
		struct reader whole = r;
		struct span value = reader_skip(&whole);
		if (reader_next(&r, &t) < 0)
			break;
		values[n++] = value;
	}
	return n;
}

/* The size with `old`, a part of the data, replaced by `new`, perhaps another part; 0: no room. */
static size_t replace(uint8_t *data, size_t size, size_t max_size, struct span old, struct span new)
{
	uint8_t copy[4096];
	size_t at = (size_t)(old.data - data), rest = size - at - old.len;

	if (new.len > sizeof(copy) || size - old.len + new.len > max_size)
		return 0;
	memcpy(copy, new.data, new.len);
	memmove(data + at + new.len, data + at + old.len, rest);
	memcpy(data + at, copy, new.len);
	return size - old.len + new.len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static struct span values[MOST_VALUES];
	size_t n = seed & 1 ? list_values(span_of(data, size), values) : 0;

	if (n == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	size_t to = (seed >> 2) % n, from = (seed >> 12) % (n + sizeof(limits) / sizeof(limits[0]));
	size_t changed =
		replace(data, size, max_size, values[to], from < n ? values[from] : limits[from - n]);
	return changed ? changed : LLVMFuzzerMutate(data, size, max_size);
}
