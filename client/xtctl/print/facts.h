/*
 * One answer as a list for people: a line a fact, its label and its value with a unit.
 */
#ifndef XTCTL_FACTS_H
#define XTCTL_FACTS_H

#include <stdio.h>

#include "xetrack.h"

enum fact_unit {
	FACT_PLAIN,
	FACT_COUNT,
	FACT_BYTES,
	FACT_BOUND, /* bytes, 0: none */
	FACT_MICROSECONDS,
	FACT_MILLISECONDS,
	FACT_AGE, /* milliseconds, 0: never */
};

/* A field of an answer, and how it is shown. */
struct fact {
	const char *field, *label;
	enum fact_unit unit;
	bool brief; /* shown also where only the most important ones are */
};

#define FACT_LABEL 20 /* columns that a label takes, unless others are longer */

/* One line. Texts are escaped, blobs shown as hexadecimal digits. */
void fact_print(FILE *f, const char *label, enum fact_unit unit, const xt_value *v);

/* The same with the value so many columns from the left. */
void fact_print_at(FILE *f, size_t columns, const char *label, enum fact_unit unit, const xt_value *v);

/* A row of a cursor: the n facts in their order, then, unless brief, what is none of them under its own name.
 * NULL is left out. */
void facts_print(FILE *f, const struct fact *facts, size_t n, const xt_cursor *cursor, const xt_value *row,
		 bool brief);

#endif
