#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "about.h"
#include "runs.h"
#include "text.h"

#define DIGITS 6 /* of numbers in tables */

struct diff_options {
	bool all;
};

/* Facts that are never the same of two runs, so that their difference tells nothing. */
static bool is_unique(const struct sheet_row *row)
{
	static const char *const names[] = {"track_id", "start", "end", "pid"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !row->section[0]; i++)
		if (strcmp(row->name, names[i]) == 0)
			return true;
	return false;
}

static bool real_of(const xt_value *v, double *ret)
{
	if (v->type == XT_T_REAL)
		*ret = v->as.real;
	else if (v->type == XT_T_INT)
		*ret = (double)v->as.integer;
	else
		return false;
	return true;
}

static bool same(const xt_value *a, const xt_value *b)
{
	double x, y;

	if (real_of(a, &x) && real_of(b, &y)) /* sums of the same values in another order differ that much */
		return x == y ||
		       (isfinite(x) && isfinite(y) && fabs(x - y) <= 1e-12 * fmax(fabs(x), fabs(y)));
	if (a->type != b->type)
		return false;
	if (a->type == XT_T_TEXT)
		return a->n == b->n && memcmp(a->as.text, b->as.text, a->n) == 0;
	if (a->type == XT_T_BLOB)
		return a->n == b->n && memcmp(a->as.blob, b->as.blob, a->n) == 0;
	return a->type == XT_T_NULL || (a->type == XT_T_BOOL && a->as.boolean == b->as.boolean);
}

/* Numbers that only name something: half a port more says nothing. */
static bool is_identifier(const char *name)
{
	static const char *const words[] = {"id", "pid", "uid", "gid", "port", "seed"};
	const char *last = strrchr(name, '_');

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(last ? last + 1 : name, words[i]) == 0)
			return true;
	return false;
}

/* By how many percent of the first the second is more. False where that cannot be said. */
static bool change(const struct sheet_row *row, const xt_value *a, const xt_value *b, double *ret)
{
	double x, y;

	if (strcmp(row->section, ABOUT_COLUMNS) == 0 || is_identifier(row->name) || !real_of(a, &x) ||
	    !real_of(b, &y) || x == 0 || !isfinite(x) || !isfinite(y))
		return false;
	*ret = 100 * (y - x) / fabs(x);
	return true;
}

/* Rows of the two sheets side by side, into a format. */
struct sides {
	struct format *format;
	bool all;
	bool people; /* who read better without NULL where nothing can be said */
	size_t n;    /* that were written */
};

static int put(struct sides *s, const struct sheet_row *row, const struct sheet_row *a,
	       const struct sheet_row *b)
{
	const xt_value left = a ? a->value : xt_null(), right = b ? b->value : xt_null();
	bool columns = strcmp(row->section, ABOUT_COLUMNS) == 0; /* which are filled, not how often */
	bool differs = columns ? !a != !b : !same(&left, &right) && !is_unique(row);
	char text[40] = "";
	double percent = 0;

	if (!differs && !s->all)
		return 0;
	s->n++;
	bool known = change(row, &left, &right, &percent);
	if (known)
		snprintf(text, sizeof(text), "%+.2f %%", percent);
	return format_row(s->format, (const xt_value[]){xt_text(row->section[0] ? row->section : "run"),
							xt_text(row->name), left, right,
							s->people ? xt_text(text)
							: known	  ? xt_real(percent)
								  : xt_null()});
}

/* Facts of a section, in the order of the first sheet; then those that only the second has. */
static int put_section(struct sides *s, const char *section, const struct sheet *a, const struct sheet *b)
{
	int r = 0;

	for (size_t i = 0; i < a->n && r == 0; i++)
		if (strcmp(a->rows[i].section, section) == 0)
			r = put(s, &a->rows[i], &a->rows[i], sheet_find(b, section, a->rows[i].name));
	for (size_t i = 0; i < b->n && r == 0; i++)
		if (strcmp(b->rows[i].section, section) == 0 && !sheet_find(a, section, b->rows[i].name))
			r = put(s, &b->rows[i], NULL, &b->rows[i]);
	return r;
}

/* Every section of either, those of the first in its order. */
static int put_all(struct sides *s, const struct sheet *a, const struct sheet *b)
{
	const struct sheet *const both[] = {a, b};
	const char *done[32];
	size_t n = 0;
	int r = 0;

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < both[k]->n && r == 0; i++) {
			const char *section = both[k]->rows[i].section;
			size_t at = 0;
			while (at < n && strcmp(done[at], section) != 0)
				at++;
			if (at < n || n == sizeof(done) / sizeof(done[0]))
				continue;
			done[n++] = section;
			r = put_section(s, section, a, b);
		}
	return r;
}

static int print(struct ctl *ctl, const struct sheet *a, const struct sheet *b, char *const runs[2])
{
	const struct diff_options *o = ctl->own;
	bool people = ctl->options.format == FORMAT_TABLE || ctl->options.format == FORMAT_MD;
	const char *const names[] = {"what", "name", people ? runs[0] : "a", people ? runs[1] : "b",
				     "change"};
	const char *const types[] = {"", "", "", "", ""};
	struct format_options how = ctl_how_to_print(ctl);

	if (a->failed || b->failed)
		return ctl_no_memory(ctl);
	how.digits = DIGITS;
	struct sides s = {
		.all = o->all, .people = people, .format = format_new(&ctl->out, &how, 5, names, types)};
	int r = s.format ? put_all(&s, a, b) : -1;
	if (r == 0 && s.n == 0 && people)
		fprintf(ctl->out.file, "no difference between %s and %s\n", runs[0], runs[1]);
	else if (r == 0)
		r = ctl_format_end(ctl, &ctl->out, s.format, 5, true);
	format_free(s.format);
	return r < 0 ? ctl_no_memory(ctl) : CTL_OK;
}

static int gather(struct ctl *ctl, xt_client *client, const char *run, struct sheet *ret)
{
	int status = about_run(ctl, client, run, ret);

	return status == CTL_OK ? about_values(ctl, client, run, ret) : status;
}

/* A run's parameter by the name that it has in the other run. Both are text values of a rename. */
static int rename_param(struct sheet *s, const struct sheet *other, const char *from, const char *to)
{
	struct sheet_row *row = sheet_find(s, ABOUT_PARAMS, from);

	if (!row || sheet_find(other, ABOUT_PARAMS, from) || sheet_find(s, ABOUT_PARAMS, to) ||
	    !sheet_find(other, ABOUT_PARAMS, to))
		return 0;
	char *name = strdup(to);
	if (!name)
		return -1;
	free(row->name);
	row->name = name;
	return 0;
}

/* A parameter that was renamed is one, by its new name. Aliases of columns have params_ before it. */
static int join_renamed(struct ctl *ctl, xt_client *client, struct sheet sheets[2])
{
	static const char sql[] =
		"SELECT key, name FROM xt_aliases UNION SELECT substr(key, 8), substr(name, 8) FROM "
		"xt_aliases WHERE lower(substr(key, 1, 7)) = 'params_' AND lower(substr(name, 1, 7)) = "
		"'params_'";
	xt_cursor *cursor = NULL;
	const xt_value *row;
	int failed = 0;

	int r = ctl_query(client, "SELECT 1 FROM sqlite_schema WHERE name = 'xt_aliases'", NULL, 0, 0,
			  &cursor);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	xt_cursor_close(cursor);
	cursor = NULL;
	if (r == XT_OK)
		r = ctl_query(client, sql, NULL, 0, 0, &cursor);
	while (r == XT_OK && !failed && (r = ctl_next(cursor, &row)) == XT_OK) {
		char *from = strndup(row[0].as.text, row[0].n), *to = strndup(row[1].as.text, row[1].n);
		failed = !from || !to || rename_param(&sheets[0], &sheets[1], from, to) < 0 ||
			 rename_param(&sheets[1], &sheets[0], from, to) < 0;
		free(from);
		free(to);
	}
	xt_cursor_close(cursor);
	if (failed)
		return ctl_no_memory(ctl);
	return r == XT_DONE ? CTL_OK : ctl_fail(ctl, client, r);
}

static int diff(struct ctl *ctl, xt_client *client)
{
	struct sheet sheets[2] = {0};
	char *runs[2] = {0};
	int status = CTL_OK;

	for (size_t i = 0; i < 2 && status == CTL_OK; i++)
		status = runs_find(ctl, client, ctl->args[i], &runs[i]);
	for (size_t i = 0; i < 2 && status == CTL_OK; i++)
		status = gather(ctl, client, runs[i], &sheets[i]);
	if (status == CTL_OK)
		status = join_renamed(ctl, client, sheets);
	if (status == CTL_OK)
		status = print(ctl, &sheets[0], &sheets[1], runs);
	for (size_t i = 0; i < 2; i++) {
		sheet_done(&sheets[i]);
		free(runs[i]);
	}
	return status;
}

static int cmd_diff(struct ctl *ctl)
{
	return ctl_with_client(ctl, diff);
}

static const struct option_def own[] = {
	{"all", NULL, OPTION_FLAG, offsetof(struct diff_options, all), "also what is the same of both", 0, 0},
	{0}};

const struct command diff_command = {
	.name = "diff",
	.usage = "RUN RUN",
	.summary = "two runs side by side: parameters, columns, means and medians",
	.help = "RUN as for 'show'. Only what differs, without times and pids, unless --all. columns: those "
		"that "
		"one run filled and the other did not. mean, median: of each column with numbers, and by how "
		"much "
		"the second run's is more, in percent. A parameter that was renamed (schema rename) is shown "
		"as "
		"one. Whether such a difference is more than chance 'compare' says.",
	.examples = (const struct example[]){{"a run beside itself", "diff demo.db last last --all"}, {0}},
	.options = OPT_ROWS | OPT_TABLE,
	.own = own,
	.own_size = sizeof(struct diff_options),
	.least = 2,
	.most = 2,
	.run = cmd_diff,
};
