/*
 * Rows as a table of aligned columns, for a terminal or as Markdown.
 *
 * Widths come from the rows of a page (up to 1,000 rows or 1 MiB), which is then printed; a later
 * page may widen its columns, below a head of its own where rows are followed. So memory stays constant
 * however many rows come.
 */
#ifndef XTCTL_TABLE_H
#define XTCTL_TABLE_H

#include <stdio.h>

#include "xetrack.h"

struct table;

struct table_style {
	size_t columns; /* width to fit: cells are cut, columns left out; 0: no limit, everything is shown */
	bool markdown;	/* | a | b | with Markdown's characters escaped; else lines between the columns */
	bool utf8;	/* lines and the sign of a cut may be other than ASCII */
	bool no_head;	/* without the names and the line below them */
	int digits;	/* significant digits of reals; 0: all */
	bool follows;	/* rows come one by one: room is kept for track_ids, and the head comes again when
			   widths change */
	bool colour;	/* NULL in faint print, to tell it from the text NULL */
};

/* Names are borrowed for the table's life. NULL when out of memory. */
struct table *table_new(FILE *out, size_t n, const char *const *names, const struct table_style *style);
void table_free(struct table *t);

/* Adds a row of n values, copying them; prints a page when it is full. 0, or -1 when out of memory. */
int table_row(struct table *t, const xt_value *row) __attribute__((warn_unused_result));

/* Prints the rows that came so far. 0, or -1 when out of memory. */
int table_flush(struct table *t) __attribute__((warn_unused_result));

/* Prints what is left, and the head if nothing was printed yet. 0, or -1 when out of memory. */
int table_end(struct table *t) __attribute__((warn_unused_result));

/* How many columns were left out for want of room. */
size_t table_hidden(const struct table *t);

#endif
