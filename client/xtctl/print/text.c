#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <utf8proc.h>

#include "real.h"

int text_real(char ret[REAL_BYTES], double d)
{
	int n = real_text(ret, d);

	if (n > 0)
		return n;
	if (isnan(d))
		return snprintf(ret, REAL_BYTES, "nan");
	if (isinf(d))
		return snprintf(ret, REAL_BYTES, d > 0 ? "inf" : "-inf");
	for (int digits = 15; digits <= 17; digits++) {
		n = snprintf(ret, REAL_BYTES - 2, "%.*g", digits, d);
		if (strtod(ret, NULL) == d)
			break;
	}
	if (!strpbrk(ret, ".e")) {
		memcpy(ret + n, ".0", 3);
		n += 2;
	}
	return n;
}

const char *text_digits(char ret[REAL_BYTES], double d, int digits)
{
	snprintf(ret, REAL_BYTES, "%.*e", digits - 1, d);
	const char *e = strchr(ret, 'e');
	long exponent = e ? strtol(e + 1, NULL, 10) : 0;
	if (!isfinite(d) || d == 0 || exponent < -5 || exponent > 14) {
		snprintf(ret, REAL_BYTES, "%.*g", digits, d);
		return ret;
	}
	long decimals = digits - 1 - exponent;
	snprintf(ret, REAL_BYTES, "%.*f", decimals > 0 ? (int)decimals : 0, d);
	char *end = ret + strlen(ret);
	while (strchr(ret, '.') && (end[-1] == '0' || end[-1] == '.')) {
		bool point = end[-1] == '.';
		*--end = '\0';
		if (point)
			break;
	}
	return ret;
}

int text_int(char ret[INT_BYTES], int64_t i)
{
	uint64_t left = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	char digits[INT_BYTES];
	int at = INT_BYTES;

	do
		digits[--at] = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (i < 0)
		digits[--at] = '-';
	memcpy(ret, digits + at, (size_t)(INT_BYTES - at));
	return INT_BYTES - at;
}

bool text_ends(const char *s, const char *ending)
{
	size_t n = strlen(s), m = strlen(ending);

	return n > m && strcasecmp(s + n - m, ending) == 0;
}

const char *text_count(char ret[COUNT_BYTES], uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			ret[at++] = ',';
		ret[at++] = digits[i];
	}
	ret[at] = '\0';
	return ret;
}

const char *text_bytes(char ret[COUNT_BYTES], uint64_t n)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double size = (double)n / 1024;
	size_t unit = 0;

	for (; size >= 1024 && unit < 3; unit++)
		size /= 1024;
	if (n < 1024)
		snprintf(ret, COUNT_BYTES, "%u bytes", (unsigned)n);
	else
		snprintf(ret, COUNT_BYTES, "%.1f %s", size, units[unit]);
	return ret;
}

bool time_parse(const char *text, size_t n, int64_t *ret_us)
{
	char copy[TIME_BYTES];
	struct tm tm = {0};
	int64_t micro = 0;

	if (n < 19 || n >= sizeof(copy))
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (copy[10] == 'T')
		copy[10] = ' ';
	const char *end = strptime(copy, "%Y-%m-%d %H:%M:%S", &tm);
	if (end && *end == '.') {
		int64_t unit = 100000;
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			micro += (*end - '0') * unit;
	}
	if (!end || (*end && strcmp(end, "Z") != 0 && strcmp(end, "+00:00") != 0))
		return false;
	*ret_us = (int64_t)timegm(&tm) * 1000000 + micro;
	return true;
}

const char *text_time(char ret[TIME_BYTES], int64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(ret, TIME_BYTES, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(ret, TIME_BYTES, "%lld s", (long long)seconds);
	return ret;
}

/* ---- characters ------------------------------------------------------- */

/* Reorder what stands around them: a value could make a table read as something else. */
static int is_direction(int32_t c)
{
	return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* Invisible, and of no use in a value: the byte order mark and the tag characters. */
static int is_invisible(int32_t c)
{
	return c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

static size_t escape_char(int32_t c, char escape[ESCAPE_BYTES])
{
	static const char from[] = "\n\t\r", to[] = "ntr";
	const char *known = c > 0 && c < 0x80 ? strchr(from, c) : NULL;
	int n;

	if (known)
		n = snprintf(escape, ESCAPE_BYTES, "\\%c", to[known - from]);
	else if (c < 0x80)
		n = snprintf(escape, ESCAPE_BYTES, "\\x%02x", (unsigned)c);
	else if (c < 0x10000)
		n = snprintf(escape, ESCAPE_BYTES, "\\u%04x", (unsigned)c);
	else
		n = snprintf(escape, ESCAPE_BYTES, "\\U%08x", (unsigned)c);
	return (size_t)n;
}

size_t text_next(const char *s, size_t n, char escape[ESCAPE_BYTES], size_t *ret_width)
{
	unsigned char first = (unsigned char)s[0];
	utf8proc_int32_t c;

	escape[0] = '\0';
	*ret_width = 1;
	if (first >= 0x20 && first < 0x7f)
		return 1;
	utf8proc_ssize_t len =
		utf8proc_iterate((const utf8proc_uint8_t *)s, n < 4 ? (utf8proc_ssize_t)n : 4, &c);
	if (len <= 0) {
		*ret_width = (size_t)snprintf(escape, ESCAPE_BYTES, "\\x%02x", first);
		return 1;
	}
	utf8proc_category_t category = utf8proc_category(c);
	if (category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL ||
	    category == UTF8PROC_CATEGORY_ZP || is_direction(c) || is_invisible(c))
		*ret_width = escape_char(c, escape);
	else if (category == UTF8PROC_CATEGORY_CN)
		*ret_width =
			1; /* newer than the library's tables, or a noncharacter: a box on most terminals */
	else
		*ret_width = (size_t)utf8proc_charwidth(c);
	return (size_t)len;
}

size_t text_put(FILE *f, const char *s, size_t n, size_t most)
{
	char escape[ESCAPE_BYTES];
	size_t width = 0, from = 0, at = 0;

	/* Characters without a width must not make a cell endless either. */
	while (at < n && width <= most && at / 16 <= most) {
		size_t w, len = text_next(s + at, n - at, escape, &w);
		width += w;
		if (escape[0]) {
			fwrite_unlocked(s + from, 1, at - from, f);
			fputs_unlocked(escape, f);
			from = at + len;
		}
		at += len;
	}
	fwrite_unlocked(s + from, 1, at - from, f);
	return width;
}

size_t text_width(const char *s, size_t n)
{
	size_t width;

	text_fit(s, n, SIZE_MAX, &width);
	return width;
}

size_t text_fit(const char *s, size_t n, size_t columns, size_t *ret_width)
{
	char escape[ESCAPE_BYTES];
	size_t width = 0, at = 0;

	while (at < n) {
		size_t w, len = text_next(s + at, n - at, escape, &w);
		if (w > columns - width)
			break;
		width += w;
		at += len;
	}
	*ret_width = width;
	return at;
}

/* ---- JSON ------------------------------------------------------------- */

void hex_put(FILE *f, const void *data, size_t n, size_t most)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < n && i < most; i++) {
		putc_unlocked(hex[p[i] >> 4], f);
		putc_unlocked(hex[p[i] & 15], f);
	}
}

/* \uXXXX, in two halves beyond the first plane. */
static void json_escape(FILE *f, const char *s, size_t len)
{
	utf8proc_int32_t c;

	if (utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)len, &c) <= 0)
		c = 0xfffd;
	if (c == '\n' || c == '\t')
		fputs_unlocked(c == '\n' ? "\\n" : "\\t", f);
	else if (c < 0x10000)
		fprintf(f, "\\u%04x", (unsigned)c);
	else
		fprintf(f, "\\u%04x\\u%04x", 0xd800u + ((unsigned)(c - 0x10000) >> 10),
			0xdc00u + ((unsigned)(c - 0x10000) & 0x3ff));
}

void json_print_text(FILE *f, const char *s, size_t n)
{
	char escape[ESCAPE_BYTES];
	size_t from = 0, at = 0, w;

	putc_unlocked('"', f);
	while (at < n) {
		size_t len = text_next(s + at, n - at, escape, &w);
		bool quoted = s[at] == '"' || s[at] == '\\';
		if (quoted || escape[0]) {
			fwrite_unlocked(s + from, 1, at - from, f);
			from = at + (quoted ? 0 : len);
			if (quoted)
				putc_unlocked('\\', f);
			else
				json_escape(f, s + at, len);
		}
		at += len;
	}
	fwrite_unlocked(s + from, 1, n - from, f);
	putc_unlocked('"', f);
}

static void json_print_real(FILE *f, double d)
{
	char text[REAL_BYTES];

	if (isnan(d)) {
		fputs_unlocked("null", f);
	} else if (isinf(d)) {
		fputs_unlocked(d > 0 ? "9e999" : "-9e999", f);
	} else {
		text_real(text, d);
		fputs_unlocked(text, f);
	}
}

static void json_print_list(FILE *f, const xt_value *v)
{
	putc_unlocked(v->type == XT_T_MAP ? '{' : '[', f);
	for (size_t i = 0; i < v->n; i++) {
		if (i > 0)
			putc_unlocked(',', f);
		if (v->type == XT_T_MAP) {
			json_print_text(f, v->as.fields[i].key, strlen(v->as.fields[i].key));
			putc_unlocked(':', f);
			json_print(f, &v->as.fields[i].value);
		} else if (v->type == XT_T_ARRAY) {
			json_print(f, &v->as.items[i]);
		} else if (v->type == XT_T_INTS) {
			fprintf(f, "%" PRId64, v->as.integers[i]);
		} else {
			json_print_real(f, v->as.reals[i]);
		}
	}
	putc_unlocked(v->type == XT_T_MAP ? '}' : ']', f);
}

void json_print(FILE *f, const xt_value *v)
{
	switch (v->type) {
	case XT_T_NULL:
	case XT_T_RAW: /* only what is sent has these */
		fputs_unlocked("null", f);
		break;
	case XT_T_BOOL:
		fputs_unlocked(v->as.boolean ? "true" : "false", f);
		break;
	case XT_T_INT: {
		char digits[INT_BYTES];
		fwrite_unlocked(digits, 1, (size_t)text_int(digits, v->as.integer), f);
		break;
	}
	case XT_T_UINT:
		fprintf(f, "%" PRIu64, v->as.uinteger);
		break;
	case XT_T_REAL:
		json_print_real(f, v->as.real);
		break;
	case XT_T_TEXT:
		json_print_text(f, v->as.text, v->n);
		break;
	case XT_T_BLOB:
		putc_unlocked('"', f);
		hex_put(f, v->as.blob, v->n, SIZE_MAX);
		putc_unlocked('"', f);
		break;
	case XT_T_ARRAY:
	case XT_T_MAP:
	case XT_T_INTS:
	case XT_T_REALS:
		json_print_list(f, v);
		break;
	}
}
