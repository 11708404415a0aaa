#include "frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define TICK_COLUMNS 9 /* a tick in so many characters across, */
#define TICK_ROWS    3 /* and in so many rows */

void frame_fill(FILE *out, const char *s, size_t n)
{
	while (n-- > 0)
		fputs_unlocked(s, out);
}

size_t frame_label_width(const struct axis *y)
{
	char label[AXIS_LABEL];
	size_t width = 0;

	for (size_t i = 0; i < y->n; i++) {
		size_t len = strlen(axis_label(y, i, label));
		width = len > width ? len : width;
	}
	return width;
}

size_t frame_ticks_across(size_t columns)
{
	return columns < 2 * TICK_COLUMNS ? 2 : columns / TICK_COLUMNS;
}

size_t frame_ticks_up(size_t rows)
{
	return rows < 2 * TICK_ROWS ? 2 : rows / TICK_ROWS;
}

/* ---- left ------------------------------------------------------------- */

void frame_top(const struct frame *f)
{
	size_t width = f->y_name ? text_width(f->y_name, strlen(f->y_name)) : 0;

	if (width == 0)
		return;
	/* Its end stands above the axis, where there is room. */
	frame_fill(f->out, " ", width < f->left ? f->left - width : 0);
	text_put(f->out, f->y_name, strlen(f->y_name), SIZE_MAX);
	putc_unlocked('\n', f->out);
}

void frame_label(const struct frame *f, const char *label, size_t width)
{
	const char *line = f->style->utf8 ? "│" : "|", *tick = f->style->utf8 ? "┤" : "+";

	frame_fill(f->out, " ", f->left > width ? f->left - width : 0);
	fprintf(f->out, "%s %s%s%s", label, f->style->faint, label[0] ? tick : line, f->style->plain);
}

void frame_left(const struct frame *f, size_t row)
{
	char label[AXIS_LABEL] = "";

	for (size_t i = 0; i < f->y->n; i++) {
		double at = 1 - axis_at(f->y, f->y->ticks[i]);
		long dot = lround(at * (double)(f->rows * CANVAS_Y - 1));
		if (dot >= 0 && (size_t)dot / CANVAS_Y == row)
			axis_label(f->y, i, label);
	}
	frame_label(f, label, strlen(label));
}

/* ---- bottom ----------------------------------------------------------- */

/* Columns: of an axis, where each tick is. */
static size_t column_of(const struct frame *f, size_t tick)
{
	double at = axis_at(f->x, f->x->ticks[tick]);
	double column = f->edges ? floor(at * (double)f->columns)
				 : floor((double)lround(at * (double)(f->columns * CANVAS_X - 1)) / CANVAS_X);

	return column < 0 ? 0 : column >= (double)f->columns ? f->columns - 1 : (size_t)column;
}

static void put_line(const struct frame *f)
{
	const char *dash = f->style->utf8 ? "─" : "-", *tick = f->style->utf8 ? "┬" : "+";
	const char *corner = f->style->utf8 ? "└" : "+";
	size_t next = 0;

	frame_fill(f->out, " ", f->left + 1);
	fprintf(f->out, "%s%s", f->style->faint, corner);
	for (size_t i = 0; i < f->columns; i++) {
		bool here = next < f->x->n && column_of(f, next) == i;
		fputs_unlocked(here ? tick : dash, f->out);
		while (next < f->x->n && column_of(f, next) <= i)
			next++;
	}
	fprintf(f->out, "%s\n", f->style->plain);
}

/* Labels stand below their ticks, moved in at the end; one without room is left out. */
static void put_labels(const struct frame *f)
{
	size_t begin = f->left + 2, end = begin + f->columns, at = 0;
	char label[AXIS_LABEL];

	for (size_t i = 0; i < f->x->n; i++) {
		size_t len = strlen(axis_label(f->x, i, label)), middle = begin + column_of(f, i);
		size_t from = middle > len / 2 ? middle - len / 2 : 0;
		if (from + len > end)
			from = end > len ? end - len : 0;
		if (at > 0 && from < at + 1)
			continue;
		frame_fill(f->out, " ", from - at);
		fputs_unlocked(label, f->out);
		at = from + len;
	}
	putc_unlocked('\n', f->out);
}

void frame_bottom(const struct frame *f)
{
	size_t width = f->x_name ? text_width(f->x_name, strlen(f->x_name)) : 0;

	put_line(f);
	put_labels(f);
	if (width == 0)
		return;
	frame_fill(f->out, " ", f->left + 2 + (f->columns > width ? (f->columns - width) / 2 : 0));
	text_put(f->out, f->x_name, strlen(f->x_name), SIZE_MAX);
	putc_unlocked('\n', f->out);
}
