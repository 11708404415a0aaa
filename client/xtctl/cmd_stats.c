/* The group `stats`: summaries of columns, and the rows at their ends. */
#include "xtctl.h"

#include <stdlib.h>

#include "describe.h"
#include "ends.h"
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

static bool is_group(const struct describe *d, const struct relation_column *c)
{
	for (size_t i = 0; i < d->n_by; i++)
		if (d->by[i] == c)
			return true;
	return false;
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
		if (!is_group(d, c) && (d->n_by == 0 || relation_is_number(c)))
			d->columns[d->n++] = c;
	}
	return CTL_OK;
}

static int find_columns(struct describe *d, const struct describe_options *o)
{
	int status = o->columns ? relation_columns(d->rel, o->columns, &d->columns, &d->n) : CTL_OK;

	if (status == CTL_OK && o->by)
		status = relation_columns(d->rel, o->by, &d->by, &d->n_by);
	if (status == CTL_OK && !o->columns)
		status = all_columns(d);
	return status;
}

static int describe(struct ctl *ctl, xt_client *client)
{
	const struct describe_options *o = ctl->own;
	struct relation rel = {0};
	char *where = NULL;
	bool none = false;
	struct describe d = {.ctl = ctl, .client = client, .rel = &rel};

	int status = read_quantiles(ctl, o->quantiles, &d);
	if (status == CTL_OK)
		status = relation_open(ctl, client, &rel);
	if (status == CTL_OK)
		status = where_make(&rel, &where);
	if (status == CTL_OK)
		status = find_columns(&d, o);
	d.where = where;
	if (status == CTL_OK)
		status = where_tell_none(&rel, client, where, &none);
	if (status == CTL_OK && none && ctl->options.format == FORMAT_TABLE)
		fputs("no row is selected\n", ctl->out.file);
	else if (status == CTL_OK)
		status = describe_columns(&d);
	free(d.columns);
	free(d.by);
	free(where);
	relation_done(&rel);
	return status;
}

static int stats_describe(struct ctl *ctl)
{
	return ctl_with_client(ctl, describe);
}

/* ---- top and bottom --------------------------------------------------- */

struct end_options {
	const char *columns, *by; /* NULL: not given */
};

static int print_ends(struct ctl *ctl, xt_client *client, bool largest)
{
	const struct end_options *o = ctl->own;
	struct relation rel = {0};
	char *where = NULL;
	struct ends e = {.ctl = ctl,
			 .client = client,
			 .rel = &rel,
			 .largest = largest,
			 .n = ctl->options.n,
			 .columns = o->columns,
			 .by = o->by};

	int status = relation_open(ctl, client, &rel);
	if (status == CTL_OK)
		status = where_make(&rel, &where);
	e.where = where;
	if (status == CTL_OK && !(e.x = relation_column(&rel, ctl->args[0])))
		status = CTL_FAILED;
	if (status == CTL_OK)
		status = ends_print(&e);
	free(where);
	relation_done(&rel);
	return status;
}

static int print_top(struct ctl *ctl, xt_client *client)
{
	return print_ends(ctl, client, true);
}

static int print_bottom(struct ctl *ctl, xt_client *client)
{
	return print_ends(ctl, client, false);
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
	{"by", "COLUMN,...", OPTION_TEXT, offsetof(struct describe_options, by),
	 .help = "a summary for each combination of values of these columns; must sort the rows"},
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
			{"and by codec and level", "stats describe demo.db --columns ratio --by codec,level"},
			{0},
		},
	.options = OPT_ROWS | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.own = describe_own,
	.own_size = sizeof(struct describe_options),
	.own_preset = &describe_preset,
	.run = stats_describe,
};

static const struct option_def end_own[] = {
	{"columns", "COLUMN,...", OPTION_TEXT, offsetof(struct end_options, columns),
	 .help = "which columns are shown beside it (all)"},
	{"by", "COLUMN,...", OPTION_TEXT, offsetof(struct end_options, by),
	 .help = "for each combination of values of these columns; must sort the rows"},
	{0},
};

static const struct command top_command = {
	.name = "stats top",
	.usage = "COLUMN",
	.summary = "the rows with a column's largest value",
	.help = "All that have it, or, with -n, so many rows, the largest first. With --by the same in each "
		"group. "
		"The column stands first, after those of --by.",
	.examples = (const struct example[]){{"the three best compressed files",
					      "stats top demo.db ratio -n 3 --columns codec,file"},
					     {"which codec and level compress each kind of file best",
					      "stats top demo.db ratio --by kind --columns codec,level,file"},
					     {0}},
	.options = OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.own = end_own,
	.own_size = sizeof(struct end_options),
	.least = 1,
	.most = 1,
	.run = stats_top,
};

static const struct command bottom_command = {
	.name = "stats bottom",
	.usage = "COLUMN",
	.summary = "the rows with a column's smallest value",
	.help = "All that have it, or, with -n, so many rows, the smallest first. With --by the same in each "
		"group. "
		"The column stands first, after those of --by.",
	.examples =
		(const struct example[]){
			{"the slowest compression", "stats bottom demo.db compress_mb_s"},
			{"of each codec and level the two slowest",
			 "stats bottom demo.db compress_mb_s -n 2 --by codec,level --columns file,size"},
			{0}},
	.options = OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.own = end_own,
	.own_size = sizeof(struct end_options),
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
