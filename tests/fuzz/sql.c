/*
 * Statements of users, as text with a NUL behind each: the first byte says whether they are sent by `query`
 * or by `exec`. Whatever they do, internal tables and the settings of the database stay as they are, no
 * other file is made or opened, a reading statement changes nothing at all, and what a run gains and loses
 * by a writing one is what is counted for it.
 */
#include "fuzz.h"

#include <strings.h>

#include "apply.h"
#include "runs.h"
#include "temp_store.h"

#define LIMIT_MS	50 /* that a statement may run */
#define MOST_STATEMENTS 8
#define RUN		"calm-otter-0042"
#define MOST_STEPS	1000 /* rows of a reading one that are looked at */

static const char tables[] =
	"CREATE TABLE events(track_id TEXT, timestamp TEXT, loss REAL, epoch INTEGER UNIQUE, name TEXT);"
	"INSERT INTO events VALUES ('" RUN "', '2023-11-14 22:13:20.000000', 0.5, 1, 'a'),"
	" ('" RUN "', '2023-11-14 22:13:21.000000', 0.25, 2, x'00ff');"
	"CREATE VIEW best AS SELECT track_id, min(loss) FROM events GROUP BY track_id;"
	"INSERT INTO xt_runs(track_id, status, start_time) VALUES ('" RUN "', 'finished', '2023');"
	"INSERT INTO xt_columns VALUES ('events', 'loss', 'loss', 'REAL');"
	"INSERT INTO xt_outbox VALUES (1000, x'00', 1, 'answer', x'c0');";

/* What no statement of a user may change: rows of ours, their definitions, and what the file is. */
static const char *const kept[] = {
	"SELECT group_concat(quote(key) || quote(value)) FROM xt_meta WHERE key <> 'adopted'",
	"SELECT count(*) FROM xt_config",
	"SELECT count(*) FROM xt_clients",
	"SELECT group_concat(quote(seq) || quote(answer)) FROM xt_outbox",
	"SELECT group_concat(quote(track_id) || quote(status) || quote(rows)) FROM xt_runs",
	"SELECT group_concat(quote(name) || quote(key) || quote(type)) FROM xt_columns",
	"SELECT group_concat(name || sql) FROM sqlite_schema WHERE name LIKE 'xt$_%' ESCAPE '$'",
	"SELECT group_concat(name) FROM pragma_database_list WHERE name <> 'temp'",
	"SELECT count(*) FROM temp.sqlite_schema",
	"PRAGMA user_version",
	"PRAGMA application_id",
	"PRAGMA journal_mode",
	"PRAGMA synchronous",
	"PRAGMA secure_delete",
	"PRAGMA writable_schema",
	"PRAGMA trusted_schema",
	"PRAGMA recursive_triggers",
	"PRAGMA foreign_keys",
};

#define N_KEPT (sizeof(kept) / sizeof(kept[0]))

static void look(struct store *s, int64_t ret[N_KEPT])
{
	for (size_t i = 0; i < N_KEPT; i++)
		ret[i] = temp_store_value(s, kept[i]);
}

static void check_error(const struct xt_err *err)
{
	assert(err->code != XT_E_ok && err->code != XT_E_internal && err->message[0]);
	assert(utf8_valid(span_str(err->message)));
}

/* As handle_query.c reads. */
static void run_query(struct store *s, struct span sql)
{
	int64_t changes = sqlite3_total_changes64(s->db);
	sqlite3_stmt *st = NULL;
	struct xt_err err = {0};
	int rc = SQLITE_ROW;

	sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, STORE_USER_LENGTH);
	guard_enter(&s->guard, GUARD_READ, LIMIT_MS, NULL);
	if (guard_prepare(&s->guard, s->db, sql, span_of(NULL, 0), &st, &err) < 0) {
		check_error(&err);
	} else {
		assert(sqlite3_stmt_readonly(st));
		for (int i = 0; i < MOST_STEPS && rc == SQLITE_ROW; i++)
			rc = sqlite3_step(st);
		if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
			guard_fail(&s->guard, s->db, &err);
			check_error(&err);
		}
	}
	sqlite3_finalize(st);
	guard_leave(&s->guard);
	sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, INT32_MAX);
	assert(sqlite3_total_changes64(s->db) == changes && !sqlite3_get_autocommit(s->db));
}

/* Tables whose rows are counted. */
static const char counted_tables[] =
	"SELECT name FROM sqlite_schema t WHERE type = 'table' AND name NOT LIKE 'xt$_%' ESCAPE '$'"
	" AND sql NOT LIKE 'CREATE VIRTUAL%'"
	" AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) WHERE name = 'track_id' COLLATE NOCASE)";

/* Adds the run's rows in one table. False: it cannot be read, such as for a column that is computed. */
static bool add_rows(struct store *s, const char *table, int64_t *rows)
{
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	buf_add_str(&sql, "SELECT count(*) FROM ");
	ident_quote(&sql, table);
	buf_add_str(&sql,
		    " WHERE typeof(track_id) = 'text' AND CAST(track_id AS BLOB) = CAST('" RUN "' AS BLOB)");
	buf_add(&sql, "", 1);
	bool read = sqlite3_prepare_v2(s->db, (const char *)sql.data, -1, &st, NULL) == SQLITE_OK &&
		    sqlite3_step(st) == SQLITE_ROW;
	if (read)
		*rows += sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	buf_done(&sql);
	return read;
}

/* Rows of the run in all tables; -1: that cannot be told. */
static int64_t rows_of_run(struct store *s)
{
	sqlite3_stmt *st = NULL;
	int64_t rows = 0;
	bool told = true;

	assert(sqlite3_prepare_v2(s->db, counted_tables, -1, &st, NULL) == SQLITE_OK);
	while (told && sqlite3_step(st) == SQLITE_ROW)
		told = add_rows(s, (const char *)sqlite3_column_text(st, 0), &rows);
	sqlite3_finalize(st);
	return told ? rows : -1;
}

/* What is counted for it, gains less losses, and not written yet. */
static int64_t counted(struct store *s)
{
	struct xt_err err;
	const struct run *run = runs_find(s, span_str(RUN), &err);

	assert(run);
	return (int64_t)(run->gained - run->lost);
}

/* Columns that change their names or come filled are not counted. */
static bool is_alter(struct span sql)
{
	for (size_t i = 0; i + 5 <= sql.len; i++)
		if (strncasecmp((const char *)sql.data + i, "alter", 5) == 0)
			return true;
	return false;
}

/* In a savepoint, as apply.c has it. False: the statement rolled the transaction back, as it may. */
static bool run_exec(struct store *s, struct span sql)
{
	int64_t had = rows_of_run(s), before = counted(s), has;
	struct work w = {.store = s};
	struct params_exec p = {
		.has = PARAM_BIT(exec, timeout_ms), .seq = 1, .sql = sql, .timeout_ms = LIMIT_MS};
	struct result_exec result = {0};
	struct xt_err err = {0};

	assert(store_exec(s, "SAVEPOINT op", &err) == 0);
	int r = handle_exec(&w, &p, &result, &err);
	assert(s->guard.mode == GUARD_OURS && s->trouble != TROUBLE_FATAL);
	if (r < 0)
		check_error(&err);
	if (work_broken(s))
		return false;
	if (r < 0)
		assert(store_exec(s, "ROLLBACK TO op", &err) == 0);
	assert(store_exec(s, "RELEASE op", &err) == 0);
	has = rows_of_run(s);
	assert(had < 0 || has < 0 || is_alter(sql) || has - had == counted(s) - before);
	return true;
}

static bool run_all(struct store *s, struct span all, bool reads)
{
	bool lives = true;

	for (int i = 0; i < MOST_STATEMENTS && all.len > 0 && lives; i++) {
		const uint8_t *end = memchr(all.data, 0, all.len);
		size_t len = end ? (size_t)(end - all.data) : all.len;
		struct span sql = span_of(all.data, len);
		all = span_of(all.data + len + (end ? 1 : 0), all.len - len - (end ? 1 : 0));
		if (sql.len == 0)
			continue;
		if (reads)
			run_query(s, sql);
		else
			lives = run_exec(s, sql);
	}
	return lives;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store *s = temp_store(tables);
	struct span sql = span_of(data, size);
	int64_t before[N_KEPT], after[N_KEPT];
	bool reads = take_byte(&sql) & 1;

	if (!utf8_valid(sql))
		return 0; /* as the scanner refuses it */
	temp_store_begin(s, 100 * LIMIT_MS);
	look(s, before);
	if (run_all(s, sql, reads)) {
		look(s, after);
		assert(memcmp(before, after, sizeof(before)) == 0);
	}
	temp_store_undo(s);
	temp_store_alone();
	look(s, after);
	assert(memcmp(before, after, sizeof(before)) == 0);
	return 0;
}
