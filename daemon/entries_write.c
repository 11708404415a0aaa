/* The writer's side of entries.h. */
#include <errno.h>
#include <stdlib.h>

#include "crash.h"
#include "index.h"
#include "log.h"

#define USES	    4096    /* slots for uses that are not written */
#define FLUSH_US    1000000 /* how long they may wait, as long as commits go on */
#define EVICT_PIECE 1000    /* entries that are evicted in one transaction */
#define GC_LOOKS    5000    /* and looked at */

/* What the batch does to one key. */
struct staged {
	uint8_t key[XT_CACHE_KEY];
	struct buf entry; /* owned: to be put; empty: to be deleted */
	uint64_t token;	  /* of a put */
	struct client_key client;
	uint64_t seq; /* of the put's row */
};

/* In LMDB, as it is here. */
struct pending {
	struct client_key client;
	uint32_t unused;
	uint64_t seq;
};

struct counted {
	uint8_t key[XT_CACHE_KEY];
	uint64_t hits; /* 0: the slot is free */
	int64_t last_us;
};

struct cache_writes {
	struct staged *staged; /* owned: of the open batch */
	size_t n_staged, cap_staged;
	struct counted *batch_uses; /* owned: the same */
	size_t n_uses, cap_uses;
	uint8_t (*settled)[XT_CACHE_KEY]; /* owned: pending keys whose rows are committed */
	size_t n_settled, cap_settled;
	struct counted uses[USES]; /* hashed by key: of committed rows, not written */
	size_t n_counted;
	int64_t flushed_us;	     /* when they were last written */
	uint8_t gc_at[XT_CACHE_KEY]; /* where the search for what is too old goes on */
};

/* ---- lists ------------------------------------------------------------ */

struct cache_writes *entries_writes_new(void)
{
	return calloc(1, sizeof(struct cache_writes));
}

static void drop_staged(struct cache_writes *w)
{
	for (size_t i = 0; i < w->n_staged; i++)
		buf_done(&w->staged[i].entry);
	w->n_staged = w->n_uses = 0;
}

void entries_writes_free(struct cache_writes *w)
{
	if (!w)
		return;
	drop_staged(w);
	free(w->staged);
	free(w->batch_uses);
	free(w->settled);
	free(w);
}

/* The list, with room for one more of `size` bytes each. NULL: out of memory, and the list is as it was. */
static void *with_room(void *list, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : 64;

	if (n < *cap)
		return list;
	list = realloc(list, more * size);
	if (list)
		*cap = more;
	return list;
}

static struct staged *stage(struct cache *c, const uint8_t *key, struct xt_err *err)
{
	struct cache_writes *w = c->writes;

	struct staged *list = with_room(w->staged, w->n_staged, &w->cap_staged, sizeof(*list));
	if (!list) {
		xt_err_set(err, XT_E_cache_off, NULL, "the daemon is out of memory");
		return NULL;
	}
	w->staged = list;
	struct staged *s = &w->staged[w->n_staged++];
	*s = (struct staged){0};
	memcpy(s->key, key, XT_CACHE_KEY);
	return s;
}

/* What the batch did last to a key; NULL: nothing. */
static const struct staged *staged_of(const struct cache_writes *w, const uint8_t *key)
{
	for (size_t i = w->n_staged; i > 0; i--)
		if (memcmp(w->staged[i - 1].key, key, XT_CACHE_KEY) == 0)
			return &w->staged[i - 1];
	return NULL;
}

/* ---- staging ---------------------------------------------------------- */

/* The entry as committed. ret_size 0: there is none. */
static void look(struct cache *c, const uint8_t *key, uint64_t *ret_size, uint64_t *ret_token)
{
	MDB_val k = {XT_CACHE_KEY, (void *)(uintptr_t)key}, v;
	struct entry e;
	MDB_txn *txn;

	*ret_size = *ret_token = 0;
	if (!c->env || atomic_load(&c->damaged))
		return;
	cache_watch(c);
	if (mdb_txn_begin(c->env, NULL, MDB_RDONLY, &txn) != 0) {
		cache_unwatch();
		return;
	}
	if (mdb_get(txn, c->db[CACHE_ENTRIES], &k, &v) == 0 &&
	    entry_get(span_of(v.mv_data, v.mv_size), &e) == 0) {
		*ret_size = v.mv_size;
		*ret_token = e.token;
	}
	mdb_txn_abort(txn);
	cache_unwatch();
}

uint64_t entries_token(struct cache *c, const uint8_t *key)
{
	const struct staged *s = staged_of(c->writes, key);
	uint64_t size, token;

	if (s)
		return s->token;
	look(c, key, &size, &token);
	return token;
}

int entries_put(struct cache *c, const uint8_t *key, const struct entry *e, const struct client_key *client,
		uint64_t seq, struct xt_err *err)
{
	if (cache_make(c, err) < 0)
		return -1;
	struct staged *s = stage(c, key, err);
	if (!s)
		return -1;
	s->client = *client;
	s->seq = seq;
	s->token = e->token;
	entry_put(&s->entry, key, e);
	if (!buf_failed(&s->entry))
		return 0;
	buf_done(&s->entry);
	c->writes->n_staged--;
	return xt_err_set(err, XT_E_cache_off, NULL, "the daemon is out of memory");
}

int entries_remove(struct cache *c, const uint8_t *key, uint64_t *ret_size, struct xt_err *err)
{
	const struct staged *s = staged_of(c->writes, key);
	uint64_t token;

	if (s)
		*ret_size = s->entry.len;
	else
		look(c, key, ret_size, &token);
	return *ret_size == 0 || stage(c, key, err) ? 0 : -1;
}

void entries_use(struct cache *c, const uint8_t *key, int64_t time_us)
{
	struct cache_writes *w = c->writes;

	struct counted *list =
		c->env ? with_room(w->batch_uses, w->n_uses, &w->cap_uses, sizeof(*list)) : NULL;
	if (!list)
		return;
	w->batch_uses = list;
	struct counted *u = &w->batch_uses[w->n_uses++];
	*u = (struct counted){.hits = 1, .last_us = time_us};
	memcpy(u->key, key, XT_CACHE_KEY);
}

/* ---- the transaction -------------------------------------------------- */

static int put_staged(struct cache *c, MDB_txn *txn, const struct staged *s, uint64_t *bytes)
{
	struct pending p = {.client = s->client, .seq = s->seq};
	uint64_t size;

	if (s->entry.len == 0)
		return index_del_entry(c, txn, s->key, bytes, &size);
	int rc = index_put_entry(c, txn, s->key, buf_span(&s->entry), bytes);
	return rc ? rc
		  : index_put(c, txn, CACHE_PENDING, span_of(s->key, XT_CACHE_KEY), span_of(&p, sizeof(p)));
}

static int evict(struct cache *c, MDB_txn *txn, uint64_t *bytes, struct entries_gc *ret)
{
	uint64_t most = atomic_load(&c->max_bytes), size = 0;
	uint8_t key[XT_CACHE_KEY];
	int rc = 0;

	for (unsigned i = 0; rc == 0 && most > 0 && *bytes > most; i++) {
		if (i == EVICT_PIECE) {
			ret->more = true;
			break;
		}
		rc = index_oldest(c, txn, key);
		if (rc == MDB_NOTFOUND)
			return 0;
		if (rc == 0)
			rc = index_del_entry(c, txn, key, bytes, &size);
		ret->deleted++;
		ret->bytes += size;
	}
	return rc;
}

static int write_uses(struct cache *c, MDB_txn *txn)
{
	struct cache_writes *w = c->writes;
	int rc = 0;

	for (size_t i = 0; i < USES && rc == 0; i++)
		if (w->uses[i].hits)
			rc = index_use(c, txn, w->uses[i].key, w->uses[i].hits, w->uses[i].last_us);
	return rc;
}

static int fill(struct cache *c, MDB_txn *txn, bool uses, uint64_t *bytes, struct entries_gc *evicted)
{
	struct cache_writes *w = c->writes;
	int rc = 0;

	for (size_t i = 0; i < w->n_settled && rc == 0; i++)
		rc = index_del(c, txn, CACHE_PENDING, span_of(w->settled[i], XT_CACHE_KEY));
	if (uses && rc == 0)
		rc = write_uses(c, txn);
	for (size_t i = 0; i < w->n_staged && rc == 0; i++)
		rc = put_staged(c, txn, &w->staged[i], bytes);
	if (rc == 0)
		rc = evict(c, txn, bytes, evicted);
	return rc ? rc : index_put(c, txn, CACHE_META, span_str("bytes"), span_of(bytes, sizeof(*bytes)));
}

/* Ends a transaction: commits it, and tells what there is now; or undoes it. */
static int end(struct cache *c, MDB_txn *txn, int rc, uint64_t bytes, struct xt_err *err)
{
	MDB_stat st = {0};

	if (rc == 0)
		rc = mdb_stat(txn, c->db[CACHE_ENTRIES], &st);
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	if (rc != 0)
		return cache_fail(c, rc, "write to", err);
	atomic_store(&c->bytes, bytes);
	atomic_store(&c->entries, st.ms_entries);
	return 0;
}

static int write_all(struct cache *c, bool uses, struct xt_err *err)
{
	struct cache_writes *w = c->writes;
	struct entries_gc evicted = {0};
	uint64_t bytes = atomic_load(&c->bytes);
	MDB_txn *txn = NULL;

	cache_watch(c);
	int rc = mdb_txn_begin(c->env, NULL, 0, &txn), r = -1;
	if (rc != 0)
		cache_fail(c, rc, "write to", err);
	else
		rc = fill(c, txn, uses, &bytes, &evicted);
	if (txn)
		r = end(c, txn, rc, bytes, err);
	cache_unwatch();
	if (r < 0)
		return -1;
	atomic_fetch_add(&c->evicted, evicted.deleted);
	w->n_settled = 0;
	if (uses) {
		memset(w->uses, 0, sizeof(w->uses));
		w->n_counted = 0;
	}
	return 0;
}

/* Pages that a transaction frees can be used by the next but one: with one in between, what was deleted just
 * now is room already. */
static bool free_pages(struct cache *c)
{
	uint64_t bytes = atomic_load(&c->bytes);
	struct xt_err ignored;
	MDB_txn *txn;

	cache_watch(c);
	bool freed = mdb_txn_begin(c->env, NULL, 0, &txn) == 0;
	if (freed) {
		int rc = index_put(c, txn, CACHE_META, span_str("bytes"), span_of(&bytes, sizeof(bytes)));
		freed = end(c, txn, rc, bytes, &ignored) == 0;
	}
	cache_unwatch();
	return freed;
}

int entries_commit(struct cache *c, int64_t now_us, struct xt_err *err)
{
	struct cache_writes *w = c->writes;

	if (!c->env)
		return 0;
	bool due = w->n_counted > 0 &&
		   (now_us - w->flushed_us >= FLUSH_US || now_us < w->flushed_us || w->n_counted > USES / 2);
	if (w->n_staged == 0 && !due)
		return 0;
	if (due)
		w->flushed_us = now_us;
	if (w->n_staged > 0)
		crash_point("before the cache is written");
	int r = write_all(c, due, err);
	if (r < 0 && err->code == XT_E_cache_full && (cache_grow(c) || free_pages(c)))
		r = write_all(c, due, err);
	if (w->n_staged > 0)
		crash_point("after the cache is written");
	if (r < 0 && w->n_staged == 0) { /* only uses: not worth a batch */
		log_warn("uses of the cache cannot be written error=\"%s\"", err->message);
		return 0;
	}
	return r;
}

/* ---- after the commit ------------------------------------------------- */

static void count(struct cache_writes *w, const struct counted *u)
{
	size_t at;

	memcpy(&at, u->key, sizeof(at)); /* keys are hashes */
	for (size_t i = 0; i < USES; i++) {
		struct counted *slot = &w->uses[(at + i) % USES];
		if (slot->hits == 0) {
			*slot = *u;
			w->n_counted++;
			return;
		}
		if (memcmp(slot->key, u->key, XT_CACHE_KEY) == 0) {
			slot->hits += u->hits;
			slot->last_us = u->last_us > slot->last_us ? u->last_us : slot->last_us;
			return;
		}
	}
	/* No slot is free: the cache could not be written for long. The count is not worth more memory. */
}

void entries_committed(struct cache *c)
{
	struct cache_writes *w = c->writes;
	size_t puts = 0;

	atomic_fetch_add(&c->hits, w->n_uses);
	for (size_t i = 0; i < w->n_uses; i++)
		count(w, &w->batch_uses[i]);
	for (size_t i = 0; i < w->n_staged; i++) {
		if (w->staged[i].entry.len == 0)
			continue;
		puts++;
		void *list = with_room(w->settled, w->n_settled, &w->cap_settled, XT_CACHE_KEY);
		if (!list)
			continue; /* it stays pending until the next start, which finds its row */
		w->settled = list;
		memcpy(w->settled[w->n_settled++], w->staged[i].key, XT_CACHE_KEY);
	}
	atomic_fetch_add(&c->finished, puts);
	drop_staged(w);
}

void entries_rolled_back(struct cache *c)
{
	drop_staged(c->writes);
}

bool entries_has_uses(const struct cache *c)
{
	return c->env && c->writes->n_counted > 0 && !atomic_load(&c->damaged);
}

void entries_flush(struct cache *c)
{
	struct xt_err err;

	if (c->env && !atomic_load(&c->damaged) && (c->writes->n_counted > 0 || c->writes->n_settled > 0) &&
	    write_all(c, true, &err) < 0)
		log_warn("uses of the cache cannot be written error=\"%s\"", err.message);
}

/* ---- what is too old, or too much -------------------------------------- */

/* Deletes expired entries from gc_at on. */
static int expire(struct cache *c, MDB_txn *txn, int64_t now_us, uint64_t *bytes, struct entries_gc *ret)
{
	struct cache_writes *w = c->writes;
	uint64_t ttl = atomic_load(&c->ttl_us), size;
	MDB_cursor *cursor;
	struct entry e;
	int rc;

	if (ttl == 0)
		return 0;
	for (unsigned looks = 0;;) {
		MDB_val k = {XT_CACHE_KEY, w->gc_at}, v;
		uint8_t key[XT_CACHE_KEY];
		bool found = false;
		if ((rc = mdb_cursor_open(txn, c->db[CACHE_ENTRIES], &cursor)) != 0)
			return rc;
		for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
		     rc == 0 && !found && looks < GC_LOOKS; looks++) {
			if (entry_get(span_of(v.mv_data, v.mv_size), &e) < 0)
				rc = MDB_CORRUPTED;
			else if (!(found = entry_is_expired(&e, ttl, now_us)))
				rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
		}
		if (rc == 0)
			memcpy(key, k.mv_data, XT_CACHE_KEY);
		mdb_cursor_close(cursor);
		if (rc != 0) { /* MDB_NOTFOUND: at the end, and so from the beginning next time */
			memset(w->gc_at, 0, sizeof(w->gc_at));
			return rc == MDB_NOTFOUND ? 0 : rc;
		}
		memcpy(w->gc_at, key, XT_CACHE_KEY);
		if (!found || ret->deleted >= EVICT_PIECE) {
			ret->more = true;
			return 0;
		}
		if ((rc = index_del_entry(c, txn, key, bytes, &size)) != 0)
			return rc;
		ret->deleted++;
		ret->bytes += size;
	}
}

int entries_gc(struct cache *c, int64_t now_us, struct entries_gc *ret, struct xt_err *err)
{
	uint64_t bytes = atomic_load(&c->bytes);
	struct entries_gc done = {0};
	MDB_txn *txn;
	int r = -1;

	*ret = done;
	if (!c->env)
		return 0;
	cache_watch(c);
	int rc = mdb_txn_begin(c->env, NULL, 0, &txn);
	if (rc != 0) {
		cache_fail(c, rc, "write to", err);
	} else {
		rc = expire(c, txn, now_us, &bytes, &done);
		if (rc == 0)
			rc = evict(c, txn, &bytes, &done);
		if (rc == 0)
			rc = index_put(c, txn, CACHE_META, span_str("bytes"), span_of(&bytes, sizeof(bytes)));
		r = end(c, txn, rc, bytes, err);
	}
	cache_unwatch();
	if (r == 0) {
		atomic_fetch_add(&c->evicted, done.deleted);
		*ret = done;
	}
	return r;
}

/* ---- the start -------------------------------------------------------- */

int entries_settle(struct cache *c, int (*marked)(void *data, const struct client_key *client, uint64_t seq),
		   void *data, struct xt_err *err)
{
	uint64_t bytes = atomic_load(&c->bytes), size, undone = 0;
	MDB_val k, v;
	MDB_cursor *cursor = NULL;
	MDB_txn *txn;
	int known = 0;

	if (!c->env)
		return 0;
	cache_watch(c);
	int rc = mdb_txn_begin(c->env, NULL, 0, &txn);
	if (rc != 0) {
		cache_unwatch();
		return cache_fail(c, rc, "write to", err);
	}
	while (rc == 0 && known >= 0 && (rc = mdb_cursor_open(txn, c->db[CACHE_PENDING], &cursor)) == 0) {
		uint8_t key[XT_CACHE_KEY];
		struct pending p = {0};
		rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
		if (rc == 0 && (k.mv_size != XT_CACHE_KEY || v.mv_size != sizeof(p)))
			rc = MDB_CORRUPTED;
		if (rc == 0) {
			memcpy(key, k.mv_data, XT_CACHE_KEY);
			memcpy(&p, v.mv_data, sizeof(p));
		}
		mdb_cursor_close(cursor);
		if (rc != 0)
			break;
		known = marked(data, &p.client, p.seq);
		if (known == 0) {
			rc = index_del_entry(c, txn, key, &bytes, &size);
			undone++;
		} else if (known > 0) {
			rc = index_del(c, txn, CACHE_PENDING, span_of(key, XT_CACHE_KEY));
		}
	}
	if (rc == MDB_NOTFOUND)
		rc = index_put(c, txn, CACHE_META, span_str("bytes"), span_of(&bytes, sizeof(bytes)));
	int r = end(c, txn, known < 0 ? EIO : rc, bytes, err);
	cache_unwatch();
	if (undone > 0 && r == 0)
		log_info("results whose rows were not committed were taken out of the cache entries=%llu",
			 (unsigned long long)undone);
	return r;
}
