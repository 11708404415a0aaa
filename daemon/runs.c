#include "runs.h"

#include <stdlib.h>
#include <unistd.h>

#include "peer.h"

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

/* FNV-1a. */
static size_t hash(struct span s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.data[i]) * 16777619u;
	return h % BUCKETS;
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
	size_t h = hash(track_id);

	for (struct run *run = c->buckets[h]; run; run = run->next)
		if (span_is(track_id, run->track_id))
			return run;
	struct run *run = calloc(1, sizeof(*run));
	if (run)
		run->track_id = strndup((const char *)track_id.data, track_id.len);
	if (!run || !run->track_id) {
		free(run);
		xt_err_set(err, XT_E_internal, NULL, "out of memory");
		return NULL;
	}
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

static void bind_text_or_null(sqlite3_stmt *st, int i, const char *text)
{
	if (text && text[0])
		sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
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
	if (store_run(s, st, err) < 0)
		return -1;
	run->known = true;
	return 0;
}

void runs_count(struct store *s, struct run *run, uint64_t rows, uint64_t rejects)
{
	run->rows += rows;
	run->rejects += rejects;
	if (run->dirty || !(rows | rejects))
		return;
	run->dirty = true;
	run->next_dirty = s->runs->dirty;
	s->runs->dirty = run;
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
		run->rows = run->rejects = 0;
	}
}

int runs_of_client(struct store *s, const struct client_key *key, const char *from, const char *to, bool end,
		   struct xt_err *err)
{
	char stamp[STAMP_SIZE];
	sqlite3_stmt *st = store_stmt(s, STMT_RUNS_OF_CLIENT, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, key->uid);
	sqlite3_bind_blob(st, 2, key->id, XT_CLIENT_ID, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, to, -1, SQLITE_STATIC);
	if (end && stamp_write(s->now_us(), false, stamp) == 0)
		sqlite3_bind_text(st, 4, stamp, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 5, from, -1, SQLITE_STATIC);
	return store_run(s, st, err);
}

int runs_judge(struct store *s, struct xt_err *err)
{
	struct client_key *lost = NULL;
	size_t n = 0, cap = 0;
	int r = 0;
	sqlite3_stmt *st = store_stmt(s, STMT_RUNS_RUNNING, err);

	if (!st)
		return -1;
	while ((r = store_step(s, st, err)) > 0) {
		struct client_key key = {.uid = (uint32_t)sqlite3_column_int64(st, 1)};
		if (sqlite3_column_bytes(st, 2) != XT_CLIENT_ID)
			continue;
		memcpy(key.id, sqlite3_column_blob(st, 2), XT_CLIENT_ID);
		struct client *c = clients_find(s, &key, err);
		if (!c) {
			r = -1;
			break;
		}
		if (c->connected)
			continue;
		clients_drop(s, c);
		if (n == cap) {
			struct client_key *more = realloc(lost, (cap = cap ? 2 * cap : 64) * sizeof(*lost));
			if (!more) {
				r = xt_err_set(err, XT_E_internal, NULL, "out of memory");
				break;
			}
			lost = more;
		}
		lost[n++] = key;
	}
	sqlite3_reset(st);
	for (size_t i = 0; i < n && r == 0; i++)
		r = runs_of_client(s, &lost[i], "running", "crashed", true, err);
	free(lost);
	return r;
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
