#include "schema.h"

#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "text.h"

#define CHUNK 200 /* columns that one statement looks at */

/* Types of a run's values, by column. */
struct side {
	char *run;    /* owned: track_id */
	char **types; /* owned: "integer", "integer,text"; NULL: it has no value */
	uint64_t rows;
};

struct diff {
	const struct relation *table;
	struct side sides[2];
	struct side *reading; /* the one that is being read */
	size_t from;	      /* first column of the chunk that is being read */
};

/* ---- which runs ------------------------------------------------------- */

static bool take_run(const xt_value *row, void *data)
{
	struct diff *d = data;

	/* The last two, the older one first. */
	d->sides[d->sides[1].run ? 0 : 1].run = schema_text(&row[0]);
	return true;
}

static int find_runs(struct ctl *ctl, xt_client *client, struct diff *d)
{
	if (ctl->n_args == 2) {
		for (size_t i = 0; i < 2; i++)
			if (!(d->sides[i].run = strdup(ctl->args[i])))
				return ctl_no_memory(ctl);
		return CTL_OK;
	}
	char *sql = sql_format(
		"SELECT track_id FROM (SELECT track_id, max(rowid) AS last FROM %n GROUP BY track_id) WHERE "
		"track_id IS NOT NULL ORDER BY last DESC LIMIT 2",
		d->table->name);
	int r = sql ? schema_rows(client, sql, NULL, 0, take_run, d) : XT_ENOMEM;
	free(sql);
	if (r != XT_OK)
		return r == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, r);
	if (!d->sides[0].run)
		return ctl_error(ctl, "table '%s' has rows of %s: there are no two to compare",
				 d->table->name, d->sides[1].run ? "one run only" : "no run");
	return CTL_OK;
}

/* ---- what they have --------------------------------------------------- */

static bool take_types(const xt_value *row, void *data)
{
	struct diff *d = data;

	d->reading->rows = schema_number(&row[0]);
	for (size_t i = d->from; i < d->table->n && i < d->from + CHUNK; i++)
		d->reading->types[i] = schema_text(&row[1 + i - d->from]);
	return true;
}

static int read_chunk(xt_client *client, struct diff *d)
{
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);
	const char *run = d->reading->run;

	if (!f)
		return XT_ENOMEM;
	fputs("SELECT count(*)", f);
	for (size_t i = d->from; i < d->table->n && i < d->from + CHUNK; i++)
		sql_print(f, ", group_concat(DISTINCT nullif(typeof(%n), 'null'))",
			  d->table->columns[i].name);
	sql_print(f, " FROM %n WHERE track_id = ?1", d->table->name);
	int r = fclose(f) == 0 ? schema_rows(client, sql, &run, 1, take_types, d) : XT_ENOMEM;
	free(sql);
	return r;
}

static int read_side(struct ctl *ctl, xt_client *client, struct diff *d, struct side *side)
{
	int r = XT_OK;

	side->types = calloc(d->table->n + 1, sizeof(*side->types));
	if (!side->types)
		return ctl_no_memory(ctl);
	d->reading = side;
	for (d->from = 0; r == XT_OK && d->from < d->table->n; d->from += CHUNK)
		r = read_chunk(client, d);
	if (r != XT_OK)
		return r == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, r);
	if (side->rows == 0)
		return ctl_error(ctl, "run '%s' has no rows in table '%s'; '%s ls %s runs' lists runs",
				 side->run, d->table->name, ctl->program, ctl_db(ctl));
	return CTL_OK;
}

/* ---- showing ---------------------------------------------------------- */

static int print(struct ctl *ctl, const struct diff *d)
{
	const char *const names[] = {"column", "difference", d->sides[0].run, d->sides[1].run};
	static const char *const types[] = {"", "", "", ""};
	struct format_options how = ctl_how_to_print(ctl);
	size_t n = 0;
	int r = 0;

	struct format *f = format_new(&ctl->out, &how, 4, names, types);
	for (size_t i = 0; f && r == 0 && i < d->table->n; i++) {
		const char *a = d->sides[0].types[i], *b = d->sides[1].types[i];
		if (strcasecmp(d->table->columns[i].name, "track_id") == 0 || (!a && !b) ||
		    (a && b && strcmp(a, b) == 0))
			continue;
		xt_value row[] = {xt_text(d->table->columns[i].name),
				  xt_text(!b   ? "only in the first"
					  : !a ? "only in the second"
					       : "types"),
				  xt_text(a), xt_text(b)};
		r = format_row(f, row);
		n++;
	}
	if (f && ctl_format_end(ctl, &ctl->out, f, 4, r == 0) < 0)
		r = -1;
	format_free(f);
	if (!f || r < 0)
		return ctl_no_memory(ctl);
	if (n == 0)
		ctl_note(ctl, "both runs have the same columns, of the same types");
	return CTL_OK;
}

static int diff(struct ctl *ctl, xt_client *client, const struct relation *table)
{
	struct diff d = {.table = table};

	int status = find_runs(ctl, client, &d);
	for (size_t i = 0; i < 2 && status == CTL_OK; i++)
		status = read_side(ctl, client, &d, &d.sides[i]);
	if (status == CTL_OK)
		status = print(ctl, &d);
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; d.sides[i].types && k < table->n; k++)
			free(d.sides[i].types[k]);
		free(d.sides[i].types);
		free(d.sides[i].run);
	}
	return status;
}

static int schema_diff(struct ctl *ctl)
{
	if (ctl->n_args == 1)
		return ctl_usage(ctl, "a second RUN is missing");
	return schema_with_table(ctl, diff);
}

const struct command schema_diff_command = {
	.name = "schema diff",
	.usage = "[RUN RUN]",
	.summary = "columns that only one of two runs has, or has values of another type in",
	.help = "Without RUN: the last two runs of the table. A column counts where a row of the run has a "
		"value.",
	.examples = (const struct example[]){{"what the last run logs otherwise than the one before",
					      "schema diff demo.db --table predictions"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE,
	.most = 2,
	.is_arg = ctl_is_no_database,
	.run = schema_diff,
};
