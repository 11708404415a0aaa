/*
 * Values as text: numbers that read back the same, text that cannot drive a terminal, and how
 * many columns of a terminal it takes.
 */
#ifndef XTCTL_TEXT_H
#define XTCTL_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include "xetrack.h"

/* The shortest decimal that reads back as the same double, always with a point, an exponent, `inf`
 * or `nan` in it. Returns its length. */
#define REAL_BYTES 40
int text_real(char ret[REAL_BYTES], double d);

/* The same with so many significant digits, without an exponent where that can be read: 0.00123, 12300.
 * Returns ret. */
const char *text_digits(char ret[REAL_BYTES], double d, int digits);

/* A whole number; not NUL-terminated. Returns its length. */
#define INT_BYTES 20
int text_int(char ret[INT_BYTES], int64_t i);

/* Whether more than the ending is there, and it ends so; case does not count. */
bool text_ends(const char *s, const char *ending);

/* 1234567 as "1,234,567"; returns ret. */
#define COUNT_BYTES 32
const char *text_count(char ret[COUNT_BYTES], uint64_t n);

/* 1536 as "1.5 KiB"; returns ret. */
const char *text_bytes(char ret[COUNT_BYTES], uint64_t n);

/* Microseconds since 1970-01-01 UTC as "2026-07-31 08:15:00", in UTC; returns ret. */
#define TIME_BYTES 40
const char *text_time(char ret[TIME_BYTES], int64_t us);

/* The other way round: microseconds since 1970 of "YYYY-MM-DD HH:MM:SS", where a T may stand between the two
 * and a fraction behind them, in UTC, with or without a Z. False: it is none. */
bool time_parse(const char *text, size_t n, int64_t *ret_us);

/*
 * The next character of UTF-8: its bytes (at least 1; n is at least 1), in *ret_width the columns
 * it takes, and in `escape` an escaped form ("\n", "\x1b", "\u202e") when it must not reach a
 * terminal: control characters, line separators, bytes that are not UTF-8, and characters that
 * change the direction of their neighbours. Otherwise escape is "".
 */
#define ESCAPE_BYTES 12
size_t text_next(const char *s, size_t n, char escape[ESCAPE_BYTES], size_t *ret_width);

/* Writes text with such characters escaped, stopping once it is wider than `most` columns.
 * Returns the columns written. */
size_t text_put(FILE *f, const char *s, size_t n, size_t most);

/* Columns that already escaped text takes. */
size_t text_width(const char *s, size_t n);

/* How many bytes of already escaped text fit into `columns`; *ret_width: the columns they take. */
size_t text_fit(const char *s, size_t n, size_t columns, size_t *ret_width);

/* Writes a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void json_print_text(FILE *f, const char *s, size_t n);

/* Writes a value as JSON: blobs as strings of hexadecimal digits, NaN as null, infinities as
 * 9e999, which parsers read as infinity. */
void json_print(FILE *f, const xt_value *v);

/* Writes lower-case hexadecimal digits of at most `most` bytes. */
void hex_put(FILE *f, const void *data, size_t n, size_t most);

#endif
