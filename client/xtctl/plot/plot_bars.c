/* Pictures with a line for each group: boxes and bars. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"
#include "sql.h"
#include "text.h"

#define MOST_GROUPS 30
#define LEAST	    10 /* columns inside */
#define BOX_FIGURES 7
#define RIGHT	    48 /* bytes of a figure at the right */
#define EIGHTHS	    8
#define ERRORS	    1.96 /* standard errors on each side: 95 % of a normal distribution */

/* What is drawn of one group. */
struct line {
	double figures[BOX_FIGURES]; /* of a box, in order: see box_sql(); of a bar: value, error */
	char right[RIGHT];	     /* what it is in digits */
};

struct lines {
	struct plot *p;
	struct plot_range range;
	struct line *all; /* owned: one for each group */
	struct axis x;
	size_t left, columns, right;
	const char **cells; /* owned: of one line, columns of them */
};

/* The bar or box itself, what reaches out of it, its ends, and what lies alone. */
struct glyphs {
	const char *body, *mark, *reach, *from, *to, *alone;
};

static const struct glyphs utf8_glyphs = {"█", "┃", "─", "├", "┤", "·"};
static const struct glyphs ascii_glyphs = {"=", "#", "-", "|", "|", "."};

static const struct glyphs *glyphs_of(const struct lines *l)
{
	return l->p->style.utf8 ? &utf8_glyphs : &ascii_glyphs;
}

/* ---- where things are ------------------------------------------------- */

/* The axis from min to max, in what labels and figures leave of the width. */
static int set_axis(struct lines *l, double min, double max, unsigned flags)
{
	const struct plot *p = l->p;

	l->left = p->by ? plot_label_width(p) : 0;
	for (size_t i = 0; i < p->n_groups; i++) {
		size_t width = text_width(l->all[i].right, strlen(l->all[i].right));
		l->right = width > l->right ? width : l->right;
	}
	size_t around = l->left + 2 + 2 + l->right;
	l->columns = p->width > around + LEAST ? p->width - around : LEAST;
	axis_init(&l->x, min, max, frame_ticks_across(l->columns), flags);
	l->cells = calloc(l->columns + 1, sizeof(*l->cells));
	return l->cells ? CTL_OK : ctl_no_memory(p->ctl);
}

static size_t column_of(const struct lines *l, double value)
{
	double at = axis_at(&l->x, value) * (double)(l->columns - 1);

	return !(at > 0) ? 0 : at >= (double)(l->columns - 1) ? l->columns - 1 : (size_t)lround(at);
}

static void clear(struct lines *l)
{
	for (size_t i = 0; i < l->columns; i++)
		l->cells[i] = " ";
}

static void put_cells(const struct lines *l, const struct frame *f, size_t group, const char *caption)
{
	const struct frame_style *s = &l->p->style;
	const struct plot_group *g = &l->p->groups[group];

	frame_label(f, l->p->by ? g->label : "", l->p->by ? g->label_width : 0);
	fputs(s->colours[l->p->by ? group % FRAME_SERIES : 0], f->out);
	for (size_t i = 0; i < l->columns; i++)
		fputs_unlocked(l->cells[i], f->out);
	fprintf(f->out, "%s  ", s->plain);
	frame_fill(f->out, " ", l->right - text_width(caption, strlen(caption)));
	fprintf(f->out, "%s\n", caption);
}

static void draw(struct lines *l, const char *x_name, const char *right_name,
		 void line(struct lines *l, size_t group))
{
	const struct plot *p = l->p;
	struct frame f = {.out = p->ctl->out.file,
			  .style = &p->style,
			  .x = &l->x,
			  .x_name = x_name,
			  .columns = l->columns,
			  .rows = p->n_groups,
			  .left = l->left};
	size_t width = strlen(right_name), end = l->left + 2 + l->columns + 2 + l->right;

	if (width > 0) {
		frame_fill(f.out, " ", end > width ? end - width : 0);
		fprintf(f.out, "%s\n", right_name);
	}
	for (size_t i = 0; i < p->n_groups; i++) {
		clear(l);
		line(l, i);
		put_cells(l, &f, i, l->all[i].right);
	}
	frame_bottom(&f);
}

static void done(struct lines *l)
{
	free(l->all);
	free(l->cells);
}

/* ---- box -------------------------------------------------------------- */

static char *box_sql(const struct plot *p, const char *usable)
{
	const char *x = p->x->name;

	return sql_format("SELECT approx_quantile(%n, '[0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]'), %n FROM %n "
			  "WHERE %s AND %s%s",
			  x, p->by ? p->by->name : x, p->rel.name, p->where, usable,
			  p->by ? " GROUP BY 2" : "");
}

static void read_box(const struct lines *l, struct line *line, const xt_value *row)
{
	(void)l;
	const xt_value *list = &row[0];
	const char *at = list->type == XT_T_TEXT && list->n > 0 ? list->as.text + 1 : NULL;

	for (size_t i = 0; i < BOX_FIGURES && at; i++) {
		char *end;
		line->figures[i] = strtod(at, &end);
		at = *end == ',' ? end + 1 : NULL;
	}
	char text[REAL_BYTES];
	snprintf(line->right, RIGHT, "%s", text_digits(text, line->figures[BOX_FIGURES / 2], 4));
}

/* Reads a row for each group: its answer first, the group second. */
static int read_lines(struct lines *l, char *sql,
		      void take(const struct lines *l, struct line *line, const xt_value *row))
{
	struct plot *p = l->p;
	xt_cursor *cursor = NULL;
	const xt_value *row;

	l->all = calloc(p->n_groups + 1, sizeof(*l->all));
	if (!l->all) {
		free(sql);
		ctl_no_memory(p->ctl);
		return CTL_FAILED;
	}
	int status = plot_query(p, sql, &cursor);
	free(sql);
	while (status == CTL_OK && plot_next(p, cursor, &row, &status)) {
		size_t group = p->by ? plot_group_of(p, &row[1]) : 0;
		if (group < p->n_groups)
			take(l, &l->all[group], row);
	}
	xt_cursor_close(cursor);
	return status;
}

static void draw_box(struct lines *l, size_t group)
{
	const struct glyphs *g = glyphs_of(l);
	const double *q = l->all[group].figures;
	size_t at[BOX_FIGURES];

	for (size_t i = 0; i < BOX_FIGURES; i++)
		at[i] = column_of(l, q[i]);
	l->cells[at[0]] = l->cells[at[6]] = g->alone;
	for (size_t i = at[1]; i <= at[5]; i++)
		l->cells[i] = g->reach;
	l->cells[at[1]] = g->from;
	l->cells[at[5]] = g->to;
	for (size_t i = at[2]; i <= at[4]; i++)
		l->cells[i] = g->body;
	l->cells[at[3]] = g->mark;
}

int plot_box(struct plot *p)
{
	struct lines l = {.p = p};
	char *usable = plot_usable(p, p->x, p->o->log_x);

	int status = usable ? plot_range(p, &l.range) : ctl_no_memory(p->ctl);
	if (status == CTL_OK)
		status = plot_groups_read(p, usable, MOST_GROUPS);
	if (status == CTL_OK)
		status = read_lines(&l, box_sql(p, usable), read_box);
	if (status == CTL_OK)
		status = set_axis(&l, l.range.x_min, l.range.x_max, p->o->log_x ? AXIS_LOG : 0);
	if (status == CTL_OK)
		draw(&l, p->x->name, "median", draw_box);
	free(usable);
	done(&l);
	return status;
}

/* ---- bar -------------------------------------------------------------- */

static const struct stat {
	const char *name, *value, *error; /* SQL of a column */
} stats[] = {
	{"mean", "avg(%n)", "sem(%n)"}, {"median", "approx_quantile(%n, 0.5)", NULL},
	{"sum", "total(%n)", NULL},	{"min", "min(%n)", NULL},
	{"max", "max(%n)", NULL},	{"count", "count(*)", NULL},
};

#define N_STATS (sizeof(stats) / sizeof(stats[0]))

/* What is shown, unless it is told: means where there are groups, else how often each value is there. */
static const struct stat *stat_of(const struct plot *p)
{
	const char *name = p->o->stat ? p->o->stat : p->o->by ? "mean" : "count";
	size_t i = 0;

	while (i + 1 < N_STATS && strcmp(stats[i].name, name) != 0)
		i++;
	return &stats[i];
}

/* The value, the group, the error. */
static char *bar_sql(const struct plot *p, const struct stat *stat, const char *usable)
{
	char *value = sql_format(stat->value, p->x->name), *sql = NULL;
	char *error = stat->error ? sql_format(stat->error, p->x->name) : strdup("NULL");

	if (value && error)
		sql = sql_format("SELECT %s, %n, %s FROM %n WHERE %s AND %s GROUP BY 2", value, p->by->name,
				 error, p->rel.name, p->where, usable);
	free(value);
	free(error);
	return sql;
}

static void read_bar(const struct lines *l, struct line *line, const xt_value *row)
{
	double error = plot_real(&row[2]) * ERRORS;
	char value[REAL_BYTES], text[REAL_BYTES];

	line->figures[0] = plot_real(&row[0]);
	line->figures[1] = isfinite(error) ? error : 0;
	text_digits(value, line->figures[0], row[0].type == XT_T_INT ? 15 : 4);
	if (row[2].type == XT_T_NULL)
		snprintf(line->right, RIGHT, "%s", value);
	else
		snprintf(line->right, RIGHT, "%s %s %s", value, l->p->style.utf8 ? "±" : "+-",
			 text_digits(text, error, 2));
}

static void draw_bar(struct lines *l, size_t group)
{
	static const char *const parts[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
	const struct glyphs *g = glyphs_of(l);
	double value = l->all[group].figures[0], error = l->all[group].figures[1];
	double zero = floor(axis_at(&l->x, 0) * (double)l->columns + 1e-9);
	double end = fmin(fmax(axis_at(&l->x, value), 0), 1) * (double)l->columns;
	size_t from = (size_t)fmin(zero, floor(end)), to = (size_t)fmax(zero, floor(end));

	for (size_t i = from; i < to && i < l->columns; i++)
		l->cells[i] = g->body;
	/* Parts of a character grow to the right only. */
	size_t part = value > 0 && l->p->style.utf8 ? (size_t)((end - floor(end)) * EIGHTHS) : 0;
	if (part > 0 && to < l->columns)
		l->cells[to++] = parts[part];
	size_t reach = column_of(l, value + (value < 0 ? -error : error));
	if (error > 0 && value >= 0 && reach >= to) {
		for (size_t i = to; i < reach; i++)
			l->cells[i] = g->reach;
		l->cells[reach] = g->to;
	} else if (error > 0 && value < 0 && reach < from) {
		for (size_t i = reach; i < from; i++)
			l->cells[i] = g->reach;
		l->cells[reach] = g->from;
	}
}

static int draw_bars(struct lines *l, const struct stat *stat)
{
	const struct plot *p = l->p;
	double min = 0, max = 0;
	char *name = NULL;

	for (size_t i = 0; i < p->n_groups; i++) {
		const double *f = l->all[i].figures;
		min = fmin(min, f[0] < 0 ? f[0] - f[1] : 0);
		max = fmax(max, f[0] > 0 ? f[0] + f[1] : 0);
	}
	bool count = strcmp(stat->name, "count") == 0;
	int status = set_axis(l, min, max, AXIS_ROUND | (count ? AXIS_WHOLE : 0u));
	if (status == CTL_OK &&
	    asprintf(&name, "%s %s %s", count ? "rows" : stat->name, count ? "by" : "of", p->x->name) < 0)
		name = NULL;
	if (status == CTL_OK)
		draw(l, name ? name : "", stat->error ? "mean, 95 %" : "", draw_bar);
	free(name);
	return status;
}

static int compare_rows(const void *a, const void *b)
{
	int64_t x = ((const struct plot_group *)a)->rows, y = ((const struct plot_group *)b)->rows;

	return (x < y) - (x > y);
}

/* Values by how often they are there. */
static int count_bars(struct lines *l)
{
	struct plot *p = l->p;

	int status = plot_groups_read(p, "1", MOST_GROUPS);
	if (status == CTL_OK && p->n_groups == 0)
		status = ctl_error(p->ctl, "there is nothing to draw: no row of '%s' is selected",
				   p->rel.name);
	if (status == CTL_OK && !p->o->by)
		qsort(p->groups, p->n_groups, sizeof(*p->groups), compare_rows);
	return status;
}

int plot_bar(struct plot *p)
{
	const struct stat *stat = stat_of(p);
	bool count = strcmp(stat->name, "count") == 0;
	struct lines l = {.p = p};

	if (!count && !p->by)
		return ctl_usage(p->ctl, "--stat %s needs --by COLUMN, whose values are the bars",
				 stat->name);
	if (!p->by)
		p->by = p->x;
	char *usable = count ? strdup("1") : plot_usable(p, p->x, false);
	int status = usable ? CTL_OK : ctl_no_memory(p->ctl);
	if (status == CTL_OK && count)
		status = count_bars(&l);
	else if (status == CTL_OK && (status = plot_range(p, &l.range)) == CTL_OK)
		status = plot_groups_read(p, usable, MOST_GROUPS);
	if (status == CTL_OK)
		status = read_lines(&l, bar_sql(p, stat, usable), read_bar);
	if (status == CTL_OK)
		status = draw_bars(&l, stat);
	free(usable);
	done(&l);
	return status;
}
