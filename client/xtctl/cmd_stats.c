/* The group `stats`: summaries of columns, and the rows at their ends. */
#include "xtctl.h"

#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "sql.h"
#include "where.h"

/* ---- describe --------------------------------------------------------- */

struct describe_options {
	const char *columns, *by, *quantiles; /* NULL: not given */
};

static int read_quantiles(const struct ctl *ctl, const char *list, struct describe *d)
{
	for (const char *at = list; at; at = *at ? at + 1 : NULL) {
		char *end;
		double q = strtod(at, &end);
		if (end == at || (*end && *end != ',') || !(q >= 0 && q <= 1))
			return ctl_usage(
				ctl, "--quantiles needs numbers from 0 to 1, such as 0.05,0.5,0.95, not '%s'",
				list);
		if (d->n_quantiles == DESCRIBE_QUANTILES)
			return ctl_usage(ctl, "--quantiles takes %d numbers at most", DESCRIBE_QUANTILES);
		d->quantiles[d->n_quantiles++] = q;
		at = end;
	}
	return CTL_OK;
}

/* Every column that is not the group's own; a track_id and a timestamp are in each table and describe
 * themselves badly. */
static int all_columns(struct describe *d)
{
	d->columns = calloc(d->rel->n + 1, sizeof(*d->columns));
	if (!d->columns)
		return ctl_no_memory(d->ctl);
	for (size_t i = 0; i < d->rel->n; i++) {
		const struct relation_column *c = &d->rel->columns[i];
		/* Groups are for comparing numbers. */
		if (c != d->by && (!d->by || relation_is_number(c)))
			d->columns[d->n++] = c;
	}
	return CTL_OK;
}

static int find_columns(struct describe *d, const struct describe_options *o)
{
	int status = o->columns ? relation_columns(d->rel, o->columns, &d->columns, &d->n) : CTL_OK;

	if (status == CTL_OK && o->by && !(d->by = relation_column(d->rel, o->by)))
		status = CTL_FAILED;
	if (status == CTL_OK && !o->columns)
		status = all_columns(d);
	return status;
}

static int describe(struct ctl *ctl, xt_client *client)
{
	const struct describe_options *o = ctl->own;
	struct relation rel = {0};
	char *where = NULL;
	struct describe d = {.ctl = ctl, .client = client, .rel = &rel};

	int status = read_quantiles(ctl, o->quantiles, &d);
	if (status == CTL_OK)
		status = relation_open(ctl, client, &rel);
	if (status == CTL_OK)
		status = where_make(&rel, ctl->options.track_id, &ctl->options.filter, &where);
	if (status == CTL_OK)
		status = find_columns(&d, o);
	d.where = where;
	if (status == CTL_OK)
		status = describe_columns(&d);
	free(d.columns);
	free(where);
	relation_done(&rel);
	return status;
}

static int stats_describe(struct ctl *ctl)
{
	return ctl_with_client(ctl, describe);
}

/* ---- top and bottom --------------------------------------------------- */

/* Where a column has numbers and text, as one without a type may, the numbers are meant. */
#define ORDER "typeof(%n) IN ('integer', 'real') DESC, %n %s"

static char *ends_sql(const struct ctl *ctl, const struct relation *rel, const char *where, const char *x,
		      const char *order)
{
	char limit[40];

	if (ctl->options.n < 0)
		return sql_format(
			"SELECT * FROM %n WHERE %s AND %n = (SELECT %n FROM %n WHERE %s AND %n IS NOT NULL"
			" ORDER BY " ORDER " LIMIT 1)",
			rel->name, where, x, x, rel->name, where, x, x, x, order);
	snprintf(limit, sizeof(limit), "%lld", (long long)ctl->options.n);
	return sql_format("SELECT * FROM %n WHERE %s AND %n IS NOT NULL ORDER BY " ORDER " LIMIT %s",
			  rel->name, where, x, x, x, order, limit);
}

static int print_ends(struct ctl *ctl, xt_client *client, const char *order)
{
	struct relation rel = {0};
	char *where = NULL;
	xt_cursor *cursor = NULL;
	const struct relation_column *column = NULL;
	char *sql = NULL;

	int status = relation_open(ctl, client, &rel);
	if (status == CTL_OK)
		status = where_make(&rel, ctl->options.track_id, &ctl->options.filter, &where);
	if (status == CTL_OK && !(column = relation_column(&rel, ctl->args[0])))
		status = CTL_FAILED;
	if (status == CTL_OK) {
		sql = ends_sql(ctl, &rel, where, column->name, order);
		int r = ctl_summarise(client, sql, &cursor);
		status = r == XT_OK ? ctl_print(ctl, client, cursor) : ctl_fail(ctl, client, r);
	}
	xt_cursor_close(cursor);
	free(sql);
	free(where);
	relation_done(&rel);
	return status;
}

static int print_top(struct ctl *ctl, xt_client *client)
{
	return print_ends(ctl, client, "DESC");
}

static int print_bottom(struct ctl *ctl, xt_client *client)
{
	return print_ends(ctl, client, "ASC");
}

static int stats_top(struct ctl *ctl)
{
	return ctl_with_client(ctl, print_top);
}

static int stats_bottom(struct ctl *ctl)
{
	return ctl_with_client(ctl, print_bottom);
}

/* ---- the commands ----------------------------------------------------- */

static const struct option_def describe_own[] = {
	{"columns", "COLUMN,...", OPTION_TEXT, offsetof(struct describe_options, columns),
	 .help = "which columns (all)"},
	{"by", "COLUMN", OPTION_TEXT, offsetof(struct describe_options, by),
	 .help = "a summary for each value of this column; must sort the rows"},
	{"quantiles", "Q,...", OPTION_TEXT, offsetof(struct describe_options, quantiles),
	 .help = "which quantiles, from 0 to 1 (0.25,0.5,0.75)"},
	{0},
};

static const struct describe_options describe_preset = {.quantiles = "0.25,0.5,0.75"};

static const struct command describe_command = {
	.name = "stats describe",
	.summary = "summaries of columns: count, mean, deviation, quantiles",
	.help = "std is that of a sample. Numbers: NULL (and so NaN) is counted apart and left out of the "
		"rest.\n"
		"Other columns: how many different values, the most frequent one, and the lengths in "
		"characters.\n"
		"One pass in constant memory: of more than 262,144 values quantiles are approximate, off by "
		"less than 0.03 % in rank; of more than 8,192 different values their number is, off by 1 % "
		"or so.",
	.examples =
		(const struct example[]){
			{"the figures of two columns",
			 "stats describe demo.db --columns=ratio,compress_mb_s"},
			{"one of them by codec, with the tails",
			 "stats describe demo.db --columns compress_mb_s --by codec --quantiles "
			 "0.05,0.5,0.95"},
			{0},
		},
	.options = OPT_ROWS | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.own = describe_own,
	.own_size = sizeof(struct describe_options),
	.own_preset = &describe_preset,
	.run = stats_describe,
};

static const struct command top_command = {
	.name = "stats top",
	.usage = "COLUMN",
	.summary = "the rows with a column's largest value",
	.help = "All that have it, or, with -n, so many rows, the largest first.",
	.examples =
		(const struct example[]){{"the three best compressed files", "stats top demo.db ratio -n 3"},
					 {0}},
	.options = OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.least = 1,
	.most = 1,
	.run = stats_top,
};

static const struct command bottom_command = {
	.name = "stats bottom",
	.usage = "COLUMN",
	.summary = "the rows with a column's smallest value",
	.help = "All that have it, or, with -n, so many rows, the smallest first.",
	.examples =
		(const struct example[]){{"the slowest compression", "stats bottom demo.db compress_mb_s"},
					 {0}},
	.options = OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.least = 1,
	.most = 1,
	.run = stats_bottom,
};

static const struct command *const parts[] = {&describe_command, &top_command, &bottom_command, NULL};

const struct command stats_command = {
	.name = "stats",
	.usage = "[describe|top|bottom] ...",
	.summary = "summaries of columns, and the rows at their ends",
	.help = "'stats describe --help' tells more of one:",
	.parts = parts,
};
