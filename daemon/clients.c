#include "clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "layout.h"
#include "runs.h"
#include "spool.h"

#define BUCKETS	   4096
#define TELL_BYTES (8u << 20) /* of kept events that are sent at once */
#define UNCOUNTED  256	      /* rows that may be missing in xt_runs for a while */
#define SETTLE_US  1000000    /* and for how long, as long as commits go on */
#define DAY_US	   INT64_C(86400000000)

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

/* The client if it is in memory, or NULL. */
static struct client *clients_known(struct client_cache *cache, const struct client_key *key)
{
	for (struct client *c = *bucket(cache, key); c; c = c->next)
		if (same(&c->key, key))
			return c;
	return NULL;
}

struct client *clients_find(struct store *s, const struct client_key *key, struct xt_err *err)
{
	struct client **head = bucket(s->clients, key), *known = clients_known(s->clients, key);
	uint64_t mark = 0;

	if (known)
		return known;
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

void clients_told(struct store *s, struct client *c, uint64_t last_seq, bool bye)
{
	bool news = last_seq > c->told || bye != c->said_bye;

	if (last_seq > c->told)
		c->told = last_seq;
	c->said_bye = bye;
	if (news && (c->mark > 0 || c->told > 0))
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

	if (c->connected || c->dirty || c->uncounted.run[0])
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
		sqlite3_bind_int64(st, 10, (int64_t)c->requests);
		sqlite3_bind_int64(st, 11, (int64_t)(c->told > c->mark ? c->told : c->mark));
		sqlite3_bind_int(st, 12, c->said_bye);
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
		c->stored = c->rejected = c->requests = 0;
		if (committed) {
			c->committed = c->mark;
			c->returned = false;
			c->uncounted_committed = c->uncounted;
			c->told_committed = c->told;
			c->bye_committed = c->said_bye;
		} else {
			c->mark = c->committed;
			c->uncounted = c->uncounted_committed;
			c->told = c->told_committed;
			c->said_bye = c->bye_committed;
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

/* ---- forgetting ------------------------------------------------------- */

bool clients_spool(const struct store *s, const struct client_key *key)
{
	char path[PATH_MAX], name[SPOOL_NAME + 1];
	struct stat st;

	spool_name(key->id, name);
	snprintf(path, sizeof(path), "%s.spool/%s", s->path, name);
	return lstat(path, &st) == 0;
}

/* What the audit must know of clients that are gone. */
static int add_to_meta(struct store *s, const char *key, int64_t n, struct xt_err *err)
{
	int64_t so_far;

	return layout_get(s, key, 0, &so_far, err) < 0 ? -1 : layout_set(s, key, so_far + n, err);
}

static int forget(struct store *s, const struct client_key *key, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_OUTBOX_CONFIRM, err);

	if (!st)
		return -1;
	bind_key(st, key);
	sqlite3_bind_int64(st, 3, INT64_MAX);
	if (store_run(s, st, err) < 0 || !(st = store_stmt(s, STMT_CALLS_OF_CLIENT, err)))
		return -1;
	bind_key(st, key);
	if (store_run(s, st, err) < 0 || !(st = store_stmt(s, STMT_CLIENT_FORGET, err)))
		return -1;
	bind_key(st, key);
	return store_run(s, st, err);
}

/* The next client that may be forgotten; 1, 0: there is none, -1. */
static int next_old(struct store *s, const char *before, struct client_key *ret, int64_t counts[2],
		    struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_CLIENTS_OLD, err);
	int row = 0;
	bool found = false;

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, before, -1, SQLITE_STATIC);
	while (!found && (row = store_step(s, st, err)) > 0) {
		struct client_key key = {.uid = (uint32_t)sqlite3_column_int64(st, 0)};
		if (sqlite3_column_bytes(st, 1) != XT_CLIENT_ID)
			continue;
		memcpy(key.id, sqlite3_column_blob(st, 1), XT_CLIENT_ID);
		const struct client *c = clients_known(s->clients, &key);
		if ((c && (c->connected || c->dirty)) || clients_spool(s, &key))
			continue;
		found = true;
		*ret = key;
		counts[0] = sqlite3_column_int64(st, 2);
		counts[1] = sqlite3_column_int64(st, 3);
	}
	sqlite3_reset(st);
	return found ? 1 : row;
}

int clients_forget_old(struct store *s, struct xt_err *err)
{
	char before[STAMP_SIZE];
	struct client_key key;
	int64_t counts[2];
	int r;

	if (stamp_write(s->now_us() - s->config[CONFIG_FORGET_DAYS] * DAY_US, false, before) < 0)
		return 0;
	while ((r = next_old(s, before, &key, counts, err)) > 0) {
		struct client *c = clients_known(s->clients, &key);
		if (forget(s, &key, err) < 0 || add_to_meta(s, "forgotten_clients", 1, err) < 0 ||
		    add_to_meta(s, "forgotten_stored", counts[0], err) < 0 ||
		    add_to_meta(s, "forgotten_rejected", counts[1], err) < 0)
			return -1;
		if (c)
			clients_drop(s, c);
	}
	return r;
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
