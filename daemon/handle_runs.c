/* run_start, run_join, run_finish, set, delete_run. */
#include <stdio.h>

#include "asset_refs.h"
#include "bind.h"
#include "calls.h"
#include "epoch.h"
#include "handle.h"
#include "hint.h"
#include "json.h"
#include "row.h"
#include "rules.h"
#include "runs.h"
#include "suspects.h"

#define NAME_TRIES 1000 /* random names tried before one is free */

static struct span table_or_events(bool has, struct span table)
{
	return has ? table : span_str("events");
}

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

static int resume(struct work *w, const struct run *run, struct span params, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(w->store, STMT_RUN_RESUME, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, run->track_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, w->client->key.uid);
	sqlite3_bind_blob(st, 3, w->client->key.id, XT_CLIENT_ID, SQLITE_STATIC);
	if (w->op->pid)
		sqlite3_bind_int64(st, 4, w->op->pid);
	if (params.len)
		store_bind(st, 5, params);
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
	int r = run->known ? resume(w, run, start.params, err) : runs_add(w->store, run, &start, err);
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

static struct run *known_run(struct work *w, struct span track_id, struct xt_err *err)
{
	struct run *run = runs_find(w->store, track_id, err);

	if (run && !run->known) {
		xt_err_set(err, XT_E_no_such_run, "track_id", "there is no run '%.100s'", run->track_id);
		return NULL;
	}
	return run;
}

int handle_run_finish(struct work *w, const struct params_run_finish *p, struct result_run_finish *ret,
		      struct xt_err *err)
{
	bool finished = span_is(p->status, "finished");
	struct run *run = known_run(w, p->track_id, err);

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

/* ---- set -------------------------------------------------------------- */

static struct table *existing_table(struct work *w, struct span name, struct xt_err *err)
{
	struct table *t = table_find(w->store, name, err);
	char hint[HINT_SIZE];

	if (t && t->absent) {
		xt_err_set(err, XT_E_no_such_table, "table", "there is no table '%.100s'%s", t->name,
			   hint_for_table(w->store->db, span_str(t->name), hint));
		return NULL;
	}
	return t;
}

/* The column to set, which a new key adds and another type widens. Its index, or -1. */
static long column_to_set(struct work *w, struct table *t, const struct params_set *p, struct xt_err *err)
{
	struct warnings warnings = {w->events};
	struct reader r = reader_of(p->value);
	struct token value;
	char plain[IDENT_SIZE];

	if (reader_next(&r, &value) < 0)
		return xt_err_set(err, XT_E_bad_message, "value", "a value is cut short");
	if (bind_check(&value, "value", err) < 0)
		return -1;
	if (ident_column(p->key, plain, err) < 0)
		return -1;
	if (table_is_system(plain))
		return xt_err_set(err, XT_E_not_allowed, "key",
				  "'%s' is written by the daemon and cannot be set", plain);
	long column = table_column(t, p->key);
	if (column < 0) {
		struct new_column add = {.key = p->key, .kind = kind_for(KIND_UNDECIDED, &value)};
		if (t->n_columns >= XT_MAX_COLUMNS)
			return xt_err_set(err, XT_E_too_many_columns, "key",
					  "table '%.100s' has %d columns already", t->name, XT_MAX_COLUMNS);
		if (rules_may_add(t, p->key, err) < 0 ||
		    table_add_columns(w->store, t, &add, 1, &warnings, err) < 0)
			return -1;
		return table_column(t, p->key);
	}
	if (t->columns[column].required && value.type == TOKEN_NIL)
		return rules_refuse_null(t, &t->columns[column], err);
	enum kind need = kind_for(t->columns[column].kind, &value);
	if (need != t->columns[column].kind && !t->columns[column].fixed &&
	    table_widen(w->store, t, (size_t)column, need, &warnings, err) < 0)
		return -1;
	return column;
}

/* The column that `where` looks at, by key or by name. */
static const char *where_column(const struct table *t, struct span key, struct xt_err *err)
{
	long column = table_column(t, key);

	if (column >= 0)
		return t->columns[column].name;
	for (size_t i = 0; i < t->n_columns; i++)
		if (span_is(key, t->columns[i].name))
			return t->columns[i].name;
	xt_err_set(err, XT_E_no_such_column, "where_key", "table '%.100s' has no column '%.*s'", t->name,
		   (int)(key.len < 100 ? key.len : 100), (const char *)key.data);
	return NULL;
}

/* Without memory for the value the change is tried again, not refused. */
static int bind_for_set(struct store *s, sqlite3_stmt *st, int i, struct span value, const char *field,
			struct xt_err *err)
{
	struct reader r = reader_of(value);

	if (bind_value(st, i, &r, field, err) == 0)
		return 0;
	return sqlite3_errcode(s->db) == SQLITE_NOMEM ? store_fail(s, err) : -1;
}

/* A statement over the rows that `set` means: `head` and the conditions, ?2 and ?3 bound. */
static sqlite3_stmt *prepare_over_rows(struct store *s, const struct params_set *p, const char *where,
				       struct buf *head, struct xt_err *err)
{
	sqlite3_stmt *st = NULL;

	buf_add_str(head, " WHERE 1");
	if (HAS_PARAM(p, set, track_id))
		buf_add_str(head, " AND \"track_id\" = ?2");
	if (where) {
		buf_add_str(head, " AND ");
		ident_quote(head, where);
		buf_add_str(head, " IS ?3");
	}
	if (sqlite3_prepare_v3(s->db, (const char *)head->data, (int)head->len, 0, &st, NULL) != SQLITE_OK) {
		store_fail(s, err);
		return NULL;
	}
	if (HAS_PARAM(p, set, track_id))
		store_bind(st, 2, p->track_id);
	if (where && bind_for_set(s, st, 3, p->where_value, "where_value", err) < 0) {
		sqlite3_finalize(st);
		return NULL;
	}
	return st;
}

/* A name mistyped must not leave a column behind: is there any row to set? 1, 0 or -1. */
static int any_row(struct store *s, const struct params_set *p, const struct table *t, const char *where,
		   struct xt_err *err)
{
	struct buf sql = {0};

	buf_add_str(&sql, "SELECT 1 FROM ");
	ident_quote(&sql, t->name);
	sqlite3_stmt *st = prepare_over_rows(s, p, where, &sql, err);
	buf_done(&sql);
	if (!st)
		return -1;
	int rc = sqlite3_step(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		store_fail(s, err);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

static int set_column(struct store *s, const struct params_set *p, const struct table *t, size_t column,
		      const char *where, uint64_t *ret_changed, struct xt_err *err)
{
	struct buf sql = {0};

	buf_add_str(&sql, "UPDATE ");
	ident_quote(&sql, t->name);
	buf_add_str(&sql, " SET ");
	ident_quote(&sql, t->columns[column].name);
	buf_add_str(&sql, " = ?1");
	sqlite3_stmt *st = prepare_over_rows(s, p, where, &sql, err);
	buf_done(&sql);
	if (!st)
		return -1;
	int r = bind_for_set(s, st, 1, p->value, "value", err);
	if (r == 0)
		r = store_run(s, st, err);
	if (r == 0)
		*ret_changed = (uint64_t)sqlite3_changes64(s->db);
	sqlite3_finalize(st);
	return r;
}

int handle_set(struct work *w, const struct params_set *p, struct result_set *ret, struct xt_err *err)
{
	struct store *s = w->store;
	char where[IDENT_SIZE];
	const char *found = NULL;

	struct table *t = existing_table(w, table_or_events(HAS_PARAM(p, set, table), p->table), err);
	if (!t)
		return -1;
	if (HAS_PARAM(p, set, where_key) != HAS_PARAM(p, set, where_value))
		return xt_err_set(err, XT_E_missing_field, "where_value",
				  "where_key and where_value belong together");
	if (HAS_PARAM(p, set, where_key)) {
		if (!(found = where_column(t, p->where_key, err)))
			return -1;
		snprintf(where, sizeof(where), "%s", found); /* columns move when one is added */
		found = where;
	}
	int any = any_row(s, p, t, found, err);
	if (any < 0)
		return -1;
	if (any == 0)
		return HAS_PARAM(p, set, track_id) && !known_run(w, p->track_id, err) ? -1 : 0;
	long column = column_to_set(w, t, p, err);
	if (column < 0)
		return -1;
	return set_column(s, p, t, (size_t)column, found, &ret->changed, err);
}

/* ---- delete_run ------------------------------------------------------- */

/* What is deleted, and how much of it may be. */
struct deletion {
	struct work *w;
	struct span track_id;
	uint64_t limit, deleted; /* rows */
	bool more;		 /* the limit was reached: there may be others */
};

/* Rows are taken by their rowid as far as there is one: a table WITHOUT ROWID, of another program, is deleted
 * from in one go. The second look at track_id is for tables that have a column of that name. */
static const char delete_some[] = " WHERE \"track_id\" = ?1 AND rowid IN (SELECT rowid FROM ",
		  delete_all[] = " WHERE \"track_id\" = ?1";

static sqlite3_stmt *prepare_delete(struct store *s, const char *table, bool all)
{
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	buf_add_str(&sql, "DELETE FROM ");
	ident_quote(&sql, table);
	buf_add_str(&sql, all ? delete_all : delete_some);
	if (!all) {
		ident_quote(&sql, table);
		buf_add_str(&sql, " WHERE \"track_id\" = ?1 LIMIT ?2)");
	}
	if (sqlite3_prepare_v3(s->db, (const char *)sql.data, (int)sql.len, 0, &st, NULL) != SQLITE_OK)
		st = NULL;
	buf_done(&sql);
	return st;
}

static int delete_rows(struct deletion *d, const char *table, struct xt_err *err)
{
	struct store *s = d->w->store;
	uint64_t left = d->limit - d->deleted;
	sqlite3_stmt *st = prepare_delete(s, table, false);
	bool some = st != NULL;
	int64_t top;

	if (left == 0) {
		sqlite3_finalize(st);
		d->more = true;
		return 0;
	}
	if (!st && !(st = prepare_delete(s, table, true)))
		return store_fail(s, err);
	store_bind(st, 1, d->track_id);
	if (some)
		sqlite3_bind_int64(st, 2, left < INT64_MAX ? (int64_t)left : INT64_MAX);
	int r = epoch_top(s, table, &top, err);
	if (r == 0)
		r = store_run(s, st, err);
	if (r == 0) {
		uint64_t n = (uint64_t)sqlite3_changes64(s->db);
		d->deleted += n;
		d->more = d->more || n >= left;
		r = epoch_look(s, table, top, err);
	}
	sqlite3_finalize(st);
	return r;
}

static int delete_everywhere(struct deletion *d, struct xt_err *err)
{
	struct buf names = {0};
	int r = tables_names(d->w->store, &names, err);

	for (size_t at = 0; r == 0 && at < names.len;) {
		const char *name = (const char *)names.data + at;
		at += strlen(name) + 1;
		r = delete_rows(d, name, err);
	}
	buf_done(&names);
	return r;
}

static int is_running(struct work *w, struct span track_id, bool *ret, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(w->store, STMT_RUN_GET, err);

	if (!st)
		return -1;
	store_bind(st, 1, track_id);
	int r = store_step(w->store, st, err);
	if (r > 0) {
		struct span status = store_text(st, 0);
		*ret = span_is(status, "running");
		r = status.data ? 0 : store_fail(w->store, err);
		sqlite3_reset(st);
	}
	return r;
}

/* Rows of a run that nobody told the daemon of: another program wrote them. The tombstone is made for it. */
static int delete_unknown(struct deletion *d, struct run *run, struct xt_err *err)
{
	struct store *s = d->w->store;
	struct run_start start = {.time_us = s->now_us(), .client = &d->w->client->key};

	if (delete_everywhere(d, err) < 0)
		return -1;
	if (d->deleted == 0)
		return xt_err_set(err, XT_E_no_such_run, "track_id", "there is no run '%.100s'",
				  run->track_id);
	if (runs_add(s, run, &start, err) < 0)
		return -1;
	/* Put there by others, as those are that are left and that runs_add() counted. */
	runs_change(s, run, d->deleted, 0);
	return 0;
}

/* In one table only: the run stays. */
static int delete_in(struct deletion *d, const struct table *t, struct run *run, struct xt_err *err)
{
	if (delete_rows(d, t->name, err) < 0)
		return -1;
	if (run->known)
		runs_change(d->w->store, run, 0, d->deleted);
	return d->deleted == 0 && !known_run(d->w, d->track_id, err) ? -1 : 0;
}

/* Everywhere, with what else it has. The tombstone is made with the first piece, so that no row comes late.
 */
static int delete_whole(struct deletion *d, struct run *run, struct xt_err *err)
{
	struct store *s = d->w->store;

	if (run->known ? delete_everywhere(d, err) < 0 : delete_unknown(d, run, err) < 0)
		return -1;
	if (asset_refs_drop_run(s, d->track_id, err) < 0)
		return -1;
	if (runs_end(s, d->track_id, "deleted", s->now_us(), err) < 0)
		return -1;
	runs_change(s, run, 0, d->deleted);
	run->deleted = true;
	return calls_forget_run(s, d->track_id, err);
}

int handle_delete_run(struct work *w, const struct params_delete_run *p, struct result_delete_run *ret,
		      struct xt_err *err)
{
	struct deletion d = {.w = w,
			     .track_id = p->track_id,
			     .limit = HAS_PARAM(p, delete_run, limit) ? p->limit : UINT64_MAX};
	bool running = false, force = HAS_PARAM(p, delete_run, force) && p->force;
	struct table *t = NULL;

	if (HAS_PARAM(p, delete_run, table) && !(t = existing_table(w, p->table, err)))
		return -1;
	struct run *run = runs_find(w->store, p->track_id, err);
	if (!run || (run->known && is_running(w, p->track_id, &running, err) < 0))
		return -1;
	if (running && !force)
		return xt_err_set(err, XT_E_run_running, "track_id",
				  "run '%.100s' is still running; use force", run->track_id);
	if (t ? delete_in(&d, t, run, err) < 0 : delete_whole(&d, run, err) < 0)
		return -1;
	ret->deleted = d.deleted;
	ret->more = d.more;
	if (d.more)
		ret->has |= RESULT_BIT(delete_run, more);
	return 0;
}
