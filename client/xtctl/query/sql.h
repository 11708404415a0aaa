/*
 * SQL as text, with names and texts in their quotes.
 */
#ifndef XTCTL_SQL_H
#define XTCTL_SQL_H

#include <stdio.h>

/* Writes a name in its quotes: a"b as "a""b". */
void sql_put_name(FILE *f, const char *name);

/* Writes a text literal in its quotes. */
void sql_put_text(FILE *f, const char *text);

/*
 * A statement from a form in which %n stands for a name that is quoted, %t for a text that becomes a literal,
 * %s for SQL as it is, and %% for a percent sign; each takes a const char *. Owned by the caller; NULL: out
 * of memory.
 */
char *sql_format(const char *form, ...);

/* The same, written to a stream. */
void sql_print(FILE *f, const char *form, ...);

#endif
