#include "canvas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int canvas_init(struct canvas *c, size_t columns, size_t rows)
{
	*c = (struct canvas){.columns = columns, .rows = rows};
	c->dots = calloc(columns * rows + 1, 1);
	c->series = calloc(columns * rows + 1, 1);
	return c->dots && c->series ? 0 : -1;
}

void canvas_done(struct canvas *c)
{
	free(c->dots);
	free(c->series);
	*c = (struct canvas){0};
}

/* ---- drawing ---------------------------------------------------------- */

/* The dot at a place from 0 to 1 among n; -1: outside. */
static long dot_of(double at, size_t n)
{
	/* Rounding may have put an end a hair outside. */
	if (!(at >= -1e-9 && at <= 1 + 1e-9))
		return -1;
	return lround(fmin(fmax(at, 0), 1) * (double)(n - 1));
}

/* x from the left, y from the top. */
static void set(struct canvas *c, long x, long y, uint8_t series)
{
	static const uint8_t bits[CANVAS_Y][CANVAS_X] = {
		{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
	size_t at = (size_t)(y / CANVAS_Y) * c->columns + (size_t)(x / CANVAS_X);

	c->dots[at] |= bits[y % CANVAS_Y][x % CANVAS_X];
	c->series[at] = series;
}

void canvas_dot(struct canvas *c, double x, double y, uint8_t series)
{
	long column = dot_of(x, c->columns * CANVAS_X), row = dot_of(1 - y, c->rows * CANVAS_Y);

	if (column >= 0 && row >= 0)
		set(c, column, row, series);
}

void canvas_line(struct canvas *c, double x0, double y0, double x1, double y1, uint8_t series)
{
	long ax = dot_of(x0, c->columns * CANVAS_X), ay = dot_of(1 - y0, c->rows * CANVAS_Y);
	long bx = dot_of(x1, c->columns * CANVAS_X), by = dot_of(1 - y1, c->rows * CANVAS_Y);

	if (ax < 0 || ay < 0 || bx < 0 || by < 0)
		return;
	long steps = labs(bx - ax) > labs(by - ay) ? labs(bx - ax) : labs(by - ay);
	for (long i = 0; i <= steps; i++) {
		double share = steps == 0 ? 0 : (double)i / (double)steps;
		set(c, lround((double)ax + share * (double)(bx - ax)),
		    lround((double)ay + share * (double)(by - ay)), series);
	}
}

/* ---- printing --------------------------------------------------------- */

/* U+2800 and the dots as its lowest bits. */
static void put_braille(FILE *f, uint8_t dots)
{
	putc_unlocked(0xe2, f);
	putc_unlocked(0xa0 | dots >> 6, f);
	putc_unlocked(0x80 | (dots & 0x3f), f);
}

void canvas_put(const struct canvas *c, FILE *f, size_t row, const struct canvas_style *style)
{
	const uint8_t *dots = c->dots + row * c->columns, *series = c->series + row * c->columns;
	const char *colour = NULL;
	size_t end = c->columns;

	while (end > 0 && !dots[end - 1])
		end--;
	for (size_t i = 0; i < end; i++) {
		size_t s = style->n ? series[i] % style->n : 0;
		if (!dots[i]) {
			putc_unlocked(' ', f);
			continue;
		}
		if (style->colours && style->colours[s] != colour) {
			colour = style->colours[s];
			fputs_unlocked(colour, f);
		}
		if (style->marks)
			fputs_unlocked(style->marks[s], f);
		else
			put_braille(f, dots[i]);
	}
	if (colour)
		fputs_unlocked("\033[0m", f);
}
