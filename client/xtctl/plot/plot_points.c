/* Scatter plots and lines: rows pass by and leave their dots on a canvas, so that memory stays the same
 * however many there are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"
#include "plot_gaps.h"
#include "sql.h"

struct points {
	struct plot *p;
	struct plot_range range;
	struct axis x, y;
	struct canvas canvas;
	size_t left;
	bool numbered;	 /* x is the number of the row in its group */
	bool joined;	 /* by lines */
	bool means;	 /* y is the mean of several rows */
	int64_t longest; /* rows of the largest group */
};

/* The last point of each group, where they are joined. */
struct pen {
	bool down;
	double x, y;
	int64_t n; /* points so far */
};

/* ---- axes ------------------------------------------------------------- */

static void set_axes(struct points *s)
{
	const struct plot *p = s->p;
	const struct plot_range *r = &s->range;
	unsigned x_flags =
		p->time ? AXIS_TIME : (p->o->log_x ? AXIS_LOG : 0u) | (r->x_whole ? AXIS_WHOLE : 0u);
	unsigned y_flags = (p->o->log_y ? AXIS_LOG : 0u) | (r->y_whole && !s->means ? AXIS_WHOLE : 0u);

	axis_init(&s->y, r->y_min, r->y_max, frame_ticks_up(p->height), y_flags);
	s->left = frame_label_width(&s->y);
	size_t columns = p->width > s->left + 2 + 10 ? p->width - s->left - 2 : 10;
	axis_init(&s->x, r->x_min, r->x_max, frame_ticks_across(columns), x_flags);
	s->canvas.columns = columns;
}

/* ---- rows ------------------------------------------------------------- */

static void put_point(struct points *s, struct pen *pen, size_t group, double x, double y)
{
	double at_x = axis_at(&s->x, x), at_y = axis_at(&s->y, y);

	if (s->joined && pen->down)
		canvas_line(&s->canvas, pen->x, pen->y, at_x, at_y, (uint8_t)group);
	else
		canvas_dot(&s->canvas, at_x, at_y, (uint8_t)group);
	*pen = (struct pen){true, at_x, at_y, pen->n};
}

/* Rows of y, x where it is not numbered, and the group where there are several. */
static int read_points(struct points *s, const char *sql)
{
	struct pen pens[FRAME_SERIES] = {0};
	struct plot *p = s->p;
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int status = plot_query(p, sql, &cursor);
	while (status == CTL_OK && plot_next(p, cursor, &row, &status)) {
		size_t group = p->by ? plot_group_of(p, &row[2]) : 0;
		if (group >= p->n_groups)
			continue;
		double x = s->numbered ? (double)++pens[group].n : plot_real(&row[1]);
		put_point(s, &pens[group], group, x, plot_real(&row[0]));
	}
	xt_cursor_close(cursor);
	return status;
}

/* Rows of y, x, the group, of its rows the first and last x, and their number: what is drawn of times. They
 * are as few as fit beside each other, so all are kept. */
static int read_times(struct points *s, const char *sql)
{
	struct spots spots = {0};
	struct plot *p = s->p;
	xt_cursor *cursor = NULL;
	const xt_value *row;
	double dot = (s->range.x_max - s->range.x_min) / (double)(s->canvas.columns * CANVAS_X), reach = 0;

	int status = plot_query(p, sql, &cursor);
	while (status == CTL_OK && plot_next(p, cursor, &row, &status)) {
		struct spot one = {plot_group_of(p, &row[2]), plot_real(&row[1]), plot_real(&row[0]),
				   plot_real(&row[3]),	      plot_real(&row[4]), plot_integer(&row[5])};
		if (one.group < p->n_groups && spots_add(&spots, &one) < 0)
			status = ctl_no_memory(p->ctl);
	}
	xt_cursor_close(cursor);
	if (status == CTL_OK && spots_reach(&spots, dot, &reach) < 0)
		status = ctl_no_memory(p->ctl);
	struct pen pen = {0};
	for (size_t i = 0; i < spots.n && status == CTL_OK; i++) {
		const struct spot *one = &spots.list[i];
		pen.down = spots_joined(&spots, i, reach);
		put_point(s, &pen, one->group, one->x, one->y);
	}
	spots_done(&spots);
	return status;
}

/* ---- drawing ---------------------------------------------------------- */

/* x_name NULL: the column's. */
static int draw(struct points *s, const char *x_name, const char *y_name)
{
	const struct plot *p = s->p;
	const struct frame_style *style = &p->style;
	const struct canvas_style how = {.marks = style->marked ? style->marks : NULL,
					 .colours = style->colour ? style->colours : NULL,
					 .n = FRAME_SERIES};
	char *own_name = x_name ? NULL : plot_x_name(p, &s->x);
	struct frame f = {.out = p->ctl->out.file,
			  .style = style,
			  .x = &s->x,
			  .y = &s->y,
			  .x_name = x_name ? x_name : own_name,
			  .y_name = y_name,
			  .columns = s->canvas.columns,
			  .rows = s->canvas.rows,
			  .left = s->left};

	if (!f.x_name)
		return ctl_no_memory(p->ctl);
	plot_legend(p);
	frame_top(&f);
	for (size_t row = 0; row < s->canvas.rows; row++) {
		frame_left(&f, row);
		canvas_put(&s->canvas, f.out, row, &how);
		putc('\n', f.out);
	}
	frame_bottom(&f);
	free(own_name);
	return CTL_OK;
}

/* The condition that both columns can be drawn. Owned by the caller; NULL: out of memory. */
static char *usable_of(const struct plot *p, const struct relation_column *x)
{
	char *a = plot_usable(p, x, p->o->log_x && x != p->y), *b = plot_usable(p, p->y, p->o->log_y);
	char *both = NULL;

	if (a && b)
		both = sql_format("%s AND %s", a, b);
	free(a);
	free(b);
	return both;
}

static int draw_points(struct points *s, const char *sql, const char *x_name, const char *y_name)
{
	size_t columns;

	plot_make_room(s->p);
	set_axes(s);
	columns = s->canvas.columns;
	int status = sql && canvas_init(&s->canvas, columns, s->p->height) == 0 ? CTL_OK
										: ctl_no_memory(s->p->ctl);
	if (status == CTL_OK)
		status = s->joined && s->p->time ? read_times(s, sql) : read_points(s, sql);
	if (status == CTL_OK)
		status = draw(s, x_name, y_name);
	canvas_done(&s->canvas);
	return status;
}

/* ---- scatter ---------------------------------------------------------- */

int plot_scatter(struct plot *p)
{
	struct points s = {.p = p};
	char *usable = NULL, *sql = NULL;

	int status = plot_take_time(p);
	if (status == CTL_OK && !(usable = usable_of(p, p->x)))
		status = ctl_no_memory(p->ctl);
	if (status == CTL_OK)
		status = plot_range(p, &s.range);
	if (status == CTL_OK)
		status = plot_groups_read(p, usable, FRAME_SERIES);
	if (status == CTL_OK) {
		const char *by = p->by ? p->by->name : p->x->name;
		sql = sql_format("SELECT %n, %s, %n FROM %n WHERE %s AND %s", p->y->name, p->x_sql, by,
				 p->rel.name, p->where, usable);
		status = draw_points(&s, sql, NULL, p->y->name);
	}
	free(sql);
	free(usable);
	return status;
}

/* ---- line ------------------------------------------------------------- */

/* One column, in the order of its rows. */
static int numbered_line(struct points *s, const char *usable)
{
	struct plot *p = s->p;
	const char *by = p->by ? p->by->name : p->y->name;

	s->numbered = true;
	s->longest = s->range.used;
	for (size_t i = 0; p->by && i < p->n_groups; i++)
		s->longest = i == 0 || p->groups[i].rows > s->longest ? p->groups[i].rows : s->longest;
	s->range.x_min = 1;
	s->range.x_max = (double)s->longest;
	s->range.x_whole = true;
	char *sql = sql_format("SELECT %n, NULL, %n FROM %n WHERE %s AND %s", p->y->name, by, p->rel.name,
			       p->where, usable);
	int status = draw_points(s, sql, p->by ? "row of the group" : "row", p->y->name);
	free(sql);
	return status;
}

/* The mean of y at each x; whether it is one of several, and its range. */
static int mean_range(struct points *s, const char *means)
{
	struct plot *p = s->p;
	xt_cursor *cursor = NULL;
	const xt_value *row;

	char *sql = sql_format("SELECT min(y), max(y), count(*) FROM (%s)", means);
	int status = plot_query(p, sql, &cursor);
	free(sql);
	if (status == CTL_OK && plot_next(p, cursor, &row, &status)) {
		s->range.y_min = plot_real(&row[0]);
		s->range.y_max = plot_real(&row[1]);
		s->means = plot_integer(&row[2]) < s->range.used;
	}
	xt_cursor_close(cursor);
	return status;
}

/* Hardly two rows have the same time: where there are more of them than dots across, those of a round span of
 * time are taken together. Returns its seconds; 0: each time stays on its own. */
static double span_of(const struct points *s)
{
	const struct plot *p = s->p;
	double dots = (double)(p->width * CANVAS_X);

	if (!p->time || (double)s->range.used <= dots || s->range.x_max <= s->range.x_min)
		return 0;
	return axis_time_step((s->range.x_max - s->range.x_min) / (double)p->width);
}

/* The mean of y at each x. Owned by the caller; NULL: out of memory. */
static char *means_sql(const struct points *s, const char *usable, double span)
{
	const struct plot *p = s->p;
	char *x = NULL, *by = p->by ? ctl_quote(p->by->name) : strdup("NULL"), *sql = NULL;

	if (span > 0 && asprintf(&x, "max(%.17g, min(%.17g, round(%s / %.17g) * %.17g))", s->range.x_min,
				 s->range.x_max, p->x_sql, span, span) < 0)
		x = NULL;
	if (span <= 0)
		x = strdup(p->x_sql);
	if (x && by)
		sql = sql_format(
			"SELECT avg(%n) AS y, %s AS x, %s AS g, min(%s), max(%s), count(*) FROM %n WHERE %s "
			"AND %s GROUP BY 3, 2",
			p->y->name, x, by, p->x_sql, p->x_sql, p->rel.name, p->where, usable);
	free(x);
	free(by);
	return sql;
}

/* What y is called: of means also of how much time each is. NULL: out of memory. */
static char *mean_name(const struct points *s, double span)
{
	static const struct {
		double seconds;
		const char *unit;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {0, "s"}};
	char *name = NULL;
	size_t i = 0;

	while (span < units[i].seconds)
		i++;
	double unit = units[i].seconds > 0 ? units[i].seconds : 1;
	int n = span > 0 ? asprintf(&name, "mean of %s in %g %s", s->p->y->name, span / unit, units[i].unit)
			 : asprintf(&name, s->means ? "mean of %s" : "%s", s->p->y->name);
	return n < 0 ? NULL : name;
}

static int mean_line(struct points *s, const char *usable)
{
	struct plot *p = s->p;
	double span = span_of(s);
	char *sql = means_sql(s, usable, span), *name = NULL;

	int status = sql ? mean_range(s, sql) : ctl_no_memory(p->ctl);
	if (status == CTL_OK && !(name = mean_name(s, span)))
		status = ctl_no_memory(p->ctl);
	char *ordered = status == CTL_OK ? sql_format("%s ORDER BY 3, 2", sql) : NULL;
	if (status == CTL_OK)
		status = draw_points(s, ordered, NULL, name);
	free(ordered);
	free(name);
	free(sql);
	return status;
}

int plot_line(struct plot *p)
{
	struct points s = {.p = p, .joined = true};
	bool one = !p->y;
	int status;

	if (one && p->o->log_x)
		return ctl_usage(p->ctl, "--log-x needs a column for x before the one for y");
	if (one)
		p->y = p->x;
	else if ((status = plot_take_time(p)) != CTL_OK)
		return status;
	char *usable = usable_of(p, p->x);
	status = usable ? plot_range(p, &s.range) : ctl_no_memory(p->ctl);
	if (status == CTL_OK)
		status = plot_groups_read(p, usable, FRAME_SERIES);
	if (status == CTL_OK)
		status = one ? numbered_line(&s, usable) : mean_line(&s, usable);
	free(usable);
	return status;
}
