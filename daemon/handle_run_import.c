/* run_import: the record of a run that has ended in another database. */
#include "handle.h"
#include "runs.h"
#include "stamp.h"

static int check_status(struct span status, const char *field, struct xt_err *err)
{
	if (span_is(status, "finished") || span_is(status, "failed") || span_is(status, "crashed"))
		return 0;
	return xt_err_set(err, XT_E_out_of_range, field,
			  "a status must be `finished`, `failed` or `crashed`: what is imported has ended");
}

static int bind_time(sqlite3_stmt *st, int i, int64_t us, const char *field, struct xt_err *err)
{
	char stamp[STAMP_SIZE];

	if (stamp_write(us, false, stamp) < 0)
		return xt_err_set(err, XT_E_out_of_range, field, "a time outside the years 1 to 9999");
	sqlite3_bind_text(st, i, stamp, -1, SQLITE_TRANSIENT);
	return 0;
}

/* ---- workers ---------------------------------------------------------- */

enum { UID, PID, STATUS, START, END, CAUSE, N_FIELDS }; /* of a worker */

static int bad_worker(uint32_t i, const char *what, struct xt_err *err)
{
	return xt_err_set(err, XT_E_bad_type, "workers", "worker %u: %s", (unsigned)i, what);
}

static bool is_number(const struct token *t, int64_t min, int64_t max)
{
	return t->type == TOKEN_INT && t->integer >= min && t->integer <= max;
}

static int check_worker(const struct token f[N_FIELDS], uint32_t i, struct xt_err *err)
{
	if (!is_number(&f[UID], 0, UINT32_MAX))
		return bad_worker(i, "`uid` must be a number from 0 to 4294967295", err);
	if (f[PID].type != TOKEN_NIL && !is_number(&f[PID], 1, INT32_MAX))
		return bad_worker(i, "`pid` must be nil or a number from 1 to 2147483647", err);
	if (f[START].type != TOKEN_INT || (f[END].type != TOKEN_NIL && f[END].type != TOKEN_INT))
		return bad_worker(i, "`start`, and `end` unless it is nil, must be microseconds", err);
	if (f[STATUS].type != TOKEN_STR || (f[CAUSE].type != TOKEN_NIL && f[CAUSE].type != TOKEN_STR))
		return bad_worker(i, "`status`, and `cause` unless it is nil, must be text", err);
	return check_status(f[STATUS].bytes, "workers", err);
}

/* It has a number for its client: no client of this database may take itself for one that has come back. */
static int add_worker(struct store *s, const struct run *run, const struct token f[N_FIELDS], uint32_t i,
		      struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_WORKER_IMPORT, err);
	uint8_t client[XT_CLIENT_ID] = {0};

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, run->track_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, f[UID].integer);
	client[XT_CLIENT_ID - 2] = (uint8_t)((i + 1) >> 8);
	client[XT_CLIENT_ID - 1] = (uint8_t)(i + 1);
	sqlite3_bind_blob(st, 3, client, XT_CLIENT_ID, SQLITE_TRANSIENT);
	if (f[PID].type == TOKEN_INT)
		sqlite3_bind_int64(st, 4, f[PID].integer);
	store_bind(st, 5, f[STATUS].bytes);
	if (bind_time(st, 6, f[START].integer, "workers", err) < 0)
		return -1;
	if (f[END].type == TOKEN_INT && bind_time(st, 7, f[END].integer, "workers", err) < 0)
		return -1;
	if (f[CAUSE].type == TOKEN_STR)
		store_bind(st, 8, f[CAUSE].bytes);
	return store_run(s, st, err);
}

static int add_workers(struct store *s, const struct run *run, struct span workers, struct xt_err *err)
{
	struct reader r = reader_of(workers);
	struct token head, f[N_FIELDS];

	if (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY || head.count > XT_MAX_WORKERS)
		return xt_err_set(err, XT_E_out_of_range, "workers", "`workers` has %d at most",
				  XT_MAX_WORKERS);
	for (uint32_t i = 0, n = head.count; i < n; i++) {
		if (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY || head.count != N_FIELDS)
			return bad_worker(i, "it must be an array of 6", err);
		for (size_t k = 0; k < N_FIELDS; k++)
			if (reader_next(&r, &f[k]) < 0 || f[k].type == TOKEN_ARRAY || f[k].type == TOKEN_MAP)
				return bad_worker(i, "it may hold no arrays or maps", err);
		if (check_worker(f, i, err) < 0 || add_worker(s, run, f, i, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the run ---------------------------------------------------------- */

static int check_params(struct store *s, struct span params, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_JSON_IS_OBJECT, err);

	if (!st)
		return -1;
	store_bind(st, 1, params);
	if (store_step(s, st, err) < 0)
		return -1;
	/* SQLite looks no further than a NUL. */
	bool object = sqlite3_column_int(st, 0) != 0 && !memchr(params.data, 0, params.len);
	sqlite3_reset(st);
	return object ? 0
		      : xt_err_set(err, XT_E_bad_type, "params",
				   "`params` must be the text of a JSON object");
}

static int add_run(struct store *s, const struct run *run, const struct params_run_import *p,
		   const char *table, struct xt_err *err)
{
	const struct {
		bool is;
		struct span text;
	} texts[] = {
		{HAS_PARAM(p, run_import, host), p->host},
		{HAS_PARAM(p, run_import, executable), p->executable},
		{HAS_PARAM(p, run_import, command_line), p->command_line},
		{HAS_PARAM(p, run_import, directory), p->directory},
	};
	sqlite3_stmt *st = store_stmt(s, STMT_RUN_IMPORT, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, run->track_id, -1, SQLITE_STATIC);
	store_bind(st, 2, p->status);
	if (bind_time(st, 3, p->start, "start", err) < 0 ||
	    (HAS_PARAM(p, run_import, end) && bind_time(st, 4, p->end, "end", err) < 0))
		return -1;
	if (HAS_PARAM(p, run_import, cause))
		store_bind(st, 5, p->cause);
	sqlite3_bind_text(st, 6, table, -1, SQLITE_STATIC);
	if (HAS_PARAM(p, run_import, params))
		store_bind(st, 7, p->params);
	sqlite3_bind_int64(st, 8, HAS_PARAM(p, run_import, rejects) ? (int64_t)p->rejects : 0);
	if (HAS_PARAM(p, run_import, uid))
		sqlite3_bind_int64(st, 9, (int64_t)p->uid);
	if (HAS_PARAM(p, run_import, pid))
		sqlite3_bind_int64(st, 10, (int64_t)p->pid);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].is)
			store_bind(st, 11 + (int)i, texts[i].text);
	return store_run(s, st, err);
}

int handle_run_import(struct work *w, const struct params_run_import *p, struct result_run_import *ret,
		      struct xt_err *err)
{
	struct span table_name = table_or_events(HAS_PARAM(p, run_import, table), p->table);
	char table[IDENT_SIZE];

	if (check_status(p->status, "status", err) < 0 || ident_table(table_name, table, err) < 0)
		return -1;
	if (memchr(p->track_id.data, 0, p->track_id.len))
		return xt_err_set(err, XT_E_bad_name, "track_id", "a track_id may not hold NUL characters");
	if (HAS_PARAM(p, run_import, params) && check_params(w->store, p->params, err) < 0)
		return -1;
	struct run *run = runs_find(w->store, p->track_id, err);
	if (!run)
		return -1;
	if (run->deleted)
		return xt_err_set(err, XT_E_run_deleted, "track_id", "run '%.100s' was deleted",
				  run->track_id);
	ret->imported = !run->known;
	if (run->known)
		return 0;
	if (HAS_PARAM(p, run_import, workers) && add_workers(w->store, run, p->workers, err) < 0)
		return -1;
	/* It is known to the writer's memory last, which a failure before would not take back. */
	return add_run(w->store, run, p, table, err) < 0 ? -1 : runs_appeared(w->store, run, err);
}
