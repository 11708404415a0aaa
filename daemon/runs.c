#include "runs.h"

#include <stdlib.h>
#include <unistd.h>

#include "peer.h"
#include "table.h"

#define BUCKETS	 4096
#define MAX_RUNS 100000 /* in memory; beyond that the cache starts anew */

struct run_cache {
	struct run *buckets[BUCKETS];
	size_t count;
	struct run *dirty; /* those with counts to write */
};

struct run_cache *runs_new(void)
{
	return calloc(1, sizeof(struct run_cache));
}

void runs_drop(struct run_cache *c)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (c->buckets[i]) {
			struct run *run = c->buckets[i];
			c->buckets[i] = run->next;
			free(run->track_id);
			free(run);
		}
	c->count = 0;
	c->dirty = NULL;
}

void runs_trim(struct run_cache *c)
{
	if (c->count > MAX_RUNS && !c->dirty)
		runs_drop(c);
}

void runs_free(struct run_cache *c)
{
	if (!c)
		return;
	runs_drop(c);
	free(c);
}

static int look_up(struct store *s, struct span track_id, struct run *run, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_RUN_GET, err);

	if (!st)
		return -1;
	store_bind(st, 1, track_id);
	int r = store_step(s, st, err);
	if (r > 0) {
		struct span status = store_text(st, 0);
		run->known = true;
		run->deleted = span_is(status, "deleted");
		r = status.data ? 0 : store_fail(s, err);
		sqlite3_reset(st);
	}
	return r;
}

struct run *runs_find(struct store *s, struct span track_id, struct xt_err *err)
{
	struct run_cache *c = s->runs;
	size_t h = span_hash(track_id) % BUCKETS;

	for (struct run *run = c->buckets[h]; run; run = run->next)
		if (run->len == track_id.len && memcmp(run->track_id, track_id.data, run->len) == 0)
			return run;
	struct run *run = calloc(1, sizeof(*run));
	if (run)
		run->track_id = calloc(1, track_id.len + 1);
	if (!run || !run->track_id) {
		free(run);
		xt_err_set(err, XT_E_internal, NULL, "out of memory");
		return NULL;
	}
	memcpy(run->track_id, track_id.data, track_id.len);
	run->len = track_id.len;
	if (look_up(s, track_id, run, err) < 0) {
		free(run->track_id);
		free(run);
		return NULL;
	}
	run->next = c->buckets[h];
	c->buckets[h] = run;
	c->count++;
	return run;
}

struct run *runs_known(struct store *s, struct span track_id, struct xt_err *err)
{
	struct run *run = runs_find(s, track_id, err);

	if (run && !run->known) {
		xt_err_set(err, XT_E_no_such_run, "track_id", "there is no run '%.100s'", run->track_id);
		return NULL;
	}
	return run;
}

static void bind_text_or_null(sqlite3_stmt *st, int i, const char *text)
{
	if (text && text[0])
		sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static void touch(struct store *s, struct run *run)
{
	if (run->dirty)
		return;
	run->dirty = true;
	run->next_dirty = s->runs->dirty;
	s->runs->dirty = run;
}

void runs_count(struct store *s, struct run *run, uint64_t rows, uint64_t rejects)
{
	run->rows += rows;
	run->rejects += rejects;
	if (rows | rejects)
		touch(s, run);
}

void runs_change(struct store *s, struct run *run, uint64_t gained, uint64_t lost)
{
	run->gained += gained;
	run->lost += lost;
	if (gained | lost)
		touch(s, run);
}

/* Rows under this name that another program wrote before: the audit must not take them for ours. */
static int count_there(struct store *s, struct run *run, struct xt_err *err)
{
	struct buf names = {0};
	int r = tables_names(s, &names, err);

	for (size_t at = 0; r == 0 && at < names.len;) {
		const char *name = (const char *)names.data + at;
		at += strlen(name) + 1;
		struct buf sql = {0};
		sqlite3_stmt *st = NULL;
		buf_add_str(&sql, "SELECT count(*) FROM ");
		ident_quote(&sql, name);
		buf_add_str(&sql, " WHERE \"track_id\" = ?1");
		if (sqlite3_prepare_v3(s->db, (const char *)sql.data, (int)sql.len, 0, &st, NULL) ==
		    SQLITE_OK)
			sqlite3_bind_text(st, 1, run->track_id, -1, SQLITE_STATIC);
		if (st && sqlite3_step(st) == SQLITE_ROW)
			runs_change(s, run, (uint64_t)sqlite3_column_int64(st, 0), 0);
		else
			r = store_fail(s, err);
		sqlite3_finalize(st);
		buf_done(&sql);
	}
	buf_done(&names);
	return r;
}

int runs_appeared(struct store *s, struct run *run, struct xt_err *err)
{
	run->known = true;
	return s->adopted ? count_there(s, run, err) : 0;
}

int runs_add(struct store *s, struct run *run, const struct run_start *start, struct xt_err *err)
{
	char stamp[STAMP_SIZE], host[256] = "";
	struct peer_process process = {0};

	if (stamp_write(start->time_us, false, stamp) < 0)
		return xt_err_set(err, XT_E_out_of_range, "time", "a time outside the years 1 to 9999");
	sqlite3_stmt *st = store_stmt(s, STMT_RUN_ADD, err);
	if (!st)
		return -1;
	if (start->pid)
		peer_read_process(start->pid, &process);
	gethostname(host, sizeof(host) - 1);
	sqlite3_bind_text(st, 1, run->track_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, stamp, -1, SQLITE_STATIC);
	bind_text_or_null(st, 3, start->table);
	if (start->params.len)
		store_bind(st, 4, start->params);
	sqlite3_bind_int64(st, 5, start->client->uid);
	sqlite3_bind_blob(st, 6, start->client->id, XT_CLIENT_ID, SQLITE_STATIC);
	if (start->pid)
		sqlite3_bind_int64(st, 7, start->pid);
	bind_text_or_null(st, 8, host);
	bind_text_or_null(st, 9, process.executable);
	bind_text_or_null(st, 10, process.command_line);
	bind_text_or_null(st, 11, process.directory);
	return store_run(s, st, err) < 0 ? -1 : runs_appeared(s, run, err);
}

int runs_write(struct store *s, struct xt_err *err)
{
	for (struct run *run = s->runs->dirty; run; run = run->next_dirty) {
		sqlite3_stmt *st = store_stmt(s, STMT_RUN_COUNT, err);
		if (!st)
			return -1;
		sqlite3_bind_text(st, 1, run->track_id, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 2, (int64_t)run->rows);
		sqlite3_bind_int64(st, 3, (int64_t)run->rejects);
		sqlite3_bind_int64(st, 4, (int64_t)run->gained);
		sqlite3_bind_int64(st, 5, (int64_t)run->lost);
		if (store_run(s, st, err) < 0)
			return -1;
	}
	return 0;
}

void runs_committed(struct run_cache *c)
{
	while (c->dirty) {
		struct run *run = c->dirty;
		c->dirty = run->next_dirty;
		run->next_dirty = NULL;
		run->dirty = false;
		run->rows = run->rejects = run->gained = run->lost = 0;
	}
}

static int turn_with(struct store *s, enum stmt_id id, const struct client_key *key,
		     const struct runs_turn *turn, struct xt_err *err)
{
	char stamp[STAMP_SIZE];
	sqlite3_stmt *st = store_stmt(s, id, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, key->uid);
	sqlite3_bind_blob(st, 2, key->id, XT_CLIENT_ID, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, turn->to, -1, SQLITE_STATIC);
	if (turn->end && stamp_write(s->now_us(), false, stamp) == 0)
		sqlite3_bind_text(st, 4, stamp, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 5, turn->from, -1, SQLITE_STATIC);
	bind_text_or_null(st, 6, turn->cause);
	return store_run(s, st, err);
}

int runs_of_client(struct store *s, const struct client_key *key, const struct runs_turn *turn,
		   struct xt_err *err)
{
	if (turn_with(s, STMT_RUNS_OF_CLIENT, key, turn, err) < 0)
		return -1;
	return turn_with(s, STMT_WORKERS_OF_CLIENT, key, turn, err);
}

int runs_join(struct store *s, const struct run *run, const struct run_start *start, struct xt_err *err)
{
	char stamp[STAMP_SIZE];
	sqlite3_stmt *st = store_stmt(s, STMT_WORKER_ADD, err);

	if (!st)
		return -1;
	if (stamp_write(start->time_us, false, stamp) < 0)
		return xt_err_set(err, XT_E_out_of_range, "time", "a time outside the years 1 to 9999");
	sqlite3_bind_text(st, 1, run->track_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, start->client->uid);
	sqlite3_bind_blob(st, 3, start->client->id, XT_CLIENT_ID, SQLITE_STATIC);
	if (start->pid)
		sqlite3_bind_int64(st, 4, start->pid);
	sqlite3_bind_text(st, 5, stamp, -1, SQLITE_STATIC);
	return store_run(s, st, err);
}

int runs_running(struct store *s, struct runs_client **ret, size_t *ret_n, struct xt_err *err)
{
	struct runs_client *list = NULL;
	size_t n = 0, cap = 0;
	int r;
	sqlite3_stmt *st = store_stmt(s, STMT_RUNS_RUNNING, err);

	if (!st)
		return -1;
	while ((r = store_step(s, st, err)) > 0) {
		if (sqlite3_column_bytes(st, 1) != XT_CLIENT_ID)
			continue;
		if (n == cap) {
			struct runs_client *more = realloc(list, (cap = cap ? 2 * cap : 64) * sizeof(*list));
			if (!more) {
				r = xt_err_set(err, XT_E_internal, NULL, "out of memory");
				break;
			}
			list = more;
		}
		list[n] = (struct runs_client){.key = {.uid = (uint32_t)sqlite3_column_int64(st, 0)},
					       .pid = (pid_t)sqlite3_column_int64(st, 2)};
		memcpy(list[n++].key.id, sqlite3_column_blob(st, 1), XT_CLIENT_ID);
	}
	sqlite3_reset(st);
	if (r < 0) {
		free(list);
		return -1;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int runs_end(struct store *s, struct span track_id, const char *status, int64_t time_us, struct xt_err *err)
{
	char stamp[STAMP_SIZE];
	sqlite3_stmt *st = store_stmt(s, STMT_RUN_END, err);

	if (!st)
		return -1;
	if (stamp_write(time_us, false, stamp) < 0)
		return xt_err_set(err, XT_E_out_of_range, "time", "a time outside the years 1 to 9999");
	store_bind(st, 1, track_id);
	sqlite3_bind_text(st, 2, status, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, stamp, -1, SQLITE_STATIC);
	return store_run(s, st, err);
}
