#include <stdlib.h>
#include <string.h>

#include "failed.h"
#include "sql.h"
#include "text.h"

#define LONG_MS 86400000
#define DIGITS	4

struct errors_options {
	const char *by;
};

/* SQL over the executions of a table: ?1 is the run, NULL for all. */
static char *by_type(const struct relation *rel, const char *failed)
{
	const struct relation_column *error = relation_find(rel, "error");
	char *type = failed_type(rel), *sql = NULL;
	char *example = error ? sql_format("substr(CAST(min(nullif(%n, '')) AS TEXT), 1, 200)", error->name)
			      : strdup("NULL");

	if (type && example)
		sql = sql_format("SELECT %s AS error_type, count(*) AS count, 100.0 * count(*) / (SELECT "
				 "count(*) FROM %n WHERE "
				 "?1 IS NULL OR track_id = ?1) AS percent, min(timestamp) AS first, "
				 "max(timestamp) AS last, "
				 "%s AS example FROM %n WHERE (?1 IS NULL OR track_id = ?1) AND %s GROUP BY "
				 "1 ORDER BY 2 "
				 "DESC, 1",
				 type, rel->name, example, rel->name, failed);
	free(type);
	free(example);
	return sql;
}

static char *by_columns(const struct relation *rel, const char *failed, const struct relation_column **by,
			size_t n)
{
	char *columns = NULL, *type = failed_type(rel), *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&columns, &size);

	for (size_t i = 0; f && i < n; i++)
		sql_print(f, "%n, ", by[i]->name);
	if (f && fclose(f) == 0 && type)
		sql = sql_format("SELECT %scount(*) AS executions, sum(coalesce(%s, 0)) AS failed, 100.0 * "
				 "sum(coalesce(%s, "
				 "0)) / count(*) AS percent, group_concat(DISTINCT CASE WHEN %s THEN %s END) "
				 "AS error_types "
				 "FROM %n WHERE ?1 IS NULL OR track_id = ?1 GROUP BY %s1.0 ORDER BY percent "
				 "DESC, executions "
				 "DESC",
				 columns, failed, failed, failed, type, rel->name, columns);
	free(columns);
	free(type);
	return sql;
}

/* The rows of the answer, and whether any of them tells of a failure. */
static int print(struct ctl *ctl, const xt_client *client, xt_cursor *cursor, size_t failed_at, bool *ret_any)
{
	size_t n = xt_cursor_columns(cursor);
	struct format_options how = ctl_how_to_print(ctl);
	const char **names = calloc(n + 1, sizeof(*names)), **types = calloc(n + 1, sizeof(*types));
	struct format *f = NULL;
	const xt_value *row;
	int r = XT_ENOMEM;

	how.digits = DIGITS;
	for (size_t i = 0; names && types && i < n; i++) {
		names[i] = xt_cursor_name(cursor, i);
		types[i] = xt_cursor_type(cursor, i);
	}
	if (names && types && (f = format_new(&ctl->out, &how, n, names, types)))
		r = XT_OK;
	while (r == XT_OK && ctl->out.error == 0 && (r = ctl_next(cursor, &row)) == XT_OK) {
		*ret_any = *ret_any || (row[failed_at].type == XT_T_INT && row[failed_at].as.integer > 0);
		if (format_row(f, row) < 0)
			r = XT_ENOMEM;
	}
	if (f && ctl_format_end(ctl, &ctl->out, f, n, r == XT_DONE) < 0)
		r = XT_ENOMEM;
	format_free(f);
	free(names);
	free(types);
	if (r == XT_ENOMEM)
		return ctl_no_memory(ctl);
	return r == XT_DONE || r == XT_OK ? CTL_OK : ctl_fail(ctl, client, r);
}

/* Where there is nothing to list, how much there was to look at. */
static int say_none(struct ctl *ctl, xt_client *client, const struct relation *rel)
{
	xt_value run = xt_text(ctl->options.track_id);
	char *sql = sql_format("SELECT count(*) FROM %n WHERE ?1 IS NULL OR track_id = ?1", rel->name);
	char count[COUNT_BYTES];
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(client, sql, &run, 1, LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK)
		fprintf(ctl->out.file, "no execution failed: %s %s in '%s'\n",
			text_count(count, (uint64_t)row[0].as.integer),
			row[0].as.integer == 1 ? "row" : "rows", rel->name);
	xt_cursor_close(cursor);
	return r == XT_OK ? CTL_OK : r == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, r);
}

static int ask(struct ctl *ctl, xt_client *client, const struct relation *rel, const char *failed)
{
	const struct errors_options *o = ctl->own;
	const struct relation_column **by = NULL;
	xt_value run = xt_text(ctl->options.track_id);
	xt_cursor *cursor = NULL;
	size_t n = 0;
	bool any = false;

	int status = o->by ? relation_columns(rel, o->by, &by, &n) : CTL_OK;
	if (status != CTL_OK)
		return status;
	char *sql = o->by ? by_columns(rel, failed, by, n) : by_type(rel, failed);
	int r = sql ? ctl_query(client, sql, &run, 1, LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	free(by);
	if (r != XT_OK)
		return r == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, r);
	status = print(ctl, client, cursor, o->by ? n + 1 : 1, &any);
	xt_cursor_close(cursor);
	return status == CTL_OK && any ? CTL_FAILED : status;
}

/* For people an empty list is a sentence. */
static int any_failure(struct ctl *ctl, xt_client *client, const struct relation *rel, const char *failed,
		       bool *ret)
{
	xt_value run = xt_text(ctl->options.track_id);
	char *sql = sql_format("SELECT 1 FROM %n WHERE (?1 IS NULL OR track_id = ?1) AND %s LIMIT 1",
			       rel->name, failed);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(client, sql, &run, 1, LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	xt_cursor_close(cursor);
	*ret = r == XT_OK;
	return r == XT_OK || r == XT_DONE ? CTL_OK
	       : r == XT_ENOMEM		  ? ctl_no_memory(ctl)
					  : ctl_fail(ctl, client, r);
}

static int errors(struct ctl *ctl, xt_client *client)
{
	const struct errors_options *o = ctl->own;
	struct relation rel = {0};
	char *failed = NULL;
	bool known = false, any = true;

	int status = relation_open(ctl, client, &rel);
	if (status == CTL_OK && !(failed = failed_condition(&rel, &known)))
		status = ctl_no_memory(ctl);
	if (status == CTL_OK && !known)
		status = ctl_error(ctl,
				   "table '%s' has neither a column 'error' nor 'error_type', so it cannot "
				   "tell what failed; "
				   "tracked functions log both",
				   rel.name);
	if (status == CTL_OK && ctl->options.format == FORMAT_TABLE && !o->by)
		status = any_failure(ctl, client, &rel, failed, &any);
	if (status == CTL_OK)
		status = any ? ask(ctl, client, &rel, failed) : say_none(ctl, client, &rel);
	free(failed);
	relation_done(&rel);
	return status;
}

static int cmd_errors(struct ctl *ctl)
{
	return ctl_with_client(ctl, errors);
}

static const struct option_def own[] = {{"by", "COLUMN,…", OPTION_TEXT, offsetof(struct errors_options, by),
					 "how often it failed for each combination of these columns", 0, 0},
					{0}};

const struct command errors_command = {
	.name = "errors",
	.summary = "failed executions by type, or how often by parameter; exit status 1 when there are any",
	.help = "A row failed when its 'error' or 'error_type' is neither NULL nor empty. By type: how many, "
		"which percentage of all "
		"rows, when first and last, and one of the messages. With --by: for each combination of "
		"values how many executions there "
		"were and failed, and the types.",
	.examples = (const struct example[]){{"by codec and level", "errors demo.db --by codec,level"}, {0}},
	.options = OPT_ROWS | OPT_TABLE | OPT_TRACK_ID,
	.own = own,
	.own_size = sizeof(struct errors_options),
	.run = cmd_errors,
};
