/*
 * A line of `xtctl log --jsonl`: what is read prints as JSON that reads back as the same, and packs into
 * as many bytes as were measured, which are a message that the daemon takes.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "client.h"
#include "text.h"
#include "value.h"

#define WHY 400

static struct span printed(const xt_value *v)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert(f);
	json_print(f, v);
	assert(fclose(f) == 0 && text);
	return span_of(text, n);
}

static void check_packed(const xt_value *v)
{
	size_t bytes = 0, items = 0;
	struct xt_err err = {0};

	if (pack_measure(v, ROW_DEPTH, &bytes, &items) || items > ROW_ITEMS)
		return; /* refused, with a reason */
	uint8_t *packed = malloc(bytes ? bytes : 1);
	assert(packed);
	size_t n = (size_t)(pack_value(packed, v) - packed);
	assert(n <= bytes);
	assert(wire_scan(span_of(packed, n), &err) == 0);
	free(packed);
}

/* The text again, in the room that the first one was read into. */
static void check_again(struct json *json, struct span text)
{
	char why[WHY];
	xt_value v;

	assert(json_read(json, (const char *)text.data, text.len, &v, why, sizeof(why)) == 0);
	struct span again = printed(&v);
	assert(span_eq(text, again));
	free((void *)(uintptr_t)again.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json json = {0};
	char why[WHY] = "";
	xt_value v;

	if (json_read(&json, (const char *)data, size, &v, why, sizeof(why)) < 0) {
		assert(why[0]);
	} else {
		struct span text = printed(&v);
		check_packed(&v);
		check_again(&json, text);
		free((void *)(uintptr_t)text.data);
	}
	json_done(&json);
	return 0;
}
