#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include "sql.h"
#include "text.h"

#define DEFAULT_WIDTH  80
#define DEFAULT_HEIGHT 24      /* of a terminal that does not tell */
#define MOST_ROWS      20      /* inside of a picture, unless told otherwise */
#define AROUND	       6       /* lines around it */
#define LARGEST	       "4e307" /* so that a difference stays finite */

/* ---- how it looks ----------------------------------------------------- */

static const char *const braille_marks[FRAME_SERIES] = {"●", "▲", "■", "◆", "○", "△", "□", "◇"};
static const char *const ascii_marks[FRAME_SERIES] = {"o", "x", "+", "*", "#", "@", "%", "&"};
static const char *const colours[FRAME_SERIES] = {"\033[36m", "\033[33m", "\033[35m", "\033[32m",
						  "\033[34m", "\033[31m", "\033[95m", "\033[96m"};

/* What --colour may name, as bashplotlib does. */
static const struct {
	const char *name, *escape;
} named_colours[] = {
	{"default", "\033[39m"}, {"black", "\033[30m"}, {"red", "\033[31m"},	 {"green", "\033[32m"},
	{"yellow", "\033[33m"},	 {"blue", "\033[34m"},	{"magenta", "\033[35m"}, {"pink", "\033[95m"},
	{"cyan", "\033[36m"},	 {"aqua", "\033[36m"},	{"white", "\033[37m"},	 {"grey", "\033[90m"},
};

/* --pch and --colour are about the first series. */
static int set_first(struct plot *p)
{
	const char *pch = p->o->pch, *colour = p->o->colour;
	size_t width = 0, i = 0, n = sizeof(named_colours) / sizeof(named_colours[0]);

	if (pch) {
		char escape[ESCAPE_BYTES];
		size_t len = text_next(pch, strlen(pch), escape, &width);
		if (len != strlen(pch) || width != 1 || escape[0])
			return ctl_usage(p->ctl, "--pch needs one character, of one column, not '%s'", pch);
		p->style.marks[0] = pch;
	}
	while (colour && i < n && strcmp(colour, named_colours[i].name) != 0)
		i++;
	if (colour && i == n)
		return ctl_usage(
			p->ctl,
			"no colour '%s'; there are black, red, green, yellow, blue, magenta, cyan, white and "
			"grey",
			colour);
	if (colour && p->style.colour)
		p->style.colours[0] = named_colours[i].escape;
	return CTL_OK;
}

static int set_style(struct plot *p)
{
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
	struct frame_style *s = &p->style;

	s->utf8 = p->ctl->utf8 && !p->o->ascii;
	s->colour = p->ctl->out.terminal && !(no_colour && no_colour[0]) && term && strcmp(term, "dumb") != 0;
	for (size_t i = 0; i < FRAME_SERIES; i++) {
		s->marks[i] = s->utf8 ? braille_marks[i] : ascii_marks[i];
		s->colours[i] = s->colour ? colours[i] : "";
	}
	s->faint = s->colour ? "\033[2m" : "";
	s->plain = s->colour ? "\033[0m" : "";
	s->marked = !s->utf8 || p->o->pch || (p->by && !s->colour);
	return set_first(p);
}

static void set_size(struct plot *p)
{
	int64_t columns = p->o->width, rows = p->o->height ? p->o->height : p->o->size;
	struct winsize size = {0};

	if (columns == 0)
		columns = p->ctl->out.columns > 0 ? p->ctl->out.columns : DEFAULT_WIDTH;
	if (rows == 0) {
		bool told = ioctl(p->ctl->out.fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0;
		rows = (told ? size.ws_row : DEFAULT_HEIGHT) - AROUND - (p->o->title ? 1 : 0);
		rows = rows < PLOT_LEAST_ROWS ? PLOT_LEAST_ROWS : rows;
		p->lines = (size_t)rows;
		rows = rows > MOST_ROWS ? MOST_ROWS : rows;
	}
	p->width = (size_t)columns;
	p->height = (size_t)rows;
}

/* ---- what is drawn ---------------------------------------------------- */

static int find_columns(struct plot *p)
{
	const struct ctl *ctl = p->ctl;

	if (!(p->x = relation_column(&p->rel, ctl->args[0])) ||
	    (ctl->n_args > 1 && !(p->y = relation_column(&p->rel, ctl->args[1]))) ||
	    (p->o->by && !(p->by = relation_column(&p->rel, p->o->by))))
		return CTL_FAILED;
	p->x_sql = ctl_quote(p->x->name);
	return p->x_sql ? CTL_OK : ctl_no_memory(ctl);
}

static void print_title(const struct plot *p)
{
	FILE *f = p->ctl->out.file;
	const char *title = p->o->title;

	if (!title)
		return;
	size_t width, len = text_fit(title, strlen(title), p->width, &width);
	frame_fill(f, " ", (p->width - width) / 2);
	text_put(f, title, len, SIZE_MAX);
	putc('\n', f);
}

static int draw_it(struct ctl *ctl, xt_client *client, int draw(struct plot *p))
{
	struct plot p = {.ctl = ctl, .client = client, .o = ctl->own};

	int status = relation_open(ctl, client, &p.rel);
	if (status == CTL_OK)
		status = where_make(&p.rel, &p.where);
	if (status == CTL_OK)
		status = find_columns(&p);
	if (status == CTL_OK)
		status = set_style(&p);
	if (status == CTL_OK) {
		set_size(&p);
		status = draw(&p);
	}
	plot_groups_done(&p);
	free(p.where);
	free(p.x_sql);
	relation_done(&p.rel);
	return status;
}

int plot_run(struct ctl *ctl, int draw(struct plot *p))
{
	xt_options options = ctl_reading();
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	return status == CTL_OK ? ctl_close(ctl, client, draw_it(ctl, client, draw)) : status;
}

/* ---- answers ---------------------------------------------------------- */

int plot_query(const struct plot *p, const char *sql, xt_cursor **ret)
{
	int r = ctl_summarise(p->client, sql, ret);

	return r == XT_OK ? CTL_OK : ctl_fail(p->ctl, p->client, r);
}

bool plot_next(const struct plot *p, xt_cursor *cursor, const xt_value **ret_row, int *status)
{
	int r = ctl_next(cursor, ret_row);

	if (r != XT_OK && r != XT_DONE)
		*status = ctl_fail(p->ctl, p->client, r);
	return r == XT_OK;
}

double plot_real(const xt_value *v)
{
	switch (v->type) {
	case XT_T_REAL:
		return v->as.real;
	case XT_T_INT:
		return (double)v->as.integer;
	case XT_T_UINT:
		return (double)v->as.uinteger;
	default:
		return NAN;
	}
}

int64_t plot_integer(const xt_value *v)
{
	switch (v->type) {
	case XT_T_INT:
		return v->as.integer;
	case XT_T_UINT:
		return (int64_t)v->as.uinteger;
	case XT_T_BOOL:
		return v->as.boolean;
	default:
		return 0;
	}
}

/* ---- the range -------------------------------------------------------- */

/* Text and blobs are larger than any number. */
char *plot_usable(const struct plot *p, const struct relation_column *c, bool log)
{
	if (p->time && c == p->x)
		return plot_time_usable(c);
	return sql_format(log ? "(%n > 0 AND %n <= " LARGEST ")"
			      : "(%n BETWEEN -" LARGEST " AND " LARGEST ")",
			  c->name, c->name);
}

bool plot_is_number(const struct plot *p, const struct relation_column *c)
{
	if (relation_is_number(c) || !c->type[0])
		return true;
	ctl_error(p->ctl, "'%s' is no column of numbers but of %s; '%s plot bar' counts its values", c->name,
		  c->type, p->ctl->program);
	return false;
}

/* What a row must have to be drawn. Owned by the caller; NULL: out of memory. */
static char *needed(const struct plot *p)
{
	const char *and = p->y ? "' and '" : "", *y = p->y ? p->y->name : "";
	const char *log = p->o->log_x || p->o->log_y ? ", above 0 where the axis is logarithmic," : "";
	char *text = NULL;
	int n = p->time && p->y
			? asprintf(&text, "a time in '%s' and a finite number%s in '%s'", p->x->name, log, y)
		: p->time ? asprintf(&text, "a time in '%s'", p->x->name)
			  : asprintf(&text, "a finite number%s in '%s%s%s'", log, p->x->name, and, y);

	return n < 0 ? NULL : text;
}

/* Says which rows are not drawn, and why. */
static int judge(const struct plot *p, const struct plot_range *range)
{
	int status = CTL_OK;

	if (range->rows == 0)
		return ctl_error(p->ctl, "there is nothing to draw: no row of '%s' is selected", p->rel.name);
	char *need = needed(p);
	if (!need)
		return ctl_no_memory(p->ctl);
	if (range->used == 0)
		status = ctl_error(p->ctl, "there is nothing to draw: none of %lld rows has %s",
				   (long long)range->rows, need);
	else if (range->used < range->rows)
		ctl_note(p->ctl, "%lld of %lld rows are left out, without %s",
			 (long long)(range->rows - range->used), (long long)range->rows, need);
	free(need);
	return status;
}

/* One row: all rows, those used; of x the least, the largest, whether one has a fraction; the same of y; the
 * mean, deviation and median of x. */
static char *range_sql(const struct plot *p)
{
	const char *x = p->x_sql, *y = p->y ? p->y->name : "";
	char *x_usable = plot_usable(p, p->x, p->o->log_x),
	     *y_usable = p->y ? plot_usable(p, p->y, p->o->log_y) : strdup("1");
	char *sql = NULL;
	size_t size = 0;
	FILE *f = x_usable && y_usable ? open_memstream(&sql, &size) : NULL;

	if (f) {
		sql_print(f, "SELECT (SELECT count(*) FROM %n WHERE %s), count(*)", p->rel.name, p->where);
		sql_print(f, ", min(%s), max(%s), max(typeof(%s) = 'real')", x, x, x);
		if (p->y)
			sql_print(f, ", min(%n), max(%n), max(typeof(%n) = 'real')", y, y, y);
		else
			fputs(", NULL, NULL, NULL", f);
		if (p->o->summary)
			sql_print(f, ", avg(%s), stddev(%s), approx_quantile(%s, 0.5)", x, x, x);
		else
			fputs(", NULL, NULL, NULL", f);
		sql_print(f, " FROM %n WHERE %s AND %s AND %s", p->rel.name, p->where, x_usable, y_usable);
		if (fclose(f) != 0) {
			free(sql);
			sql = NULL;
		}
	}
	free(x_usable);
	free(y_usable);
	return sql;
}

int plot_range(struct plot *p, struct plot_range *ret)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	if ((!p->time && !plot_is_number(p, p->x)) || (p->y && !plot_is_number(p, p->y)))
		return CTL_FAILED;
	*ret = (struct plot_range){0};
	char *sql = range_sql(p);
	int status = plot_query(p, sql, &cursor);
	free(sql);
	if (status == CTL_OK && plot_next(p, cursor, &row, &status))
		*ret = (struct plot_range){.rows = plot_integer(&row[0]),
					   .used = plot_integer(&row[1]),
					   .x_min = plot_real(&row[2]),
					   .x_max = plot_real(&row[3]),
					   .x_whole = plot_integer(&row[4]) == 0,
					   .y_min = plot_real(&row[5]),
					   .y_max = plot_real(&row[6]),
					   .y_whole = plot_integer(&row[7]) == 0,
					   .mean = plot_real(&row[8]),
					   .std = plot_real(&row[9]),
					   .median = plot_real(&row[10])};
	xt_cursor_close(cursor);
	if (status == CTL_OK)
		status = judge(p, ret);
	if (status == CTL_OK)
		print_title(p);
	return status;
}
