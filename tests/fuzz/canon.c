/*
 * Canonical forms and entries. The first byte chooses the decimals to round to. What has a canonical form has
 * one that is well formed, and its own canonical form; parts made of it have a key and a function. And any
 * bytes read as an entry of the cache are within those bytes, sound only under the key they were put under.
 */
#include "fuzz.h"

#include "canon.h"
#include "entry.h"

static void check_form(struct span value, const struct canon_options *o)
{
	struct reader r = reader_of(value);
	struct buf once = {0}, twice = {0};
	struct xt_err err;

	if (canon_put(&once, &r, o, &err) == 0) {
		assert(r.at == r.end);
		assert(wire_scan(buf_span(&once), &err) == 0);
		struct reader again = reader_of(buf_span(&once));
		assert(canon_put(&twice, &again, o, &err) == 0 && again.at == again.end);
		assert(span_eq(buf_span(&once), buf_span(&twice)));
	}
	buf_done(&once);
	buf_done(&twice);
}

static void check_parts(struct span value, const struct canon_options *o)
{
	struct buf parts = {0};
	struct xt_err err;

	if (canon_parts(&parts, span_str("f"), span_of(NULL, 0), value, value, o, &err) == 0) {
		/* They have one array and six more values around what is a whole message's worth here. */
		assert(wire_scan(buf_span(&parts), &err) == 0 || err.code == XT_E_too_deep ||
		       err.code == XT_E_too_many_items);
		assert(parts.len <= XT_MAX_PARTS);
		assert(span_is(canon_function(buf_span(&parts)), "f"));
	}
	buf_done(&parts);
}

static bool within(struct span whole, struct span part)
{
	return part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_entry(struct span bytes)
{
	static const uint8_t key[XT_CACHE_KEY] = {1};
	uint8_t other[XT_CACHE_KEY] = {2};
	struct buf b = {0};
	struct entry e;

	(void)canon_function(bytes);
	if (entry_get(bytes, &e) < 0)
		return;
	assert(within(bytes, e.origin) && within(bytes, e.encoding) && within(bytes, e.parts) &&
	       within(bytes, e.value));
	entry_put(&b, key, &e);
	assert(entry_is_sound(key, buf_span(&b)) && !entry_is_sound(other, buf_span(&b)));
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	uint8_t choice = take_byte(&in);
	struct canon_options o = {.round = choice > 0, .digits = choice % (CANON_MAX_DIGITS + 1)};
	struct xt_err err;

	check_entry(in);
	if (wire_scan(in, &err) < 0)
		return 0;
	check_form(in, &o);
	check_parts(in, &o);
	return 0;
}
