/*
 * The frame around a picture: the axis at its left, the one below, and what they are called.
 */
#ifndef XTCTL_FRAME_H
#define XTCTL_FRAME_H

#include <stdio.h>

#include "axis.h"
#include "canvas.h"

#define FRAME_SERIES 8 /* that can be told apart */

/* How pictures are printed. */
struct frame_style {
	bool utf8, colour;
	bool marked;			   /* a mark for each series, not Braille */
	const char *marks[FRAME_SERIES];   /* of one column each */
	const char *colours[FRAME_SERIES]; /* escape sequences; "" without colours */
	const char *faint, *plain;	   /* escape sequences around axes; "" without colours */
};

struct frame {
	FILE *out;
	const struct frame_style *style;
	const struct axis *x, *y;    /* y NULL: there are labels instead, of `left` columns */
	const char *x_name, *y_name; /* NULL or "": none */
	size_t columns, rows;	     /* inside */
	size_t left;		     /* columns before the axis line */
	bool edges;		     /* x is about edges of characters, as of bars, not about dots */
};

/* How wide the labels of an axis are. */
size_t frame_label_width(const struct axis *y);

/* Ticks that fit an axis of so many characters. */
size_t frame_ticks_across(size_t columns);
size_t frame_ticks_up(size_t rows);

/* What stands above the picture: the name of y. */
void frame_top(const struct frame *f);

/* What stands before a row of it, rows counted from the top. */
void frame_left(const struct frame *f, size_t row);

/* The same with a label that is `width` wide. */
void frame_label(const struct frame *f, const char *label, size_t width);

/* The axis below, its labels, and the name of x. */
void frame_bottom(const struct frame *f);

/* A text n times. */
void frame_fill(FILE *out, const char *s, size_t n);

#endif
