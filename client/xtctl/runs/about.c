#include "about.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "failed.h"
#include "runs.h"
#include "sql.h"

#define MOST_ASSETS  50	 /* that are named */
#define BEFORE_BYTES 300 /* of a table's name and what follows it */
#define AT_ONCE	     100 /* columns that one statement looks at */

/* What a function needs that asks of a run. */
struct about {
	const struct ctl *ctl;
	xt_client *client;
	const char *prefix; /* of statements over our own tables */
	const char *run;
	struct sheet *sheet;
};

/* Runs a statement, which this frees, whose ?1 is the run. The library's status. */
static int ask(const struct about *a, char *sql, xt_cursor **ret)
{
	xt_value run = xt_text(a->run);

	*ret = NULL;
	int r = sql ? ctl_query(a->client, sql, &run, 1, CTL_LONG_MS, ret) : XT_ENOMEM;
	free(sql);
	return r;
}

/* Closes a cursor and reports what ended it but its last row. */
static int end(const struct about *a, xt_cursor *cursor, int r)
{
	xt_cursor_close(cursor);
	if (r == XT_DONE || r == XT_OK)
		return CTL_OK;
	return r == XT_ENOMEM ? ctl_no_memory(a->ctl) : ctl_fail(a->ctl, a->client, r);
}

/* What SQLite calls a type of JSON. */
static bool is_boolean(const xt_value *type)
{
	return type->type == XT_T_TEXT && ((type->n == 4 && memcmp(type->as.text, "true", 4) == 0) ||
					   (type->n == 5 && memcmp(type->as.text, "false", 5) == 0));
}

/* Adds a fact for each row: its name and its value; of JSON also its type. */
static int add_pairs(const struct about *a, const char *section, char *sql)
{
	xt_cursor *cursor;
	const xt_value *row;

	int r = ask(a, sql, &cursor);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		char *name = row[0].type == XT_T_TEXT ? strndup(row[0].as.text, row[0].n) : strdup("NULL");
		xt_value value = row[1];
		if (xt_cursor_columns(cursor) > 2 && is_boolean(&row[2]))
			value = xt_bool(value.as.integer != 0);
		if (!name)
			r = XT_ENOMEM;
		else
			sheet_add(a->sheet, section, name, &value);
		free(name);
	}
	return end(a, cursor, r);
}

/* ---- the record ------------------------------------------------------- */

/* Columns of xt_runs in the order in which they are told, and how they are called; those that are not here
 * come behind under their own names. */
static const struct {
	const char *column, *label; /* label NULL: not told */
	bool zero_too;		    /* else 0 says nothing */
} record[] = {
	{"track_id", "track_id", true},
	{"status", "status", true},
	{"cause", "cause", true},
	{"start_time", "start", true},
	{"end_time", "end", true},
	{"duration", "duration_s", true},
	{"table_name", "table", true},
	{"all_rows", "rows", true},
	{"all_rejects", "rejects", true},
	{"inserted", "inserted", false},
	{"deleted", "deleted", false},
	{"uid", "uid", true},
	{"pid", "pid", true},
	{"host", "host", true},
	{"executable", "executable", true},
	{"command_line", "command_line", true},
	{"directory", "directory", true},
	{"rows", NULL, true},
	{"rejects", NULL, true},
	{"params", NULL, true},
	{"client", NULL, true},
};

#define N_RECORD (sizeof(record) / sizeof(record[0]))

static size_t find_record(const char *column)
{
	size_t i = 0;

	while (i < N_RECORD && strcmp(record[i].column, column) != 0)
		i++;
	return i;
}

static void add_record(const struct about *a, const xt_cursor *cursor, const xt_value *row)
{
	size_t n = xt_cursor_columns(cursor);

	for (size_t k = 0; k < N_RECORD; k++)
		for (size_t i = 0; i < n; i++) {
			bool zero = row[i].type == XT_T_INT && row[i].as.integer == 0;
			if (find_record(xt_cursor_name(cursor, i)) == k && record[k].label &&
			    row[i].type != XT_T_NULL && (record[k].zero_too || !zero))
				sheet_add(a->sheet, "", record[k].label, &row[i]);
		}
	for (size_t i = 0; i < n; i++)
		if (find_record(xt_cursor_name(cursor, i)) == N_RECORD && row[i].type != XT_T_NULL)
			sheet_add(a->sheet, "", xt_cursor_name(cursor, i), &row[i]);
}

static int add_run(const struct about *a)
{
	xt_cursor *cursor;
	const xt_value *row;

	int r = ask(a,
		    sql_format("%s SELECT r.*, round((julianday(coalesce(end_time, 'now')) - "
			       "julianday(start_time)) * 86400, 3) AS duration, rows + coalesce((SELECT "
			       "sum(run_rows) FROM xt_clients WHERE run = ?1), 0) AS all_rows, rejects + "
			       "coalesce((SELECT sum(run_rejects) FROM xt_clients WHERE run = ?1), 0) AS "
			       "all_rejects FROM xt_runs r WHERE track_id = ?1",
			       a->prefix),
		    &cursor);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK)
		add_record(a, cursor, row);
	if (r == XT_DONE) {
		sheet_say(a->sheet, "", "track_id", "%s", a->run);
		sheet_say(a->sheet, "", "status", "not recorded here: copied or written by another program");
	}
	return end(a, cursor, r);
}

/* ---- its rows --------------------------------------------------------- */

/* Calls `each` for the tables that rows are logged to, or the one that was named. CTL_OK, or what it said. */
static int each_table(const struct about *a, int each(const struct about *a, const struct relation *rel))
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	struct ctl one = *a->ctl;
	int status = CTL_OK;

	one.table_named = true;
	int r = ctl_query(
		a->client,
		"SELECT name FROM sqlite_schema t WHERE type = 'table' AND lower(substr(name, 1, 3)) <> "
		"'xt_' AND lower(substr(name, 1, 7)) <> 'sqlite_' AND EXISTS (SELECT 1 FROM "
		"pragma_table_info(t.name) WHERE name = 'track_id' COLLATE NOCASE) AND (?1 IS NULL OR name = "
		"?1 "
		"COLLATE NOCASE) ORDER BY name",
		(xt_value[]){a->ctl->table_named ? xt_text(a->ctl->table) : xt_null()}, 1, 0, &cursor);
	while (r == XT_OK && status == CTL_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		struct relation rel = {0};
		char *name = strndup(row[0].as.text, row[0].n);
		one.table = name;
		status = name ? relation_open(&one, a->client, &rel) : ctl_no_memory(a->ctl);
		if (status == CTL_OK)
			status = each(a, &rel);
		relation_done(&rel);
		free(name);
	}
	int ended = end(a, cursor, r);
	return status == CTL_OK ? ended : status;
}

/* The run's rows in a table: none is told of those that have none. */
static int add_rows(const struct about *a, const struct relation *rel)
{
	return add_pairs(
		a, ABOUT_ROWS,
		sql_format("SELECT %t, n FROM (SELECT count(*) AS n FROM %n WHERE track_id = ?1) WHERE n > 0",
			   rel->name, rel->name));
}

/* What stands before the names of facts about a table: of a run with rows in more than one, which it is. */
static const char *before(const struct about *a, const struct relation *rel, char text[BEFORE_BYTES])
{
	size_t n = 0;

	for (size_t i = 0; i < a->sheet->n; i++)
		n += strcmp(a->sheet->rows[i].section, ABOUT_ROWS) == 0;
	text[0] = '\0';
	if (n > 1)
		snprintf(text, BEFORE_BYTES, "%s: ", rel->name);
	return text;
}

static int add_failures(const struct about *a, const struct relation *rel)
{
	char name[BEFORE_BYTES];
	bool known;
	char *failed = failed_condition(rel, &known), *type = failed_type(rel), *sql = NULL;

	if (failed && type)
		sql = sql_format(
			"SELECT %t || %s, count(*) FROM %n WHERE track_id = ?1 AND %s GROUP BY 1 ORDER BY 2 "
			"DESC, 1 LIMIT 50",
			before(a, rel, name), type, rel->name, failed);
	free(failed);
	free(type);
	if (!sql)
		return ctl_no_memory(a->ctl);
	return add_pairs(a, "failures by type", sql);
}

static int add_cache(const struct about *a, const struct relation *rel)
{
	const char *how = failed_cache(rel);
	char name[BEFORE_BYTES];

	if (!how)
		return CTL_OK;
	return add_pairs(
		a, "cache",
		sql_format("SELECT %t || %s, count(*) FROM %n WHERE track_id = ?1 GROUP BY 1 ORDER BY 1",
			   before(a, rel, name), how, rel->name));
}

/* ---- what deserves attention ------------------------------------------ */

static int add_warnings(const struct about *a)
{
	return add_pairs(a, "warnings",
			 sql_format("%s SELECT 'rejected rows', n || iif(n = 1, ' row', ' rows') || ' could "
				    "not be stored' FROM "
				    "(SELECT rejects + coalesce((SELECT sum(run_rejects) FROM xt_clients "
				    "WHERE run = ?1), 0) AS n "
				    "FROM xt_runs WHERE track_id = ?1) WHERE n > 0 "
				    "UNION ALL SELECT 'open calls', count(*) || iif(count(*) = 1, ' call "
				    "has', ' calls have') || "
				    "' begun and not ended' FROM xt_calls WHERE track_id = ?1 AND row_id IS "
				    "NULL GROUP BY track_id "
				    "UNION ALL SELECT 'crashed workers', count(*) || iif(count(*) = 1, ' "
				    "worker', ' workers') || "
				    "' crashed: ' || coalesce(min(cause), 'nobody knows why') FROM "
				    "xt_workers w WHERE track_id = ?1 "
				    "AND " RUNS_WORKER_CRASHED " GROUP BY track_id",
				    a->prefix));
}

int about_run(const struct ctl *ctl, xt_client *client, const char *run, struct sheet *ret)
{
	struct about a = {.ctl = ctl, .client = client, .run = run, .sheet = ret};
	int status = runs_prefix(ctl, client, &a.prefix);

	if (status == CTL_OK)
		status = add_run(&a);
	if (status == CTL_OK)
		status = add_pairs(&a, ABOUT_PARAMS,
				   sql_format("%s SELECT p.key, p.value, p.type FROM "
					      "xt_runs, json_each(xt_runs.params) p WHERE track_id = ?1 AND "
					      "json_valid(params)",
					      a.prefix));
	if (status == CTL_OK)
		status = add_pairs(
			&a, "workers",
			sql_format("%s SELECT CASE WHEN status <> 'crashed' OR " RUNS_WORKER_CRASHED
				   " THEN status WHEN cause = 'killed by signal 15 (SIGTERM)' THEN 'ended "
				   "by SIGTERM' ELSE 'ended without a goodbye' END, count(*) FROM xt_workers "
				   "w WHERE track_id = ?1 GROUP BY 1",
				   a.prefix));
	if (status == CTL_OK)
		status = each_table(&a, add_rows);
	if (status == CTL_OK)
		status = each_table(&a, add_failures);
	if (status == CTL_OK)
		status = each_table(&a, add_cache);
	if (status == CTL_OK)
		status = add_pairs(
			&a, "assets",
			sql_format("%s SELECT f.name, lower(hex(f.hash)) FROM xt_asset_refs f WHERE "
				   "f.track_id = ?1 ORDER BY f.name LIMIT %s",
				   a.prefix, "50"));
	return status == CTL_OK ? add_warnings(&a) : status;
}

/* ---- values ----------------------------------------------------------- */

static bool is_system(const struct relation_column *c)
{
	return strcasecmp(c->name, "track_id") == 0 || strcasecmp(c->name, "timestamp") == 0;
}

/* A statement over columns from..to of a table: of each how many values it has, how many are numbers, and
 * their mean. */
static char *counts_statement(const struct relation *rel, size_t from, size_t to)
{
	char *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	fputs("SELECT 0", f);
	for (size_t i = from; i < to; i++) {
		const char *name = rel->columns[i].name;
		sql_print(f,
			  ", count(%n), sum(typeof(%n) IN ('integer', 'real')), avg(CASE WHEN typeof(%n) IN "
			  "('integer', 'real') THEN %n END)",
			  name, name, name, name);
	}
	sql_print(f, " FROM %n WHERE track_id = ?1", rel->name);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

/* The median of the numbers of a column, n of them. */
static int add_median(const struct about *a, const struct relation *rel, const char *column, int64_t n,
		      const char *name)
{
	char limit[80];

	snprintf(limit, sizeof(limit), "LIMIT %d OFFSET %" PRId64, n % 2 ? 1 : 2, (n - 1) / 2);
	return add_pairs(
		a, ABOUT_MEDIANS,
		sql_format(
			"SELECT %t, avg(x) FROM (SELECT %n AS x FROM %n WHERE track_id = ?1 AND typeof(%n) "
			"IN ('integer', 'real') ORDER BY 1 %s)",
			name, column, rel->name, column, limit));
}

/* What a statement of counts_statement() says: values is in the order of its columns. */
static int add_values(const struct about *a, const struct relation *rel, size_t from, size_t to,
		      const xt_value *values)
{
	char prefix[BEFORE_BYTES], name[BEFORE_BYTES + 260];
	int status = CTL_OK;

	before(a, rel, prefix);
	for (size_t i = from; i < to && status == CTL_OK; i++) {
		const struct relation_column *c = &rel->columns[i];
		const xt_value *v = &values[3 * (i - from)];
		if (is_system(c) || v[0].type != XT_T_INT || v[0].as.integer == 0)
			continue;
		snprintf(name, sizeof(name), "%s%s", prefix, c->name);
		sheet_add(a->sheet, ABOUT_COLUMNS, name, &v[0]);
		if (v[1].type != XT_T_INT || v[1].as.integer == 0)
			continue;
		sheet_add(a->sheet, ABOUT_MEANS, name, &v[2]);
		if (strcasecmp(c->type, "BOOLEAN") != 0)
			status = add_median(a, rel, c->name, v[1].as.integer, name);
	}
	return status;
}

static int add_columns(const struct about *a, const struct relation *rel)
{
	int status = CTL_OK;

	if (!sheet_find(a->sheet, ABOUT_ROWS, rel->name))
		return CTL_OK;
	for (size_t from = 0; from < rel->n && status == CTL_OK; from += AT_ONCE) {
		size_t to = from + AT_ONCE < rel->n ? from + AT_ONCE : rel->n;
		xt_cursor *cursor;
		const xt_value *row;
		int r = ask(a, counts_statement(rel, from, to), &cursor);
		if (r == XT_OK)
			r = ctl_next(cursor, &row);
		if (r == XT_OK)
			status = add_values(a, rel, from, to, row + 1);
		int ended = end(a, cursor, r);
		status = status == CTL_OK ? ended : status;
	}
	return status;
}

int about_values(const struct ctl *ctl, xt_client *client, const char *run, struct sheet *ret)
{
	const struct about a = {.ctl = ctl, .client = client, .prefix = "", .run = run, .sheet = ret};

	return each_table(&a, add_columns);
}
