/* Entries of the cache: there and back, every truncation refused, every flipped bit found. */
#include "unit.h"

#include "entry.h"

static const uint8_t KEY[XT_CACHE_KEY] = "01234567890123456789012345678901";

static struct buf sample(void)
{
	struct buf b = {0};
	struct entry e = {.origin = BYTES("purple-mountain-4392"),
			  .encoding = BYTES("pickle"),
			  .parts = BYTES("\x94\xa1\x66\xc0\x80\x80"),
			  .value = BYTES("a value"),
			  .uid = 1000,
			  .created_us = 1795571649968377,
			  .function_ns = 123456789,
			  .token = UINT64_C(5) << 32 | 1};

	entry_put(&b, KEY, &e);
	assert_false(buf_failed(&b));
	return b;
}

static void there_and_back(void **state)
{
	struct buf b = sample();
	struct entry e;

	(void)state;
	assert_int_equal(b.len, ENTRY_HEAD + 20 + 6 + 6 + 7);
	assert_int_equal(entry_get(buf_span(&b), &e), 0);
	assert_span_equal(e.origin, BYTES("purple-mountain-4392"));
	assert_span_equal(e.encoding, BYTES("pickle"));
	assert_span_equal(e.parts, BYTES("\x94\xa1\x66\xc0\x80\x80"));
	assert_span_equal(e.value, BYTES("a value"));
	assert_int_equal(e.uid, 1000);
	assert_int_equal(e.created_us, 1795571649968377);
	assert_int_equal(e.function_ns, 123456789);
	assert_int_equal(e.token, UINT64_C(5) << 32 | 1);
	assert_true(entry_is_sound(KEY, buf_span(&b)));
	buf_done(&b);
}

static void every_truncation_is_refused(void **state)
{
	struct buf b = sample();
	struct entry e;

	(void)state;
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *copy = exact_copy(span_of(b.data, n));
		assert_int_equal(entry_get(span_of(copy, n), &e), -1);
		free(copy);
	}
	buf_add(&b, "", 1);
	assert_int_equal(entry_get(buf_span(&b), &e), -1);
	buf_done(&b);
}

static void every_flipped_bit_is_found(void **state)
{
	struct buf b = sample();
	uint8_t other[XT_CACHE_KEY];

	(void)state;
	for (size_t bit = 0; bit < 8 * b.len; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(entry_is_sound(KEY, buf_span(&b)));
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	memcpy(other, KEY, sizeof(other));
	other[0] ^= 1;
	assert_false(entry_is_sound(other, buf_span(&b))); /* it stands under another key */
	buf_done(&b);
}

static void ages(void **state)
{
	struct entry e = {.created_us = 1000};

	(void)state;
	assert_false(entry_is_expired(&e, 0, INT64_MAX));
	assert_false(entry_is_expired(&e, 10, 1009));
	assert_true(entry_is_expired(&e, 10, 1010));
	assert_false(entry_is_expired(&e, 10, 0)); /* a clock that was put back */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flipped_bit_is_found),
		cmocka_unit_test(ages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
