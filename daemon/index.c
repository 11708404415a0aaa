#include "index.h"

#include <endian.h>
#include <sodium.h>

#include "canon.h"

void index_hash(struct span name, uint8_t ret[INDEX_HASH])
{
	crypto_generichash(ret, INDEX_HASH, name.data, name.len, NULL, 0);
}

int index_put(struct cache *c, MDB_txn *txn, enum cache_db db, struct span key, struct span value)
{
	MDB_val k = {key.len, (void *)(uintptr_t)key.data}, v = {value.len, (void *)(uintptr_t)value.data};

	return mdb_put(txn, c->db[db], &k, &v, 0);
}

int index_del(struct cache *c, MDB_txn *txn, enum cache_db db, struct span key)
{
	MDB_val k = {key.len, (void *)(uintptr_t)key.data};
	int rc = mdb_del(txn, c->db[db], &k, NULL);

	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- keys of the indices ---------------------------------------------- */

/* A hash or nothing, a time or nothing, the entry's key. */
struct index_key {
	uint8_t bytes[INDEX_KEY];
	size_t len;
};

static void add(struct index_key *k, const void *bytes, size_t n)
{
	memcpy(k->bytes + k->len, bytes, n);
	k->len += n;
}

static void add_time(struct index_key *k, int64_t time_us)
{
	uint64_t t = htobe64((uint64_t)(time_us < 0 ? 0 : time_us));

	add(k, &t, sizeof(t));
}

static struct span recency_key(const uint8_t *key, int64_t last_us, struct index_key *k)
{
	k->len = 0;
	add_time(k, last_us);
	add(k, key, XT_CACHE_KEY);
	return span_of(k->bytes, k->len);
}

static struct span function_key(const uint8_t *key, const struct entry *e, struct index_key *k)
{
	uint8_t hash[INDEX_HASH];

	index_hash(canon_function(e->parts), hash);
	k->len = 0;
	add(k, hash, sizeof(hash));
	add_time(k, e->created_us);
	add(k, key, XT_CACHE_KEY);
	return span_of(k->bytes, k->len);
}

static struct span run_key(const uint8_t *key, const struct entry *e, struct index_key *k)
{
	uint8_t hash[INDEX_HASH];

	index_hash(e->origin, hash);
	k->len = 0;
	add(k, hash, sizeof(hash));
	add(k, key, XT_CACHE_KEY);
	return span_of(k->bytes, k->len);
}

/* ---- entries ---------------------------------------------------------- */

static int get_use(struct cache *c, MDB_txn *txn, const uint8_t *key, struct use *ret)
{
	MDB_val k = {XT_CACHE_KEY, (void *)(uintptr_t)key}, v;
	int rc = mdb_get(txn, c->db[CACHE_USES], &k, &v);

	if (rc == 0 && v.mv_size != sizeof(*ret))
		return MDB_CORRUPTED;
	if (rc == 0)
		memcpy(ret, v.mv_data, sizeof(*ret));
	return rc;
}

int index_del_entry(struct cache *c, MDB_txn *txn, const uint8_t *key, uint64_t *bytes, uint64_t *ret_size)
{
	MDB_val k = {XT_CACHE_KEY, (void *)(uintptr_t)key}, v;
	struct span whole = span_of(key, XT_CACHE_KEY);
	struct index_key ik;
	struct entry e;
	struct use use;

	*ret_size = 0;
	int rc = mdb_get(txn, c->db[CACHE_ENTRIES], &k, &v);
	if (rc != 0)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (entry_get(span_of(v.mv_data, v.mv_size), &e) < 0)
		return MDB_CORRUPTED;
	uint64_t size = v.mv_size;
	rc = index_del(c, txn, CACHE_FUNCTIONS, function_key(key, &e, &ik));
	if (rc == 0)
		rc = index_del(c, txn, CACHE_RUNS, run_key(key, &e, &ik));
	if (rc == 0 && (rc = get_use(c, txn, key, &use)) == 0)
		rc = index_del(c, txn, CACHE_RECENCY, recency_key(key, use.last_us, &ik));
	if (rc == 0 || rc == MDB_NOTFOUND)
		rc = index_del(c, txn, CACHE_USES, whole);
	if (rc == 0)
		rc = index_del(c, txn, CACHE_PENDING, whole);
	if (rc == 0)
		rc = index_del(c, txn, CACHE_ENTRIES, whole);
	if (rc == 0) {
		*bytes -= *bytes < size ? *bytes : size;
		*ret_size = size;
	}
	return rc;
}

static int put_use(struct cache *c, MDB_txn *txn, const uint8_t *key, const struct use *use)
{
	struct index_key ik;
	int rc = index_put(c, txn, CACHE_USES, span_of(key, XT_CACHE_KEY), span_of(use, sizeof(*use)));

	return rc ? rc
		  : index_put(c, txn, CACHE_RECENCY, recency_key(key, use->last_us, &ik), span_of(NULL, 0));
}

int index_put_entry(struct cache *c, MDB_txn *txn, const uint8_t *key, struct span entry, uint64_t *bytes)
{
	struct use use = {.size = entry.len}, before;
	struct index_key ik;
	struct entry e;
	uint64_t size;

	if (entry_get(entry, &e) < 0)
		return MDB_CORRUPTED;
	use.last_us = e.created_us;
	if (get_use(c, txn, key, &before) == 0)
		use.hits = before.hits;
	int rc = index_del_entry(c, txn, key, bytes, &size);
	if (rc == 0)
		rc = index_put(c, txn, CACHE_ENTRIES, span_of(key, XT_CACHE_KEY), entry);
	if (rc == 0)
		rc = put_use(c, txn, key, &use);
	if (rc == 0)
		rc = index_put(c, txn, CACHE_FUNCTIONS, function_key(key, &e, &ik), span_of(NULL, 0));
	if (rc == 0)
		rc = index_put(c, txn, CACHE_RUNS, run_key(key, &e, &ik), span_of(NULL, 0));
	*bytes += entry.len;
	return rc;
}

int index_use(struct cache *c, MDB_txn *txn, const uint8_t *key, uint64_t hits, int64_t last_us)
{
	struct index_key ik;
	struct use use;
	int rc = get_use(c, txn, key, &use);

	if (rc != 0)
		return rc == MDB_NOTFOUND ? 0 : rc; /* deleted since */
	rc = index_del(c, txn, CACHE_RECENCY, recency_key(key, use.last_us, &ik));
	use.hits += hits;
	if (last_us > use.last_us)
		use.last_us = last_us;
	return rc ? rc : put_use(c, txn, key, &use);
}

int index_oldest(struct cache *c, MDB_txn *txn, uint8_t ret_key[XT_CACHE_KEY])
{
	MDB_cursor *cursor;
	MDB_val k, v;
	int rc = mdb_cursor_open(txn, c->db[CACHE_RECENCY], &cursor);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
	if (rc == 0 && k.mv_size != 8 + XT_CACHE_KEY)
		rc = MDB_CORRUPTED;
	if (rc == 0)
		memcpy(ret_key, (const uint8_t *)k.mv_data + 8, XT_CACHE_KEY);
	mdb_cursor_close(cursor);
	return rc;
}
