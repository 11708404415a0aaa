/*
 * Single values: the scanner takes what msgpack-c takes and nothing else, no part of a value is one, and
 * what it took is stepped over and written as JSON that a parser reads.
 */
#include "fuzz.h"

#include <jansson.h>
#include <stdlib.h>

#include "json.h"

#define MOST_ANNOUNCED 4096 /* values: msgpack-c reserves memory for as many as a head announces */

static bool is_safe_for_msgpack(struct span s)
{
	struct reader r = reader_of(s);
	struct token t;

	while (reader_next(&r, &t) == 0)
		if ((t.type == TOKEN_ARRAY || t.type == TOKEN_MAP) && t.count > MOST_ANNOUNCED)
			return false;
	return true;
}

static bool msgpack_takes(struct span s)
{
	msgpack_unpacked u;
	size_t used = 0;

	msgpack_unpacked_init(&u);
	msgpack_unpack_return r = msgpack_unpack_next(&u, (const char *)s.data, s.len, &used);
	msgpack_unpacked_destroy(&u);
	return r == MSGPACK_UNPACK_SUCCESS && used == s.len;
}

/* Cut anywhere, or with a byte more, it is refused, and never for its text. */
static void check_cut(struct span s)
{
	struct xt_err err;
	size_t step = s.len / 64 + 1;

	for (size_t n = 0; n < s.len; n += step) {
		uint8_t *copy = malloc(n ? n : 1);
		assert(copy);
		if (n > 0)
			memcpy(copy, s.data, n);
		int r = wire_scan(span_of(copy, n), &err);
		free(copy);
		assert(r < 0 && err.code == XT_E_bad_message);
	}
	uint8_t *longer = malloc(s.len + 1);
	assert(longer);
	memcpy(longer, s.data, s.len);
	longer[s.len] = 0xc0;
	int r = wire_scan(span_of(longer, s.len + 1), &err);
	free(longer);
	assert(r < 0 && err.code == XT_E_bad_message);
}

static void check_json(struct span s)
{
	struct reader r = reader_of(s);
	struct buf out = {0};
	json_error_t why;

	json_put(&out, &r);
	assert(r.at == r.end && !buf_failed(&out));
	json_t *v = json_loadb((const char *)out.data, out.len,
			       JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
	/* jansson has no keys with a NUL in them; JSON has. */
	assert(v || json_error_code(&why) == json_error_null_byte_in_key);
	json_decref(v);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body = span_of(data, size);
	struct xt_err err = {0};
	int r = wire_scan(body, &err);
	bool taken = r == 0 || err.code == XT_E_bad_utf8; /* msgpack-c does not look at text */

	assert((r == 0) == (err.code == XT_E_ok) && (r == 0) == (err.message[0] == '\0'));
	if ((taken || err.code == XT_E_bad_message) && is_safe_for_msgpack(body))
		assert(taken == msgpack_takes(body));
	if (!taken)
		return 0;
	struct reader all = reader_of(body);
	assert(span_eq(reader_skip(&all), body) && all.at == all.end);
	check_cut(body);
	if (r == 0)
		check_json(body);
	return 0;
}
