#include "calls.h"

#include "epoch.h"
#include "log.h"
#include "row.h"
#include "runs.h"

static sqlite3_stmt *statement(struct store *s, enum stmt_id id, const struct client_key *client,
			       struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, id, err);

	if (!st)
		return NULL;
	sqlite3_bind_int64(st, 1, client->uid);
	sqlite3_bind_blob(st, 2, client->id, XT_CLIENT_ID, SQLITE_STATIC);
	return st;
}

/* ---- begin, end ------------------------------------------------------- */

int calls_begin(struct work *w, const struct params_call_begin *p, struct xt_err *err)
{
	sqlite3_stmt *st = statement(w->store, STMT_CALL_BEGIN, &w->client->key, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 3, (int64_t)p->call);
	store_bind(st, 4, p->track_id);
	store_bind(st, 5, table_or_events(HAS_PARAM(p, call_begin, table), p->table));
	sqlite3_bind_int64(st, 6, HAS_PARAM(p, call_begin, time) ? p->time : w->store->now_us());
	sqlite3_bind_blob64(st, 7, p->row.data, p->row.len, SQLITE_STATIC);
	if (HAS_PARAM(p, call_begin, key) && HAS_PARAM(p, call_begin, token)) {
		sqlite3_bind_blob64(st, 8, p->key.data, p->key.len, SQLITE_STATIC);
		sqlite3_bind_int64(st, 9, (int64_t)p->token);
	}
	if (w->op->pid)
		sqlite3_bind_int64(st, 10, w->op->pid);
	return store_run(w->store, st, err);
}

int calls_held(struct store *s, void (*each)(void *data, const struct call_held *held), void *data,
	       struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_CALLS_HELD, err);
	int r;

	if (!st)
		return -1;
	while ((r = store_step(s, st, err)) > 0) {
		struct call_held h = {.client = {.uid = (uint32_t)sqlite3_column_int64(st, 0)},
				      .pid = (pid_t)sqlite3_column_int64(st, 2),
				      .token = (uint64_t)sqlite3_column_int64(st, 4)};
		if (sqlite3_column_bytes(st, 1) != XT_CLIENT_ID ||
		    sqlite3_column_bytes(st, 3) != XT_CACHE_KEY)
			continue;
		memcpy(h.client.id, sqlite3_column_blob(st, 1), XT_CLIENT_ID);
		memcpy(h.key, sqlite3_column_blob(st, 3), XT_CACHE_KEY);
		each(data, &h);
	}
	return r;
}

/* The row of a dead call cannot be taken back: both rows stay. -1: the transaction is broken. */
static int both_stay(const struct store *s)
{
	return s->trouble != TROUBLE_NONE || sqlite3_get_autocommit(s->db) ? -1 : 0;
}

/* Deletes the row that stood for a call whose client was thought dead. It is looked at before: users may have
 * deleted it, and its number may be another's. */
static int take_back_row(struct work *w, struct span track_id, struct span table_name, int64_t row_id,
			 struct xt_err *err)
{
	struct store *s = w->store;
	struct run *run = runs_find(s, track_id, err);
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	if (!run)
		return -1;
	const struct table *t = table_find(s, table_name, err);
	int64_t top;
	if (!t)
		return both_stay(s);
	if (epoch_top(s, t->name, &top, err) < 0)
		return -1;
	buf_add_str(&sql, "DELETE FROM ");
	ident_quote(&sql, t->name);
	buf_add_str(&sql, " WHERE rowid = ?1 AND \"track_id\" = ?2 AND \"error_type\" = 'WorkerDied'");
	int rc = sqlite3_prepare_v3(s->db, (const char *)sql.data, (int)sql.len, 0, &st, NULL);
	buf_done(&sql);
	if (rc != SQLITE_OK)
		return 0; /* the table has changed: both rows stay */
	sqlite3_bind_int64(st, 1, row_id);
	store_bind(st, 2, track_id);
	int r = store_run(s, st, err);
	if (r == 0)
		runs_change(s, run, 0, (uint64_t)sqlite3_changes64(s->db));
	r = r == 0 ? epoch_look(s, t->name, top, err) : both_stay(s);
	sqlite3_finalize(st);
	return r;
}

int calls_end(struct work *w, uint64_t call, struct xt_err *err)
{
	struct store *s = w->store;
	sqlite3_stmt *st = statement(s, STMT_CALL_GET, &w->client->key, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 3, (int64_t)call);
	int r = store_step(s, st, err);
	if (r <= 0)
		return r;
	if (sqlite3_column_type(st, 2) != SQLITE_NULL)
		r = take_back_row(w, store_text(st, 0), store_text(st, 1), sqlite3_column_int64(st, 2), err);
	sqlite3_reset(st);
	if (r < 0 || !(st = statement(s, STMT_CALL_END, &w->client->key, err)))
		return -1;
	sqlite3_bind_int64(st, 3, (int64_t)call);
	return store_run(s, st, err);
}

/* ---- calls that will not end ------------------------------------------ */

static void put_text(struct buf *out, const char *text)
{
	msgpack_packer pk = wire_packer(out);

	msgpack_pack_str(&pk, strlen(text));
	msgpack_pack_str_body(&pk, text, strlen(text));
}

static bool is_nil(struct span value)
{
	return value.len == 1 && value.data[0] == 0xc0;
}

/* The row as it was given, and behind it what became of it, unless it says so itself. */
static void put_row(struct buf *out, struct span given, const char *error_type, const char *error)
{
	struct reader r = reader_of(given);
	struct token head = {0}, key;
	struct buf pairs = {0};
	uint32_t n = 0;
	msgpack_packer pk = wire_packer(out);

	if (reader_next(&r, &head) < 0)
		head.count = 0;
	for (uint32_t i = 0; i < head.count; i++) {
		const uint8_t *from = r.at;
		if (reader_next(&r, &key) < 0)
			break;
		struct span value = reader_skip(&r);
		bool is_error = key.type == TOKEN_STR && span_is(key.bytes, "error");
		bool is_type = key.type == TOKEN_STR && span_is(key.bytes, "error_type");
		if ((is_error || is_type) && is_nil(value))
			continue;
		error = is_error ? NULL : error;
		error_type = is_type ? NULL : error_type;
		buf_add(&pairs, from, (size_t)(r.at - from));
		n++;
	}
	msgpack_pack_map(&pk, n + (error != NULL) + (error_type != NULL));
	buf_add(out, pairs.data, pairs.len);
	out->failed = out->failed || pairs.failed;
	buf_done(&pairs);
	if (error) {
		put_text(out, "error");
		put_text(out, error);
	}
	if (error_type) {
		put_text(out, "error_type");
		put_text(out, error_type);
	}
}

/* What is kept of one open call. */
struct open_call {
	int64_t call;
	int64_t time_us;
	struct buf bytes; /* owned: what the spans borrow */
	struct span track_id, table, row;
};

/* Its worker cannot be told any more: who looks at the run, or the log, is. */
static void refuse_row(struct work *w, struct run *run, const struct xt_err *err)
{
	if (!w->no_call_rows)
		log_warn("the row of a call that did not end cannot be stored error=\"%s\"", err->message);
	runs_count(w->store, run, 0, 1);
}

/* Stores a call's row. 1: it is stored; 0: it cannot be; -1: trouble. */
static int store_row(struct work *w, const struct open_call *o, const char *error_type, const char *error,
		     struct xt_err *err)
{
	struct store *s = w->store;
	struct buf row = {0}, unheard = {0};
	struct row_source src = {.store = s,
				 .table_name = o->table,
				 .track_id = o->track_id,
				 .time_us = o->time_us,
				 .keys = w->keys,
				 .warnings = {&unheard}};
	struct run *run = runs_find(s, o->track_id, err);
	int r = run ? 0 : -1;

	if (run && run->known && !run->deleted) {
		put_row(&row, o->row, error_type, error);
		struct reader at = reader_of(buf_span(&row));
		r = !w->no_call_rows && row_source_open(&src, err) == 0 && row_store(&src, &at, err) == 0;
		if (r == 0 && !w->no_call_rows &&
		    (s->trouble != TROUBLE_NONE || sqlite3_get_autocommit(s->db)))
			r = -1;
		else if (r == 0)
			refuse_row(w, run, err);
	}
	if (r > 0)
		runs_change(s, run, 1, 0);
	buf_done(&row);
	buf_done(&unheard);
	return r;
}

/* Copies: storing its row may change what the statement reads. 1, 0: there is none, -1. */
static int next_open(struct store *s, const struct client_key *client, struct open_call *ret,
		     struct xt_err *err)
{
	sqlite3_stmt *st = statement(s, STMT_CALLS_OPEN, client, err);
	int r = st ? store_step(s, st, err) : -1;

	if (r <= 0)
		return r;
	struct span id = store_text(st, 1), table = store_text(st, 2);
	struct span row = span_of(sqlite3_column_blob(st, 4), (size_t)sqlite3_column_bytes(st, 4));
	struct buf *b = &ret->bytes;
	ret->call = sqlite3_column_int64(st, 0);
	ret->time_us = sqlite3_column_int64(st, 3);
	buf_clear(b);
	buf_add(b, id.data, id.len);
	buf_add(b, table.data, table.len);
	buf_add(b, row.data, row.len);
	sqlite3_reset(st);
	if (buf_failed(b))
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	ret->track_id = span_of(b->data, id.len);
	ret->table = span_of(b->data + id.len, table.len);
	ret->row = span_of(b->data + id.len + table.len, row.len);
	return 1;
}

/* Its row is stored, and known by its number; or it has none, and the call is forgotten. */
static int note_row(struct store *s, const struct client_key *client, int64_t call, bool stored,
		    struct xt_err *err)
{
	int64_t row_id = sqlite3_last_insert_rowid(s->db);
	sqlite3_stmt *st = statement(s, stored ? STMT_CALL_ROW : STMT_CALL_END, client, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 3, call);
	if (stored)
		sqlite3_bind_int64(st, 4, row_id);
	return store_run(s, st, err);
}

int calls_abandon(struct work *w, const struct client_key *client, const char *error_type, const char *error,
		  struct xt_err *err)
{
	struct store *s = w->store;
	struct open_call o = {0};
	int r;

	while ((r = next_open(s, client, &o, err)) > 0) {
		r = store_row(w, &o, error_type, error, err);
		if (r >= 0)
			r = note_row(s, client, o.call, r > 0, err);
		if (r < 0)
			break;
	}
	buf_done(&o.bytes);
	return r;
}

int calls_forget_run(struct store *s, struct span track_id, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_CALLS_OF_RUN, err);

	if (!st)
		return -1;
	store_bind(st, 1, track_id);
	return store_run(s, st, err);
}
