/* delete_run: a run's rows, as many at a time as the client says. */
#include "asset_refs.h"
#include "calls.h"
#include "epoch.h"
#include "handle.h"
#include "runs.h"
#include "table.h"

/* What is deleted, and how much of it may be. */
struct deletion {
	struct work *w;
	struct span track_id;
	uint64_t limit, deleted; /* rows */
	bool more;		 /* the limit was reached: there may be others */
};

/* Deletes up to ?2 rows of ?1, or all of them where rows have no number. */
static sqlite3_stmt *prepare_delete(struct store *s, const char *table, const char *number)
{
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	buf_add_str(&sql, "DELETE FROM ");
	ident_quote(&sql, table);
	buf_add_str(&sql, " WHERE \"track_id\" = ?1");
	if (number[0]) {
		buf_printf(&sql, " AND %s IN (SELECT %s FROM ", number, number);
		ident_quote(&sql, table);
		buf_add_str(&sql, " WHERE \"track_id\" = ?1 LIMIT ?2)");
	}
	if (sqlite3_prepare_v3(s->db, (const char *)sql.data, (int)sql.len, 0, &st, NULL) != SQLITE_OK)
		st = NULL;
	buf_done(&sql);
	return st;
}

/* Whether the limit left any. */
static int look_for_more(struct deletion *d, const char *table, struct xt_err *err)
{
	struct store *s = d->w->store;
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	if (d->more || d->deleted < d->limit)
		return 0;
	buf_add_str(&sql, "SELECT 1 FROM ");
	ident_quote(&sql, table);
	buf_add_str(&sql, " WHERE \"track_id\" = ?1 LIMIT 1");
	int rc = sqlite3_prepare_v3(s->db, (const char *)sql.data, (int)sql.len, 0, &st, NULL);
	buf_done(&sql);
	if (rc != SQLITE_OK)
		return store_fail(s, err);
	store_bind(st, 1, d->track_id);
	int row = store_step(s, st, err);
	sqlite3_finalize(st);
	d->more = row > 0;
	return row < 0 ? -1 : 0;
}

static int delete_rows(struct deletion *d, const char *table, struct xt_err *err)
{
	struct store *s = d->w->store;
	uint64_t left = d->limit > d->deleted ? d->limit - d->deleted : 0;
	char number[TABLE_NUMBER] = "";
	int64_t top;

	if (left == 0)
		return look_for_more(d, table, err);
	if (table_number(s, table, number, err) < 0)
		return -1;
	sqlite3_stmt *st = prepare_delete(s, table, number);
	if (!st)
		return store_fail(s, err);
	store_bind(st, 1, d->track_id);
	if (number[0])
		sqlite3_bind_int64(st, 2, left < INT64_MAX ? (int64_t)left : INT64_MAX);
	int r = epoch_top(s, table, &top, err);
	if (r == 0)
		r = store_run(s, st, err);
	if (r == 0) {
		d->deleted += (uint64_t)sqlite3_changes64(s->db);
		r = epoch_look(s, table, top, err);
	}
	sqlite3_finalize(st);
	if (r == 0 && number[0])
		r = look_for_more(d, table, err);
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
	return d->deleted == 0 && !runs_known(d->w->store, d->track_id, err) ? -1 : 0;
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

	if (memchr(p->track_id.data, 0, p->track_id.len)) /* its tombstone would be another run's */
		return xt_err_set(err, XT_E_bad_name, "track_id", "a track_id may not hold NUL characters");
	if (HAS_PARAM(p, delete_run, table) && !(t = table_existing(w->store, p->table, err)))
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
