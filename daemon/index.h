/*
 * One entry with all that leads to it, in an open transaction: how CACHE_ENTRIES, CACHE_USES and the indices
 * are kept in step. Functions return LMDB's code.
 */
#ifndef XT_INDEX_H
#define XT_INDEX_H

#include "entries.h"

#define INDEX_HASH 16				   /* bytes of a hash of a name */
#define INDEX_KEY  (INDEX_HASH + 8 + XT_CACHE_KEY) /* most bytes of a key of an index */

/* Hash of a function's name or a track_id. */
void index_hash(struct span name, uint8_t ret[INDEX_HASH]);

/* mdb_put() and mdb_del(); a key that is not there is deleted. */
int index_put(struct cache *c, MDB_txn *txn, enum cache_db db, struct span key, struct span value);
int index_del(struct cache *c, MDB_txn *txn, enum cache_db db, struct span key);

/* Puts an encoded entry in place of the one that is there, whose count of uses stays. bytes: of all entries.
 */
int index_put_entry(struct cache *c, MDB_txn *txn, const uint8_t *key, struct span entry, uint64_t *bytes);

/* Deletes an entry. ret_size: its bytes; 0: there was none. */
int index_del_entry(struct cache *c, MDB_txn *txn, const uint8_t *key, uint64_t *bytes, uint64_t *ret_size);

/* Counts uses of an entry, if it is there. */
int index_use(struct cache *c, MDB_txn *txn, const uint8_t *key, uint64_t hits, int64_t last_us);

/* The entry that was not used for the longest. MDB_NOTFOUND: there is none. */
int index_oldest(struct cache *c, MDB_txn *txn, uint8_t ret_key[XT_CACHE_KEY]);

#endif
