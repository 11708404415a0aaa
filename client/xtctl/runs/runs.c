#include "runs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runs_table.h"
#include "sql.h"
#include "where.h"

#define MOST_WHERE 32
#define MOST_NAMES 5 /* of runs that a word could mean, that are told */

int runs_prefix(const struct ctl *ctl, xt_client *client, const char **ret)
{
	static const char empty[] =
		"WITH xt_runs(track_id, status, start_time, end_time, table_name, "
		"params, rows, rejects, inserted) AS "
		"(SELECT '', '', '', '', '', '', 0, 0, 0 WHERE 0), "
		"xt_clients(run, run_rows, run_rejects) AS (SELECT '', 0, 0 WHERE 0), "
		"xt_workers(track_id, uid, client, status, cause) AS (SELECT '', 0, '', '', '' "
		"WHERE 0), "
		"xt_calls(track_id, uid, client, row_id) AS (SELECT '', 0, '', 0 WHERE 0), "
		"xt_asset_refs(track_id, hash, name) AS (SELECT '', '', '' WHERE 0), "
		"xt_assets(hash, size) AS (SELECT '', 0 WHERE 0) ";
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ctl_query(client, "SELECT 1 FROM sqlite_schema WHERE name = 'xt_runs'", NULL, 0, 0, &cursor);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	*ret = r == XT_OK ? "" : empty;
	xt_cursor_close(cursor);
	return r == XT_OK || r == XT_DONE ? CTL_OK : ctl_fail(ctl, client, r);
}

/* ---- which one -------------------------------------------------------- */

/* Runs that a word may mean, the best first, as many as are told and one more. Text values; owned. */
struct candidates {
	char *names[MOST_NAMES + 1];
	size_t n;
};

static void candidates_done(struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->names[i]);
	c->n = 0;
}

static int collect(const struct ctl *ctl, xt_client *client, char *sql, const xt_value *args, size_t n,
		   struct candidates *ret)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(client, sql, args, n, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	while (r == XT_OK && ret->n <= MOST_NAMES && (r = ctl_next(cursor, &row)) == XT_OK)
		if (row[0].type == XT_T_TEXT && (ret->names[ret->n] = strndup(row[0].as.text, row[0].n)))
			ret->n++;
	xt_cursor_close(cursor);
	free(sql);
	return r == XT_OK || r == XT_DONE ? CTL_OK
	       : r == XT_ENOMEM		  ? ctl_no_memory(ctl)
					  : ctl_fail(ctl, client, r);
}

/* Those whose name is the word or begins with it: recorded ones; if there is none, those of a table. */
static int collect_named(const struct ctl *ctl, xt_client *client, const char *prefix, const char *word,
			 struct candidates *ret)
{
	const xt_value args[] = {xt_text(word), xt_int(MOST_NAMES + 1)};

	int status = collect(
		ctl, client,
		sql_format("%s SELECT track_id FROM xt_runs WHERE track_id = ?1 OR (status <> 'deleted' AND "
			   "substr(track_id, 1, length(?1)) = ?1) ORDER BY track_id <> ?1, start_time DESC "
			   "LIMIT ?2",
			   prefix),
		args, 2, ret);
	if (status != CTL_OK || ret->n > 0)
		return status;
	xt_cursor *cursor = NULL;
	int r = xt_columns(&cursor, client, ctl->table);
	xt_cursor_close(cursor);
	if (r != XT_OK)
		return CTL_OK; /* there is no such table, so no such run */
	return collect(
		ctl, client,
		sql_format("SELECT DISTINCT track_id FROM %n WHERE track_id >= ?1 AND track_id < ?1 || "
			   "char(1114111) ORDER BY track_id LIMIT ?2",
			   ctl->table),
		args, 2, ret);
}

static int collect_last(const struct ctl *ctl, xt_client *client, const char *prefix, struct candidates *ret)
{
	return collect(
		ctl, client,
		sql_format("%s SELECT track_id FROM xt_runs WHERE status <> 'deleted' ORDER BY start_time "
			   "DESC, track_id LIMIT 1",
			   prefix),
		NULL, 0, ret);
}

/* The word means more than one. */
static int ambiguous(const struct ctl *ctl, const char *word, const struct candidates *c)
{
	char *names = NULL;
	size_t size;
	FILE *f = open_memstream(&names, &size);

	for (size_t i = 0; f && i < c->n && i < MOST_NAMES; i++)
		fprintf(f, "%s'%s'", i ? ", " : "", c->names[i]);
	if (!f || fclose(f) != 0)
		return ctl_no_memory(ctl);
	ctl_error(ctl, "'%s' is the beginning of more than one run: %s%s", word, names,
		  c->n > MOST_NAMES ? " and others" : "");
	free(names);
	return CTL_FAILED;
}

int runs_find(const struct ctl *ctl, xt_client *client, const char *word, char **ret)
{
	struct candidates c = {0};
	const char *prefix;

	int status = runs_prefix(ctl, client, &prefix);
	if (status == CTL_OK)
		status = collect_named(ctl, client, prefix, word, &c);
	bool last = strcmp(word, "last") == 0 && !(c.n > 0 && strcmp(c.names[0], word) == 0);
	if (status == CTL_OK && last) {
		candidates_done(&c);
		status = collect_last(ctl, client, prefix, &c);
	}
	bool exact = c.n > 0 && (last || strcmp(c.names[0], word) == 0);
	if (status == CTL_OK && c.n == 0)
		status = last ? ctl_error(ctl, "there is no run yet in '%s'", ctl->database)
			      : ctl_error(ctl, "no run '%s'; '%s runs %s' lists them", word, ctl->program,
					  ctl_db(ctl));
	else if (status == CTL_OK && c.n > 1 && !exact)
		status = ambiguous(ctl, word, &c);
	if (status == CTL_OK) {
		*ret = c.names[0];
		c.names[0] = NULL;
	}
	candidates_done(&c);
	return status;
}

/* ---- the list --------------------------------------------------------- */

#define DURATION \
	"round((julianday(coalesce(r.end_time, 'now')) - julianday(r.start_time)) * 86400, 3) AS duration"

#define CRASHED                                                                                     \
	"(SELECT count(*) FROM xt_workers w WHERE w.track_id = r.track_id AND " RUNS_WORKER_CRASHED \
	") AS crashed_workers"

/* All runs that are recorded; deleted ones leave a row behind. */
static const char all_runs[] =
	"SELECT r.track_id, r.status, substr(r.start_time, 1, 19) AS start, " DURATION
	", r.table_name AS \"table\", r.rows + r.inserted + coalesce(c.rows, 0) AS rows, "
	"r.rejects + coalesce(c.rejects, 0) AS rejects, " CRASHED ", r.params, r.start_time AS "
	"began FROM xt_runs r LEFT JOIN "
	"(SELECT run, sum(run_rows) AS rows, sum(run_rejects) AS rejects FROM "
	"xt_clients WHERE run IS NOT NULL "
	"GROUP BY run) c ON c.run = r.track_id";

/* Runs that have rows in one table, recorded or not: another program may have written them. */
static const char runs_of_table[] =
	"SELECT t.track_id, r.status, "
	"substr(coalesce(r.start_time, (SELECT timestamp FROM %n WHERE _rowid_ = t.first)), 1, 19) AS "
	"start, " DURATION ", t.rows, r.rejects, " CRASHED
	", r.params, t.first AS began FROM (SELECT track_id, count(*) "
	"AS rows, min(_rowid_) AS "
	"first FROM %n GROUP BY track_id) t LEFT JOIN xt_runs r ON r.track_id = t.track_id";

/* The values of a list's conditions, which are bound from ?1 on. */
struct conditions {
	struct condition list[MOST_WHERE];
	xt_value args[2 * MOST_WHERE + 2]; /* key and value of each; then status, and since when */
	size_t n, n_args;
};

static void conditions_done(struct conditions *c)
{
	for (size_t i = 0; i < c->n; i++)
		condition_done(&c->list[i]);
}

/* A parameter that no run has is a mistake, not an empty list. */
static int check_key(const struct ctl *ctl, xt_client *client, const char *prefix, const char *key)
{
	char *sql = sql_format("%s SELECT 1 FROM xt_runs, json_each(xt_runs.params) AS p WHERE "
			       "json_valid(xt_runs.params) AND p.key = ?1 LIMIT 1",
			       prefix);
	xt_value arg = xt_text(key);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(client, sql, &arg, 1, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	xt_cursor_close(cursor);
	if (r == XT_DONE)
		return ctl_error(ctl, "no run has a parameter '%s'; '%s show %s last' shows those of a run",
				 key, ctl->program, ctl_db(ctl));
	return r == XT_OK ? CTL_OK : r == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, r);
}

/* One condition on a run's parameters: 3 is also '3', true also 1. What is not equal need not be there. */
static int put_where(const struct ctl *ctl, xt_client *client, const char *prefix, const char *text,
		     struct conditions *c, FILE *sql)
{
	struct condition *one = &c->list[c->n];
	char error[400];

	if (c->n >= MOST_WHERE)
		return ctl_usage(ctl, "more than %d conditions", MOST_WHERE);
	c->n++;
	if (condition_parse(one, text, error, sizeof(error)) < 0)
		return ctl_usage(ctl, "--where: %s", error);
	bool equal = strcmp(one->op, "IS") == 0, other = strcmp(one->op, "IS NOT") == 0;
	c->args[c->n_args++] = xt_text(one->key);
	c->args[c->n_args++] = one->value.is;
	fprintf(sql,
		" AND %sEXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(params) THEN params ELSE '{}' "
		"END) p "
		"WHERE p.key = ?%zu AND (p.value %s ?%zu%s",
		other ? "NOT " : "", c->n_args - 1, other ? "IS" : one->op, c->n_args,
		equal || other ? "" : "))");
	if (equal || other)
		fprintf(sql, " OR CAST(p.value AS TEXT) = CAST(?%zu AS TEXT)))", c->n_args);
	return check_key(ctl, client, prefix, one->key);
}

static int put_conditions(const struct ctl *ctl, xt_client *client, const char *prefix,
			  const struct runs_filter *filter, struct conditions *c, FILE *sql)
{
	int status = CTL_OK;

	for (size_t i = 0; filter->where && status == CTL_OK && i < filter->where->n; i++)
		status = put_where(ctl, client, prefix, filter->where->items[i], c, sql);
	if (filter->status) {
		c->args[c->n_args++] = xt_text(filter->status);
		fprintf(sql, " AND status = ?%zu", c->n_args);
	} else {
		fputs(" AND status IS NOT 'deleted'", sql);
	}
	if (filter->since_s > 0) {
		c->args[c->n_args++] = xt_int(filter->since_s);
		fprintf(sql, " AND start >= datetime('now', '-' || ?%zu || ' seconds')", c->n_args);
	}
	return status;
}

static bool for_people(const struct ctl *ctl)
{
	return ctl->options.format == FORMAT_TABLE || ctl->options.format == FORMAT_MD;
}

/* The whole statement: of all runs, those that are wanted, in the order. Parameters come last for people,
 * since they take what room is left; programs find new columns behind those that they know. */
static char *make_list(const struct ctl *ctl, const char *prefix, const struct runs_filter *filter,
		       const char *conditions)
{
	bool of_table = ctl->table_named;
	const char *table = of_table ? "" : "\"table\", ";
	const char *params = for_people(ctl) ? RUNS_PAIRS
			     : ctl->options.format == FORMAT_CSV
				     ? "params"
				     : "CASE WHEN json_valid(params) THEN json(params) END";
	const char *sort = !filter->sort || strcmp(filter->sort, "start") == 0 ? "began" : filter->sort;
	char *from = of_table ? sql_format(runs_of_table, ctl->table, ctl->table) : strdup(all_runs);
	char limit[64] = "", *sql = NULL;

	if (filter->last >= 0)
		snprintf(limit, sizeof(limit), " LIMIT %" PRId64, filter->last);
	if (from)
		sql = sql_format(
			"%s SELECT track_id, status, start, duration, %srows, rejects, %s%s AS params%s FROM "
			"(SELECT * FROM (%s) WHERE 1%s ORDER BY %n DESC, began DESC, "
			"track_id DESC%s) ORDER BY %n%s, began%s, track_id%s",
			prefix, table, for_people(ctl) ? "crashed_workers, " : "", params,
			for_people(ctl) ? "" : ", crashed_workers", from, conditions, sort, limit, sort,
			filter->reverse ? " DESC" : "", filter->reverse ? " DESC" : "",
			filter->reverse ? " DESC" : "");
	free(from);
	return sql;
}

static int print_list(struct ctl *ctl, const xt_client *client, xt_cursor *cursor)
{
	struct format_options how = ctl_how_to_print(ctl);

	how.json_column = "params";
	return for_people(ctl) ? runs_table_print(ctl, client, cursor)
			       : ctl_print_to(ctl, &ctl->out, &how, client, cursor);
}

int runs_list(struct ctl *ctl, xt_client *client, const struct runs_filter *filter)
{
	struct conditions c = {0};
	char *conditions = NULL, *sql = NULL;
	xt_cursor *cursor = NULL;
	const char *prefix;
	size_t size;

	if (filter->sort && strcmp(filter->sort, "table") == 0 && ctl->table_named)
		return ctl_usage(ctl, "of one table there is nothing to sort by 'table'");
	int status = runs_prefix(ctl, client, &prefix);
	if (status != CTL_OK)
		return status;
	FILE *f = open_memstream(&conditions, &size);
	status = f ? put_conditions(ctl, client, prefix, filter, &c, f) : ctl_no_memory(ctl);
	if (f && fclose(f) != 0)
		status = ctl_no_memory(ctl);
	if (status == CTL_OK) {
		sql = make_list(ctl, prefix, filter, conditions);
		int r = sql ? ctl_query(client, sql, c.args, c.n_args, CTL_LONG_MS, &cursor) : XT_ENOMEM;
		status = r == XT_OK	  ? print_list(ctl, client, cursor)
			 : r == XT_ENOMEM ? ctl_no_memory(ctl)
					  : ctl_fail(ctl, client, r);
	}
	xt_cursor_close(cursor);
	free(sql);
	free(conditions);
	conditions_done(&c);
	return status;
}
