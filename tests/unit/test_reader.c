/*
 * The reader of tokens: single tokens, and a comparison with msgpack-c on random values, whole,
 * cut and mutated. What one of the two takes the other must take, and read as the same value.
 */
#include "unit.h"

#include <math.h>

#include "random.h"

#define SEED   UINT64_C(0x9e3779b97f4a7c15)
#define ROUNDS 4000

/* ---- single tokens ---------------------------------------------------- */

static struct token only(struct span s)
{
	uint8_t *copy = exact_copy(s);
	struct token t = {0};

	for (size_t n = 0; n < s.len; n++) { /* cut anywhere, it is no token */
		struct reader r = {copy, copy + n};
		assert_int_equal(reader_next(&r, &t), -1);
	}
	struct reader r = {copy, copy + s.len};
	assert_int_equal(reader_next(&r, &t), 0);
	assert_ptr_equal(r.at, r.end);
	free(copy); /* payloads are not looked at */
	return t;
}

static void integers(void **state)
{
	static const struct {
		struct span bytes;
		int64_t value;
	} cases[] = {
#define CASE(literal, value) {{(const uint8_t *)(literal), sizeof(literal) - 1}, value}
		CASE("\x00", 0),
		CASE("\x7f", 127),
		CASE("\xff", -1),
		CASE("\xe0", -32),
		CASE("\xcc\xff", 255),
		CASE("\xcd\xff\xff", 65535),
		CASE("\xce\xff\xff\xff\xff", 4294967295),
		CASE("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", INT64_MAX),
		CASE("\xd0\x80", -128),
		CASE("\xd0\x05", 5),
		CASE("\xd1\x80\x00", -32768),
		CASE("\xd2\x80\x00\x00\x00", INT32_MIN),
		CASE("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", INT64_MIN),
		CASE("\xd3\x00\x00\x00\x00\x00\x00\x00\x07", 7),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct token t = only(cases[i].bytes);
		assert_int_equal(t.type, TOKEN_INT);
		assert_true(t.integer == cases[i].value);
	}
	struct token t = only(BYTES("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"));
	assert_int_equal(t.type, TOKEN_UINT);
	assert_true(t.uinteger == UINT64_C(1) << 63);
}

static void other_scalars(void **state)
{
	(void)state;
	assert_int_equal(only(BYTES("\xc0")).type, TOKEN_NIL);
	assert_int_equal(only(BYTES("\xc2")).type, TOKEN_BOOL);
	assert_false(only(BYTES("\xc2")).boolean);
	assert_true(only(BYTES("\xc3")).boolean);
	struct token t = only(BYTES("\xca\x3f\x00\x00\x00"));
	assert_int_equal(t.type, TOKEN_REAL);
	assert_true(t.real == 0.5);
	assert_true(only(BYTES("\xcb\xbf\xd0\0\0\0\0\0\0")).real == -0.25);
	assert_true(isnan(only(BYTES("\xca\x7f\xc0\x00\x00")).real));
	assert_true(isinf(only(BYTES("\xcb\xff\xf0\0\0\0\0\0\0")).real));
}

static void payloads(void **state)
{
	(void)state;
	assert_int_equal(only(BYTES("\xa3"
				    "abc"))
				 .bytes.len,
			 3);
	assert_int_equal(only(BYTES("\xd9\x03"
				    "abc"))
				 .bytes.len,
			 3);
	assert_int_equal(only(BYTES("\xda\x00\x03"
				    "abc"))
				 .bytes.len,
			 3);
	assert_int_equal(only(BYTES("\xdb\x00\x00\x00\x03"
				    "abc"))
				 .type,
			 TOKEN_STR);
	assert_int_equal(only(BYTES("\xc4\x02xy")).type, TOKEN_BIN);
	assert_int_equal(only(BYTES("\xc5\x00\x02xy")).bytes.len, 2);
	assert_int_equal(only(BYTES("\xc6\x00\x00\x00\x02xy")).bytes.len, 2);
	assert_int_equal(only(BYTES("\xd4\x05x")).type, TOKEN_EXT);
	assert_int_equal(only(BYTES("\xd4\x05x")).bytes.len, 2); /* the type byte is part of it */
	assert_int_equal(only(BYTES("\xd8\x05"
				    "0123456789abcdef"))
				 .bytes.len,
			 17);
	assert_int_equal(only(BYTES("\xc7\x00\x05")).bytes.len, 1);
	assert_int_equal(only(BYTES("\xc8\x00\x01\x05x")).bytes.len, 2);
	assert_int_equal(only(BYTES("\xc9\x00\x00\x00\x01\x05x")).bytes.len, 2);
}

static void heads(void **state)
{
	(void)state;
	assert_int_equal(only(BYTES("\x8f")).type, TOKEN_MAP);
	assert_int_equal(only(BYTES("\x8f")).count, 15);
	assert_int_equal(only(BYTES("\x90")).type, TOKEN_ARRAY);
	assert_int_equal(only(BYTES("\xdc\x01\x00")).count, 256);
	assert_int_equal(only(BYTES("\xde\x01\x00")).count, 256);
	assert_int_equal(only(BYTES("\xdd\xff\xff\xff\xff")).count, UINT32_MAX);
	assert_int_equal(only(BYTES("\xdf\xff\xff\xff\xff")).count, UINT32_MAX);
}

static void skipping(void **state)
{
	struct span s = BYTES("\x92\x82\xa1k\x91\xc0\xa1m\x90\x01\xa3"
			      "end");
	struct reader r = reader_of(s);

	(void)state;
	assert_span_equal(reader_skip(&r), span_of(s.data, s.len - 4));
	assert_span_equal(reader_skip(&r), BYTES("\xa3"
						 "end"));
	assert_ptr_equal(r.at, r.end);
}

/* ---- against msgpack-c ------------------------------------------------ */

static void same_bytes(struct span ours, const char *data, uint32_t size)
{
	assert_span_equal(ours, span_of(data, size));
}

static void same_value(struct reader *r, const msgpack_object *o)
{
	struct token t = {0};

	assert_int_equal(reader_next(r, &t), 0);
	switch (o->type) {
	case MSGPACK_OBJECT_NIL:
		assert_int_equal(t.type, TOKEN_NIL);
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		assert_int_equal(t.type, TOKEN_BOOL);
		assert_int_equal(t.boolean, o->via.boolean);
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		assert_int_equal(t.type, o->via.u64 > INT64_MAX ? TOKEN_UINT : TOKEN_INT);
		assert_true(t.uinteger == o->via.u64);
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		assert_int_equal(t.type, TOKEN_INT);
		assert_true(t.integer == o->via.i64);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		assert_int_equal(t.type, TOKEN_REAL);
		assert_true(t.real == o->via.f64 || (isnan(t.real) && isnan(o->via.f64)));
		break;
	case MSGPACK_OBJECT_STR:
		assert_int_equal(t.type, TOKEN_STR);
		same_bytes(t.bytes, o->via.str.ptr, o->via.str.size);
		break;
	case MSGPACK_OBJECT_BIN:
		assert_int_equal(t.type, TOKEN_BIN);
		same_bytes(t.bytes, o->via.bin.ptr, o->via.bin.size);
		break;
	case MSGPACK_OBJECT_EXT:
		if (t.type != TOKEN_EXT || !t.bytes.data) {
			fail_msg("no ext");
			return;
		}
		assert_int_equal((int8_t)t.bytes.data[0], o->via.ext.type);
		same_bytes(span_of(t.bytes.data + 1, t.bytes.len - 1), o->via.ext.ptr, o->via.ext.size);
		break;
	case MSGPACK_OBJECT_ARRAY:
		assert_int_equal(t.type, TOKEN_ARRAY);
		assert_int_equal(t.count, o->via.array.size);
		for (uint32_t i = 0; i < t.count; i++)
			same_value(r, &o->via.array.ptr[i]);
		break;
	case MSGPACK_OBJECT_MAP:
		assert_int_equal(t.type, TOKEN_MAP);
		assert_int_equal(t.count, o->via.map.size);
		for (uint32_t i = 0; i < t.count; i++) {
			same_value(r, &o->via.map.ptr[i].key);
			same_value(r, &o->via.map.ptr[i].val);
		}
		break;
	default:
		fail();
	}
}

/* msgpack-c reserves memory for as many values as a head announces: such bytes are kept from it. */
static bool safe_for_msgpack(struct span s)
{
	struct reader r = reader_of(s);
	struct token t = {0};

	while (reader_next(&r, &t) == 0)
		if ((t.type == TOKEN_ARRAY || t.type == TOKEN_MAP) && t.count > 4096)
			return false;
	return true;
}

/* Both take it and read the same, or both refuse it. Returns whether they took it. */
static bool compare(struct span s)
{
	uint8_t *copy = exact_copy(s);
	struct span exact = span_of(copy, s.len);
	struct xt_err err = {0};
	int scanned = wire_scan(exact, &err);
	bool taken = scanned == 0 || err.code == XT_E_bad_utf8; /* msgpack-c does not look at text */

	if ((taken || err.code == XT_E_bad_message) && safe_for_msgpack(exact)) {
		msgpack_unpacked u;
		size_t off = 0;
		msgpack_unpacked_init(&u);
		msgpack_unpack_return r = msgpack_unpack_next(&u, (const char *)copy, s.len, &off);
		bool theirs = r == MSGPACK_UNPACK_SUCCESS && off == s.len;
		assert_int_equal(taken, theirs);
		if (taken) {
			struct reader reader = reader_of(exact);
			same_value(&reader, &u.data);
			assert_ptr_equal(reader.at, reader.end);
			reader = reader_of(exact);
			assert_span_equal(reader_skip(&reader), exact);
		}
		msgpack_unpacked_destroy(&u);
	}
	free(copy);
	return taken;
}

static void mutate(struct buf *b, uint64_t *seed)
{
	for (size_t n = 1 + random_below(seed, 3); n > 0 && b->len > 0; n--) {
		size_t at = random_below(seed, b->len);
		switch (random_below(seed, 4)) {
		case 0:
			b->data[at] = (uint8_t)random_next(seed);
			break;
		case 1:
			b->data[at] ^= (uint8_t)(1u << random_below(seed, 8));
			break;
		case 2:
			memmove(b->data + at, b->data + at + 1, b->len - at - 1);
			b->len--;
			break;
		default:
			b->len = at + 1;
		}
	}
}

static void random_values_are_read_alike(void **state)
{
	uint64_t seed = SEED;
	struct buf b = {0};

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		msgpack_packer pk = wire_packer(&b);
		buf_clear(&b);
		random_value(&pk, &seed, 4);
		assert_true(compare(buf_span(&b)));
		if (b.len <= 64)
			for (size_t n = 0; n < b.len; n++)
				assert_false(compare(span_of(b.data, n)));
	}
	buf_done(&b);
}

static void mutated_values_are_read_alike(void **state)
{
	uint64_t seed = SEED + 1;
	struct buf b = {0};
	int taken = 0;

	(void)state;
	for (int i = 0; i < 5 * ROUNDS; i++) {
		msgpack_packer pk = wire_packer(&b);
		buf_clear(&b);
		random_value(&pk, &seed, 4);
		mutate(&b, &seed);
		taken += compare(buf_span(&b));
	}
	assert_in_range(taken, ROUNDS / 4, 5 * ROUNDS - ROUNDS / 4); /* both outcomes were tried */
	buf_done(&b);
}

static void every_pair_of_bytes_is_read_alike(void **state)
{
	uint8_t bytes[4] = {0};

	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		bytes[0] = (uint8_t)(i >> 8);
		bytes[1] = (uint8_t)i;
		compare(span_of(bytes, 2));
		compare(span_of(bytes, 4));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers),
		cmocka_unit_test(other_scalars),
		cmocka_unit_test(payloads),
		cmocka_unit_test(heads),
		cmocka_unit_test(skipping),
		cmocka_unit_test(random_values_are_read_alike),
		cmocka_unit_test(mutated_values_are_read_alike),
		cmocka_unit_test(every_pair_of_bytes_is_read_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
