#include <stdlib.h>
#include <string.h>

#include "failed.h"
#include "say.h"
#include "sql.h"
#include "text.h"
#include "where.h"

#define DIGITS 4

struct errors_options {
	const char *by;
};

/* What is asked of. */
struct errors {
	struct ctl *ctl;
	xt_client *client;
	struct relation rel;
	char *failed; /* owned: SQL that is true of failed executions */
	char *where;  /* owned: SQL that is true of the rows that are looked at */
};

static char *by_type(const struct errors *e)
{
	const struct relation_column *error = relation_find(&e->rel, "error");
	char *type = failed_type(&e->rel), *sql = NULL;
	char *example = error ? sql_format("substr(CAST(min(nullif(%n, '')) AS TEXT), 1, 200)", error->name)
			      : strdup("NULL");

	if (type && example)
		sql = sql_format("SELECT %s AS error_type, count(*) AS count, 100.0 * count(*) / (SELECT "
				 "count(*) FROM %n "
				 "WHERE %s) AS percent, min(timestamp) AS first, max(timestamp) AS last, %s "
				 "AS example FROM "
				 "%n WHERE %s AND %s GROUP BY 1 ORDER BY 2 DESC, 1",
				 type, e->rel.name, e->where, example, e->rel.name, e->where, e->failed);
	free(type);
	free(example);
	return sql;
}

static char *by_columns(const struct errors *e, const struct relation_column **by, size_t n)
{
	char *columns = NULL, *type = failed_type(&e->rel), *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&columns, &size);

	for (size_t i = 0; f && i < n; i++)
		sql_print(f, "%n, ", by[i]->name);
	if (f && fclose(f) == 0 && type)
		sql = sql_format("SELECT %scount(*) AS executions, sum(coalesce(%s, 0)) AS failed, 100.0 * "
				 "sum(coalesce(%s, "
				 "0)) / count(*) AS percent, group_concat(DISTINCT CASE WHEN %s THEN %s END) "
				 "AS error_types "
				 "FROM %n WHERE %s GROUP BY %s1.0 ORDER BY percent DESC, executions DESC",
				 columns, e->failed, e->failed, e->failed, type, e->rel.name, e->where,
				 columns);
	free(columns);
	free(type);
	return sql;
}

/* Whether a row of the answer tells of a failure. */
struct failures {
	size_t at; /* the column that counts them */
	bool any;
};

static void see(void *data, const xt_value *row, uint64_t n)
{
	struct failures *f = data;

	(void)n;
	f->any = f->any || (row[f->at].type == XT_T_INT && row[f->at].as.integer > 0);
}

/* The rows of the answer, and whether any of them tells of a failure. */
static int print(struct ctl *ctl, const xt_client *client, xt_cursor *cursor, size_t failed_at, bool *ret_any)
{
	struct format_options how = ctl_how_to_print(ctl);
	struct failures failures = {.at = failed_at};
	uint64_t rows;

	how.digits = DIGITS;
	int status = ctl_print_rows(ctl, &ctl->out, &how, client, cursor, see, &failures, &rows);
	*ret_any = *ret_any || failures.any;
	return status;
}

/* Asks for one row, whose first value is handed over; *ret_any is false when there is none. Frees the
 * statement. */
static int ask_one(struct errors *e, char *sql, int64_t *ret, bool *ret_any)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(e->client, sql, NULL, 0, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	*ret_any = r == XT_OK;
	if (r == XT_OK)
		*ret = say_integer(&row[0]);
	xt_cursor_close(cursor);
	return r == XT_OK || r == XT_DONE ? CTL_OK
	       : r == XT_ENOMEM		  ? ctl_no_memory(e->ctl)
					  : ctl_fail(e->ctl, e->client, r);
}

/* For people an empty list is a sentence. *ret_any: there is something to list. */
static int say_none(struct errors *e, bool *ret_any)
{
	char count[COUNT_BYTES];
	int64_t n = 0;
	bool ignored;

	int status = ask_one(
		e, sql_format("SELECT 1 FROM %n WHERE %s AND %s LIMIT 1", e->rel.name, e->where, e->failed),
		&n, ret_any);
	if (status != CTL_OK || *ret_any)
		return status;
	status = ask_one(e, sql_format("SELECT count(*) FROM %n WHERE %s", e->rel.name, e->where), &n,
			 &ignored);
	if (status == CTL_OK && n == 0) {
		fputs("no row is selected, so none is known to have failed\n", e->ctl->out.file);
		return where_tell_none(&e->rel, e->client, e->where, NULL);
	}
	if (status == CTL_OK)
		ctl_say(e->ctl, "", "no execution failed: %s %s in '%s'", text_count(count, (uint64_t)n),
			n == 1 ? "row" : "rows", e->rel.name);
	return status;
}

static int list(struct errors *e)
{
	const struct errors_options *o = e->ctl->own;
	const struct relation_column **by = NULL;
	xt_cursor *cursor = NULL;
	size_t n = 0;
	bool any = false;

	int status = o->by ? relation_columns(&e->rel, o->by, &by, &n) : CTL_OK;
	if (status != CTL_OK)
		return status;
	char *sql = o->by ? by_columns(e, by, n) : by_type(e);
	int r = sql ? ctl_query(e->client, sql, NULL, 0, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	free(by);
	if (r != XT_OK)
		return r == XT_ENOMEM ? ctl_no_memory(e->ctl) : ctl_fail(e->ctl, e->client, r);
	status = print(e->ctl, e->client, cursor, o->by ? n + 1 : 1, &any);
	xt_cursor_close(cursor);
	if (status == CTL_OK && !any)
		status = where_tell_none(&e->rel, e->client, e->where, NULL);
	return status == CTL_OK && any ? CTL_FAILED : status;
}

static int errors(struct ctl *ctl, xt_client *client)
{
	const struct errors_options *o = ctl->own;
	struct errors e = {.ctl = ctl, .client = client};
	bool known = false, any = true;

	int status = relation_open(ctl, client, &e.rel);
	if (status == CTL_OK && !(e.failed = failed_condition(&e.rel, &known)))
		status = ctl_no_memory(ctl);
	if (status == CTL_OK && !known)
		status = ctl_error(ctl,
				   "table '%s' has neither a column 'error' nor 'error_type', so it cannot "
				   "tell what failed; "
				   "tracked functions log both",
				   e.rel.name);
	if (status == CTL_OK)
		status = where_make(&e.rel, &e.where);
	if (status == CTL_OK && ctl->options.format == FORMAT_TABLE && !o->by)
		status = say_none(&e, &any);
	if (status == CTL_OK && any)
		status = list(&e);
	free(e.failed);
	free(e.where);
	relation_done(&e.rel);
	return status;
}

static int cmd_errors(struct ctl *ctl)
{
	return ctl_with_client(ctl, errors);
}

static const struct option_def own[] = {{"by", "COLUMN,...", OPTION_TEXT, offsetof(struct errors_options, by),
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
	.options = OPT_ROWS | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.own = own,
	.own_size = sizeof(struct errors_options),
	.run = cmd_errors,
};
