/*
 * The entries of the cache: reading on the loop, and what a batch of the writer puts and deletes, which
 * goes to LMDB in one transaction before the batch's rows are committed to SQLite. Until they are, a put is
 * `pending`: after a crash in between it is taken out again (entries_settle), for its row will come again.
 */
#ifndef XT_ENTRIES_H
#define XT_ENTRIES_H

#include "cache.h"
#include "clients.h"
#include "entry.h"

/* How an entry was used. In LMDB as it is here: the file is this machine's. */
struct use {
	uint64_t hits;	 /* how often */
	int64_t last_us; /* when last, or when it was made */
	uint64_t size;	 /* bytes of the entry */
};

/* ---- reading, on the loop --------------------------------------------- */

/* Between these two spans of entries live. False: there is no cache, and nothing to end. */
bool entries_read_begin(struct cache *c) __attribute__((warn_unused_result));
void entries_read_end(struct cache *c);

/* The entry of a key, and its bytes as a whole; ret_use may be NULL. False: there is none, or it is too old.
 */
bool entries_find(struct cache *c, const uint8_t *key, int64_t now_us, struct entry *ret,
		  struct span *ret_bytes, struct use *ret_use);

/* Which entries, and where to go on. */
struct entries_query {
	struct span after;    /* `next` of the page before */
	struct span function; /* only this one's; no data: any */
	struct span track_id; /* only this run's; no data: any */
	struct span prefix;   /* of keys; no data: any */
	int64_t now_us;
};

/* Called for each entry; false: the page is full. */
typedef bool entries_each(void *data, const uint8_t *key, const struct entry *e, const struct use *use,
			  size_t size);

/* A page of entries. ret_next: where the next begins, at most 256 bytes; empty: there is none. */
void entries_list(struct cache *c, const struct entries_query *q, entries_each *each, void *data,
		  struct buf *ret_next);

/* ---- writing, on the writer's thread ---------------------------------- */

struct cache_writes *entries_writes_new(void);
void entries_writes_free(struct cache_writes *w);

/* Stages what the open batch does. Copies. entries_remove: ret_size, the bytes of the entry; 0: there is
 * none. -1: out of memory, or there is no cache. */
int entries_put(struct cache *c, const uint8_t *key, const struct entry *e, const struct client_key *client,
		uint64_t seq, struct xt_err *err) __attribute__((warn_unused_result));
int entries_remove(struct cache *c, const uint8_t *key, uint64_t *ret_size, struct xt_err *err)
	__attribute__((warn_unused_result));
void entries_use(struct cache *c, const uint8_t *key, int64_t time_us);

/* The token of the entry that is there, or was put by this batch; 0: there is none. */
uint64_t entries_token(struct cache *c, const uint8_t *key);

/* Writes what is staged, to the disk; before the rows are committed. -1: nothing of it was written. */
int entries_commit(struct cache *c, int64_t now_us, struct xt_err *err) __attribute__((warn_unused_result));

/* The rows are committed; or the batch is undone and will be applied again. */
void entries_committed(struct cache *c);
void entries_rolled_back(struct cache *c);

/* Writes uses that are counted but not written; are there any? */
void entries_flush(struct cache *c);
bool entries_has_uses(const struct cache *c);

struct entries_gc {
	uint64_t deleted, bytes;
	bool more; /* there is more to do */
};

/* Deletes a piece of what is too old or above the bound. */
int entries_gc(struct cache *c, int64_t now_us, struct entries_gc *ret, struct xt_err *err)
	__attribute__((warn_unused_result));

/* At the start: takes out entries whose row was not committed. marked: whether a client's number is. */
int entries_settle(struct cache *c, int (*marked)(void *data, const struct client_key *client, uint64_t seq),
		   void *data, struct xt_err *err) __attribute__((warn_unused_result));

/* ---- for cache.c ------------------------------------------------------ */

/* Checks the layout, or notes it and whose the cache is when it is new. LMDB's code. */
int entries_check_meta(struct cache *c, MDB_txn *txn, unsigned layout);

/* Reads what a start reads. LMDB's code. */
int entries_probe(struct cache *c);

/* Whether the results are of that database. */
bool entries_are_of(struct cache *c, const uint8_t *database_id);

#endif
