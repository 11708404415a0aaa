#include "fit.h"

#include <string.h>

#include "text.h"

#define LEAST_FIRST 24
#define LEAST_TEXT  8
#define LEAST_REAL  9  /* -1.2e-300 */
#define DAY	    10 /* bytes of YYYY-MM-DD */
#define TO_SECONDS  19 /* and of YYYY-MM-DD HH:MM:SS */

/* What is left of a time, from the longest on. */
static const struct part {
	size_t from, n;
} of_one_day[] = {{11, 15}, {11, 8}}, of_days[] = {{0, TO_SECONDS}, {5, 14}};

#define PARTS 2

/* ---- cells ------------------------------------------------------------ */

void fit_add(struct fit *f, enum cell_kind kind, size_t width)
{
	if (width > f->widest[kind])
		f->widest[kind] = width;
}

/* FNV-1a: two values that it takes for one cost a column at worst, where there is no room for all. */
static uint64_t hash_of(enum cell_kind kind, const char *text, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325u + (uint64_t)kind;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
	return hash;
}

void fit_cell(struct fit *f, enum cell_kind kind, const char *text, size_t n, size_t width)
{
	uint64_t hash = hash_of(kind, text, n);

	fit_add(f, kind, width);
	if (f->rows++ == 0)
		f->first = hash;
	f->differs = f->differs || hash != f->first;
	if (kind != CELL_TIME)
		return;
	if (f->day[0] == '\0')
		memcpy(f->day, text, DAY);
	f->days = f->days || memcmp(f->day, text, DAY) != 0;
}

bool fit_is_number(const struct fit *f)
{
	return f->widest[CELL_TEXT] == 0 && f->widest[CELL_TIME] == 0 &&
	       (f->widest[CELL_INTEGER] > 0 || f->widest[CELL_REAL] > 0);
}

static enum fit_news news_of(const struct fit *f)
{
	bool empty = true;

	for (int kind = CELL_NULL + 1; kind < CELL_KINDS; kind++)
		empty = empty && f->widest[kind] == 0;
	if (empty && f->rows > 0)
		return FIT_EMPTY;
	return f->rows > 1 && !f->differs ? FIT_SAME : FIT_NEWS;
}

/* ---- times ------------------------------------------------------------ */

bool fit_is_time(const char *text, size_t n)
{
	int64_t us;

	/* time_parse() takes other ways to write it, too, whose parts are elsewhere. */
	return n >= TO_SECONDS && n <= TO_SECONDS + 7 && text[4] == '-' && text[7] == '-' &&
	       text[DAY] == ' ' && text[13] == ':' && text[16] == ':' && text[n - 1] >= '0' &&
	       text[n - 1] <= '9' && time_parse(text, n, &us);
}

static bool has_times(const struct fit *f)
{
	return f->widest[CELL_TIME] > 0 && f->widest[CELL_TEXT] == 0 && f->widest[CELL_INTEGER] == 0 &&
	       f->widest[CELL_REAL] == 0;
}

bool fit_time(const struct fit *f, size_t n, size_t columns, size_t *ret_from, size_t *ret_n)
{
	const struct part *parts = f->days ? of_days : of_one_day;
	size_t i = 0;

	if (!has_times(f))
		return false;
	while (i + 1 < PARTS && parts[i].n > columns)
		i++;
	*ret_from = parts[i].from;
	*ret_n = n - parts[i].from < parts[i].n ? n - parts[i].from : parts[i].n;
	return true;
}

/* ---- widths ----------------------------------------------------------- */

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

	for (int kind = CELL_NULL; kind < CELL_KINDS; kind++)
		width = larger(width, f->widest[kind]);
	return width;
}

/* What it cannot do without. The first column tells rows apart, often by a track_id. */
static size_t least(const struct fit *f, bool first)
{
	size_t width = smaller(natural(f), first && !has_times(f) ? LEAST_FIRST : LEAST_TEXT);

	if (has_times(f)) /* its clock, and what it is called: "timestamp" */
		width = larger(f->days ? of_days[PARTS - 1].n : width, smaller(f->head, LEAST_REAL));
	width = larger(width, f->widest[CELL_INTEGER]);
	return larger(width, smaller(f->widest[CELL_REAL], LEAST_REAL));
}

/* Its width when no column may be wider than `level` without need. */
static size_t width_at(const struct fit *f, bool first, size_t level)
{
	size_t width = larger(least(f, first), smaller(natural(f), level)), from, n;

	/* Of a time whole parts are shown: more room than they need is others'. */
	if (width >= f->widest[CELL_TIME] || !fit_time(f, f->widest[CELL_TIME], width, &from, &n))
		return width;
	return larger(least(f, first), larger(n, smaller(f->head, width)));
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

/* Leaves out columns that tell so much, from the middle on, until the rest fits at its narrowest, or two are
 * left. */
static void hide(struct fit *f, size_t n, size_t columns, enum fit_news news, size_t *left)
{
	for (size_t middle = n / 2, step = 0; step <= 2 * n && *left > 2 && line_at(f, n, 0) > columns;
	     step++) {
		/* middle, middle - 1, middle + 1, middle - 2, … so that they stand together */
		size_t away = (step + 1) / 2;
		if (step % 2 ? away > middle : middle + away >= n)
			continue;
		struct fit *one = &f[step % 2 ? middle - away : middle + away];
		if (one->hidden || news_of(one) != news)
			continue;
		one->hidden = true;
		one->hidden_as = news;
		(*left)--;
	}
}

static void choose_columns(struct fit *f, size_t n, size_t columns)
{
	size_t left = n;

	for (size_t i = 0; i < n; i++)
		f[i].hidden = false;
	for (enum fit_news news = FIT_EMPTY; news <= FIT_NEWS; news++)
		hide(f, n, columns, news, &left);
}

bool fit_overflows(const struct fit *f, size_t n, size_t columns)
{
	return line_at(f, n, 0) > columns;
}

bool fit_has_news(const struct fit *f, size_t n)
{
	bool more = false;

	for (size_t i = 0; i < n; i++)
		more = more || (f[i].hidden && news_of(&f[i]) > f[i].hidden_as);
	return more;
}

void fit_columns(struct fit *f, size_t n, size_t columns, bool choose)
{
	size_t level = columns;

	if (columns > 0 && choose)
		choose_columns(f, n, columns);
	if (columns > 0)
		while (level > 0 && line_at(f, n, level) > columns)
			level--;
	for (size_t i = 0; i < n; i++)
		f[i].width = columns > 0 ? width_at(&f[i], i == 0, level) : natural(&f[i]);
}
