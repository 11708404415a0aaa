/*
 * Sentences in lines that fit a terminal.
 */
#ifndef XTCTL_PROSE_H
#define XTCTL_PROSE_H

#include <stddef.h>
#include <stdio.h>

/* Where a text stands, and how far its lines go. */
struct prose {
	size_t begin;	  /* columns that are taken in its first line, by a label */
	size_t indent;	  /* columns before each further line */
	size_t columns;	  /* of a line; 0: any length, so one line */
	const char *lead; /* what stands in these columns, as wide as they are; NULL: blanks */
	const char *end;  /* ASCII at the end of each line that goes on; NULL: nothing */
};

/* Writes a text, control characters escaped, broken between words; what stands between single quotes or
 * brackets is kept in one piece, so that commands and names can be copied, unless it has no room in a line of
 * its own and is in brackets. Without a line end. Returns the columns that its last line takes. */
size_t prose_put(FILE *out, const char *text, const struct prose *where);

#endif
