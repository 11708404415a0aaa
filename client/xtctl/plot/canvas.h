/*
 * A grid of dots that is printed as characters: eight dots of Braille a character, or one mark for all of
 * them, which tells whose they are without colours.
 */
#ifndef XTCTL_CANVAS_H
#define XTCTL_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CANVAS_X 2 /* dots of a character, in a row */
#define CANVAS_Y 4 /* and one above the other */

/* Dots belong to series, counted from 0; the last one to draw at a character owns it. */
struct canvas {
	size_t columns, rows; /* characters */
	uint8_t *dots;	      /* owned: of each character, as Braille numbers them; all lines, from the top */
	uint8_t *series;      /* owned: the owner of each character */
};

/* How it is printed. */
struct canvas_style {
	const char *const *marks;   /* a text of one column for each series; NULL: Braille */
	const char *const *colours; /* an escape sequence for each series; NULL: none */
	size_t n;		    /* of both: series are taken modulo n */
};

/* 0, or -1 when out of memory. Zeroed is valid. */
int canvas_init(struct canvas *c, size_t columns, size_t rows) __attribute__((warn_unused_result));
void canvas_done(struct canvas *c);

/* A dot; x and y are from 0 to 1, from the lower left. What is outside is not drawn. */
void canvas_dot(struct canvas *c, double x, double y, uint8_t series);

/* A line between two such places. */
void canvas_line(struct canvas *c, double x0, double y0, double x1, double y1, uint8_t series);

/* Writes one line of characters, from the top; spaces at its end are left out. */
void canvas_put(const struct canvas *c, FILE *f, size_t row, const struct canvas_style *style);

#endif
