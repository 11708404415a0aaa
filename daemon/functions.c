#include "functions.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SHORT	16   /* bytes of a needle that is held against each place where its first byte is */
#define MAX_SET 1024 /* bytes of the characters that trim() takes away */

static bool continues(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* As memmem(), whose start costs more than a short needle, and which replace() calls for each match. */
static const void *search(const void *hay, size_t n, const void *needle, size_t m)
{
	const char *p = hay, *end = p + n;

	if (m >= SHORT)
		return memmem(hay, n, needle, m);
	while ((size_t)(end - p) >= m) {
		p = memchr(p, *(const char *)needle, (size_t)(end - p) - m + 1);
		if (!p || memcmp(p, needle, m) == 0)
			return p;
		p++;
	}
	return NULL;
}

/* ---- instr ------------------------------------------------------------ */

/* Where the needle is, from 1, in characters of text or bytes of blobs; 0: nowhere. */
static int64_t find(const unsigned char *hay, size_t n, const unsigned char *needle, size_t m, bool text)
{
	if (m == 0)
		return 1;
	if (m > n)
		return 0;
	/* Text is looked at where its characters begin, and at its first byte. */
	if (text && continues(needle[0]))
		return memcmp(hay, needle, m) == 0;
	const unsigned char *at = search(hay, n, needle, m);
	if (!at)
		return 0;
	int64_t found = 1;
	for (const unsigned char *p = hay + 1; p <= at; p++)
		found += !text || !continues(*p);
	return found;
}

static void instr(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	bool text = sqlite3_value_type(argv[0]) != SQLITE_BLOB || sqlite3_value_type(argv[1]) != SQLITE_BLOB;
	const void *v[2];
	size_t n[2];

	(void)argc;
	if (sqlite3_value_type(argv[0]) == SQLITE_NULL || sqlite3_value_type(argv[1]) == SQLITE_NULL)
		return;
	for (int i = 0; i < 2; i++) {
		v[i] = text ? (const void *)sqlite3_value_text(argv[i]) : sqlite3_value_blob(argv[i]);
		n[i] = (size_t)sqlite3_value_bytes(argv[i]);
		if (!v[i] && n[i] > 0) {
			sqlite3_result_error_nomem(ctx);
			return;
		}
	}
	sqlite3_result_int64(ctx, find(v[0], n[0], v[1], n[1], text));
}

/* ---- replace ---------------------------------------------------------- */

/* Bytes of the result; writes it where `out` is given. */
static size_t fill(char *out, const char *s, size_t n, const char *what, size_t m, const char *with, size_t k)
{
	size_t len = 0;

	for (;;) {
		const char *at = search(s, n, what, m);
		size_t before = at ? (size_t)(at - s) : n;
		if (out)
			memcpy(out + len, s, before);
		len += before;
		if (!at)
			return len;
		if (out)
			memcpy(out + len, with, k);
		len += k;
		s += before + m;
		n -= before + m;
	}
}

static void replace(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	const char *v[3];
	size_t n[3];

	(void)argc;
	for (int i = 0; i < 3; i++) {
		v[i] = (const char *)sqlite3_value_text(argv[i]);
		if (!v[i])
			return; /* NULL */
		n[i] = (size_t)sqlite3_value_bytes(argv[i]);
		if (i == 1 && v[1][0] == '\0') {
			sqlite3_result_value(ctx, argv[0]);
			return;
		}
	}
	size_t len = fill(NULL, v[0], n[0], v[1], n[1], v[2], n[2]);
	if (len > (size_t)sqlite3_limit(sqlite3_context_db_handle(ctx), SQLITE_LIMIT_LENGTH, -1)) {
		sqlite3_result_error_toobig(ctx);
		return;
	}
	char *out = sqlite3_malloc64(len + 1);
	if (!out) {
		sqlite3_result_error_nomem(ctx);
		return;
	}
	fill(out, v[0], n[0], v[1], n[1], v[2], n[2]);
	out[len] = '\0';
	sqlite3_result_text64(ctx, out, len, sqlite3_free, SQLITE_UTF8);
}

/* ---- trim ------------------------------------------------------------- */

/* Bytes of the character at the front of the text. */
static size_t char_len(const char *s, size_t n)
{
	size_t len = 1;

	if ((unsigned char)s[0] >= 0xc0)
		while (len < n && continues((unsigned char)s[len]))
			len++;
	return len;
}

/* Bytes of a character of the set at the front (or end) of the text; 0: none is there. */
static size_t match(const char *s, size_t n, const char *set, size_t m, bool front)
{
	for (size_t at = 0, len; at < m; at += len) {
		len = char_len(set + at, m - at);
		if (len <= n && memcmp(front ? s : s + n - len, set + at, len) == 0)
			return len;
	}
	return 0;
}

enum { LEFT = 1, RIGHT = 2 };

static void trim(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	intptr_t ends = (intptr_t)sqlite3_user_data(ctx);
	const char *s = (const char *)sqlite3_value_text(argv[0]), *set = " ";
	size_t n, m = 1, len;

	if (!s)
		return;
	n = (size_t)sqlite3_value_bytes(argv[0]);
	if (argc == 2) {
		set = (const char *)sqlite3_value_text(argv[1]);
		if (!set)
			return;
		m = (size_t)sqlite3_value_bytes(argv[1]);
	}
	if (m > MAX_SET) {
		sqlite3_result_error_toobig(ctx);
		return;
	}
	while ((ends & LEFT) && n > 0 && (len = match(s, n, set, m, true)) > 0) {
		s += len;
		n -= len;
	}
	while ((ends & RIGHT) && n > 0 && (len = match(s, n, set, m, false)) > 0)
		n -= len;
	sqlite3_result_text64(ctx, s, n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/* ---- all -------------------------------------------------------------- */

int functions_install(sqlite3 *db)
{
	static const struct {
		const char *name;
		int args;
		intptr_t data;
		void (*call)(sqlite3_context *, int, sqlite3_value **);
	} all[] = {
		{"instr", 2, 0, instr},		 {"replace", 3, 0, replace}, {"trim", 1, LEFT | RIGHT, trim},
		{"trim", 2, LEFT | RIGHT, trim}, {"ltrim", 1, LEFT, trim},   {"ltrim", 2, LEFT, trim},
		{"rtrim", 1, RIGHT, trim},	 {"rtrim", 2, RIGHT, trim},
	};
	int rc = SQLITE_OK;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && rc == SQLITE_OK; i++)
		rc = sqlite3_create_function(db, all[i].name, all[i].args,
					     SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
					     (void *)all[i].data, all[i].call, NULL, NULL);
	return rc;
}
