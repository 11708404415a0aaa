#include "fit.h"

#define LEAST_FIRST 24
#define LEAST_TEXT  8
#define LEAST_REAL  9 /* -1.2e-300 */

void fit_add(struct fit *f, enum cell_kind kind, size_t width)
{
	if (width > f->widest[kind])
		f->widest[kind] = width;
}

bool fit_is_number(const struct fit *f)
{
	return f->widest[CELL_TEXT] == 0 && (f->widest[CELL_INTEGER] > 0 || f->widest[CELL_REAL] > 0);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* What it would like. */
static size_t natural(const struct fit *f)
{
	size_t width = larger(f->head, 1);

	for (int kind = CELL_NULL; kind <= CELL_REAL; kind++)
		width = larger(width, f->widest[kind]);
	return width;
}

/* What it cannot do without. The first column tells rows apart, often by a track_id. */
static size_t least(const struct fit *f, bool first)
{
	size_t width = smaller(natural(f), first ? LEAST_FIRST : LEAST_TEXT);

	width = larger(width, f->widest[CELL_INTEGER]);
	return larger(width, smaller(f->widest[CELL_REAL], LEAST_REAL));
}

/* Its width when no column may be wider than `level` without need. */
static size_t width_at(const struct fit *f, bool first, size_t level)
{
	return larger(least(f, first), smaller(natural(f), level));
}

/* Length of a line at that level. */
static size_t line_at(const struct fit *f, size_t n, size_t level)
{
	size_t line = 1; /* the space at its start */
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		bool gap = f[i].hidden && (i == 0 || !f[i - 1].hidden);
		if (gap)
			line += 1 + FIT_SEPARATOR; /* the sign of what is left out */
		if (f[i].hidden)
			continue;
		line += width_at(&f[i], i == 0, level) + (first ? 0 : FIT_SEPARATOR);
		first = false;
	}
	return line;
}

/* Leaves out columns from the middle until the rest fits at its narrowest, or two are left. */
static void hide(struct fit *f, size_t n, size_t columns)
{
	size_t left = n;

	for (size_t middle = n / 2, step = 0; left > 2 && line_at(f, n, 0) > columns; step++) {
		/* middle, middle - 1, middle + 1, middle - 2, … so that they stand together */
		size_t away = (step + 1) / 2;
		if (step % 2 ? away > middle : middle + away >= n)
			continue;
		f[step % 2 ? middle - away : middle + away].hidden = true;
		left--;
	}
}

void fit_columns(struct fit *f, size_t n, size_t columns, bool may_hide)
{
	size_t level = columns;

	if (columns > 0 && may_hide)
		hide(f, n, columns);
	if (columns > 0)
		while (level > 0 && line_at(f, n, level) > columns)
			level--;
	for (size_t i = 0; i < n; i++)
		f[i].width = columns > 0 ? width_at(&f[i], i == 0, level) : natural(&f[i]);
}
