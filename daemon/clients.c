#include "clients.h"

#include <stdio.h>
#include <stdlib.h>

#include "runs.h"

#define BUCKETS	   4096
#define TELL_BYTES (8u << 20) /* of kept events that are sent at once */
#define UNCOUNTED  256	      /* rows that may be missing in xt_runs for a while */
#define SETTLE_US  1000000    /* and for how long, as long as commits go on */

struct client_cache {
	struct client *buckets[BUCKETS];
	struct client *dirty; /* those whose mark moved since the last commit */
};

struct client_cache *clients_new(void)
{
	return calloc(1, sizeof(struct client_cache));
}

void clients_free(struct client_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (c->buckets[i]) {
			struct client *next = c->buckets[i]->next;
			free(c->buckets[i]);
			c->buckets[i] = next;
		}
	free(c);
}

/* Ids are random: any of their bytes will do. */
static struct client **bucket(struct client_cache *c, const struct client_key *key)
{
	return &c->buckets[((size_t)key->id[0] << 8 | key->id[1]) % BUCKETS];
}

static bool same(const struct client_key *a, const struct client_key *b)
{
	return a->uid == b->uid && memcmp(a->id, b->id, XT_CLIENT_ID) == 0;
}

static void bind_key(sqlite3_stmt *st, const struct client_key *key)
{
	sqlite3_bind_int64(st, 1, key->uid);
	sqlite3_bind_blob(st, 2, key->id, XT_CLIENT_ID, SQLITE_STATIC);
}

static bool has_tables(struct store *s)
{
	return !s->read_only;
}

struct client *clients_find(struct store *s, const struct client_key *key, struct xt_err *err)
{
	struct client **head = bucket(s->clients, key);
	uint64_t mark = 0;

	for (struct client *c = *head; c; c = c->next)
		if (same(&c->key, key))
			return c;
	if (has_tables(s)) {
		sqlite3_stmt *st = store_stmt(s, STMT_CLIENT_GET, err);
		if (!st)
			return NULL;
		bind_key(st, key);
		int rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			mark = (uint64_t)sqlite3_column_int64(st, 0);
		else if (rc != SQLITE_DONE)
			store_fail(s, err);
		sqlite3_reset(st);
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			return NULL;
	}
	struct client *c = calloc(1, sizeof(*c));
	if (!c) {
		xt_err_set(err, XT_E_internal, NULL, "out of memory");
		return NULL;
	}
	*c = (struct client){.key = *key, .mark = mark, .committed = mark, .next = *head};
	*head = c;
	return c;
}

static void touch(struct store *s, struct client *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	c->next_dirty = s->clients->dirty;
	s->clients->dirty = c;
}

void clients_advance(struct store *s, struct client *c, uint64_t mark)
{
	c->mark = mark;
	touch(s, c);
}

int clients_settle(struct store *s, struct client *c, struct xt_err *err)
{
	struct uncounted *u = &c->uncounted;

	if (!u->run[0])
		return 0;
	struct run *run = runs_find(s, span_str(u->run), err);
	if (!run)
		return -1;
	runs_count(s, run, u->rows, u->rejects);
	*u = (struct uncounted){0};
	c->counted_us = s->now_us();
	touch(s, c);
	return 0;
}

int clients_settle_run(struct store *s, const struct run *run, struct xt_err *err)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct client *c = s->clients->buckets[i]; c; c = c->next)
			if (strcmp(c->uncounted.run, run->track_id) == 0 && clients_settle(s, c, err) < 0)
				return -1;
	return 0;
}

int clients_count(struct store *s, struct client *c, struct run *run, uint64_t rows, uint64_t rejects,
		  struct xt_err *err)
{
	struct uncounted *u = &c->uncounted;

	if (rows + rejects == 0)
		return 0;
	if (strcmp(u->run, run->track_id) != 0) {
		if (clients_settle(s, c, err) < 0)
			return -1;
		snprintf(u->run, sizeof(u->run), "%s", run->track_id);
	}
	u->rows += rows;
	u->rejects += rejects;
	return 0;
}

void clients_drop(struct store *s, struct client *c)
{
	struct client **at = bucket(s->clients, &c->key);

	if (c->connected || c->dirty)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	free(c);
}

int clients_write(struct store *s, struct xt_err *err)
{
	char stamp[STAMP_SIZE];

	if (!s->clients->dirty)
		return 0;
	if (stamp_write(s->now_us(), false, stamp) < 0)
		memcpy(stamp, "", 1);
	int64_t now = s->now_us();
	for (struct client *c = s->clients->dirty; c; c = c->next_dirty) {
		const struct uncounted *u = &c->uncounted;
		if ((u->rows + u->rejects >= UNCOUNTED || now - c->counted_us >= SETTLE_US ||
		     now < c->counted_us) &&
		    clients_settle(s, c, err) < 0)
			return -1;
		sqlite3_stmt *st = store_stmt(s, STMT_CLIENT_PUT, err);
		if (!st)
			return -1;
		bind_key(st, &c->key);
		sqlite3_bind_int64(st, 3, (int64_t)c->mark);
		sqlite3_bind_int64(st, 4, (int64_t)c->stored);
		sqlite3_bind_int64(st, 5, (int64_t)c->rejected);
		sqlite3_bind_text(st, 6, stamp, -1, SQLITE_STATIC);
		if (u->run[0])
			sqlite3_bind_text(st, 7, u->run, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 8, (int64_t)u->rows);
		sqlite3_bind_int64(st, 9, (int64_t)u->rejects);
		if (store_run(s, st, err) < 0)
			return -1;
	}
	return 0;
}

static void clean(struct client_cache *cache, bool committed)
{
	while (cache->dirty) {
		struct client *c = cache->dirty;
		cache->dirty = c->next_dirty;
		c->next_dirty = NULL;
		c->dirty = false;
		c->stored = c->rejected = 0;
		if (committed) {
			c->committed = c->mark;
			c->uncounted_committed = c->uncounted;
		} else {
			c->mark = c->committed;
			c->uncounted = c->uncounted_committed;
		}
	}
}

void clients_committed(struct client_cache *c)
{
	clean(c, true);
}

void clients_rolled_back(struct client_cache *c)
{
	clean(c, false);
}

/* ---- outbox ----------------------------------------------------------- */

int outbox_put(struct store *s, const struct client_key *key, uint64_t seq, const char *kind,
	       struct span answer, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_OUTBOX_PUT, err);

	if (!st)
		return -1;
	bind_key(st, key);
	sqlite3_bind_int64(st, 3, (int64_t)seq);
	sqlite3_bind_text(st, 4, kind, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(st, 5, answer.data, answer.len, SQLITE_STATIC);
	return store_run(s, st, err);
}

/* Appends the answers a statement yields; how many, or -1. */
static int append_answers(struct store *s, sqlite3_stmt *st, struct buf *out, struct xt_err *err)
{
	int n = 0, rc;

	for (; (rc = sqlite3_step(st)) == SQLITE_ROW; n++)
		buf_add(out, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
	if (rc != SQLITE_DONE)
		n = store_fail(s, err);
	sqlite3_reset(st);
	return n;
}

int outbox_tell(struct store *s, struct client *c, struct buf *out, struct xt_err *err)
{
	size_t start = out->len;
	int rc;

	if (!has_tables(s))
		return 0;
	sqlite3_stmt *st = store_stmt(s, STMT_OUTBOX_ALL, err);
	if (!st)
		return -1;
	bind_key(st, &c->key);
	sqlite3_bind_int64(st, 3, (int64_t)c->untold);
	c->untold = 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && !c->untold) {
		uint64_t seq = (uint64_t)sqlite3_column_int64(st, 1);
		if (out->len - start > TELL_BYTES)
			c->untold = seq;
		else
			buf_add(out, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
	}
	int r = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : store_fail(s, err);
	sqlite3_reset(st);
	return r;
}

int outbox_get(struct store *s, const struct client_key *key, uint64_t seq, struct buf *out,
	       struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_OUTBOX_GET, err);

	if (!st)
		return -1;
	bind_key(st, key);
	sqlite3_bind_int64(st, 3, (int64_t)seq);
	int n = append_answers(s, st, out, err);
	return n < 0 ? -1 : n == 0;
}

int outbox_confirm(struct store *s, struct client *c, uint64_t seq, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_OUTBOX_CONFIRM, err);

	if (!st)
		return -1;
	if (c->untold && seq >= c->untold)
		seq = c->untold - 1; /* it was told newer ones since */
	bind_key(st, &c->key);
	sqlite3_bind_int64(st, 3, (int64_t)seq);
	return store_run(s, st, err);
}
