#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static void put_text(struct buf *out, struct span s)
{
	static const char hex[] = "0123456789abcdef";

	buf_add(out, "\"", 1);
	size_t from = 0;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.data[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(out, s.data + from, i - from);
		from = i + 1;
		char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
		if (c == '"' || c == '\\') {
			esc[1] = (char)c;
			buf_add(out, esc, 2);
		} else if (c == '\n') {
			buf_add(out, "\\n", 2);
		} else if (c == '\t') {
			buf_add(out, "\\t", 2);
		} else {
			buf_add(out, esc, 6);
		}
	}
	buf_add(out, s.data + from, s.len - from);
	buf_add(out, "\"", 1);
}

static void put_hex(struct buf *out, struct span s)
{
	buf_add(out, "\"", 1);
	for (size_t i = 0; i < s.len; i++)
		buf_printf(out, "%02x", s.data[i]);
	buf_add(out, "\"", 1);
}

static void put_real(struct buf *out, double d)
{
	if (!isfinite(d)) {
		buf_add_str(out, "null");
		return;
	}
	char text[40];
	for (int digits = 15; digits <= 17; digits++) { /* the shortest that reads back the same */
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	buf_add_str(out, text);
	if (!strpbrk(text, ".e"))
		buf_add_str(out, ".0");
}

static void put_key(struct buf *out, struct reader *r)
{
	struct reader peek = *r;
	struct token t;

	if (reader_next(&peek, &t) == 0 && t.type == TOKEN_STR) {
		json_put(out, r);
		return;
	}
	struct buf inner = {0};
	json_put(&inner, r);
	put_text(out, buf_span(&inner));
	buf_done(&inner);
}

void json_put(struct buf *out, struct reader *r)
{
	struct token t;

	if (reader_next(r, &t) < 0)
		return;
	switch (t.type) {
	case TOKEN_NIL:
		buf_add_str(out, "null");
		break;
	case TOKEN_BOOL:
		buf_add_str(out, t.boolean ? "true" : "false");
		break;
	case TOKEN_INT:
		buf_printf(out, "%" PRId64, t.integer);
		break;
	case TOKEN_UINT:
		buf_printf(out, "%" PRIu64, t.uinteger);
		break;
	case TOKEN_REAL:
		put_real(out, t.real);
		break;
	case TOKEN_STR:
		put_text(out, t.bytes);
		break;
	case TOKEN_BIN:
	case TOKEN_EXT:
		put_hex(out, t.bytes);
		break;
	case TOKEN_ARRAY:
	case TOKEN_MAP:
		buf_add_str(out, t.type == TOKEN_MAP ? "{" : "[");
		for (uint32_t i = 0; i < t.count; i++) {
			if (i > 0)
				buf_add_str(out, ",");
			if (t.type == TOKEN_MAP) {
				put_key(out, r);
				buf_add_str(out, ":");
			}
			json_put(out, r);
		}
		buf_add_str(out, t.type == TOKEN_MAP ? "}" : "]");
		break;
	}
}
