/* run_start, run_join, run_finish. */
#include <stdio.h>

#include "handle.h"
#include "json.h"
#include "runs.h"
#include "stamp.h"
#include "suspects.h"

#define NAME_TRIES 1000 /* random names tried before one is free */

/* ---- run_start -------------------------------------------------------- */

static struct run *new_run(struct work *w, struct xt_err *err)
{
	char name[64];

	for (int i = 0; i < NAME_TRIES; i++) {
		ident_run_name(name);
		struct run *run = runs_find(w->store, span_str(name), err);
		if (!run || !run->known)
			return run;
	}
	xt_err_set(err, XT_E_internal, NULL, "no free run name was found");
	return NULL;
}

static int resume(struct work *w, const struct run *run, const struct run_start *start, struct xt_err *err)
{
	char stamp[STAMP_SIZE];

	if (stamp_write(start->time_us, false, stamp) < 0)
		return xt_err_set(err, XT_E_out_of_range, "time", "a time outside the years 1 to 9999");
	sqlite3_stmt *st = store_stmt(w->store, STMT_RUN_RESUME, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, run->track_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, w->client->key.uid);
	sqlite3_bind_blob(st, 3, w->client->key.id, XT_CLIENT_ID, SQLITE_STATIC);
	if (w->op->pid)
		sqlite3_bind_int64(st, 4, w->op->pid);
	if (start->params.len)
		store_bind(st, 5, start->params);
	sqlite3_bind_text(st, 6, stamp, -1, SQLITE_STATIC);
	return store_run(w->store, st, err);
}

int handle_run_start(struct work *w, const struct params_run_start *p, struct result_run_start *ret,
		     struct xt_err *err)
{
	bool named = HAS_PARAM(p, run_start, track_id);
	struct span table_name = table_or_events(HAS_PARAM(p, run_start, table), p->table);
	char table[IDENT_SIZE];

	if (ident_table(table_name, table, err) < 0)
		return -1;
	if (named && memchr(p->track_id.data, 0, p->track_id.len))
		return xt_err_set(err, XT_E_bad_name, "track_id", "a track_id may not hold NUL characters");
	struct run *run = named ? runs_find(w->store, p->track_id, err) : new_run(w, err);
	if (!run)
		return -1;
	if (run->deleted)
		return xt_err_set(err, XT_E_run_deleted, "track_id",
				  "run '%.100s' was deleted; start it under another name", run->track_id);
	buf_clear(&w->text);
	if (HAS_PARAM(p, run_start, params)) {
		struct reader r = reader_of(p->params);
		json_put(&w->text, &r);
	}
	struct run_start start = {.time_us = HAS_PARAM(p, run_start, time) ? p->time : w->store->now_us(),
				  .table = table,
				  .params = buf_span(&w->text),
				  .client = &w->client->key,
				  .pid = w->op->pid};
	ret->resumed = run->known;
	int r = run->known ? resume(w, run, &start, err) : runs_add(w->store, run, &start, err);
	buf_clear(&w->text);
	buf_add_str(&w->text, run->track_id);
	ret->track_id = buf_span(&w->text);
	return r;
}

/* ---- run_join --------------------------------------------------------- */

int handle_run_join(struct work *w, const struct params_run_join *p, struct result_run_join *ret,
		    struct xt_err *err)
{
	struct span table_name = table_or_events(HAS_PARAM(p, run_join, table), p->table);
	char table[IDENT_SIZE];

	if (ident_table(table_name, table, err) < 0)
		return -1;
	if (memchr(p->track_id.data, 0, p->track_id.len))
		return xt_err_set(err, XT_E_bad_name, "track_id", "a track_id may not hold NUL characters");
	struct run *run = runs_find(w->store, p->track_id, err);
	if (!run)
		return -1;
	if (run->deleted)
		return xt_err_set(err, XT_E_run_deleted, "track_id", "run '%.100s' was deleted",
				  run->track_id);
	struct run_start start = {.time_us = HAS_PARAM(p, run_join, time) ? p->time : w->store->now_us(),
				  .table = table,
				  .client = &w->client->key,
				  .pid = w->op->pid};
	ret->started = !run->known;
	return run->known ? runs_join(w->store, run, &start, err) : runs_add(w->store, run, &start, err);
}

/* ---- run_finish ------------------------------------------------------- */

int handle_run_finish(struct work *w, const struct params_run_finish *p, struct result_run_finish *ret,
		      struct xt_err *err)
{
	bool finished = span_is(p->status, "finished");
	struct run *run = runs_known(w->store, p->track_id, err);

	if (!run)
		return -1;
	if (run->deleted)
		return xt_err_set(err, XT_E_run_deleted, "track_id", "run '%.100s' was deleted",
				  run->track_id);
	if (!finished && !span_is(p->status, "failed"))
		return xt_err_set(err, XT_E_out_of_range, "status", "status must be `finished` or `failed`");
	if (clients_settle_run(w->store, run, err) < 0)
		return -1;
	int64_t time = HAS_PARAM(p, run_finish, time) ? p->time : w->store->now_us();
	if (runs_end(w->store, p->track_id, finished ? "finished" : "failed", time, err) < 0)
		return -1;
	sqlite3_stmt *st = store_stmt(w->store, STMT_RUN_TOTALS, err);
	if (!st)
		return -1;
	store_bind(st, 1, p->track_id);
	int row = store_step(w->store, st, err);
	if (row < 0)
		return -1;
	if (row) {
		/* The batch's own counts are written at its end. */
		ret->rows = (uint64_t)sqlite3_column_int64(st, 0) + run->rows;
		ret->rejects = (uint64_t)sqlite3_column_int64(st, 1) + run->rejects;
	}
	sqlite3_reset(st);
	return suspects_judge(w->store, &(struct warnings){w->events}, err);
}
