#include "entries.h"

#include <errno.h>

#include "canon.h"
#include "index.h"

#define PAGE_ENTRIES 256  /* entries that a page has at most … */
#define PAGE_LOOKS   2000 /* … and that are looked at for it */

/* ---- reading ---------------------------------------------------------- */

bool entries_read_begin(struct cache *c)
{
	pthread_rwlock_rdlock(&c->lock);
	cache_watch(c);
	int rc = c->env && c->reader && !atomic_load(&c->damaged) ? mdb_txn_renew(c->reader) : EINVAL;
	if (rc == 0)
		return true;
	cache_unwatch();
	pthread_rwlock_unlock(&c->lock);
	return false;
}

void entries_read_end(struct cache *c)
{
	mdb_txn_reset(c->reader);
	cache_unwatch();
	pthread_rwlock_unlock(&c->lock);
}

/* 1: there is one; 0: there is none, or the cache turns out to be damaged. */
static int get(struct cache *c, MDB_txn *txn, enum cache_db db, struct span key, struct span *ret)
{
	MDB_val k = {key.len, (void *)(uintptr_t)key.data}, v;
	int rc = mdb_get(txn, c->db[db], &k, &v);

	if (rc == 0)
		*ret = span_of(v.mv_data, v.mv_size);
	else if (rc != MDB_NOTFOUND)
		cache_fail(c, rc, "read", NULL);
	return rc == 0;
}

static struct use read_use(struct cache *c, MDB_txn *txn, const uint8_t *key, const struct entry *e,
			   size_t size)
{
	struct use use = {.last_us = e->created_us, .size = size};
	struct span v;

	if (get(c, txn, CACHE_USES, span_of(key, XT_CACHE_KEY), &v) && v.len == sizeof(use))
		memcpy(&use, v.data, sizeof(use));
	return use;
}

bool entries_find(struct cache *c, const uint8_t *key, int64_t now_us, struct entry *ret,
		  struct span *ret_bytes, struct use *ret_use)
{
	struct span bytes;

	if (!get(c, c->reader, CACHE_ENTRIES, span_of(key, XT_CACHE_KEY), &bytes))
		return false;
	if (entry_get(bytes, ret) < 0) {
		cache_fail(c, MDB_CORRUPTED, "read", NULL);
		return false;
	}
	if (ret_bytes)
		*ret_bytes = bytes;
	if (ret_use)
		*ret_use = read_use(c, c->reader, key, ret, bytes.len);
	return !entry_is_expired(ret, atomic_load(&c->ttl_us), now_us);
}

/* ---- lists ------------------------------------------------------------ */

/* Which database is walked, from where, and what its keys begin with. */
struct walk {
	enum cache_db db;
	uint8_t start[INDEX_KEY]; /* the first key that may be meant */
	size_t start_len, prefix; /* bytes of it; of them those that all keys have */
};

static struct walk walk_of(const struct entries_query *q)
{
	struct walk w = {.db = CACHE_ENTRIES};

	if (q->track_id.data || q->function.data) {
		w.db = q->track_id.data ? CACHE_RUNS : CACHE_FUNCTIONS;
		index_hash(q->track_id.data ? q->track_id : q->function, w.start);
		w.start_len = w.prefix = INDEX_HASH;
	} else if (q->prefix.data && q->prefix.len <= XT_CACHE_KEY) {
		memcpy(w.start, q->prefix.data, q->prefix.len);
		w.start_len = w.prefix = q->prefix.len;
	}
	return w;
}

/* The key of the entry that a key of the walked database leads to. */
static const uint8_t *entry_key(MDB_val k)
{
	return k.mv_size < XT_CACHE_KEY ? NULL : (const uint8_t *)k.mv_data + k.mv_size - XT_CACHE_KEY;
}

static bool is_meant(const struct entries_query *q, const uint8_t *key, const struct entry *e)
{
	struct span head = span_of(key, q->prefix.len < XT_CACHE_KEY ? q->prefix.len : XT_CACHE_KEY);

	return (!q->prefix.data || span_eq(head, q->prefix)) &&
	       (!q->track_id.data || span_eq(e->origin, q->track_id)) &&
	       (!q->function.data || span_eq(canon_function(e->parts), q->function));
}

void entries_list(struct cache *c, const struct entries_query *q, entries_each *each, void *data,
		  struct buf *ret_next)
{
	struct walk w = walk_of(q);
	struct span from = q->after.len ? q->after : span_of(w.start, w.start_len);
	MDB_val k = {from.len, (void *)(uintptr_t)from.data}, v;
	MDB_cursor *cursor;
	size_t found = 0, looks = 0;
	bool full = false;

	int rc = mdb_cursor_open(c->reader, c->db[w.db], &cursor);
	if (rc != 0) {
		cache_fail(c, rc, "read", NULL);
		return;
	}
	for (rc = mdb_cursor_get(cursor, &k, &v, from.len ? MDB_SET_RANGE : MDB_FIRST); rc == 0;
	     rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		if (k.mv_size < w.prefix || memcmp(k.mv_data, w.start, w.prefix) != 0)
			break;
		if (full || found == PAGE_ENTRIES || looks++ == PAGE_LOOKS) {
			buf_add(ret_next, k.mv_data, k.mv_size);
			break;
		}
		const uint8_t *key = entry_key(k);
		struct entry e;
		struct span bytes;
		struct use use;
		if (!key || !entries_find(c, key, q->now_us, &e, &bytes, &use) || !is_meant(q, key, &e))
			continue;
		found++;
		full = !each(data, key, &e, &use, bytes.len);
	}
	if (rc != 0 && rc != MDB_NOTFOUND)
		cache_fail(c, rc, "read", NULL);
	mdb_cursor_close(cursor);
}

/* ---- meta ------------------------------------------------------------- */

int entries_check_meta(struct cache *c, MDB_txn *txn, unsigned layout)
{
	struct span v;
	MDB_stat st;
	uint64_t bytes = 0;

	if (!get(c, txn, CACHE_META, span_str("layout"), &v)) {
		int rc = index_put(c, txn, CACHE_META, span_str("layout"), span_of(&layout, sizeof(layout)));
		return rc ? rc
			  : index_put(c, txn, CACHE_META, span_str("database"),
				      span_of(c->database_id, XT_CLIENT_ID));
	}
	if (v.len != sizeof(layout) || memcmp(v.data, &layout, sizeof(layout)) != 0)
		return MDB_VERSION_MISMATCH;
	if (get(c, txn, CACHE_META, span_str("bytes"), &v) && v.len == sizeof(bytes))
		memcpy(&bytes, v.data, sizeof(bytes));
	int rc = mdb_stat(txn, c->db[CACHE_ENTRIES], &st);
	atomic_store(&c->bytes, bytes);
	atomic_store(&c->entries, rc == 0 ? st.ms_entries : 0);
	return rc;
}

bool entries_are_of(struct cache *c, const uint8_t *database_id)
{
	struct span v;

	if (!entries_read_begin(c))
		return false;
	bool same = get(c, c->reader, CACHE_META, span_str("database"), &v) && v.len == XT_CLIENT_ID &&
		    memcmp(v.data, database_id, XT_CLIENT_ID) == 0;
	entries_read_end(c);
	return same;
}

int entries_probe(struct cache *c)
{
	MDB_cursor *cursor;
	MDB_txn *txn;
	MDB_val k, v;
	struct span ignored;
	int rc = mdb_txn_begin(c->env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	get(c, txn, CACHE_META, span_str("database"), &ignored);
	rc = mdb_cursor_open(txn, c->db[CACHE_PENDING], &cursor);
	if (rc == 0) {
		while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0)
			continue;
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}
