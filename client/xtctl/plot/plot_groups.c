#include "plot.h"

#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "text.h"

#define MOST_LABEL 24 /* columns of a label */

/* ---- reading ---------------------------------------------------------- */

static char *label_of(const struct plot *p, const xt_value *v, size_t *ret_width)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	xt_value shown = *v;

	if (!f)
		return NULL;
	if (strcasecmp(p->by->type, "BOOLEAN") == 0 && v->type == XT_T_INT && (v->as.integer | 1) == 1)
		shown = xt_bool(v->as.integer == 1);
	if (v->type == XT_T_TEXT && v->n > 0)
		text_put(f, v->as.text, v->n, MOST_LABEL);
	else if (v->type == XT_T_NULL)
		fputs("NULL", f);
	else
		json_print(f, &shown);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	size_t len = text_fit(text, size, MOST_LABEL, ret_width);
	if (len < size) { /* the last column tells that it was cut */
		len = text_fit(text, size, MOST_LABEL - 1, ret_width);
		char *cut = NULL;
		if (asprintf(&cut, "%.*s%s", (int)len, text, p->style.utf8 ? "…" : "~") < 0)
			cut = NULL;
		free(text);
		text = cut;
		(*ret_width)++;
	}
	return text;
}

/* A copy of what the value points to. */
static int keep(struct plot_group *g, const xt_value *v)
{
	g->value = *v;
	if (v->type != XT_T_TEXT && v->type != XT_T_BLOB)
		return 0;
	g->bytes = malloc(v->n + 1);
	if (!g->bytes)
		return -1;
	memcpy(g->bytes, v->type == XT_T_TEXT ? (const void *)v->as.text : v->as.blob, v->n);
	if (v->type == XT_T_TEXT)
		g->value.as.text = g->bytes;
	else
		g->value.as.blob = g->bytes;
	return 0;
}

static int add(struct plot *p, const xt_value *row)
{
	struct plot_group *g = &p->groups[p->n_groups];

	*g = (struct plot_group){.rows = plot_integer(&row[1])};
	p->n_groups++;
	if (keep(g, &row[0]) < 0 || !(g->label = label_of(p, &row[0], &g->label_width)))
		return ctl_no_memory(p->ctl);
	return CTL_OK;
}

int plot_groups_read(struct plot *p, const char *usable, size_t most)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	int64_t all = 0;

	p->groups = calloc(most + 1, sizeof(*p->groups));
	if (!p->groups)
		return ctl_no_memory(p->ctl);
	if (!p->by) {
		p->n_groups = 1;
		return CTL_OK;
	}
	char limit[24];
	snprintf(limit, sizeof(limit), "%zu", most);
	char *sql = sql_format(
		"SELECT * FROM (SELECT %n, count(*), count(*) OVER () FROM %n WHERE %s AND %s GROUP BY 1"
		" ORDER BY 2 DESC, 1 LIMIT %s) ORDER BY 1",
		p->by->name, p->rel.name, p->where, usable, limit);
	int status = plot_query(p, sql, &cursor);
	free(sql);
	while (status == CTL_OK && plot_next(p, cursor, &row, &status)) {
		all = plot_integer(&row[2]);
		status = add(p, row);
	}
	xt_cursor_close(cursor);
	if (status == CTL_OK && all > (int64_t)p->n_groups)
		ctl_note(p->ctl, "the %zu values of '%s' with the most rows are shown, of %lld", p->n_groups,
			 p->by->name, (long long)all);
	return status;
}

void plot_groups_done(struct plot *p)
{
	for (size_t i = 0; i < p->n_groups; i++) {
		free(p->groups[i].bytes);
		free(p->groups[i].label);
	}
	free(p->groups);
	p->groups = NULL;
	p->n_groups = 0;
}

/* ---- finding ---------------------------------------------------------- */

static bool is_same(const xt_value *a, const xt_value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case XT_T_NULL:
		return true;
	case XT_T_REAL:
		return a->as.real == b->as.real;
	case XT_T_TEXT:
		return a->n == b->n && memcmp(a->as.text, b->as.text, a->n) == 0;
	case XT_T_BLOB:
		return a->n == b->n && memcmp(a->as.blob, b->as.blob, a->n) == 0;
	default:
		return plot_integer(a) == plot_integer(b);
	}
}

size_t plot_group_of(const struct plot *p, const xt_value *value)
{
	for (size_t i = 0; p->by && i < p->n_groups; i++)
		if (is_same(&p->groups[i].value, value))
			return i;
	return p->by ? p->n_groups : 0;
}

/* ---- showing ---------------------------------------------------------- */

/* Lines that the legend takes. */
static size_t legend_lines(const struct plot *p)
{
	size_t lines = p->by && p->n_groups > 0, at = 0;

	for (size_t i = 0; p->by && i < p->n_groups; i++) {
		size_t width = 4 + p->groups[i].label_width;
		if (at > 0 && at + width > p->width) {
			lines++;
			at = 0;
		}
		at += width;
	}
	return lines;
}

void plot_make_room(struct plot *p)
{
	size_t legend = legend_lines(p), room = PLOT_LEAST_ROWS;

	if (p->lines > legend + room)
		room = p->lines - legend;

	if (p->lines > 0 && p->height > room)
		p->height = room;
}

void plot_legend(const struct plot *p)
{
	FILE *f = p->ctl->out.file;
	const struct frame_style *s = &p->style;
	size_t at = 0;

	for (size_t i = 0; p->by && i < p->n_groups; i++) {
		const struct plot_group *g = &p->groups[i];
		const char *mark = s->marks[s->marked ? i % FRAME_SERIES : 0];
		if (at > 0 && at + 4 + g->label_width > p->width) {
			putc('\n', f);
			at = 0;
		}
		fprintf(f, "  %s%s%s %s", s->colours[i % FRAME_SERIES], mark, s->colour ? "\033[0m" : "",
			g->label);
		at += 4 + g->label_width;
	}
	if (at > 0)
		putc('\n', f);
}

size_t plot_label_width(const struct plot *p)
{
	size_t width = 0;

	for (size_t i = 0; i < p->n_groups; i++)
		width = p->groups[i].label_width > width ? p->groups[i].label_width : width;
	return width;
}
