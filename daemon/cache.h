/*
 * The cache of function results: an LMDB environment beside the database, in a generation directory
 * (<database>.cache/g1), so that what is damaged or belongs to another database is set aside, never deleted.
 * The loop reads it, the writer's thread writes it and sets it aside, other processes read it directly
 * (proto/entry.h has the form of its entries; docs/cache.md the rest).
 *
 * Made when it is first needed. What goes wrong here never concerns rows: a result that cannot be stored is
 * refused with a reason.
 */
#ifndef XT_CACHE_H
#define XT_CACHE_H

#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "buf.h"
#include "proto.h"

#define CACHE_READERS 4096 /* slots for processes that read directly */

/* The databases of the environment. Keys are bytes; hashes are BLAKE2b-128. */
enum cache_db {
	CACHE_ENTRIES,	 /* key → entry */
	CACHE_USES,	 /* key → struct use */
	CACHE_RECENCY,	 /* time of the last use (µs, big-endian), key → nothing */
	CACHE_FUNCTIONS, /* hash of the function's name, time of creation (µs, big-endian), key → nothing */
	CACHE_RUNS,	 /* hash of the origin's track_id, key → nothing */
	CACHE_PENDING,	 /* key → struct pending: stored, but perhaps not the row it belongs to */
	CACHE_META,	 /* names → values */
	CACHE_DBS
};

struct cache_writes;
struct store;

struct cache {
	pthread_rwlock_t lock;	    /* held for reading by who reads, for writing while `env` changes */
	MDB_env *env;		    /* owned; NULL: there is none (yet) */
	MDB_dbi db[CACHE_DBS];	    /* in env */
	MDB_txn *reader;	    /* owned: the loop's, reset while it does not read */
	char dir[PATH_MAX];	    /* <database>.cache */
	char path[PATH_MAX + 32];   /* the generation's directory; "": none */
	char marker[PATH_MAX + 64]; /* made when the process faults while it reads the map */
	dev_t dev;		    /* of the file that is open */
	ino_t ino;		    /* the same */
	uint8_t database_id[XT_CLIENT_ID]; /* whose results they are */
	unsigned env_flags;		   /* of mdb_env_open */
	uint64_t map_bytes;		   /* most that the map may have */
	atomic_bool off;		   /* there is none and none is made: a read-only database */
	struct xt_err why;		   /* what went wrong last, for `cache_stats`; code 0: nothing */
	atomic_uint generation;		   /* counts changes of `path` */
	atomic_bool damaged;		   /* found by a reader: to be set aside by the writer */
	atomic_ullong entries, bytes;	   /* as of the last commit */
	atomic_ullong max_bytes, ttl_us;   /* settings; 0: no bound, no age */
	atomic_ullong hits, misses, finished, evicted; /* since the start */
	struct cache_writes *writes; /* owned: what the open batch does; the writer's alone */
};

struct cache_options {
	const char *database;	    /* real path */
	const uint8_t *database_id; /* XT_CLIENT_ID bytes */
	bool read_only;		    /* nothing is made nor written */
	int durability;		    /* enum durability */
	uint64_t map_bytes;	    /* most that the map may have; 0: 1 TiB */
};

/* Opens the cache that is there, if there is one. What is wrong with it is logged and told by `why`: the
 * daemon serves all the same. -1: out of memory. */
int cache_open(struct cache *c, const struct cache_options *o) __attribute__((warn_unused_result));
void cache_done(struct cache *c);

/* Makes it, unless it is there. On the writer's thread. */
int cache_make(struct cache *c, struct xt_err *err) __attribute__((warn_unused_result));

/* Sets it aside under a name that ends with `what`; ret_aside: where it is now, "" when there was none. On
 * the writer's thread, without an open transaction. */
int cache_set_aside(struct cache *c, const char *what, const char *why, char ret_aside[PATH_MAX + 64],
		    struct xt_err *err) __attribute__((warn_unused_result));

/* Where it is. False: there is none. */
bool cache_path(struct cache *c, char ret[PATH_MAX + 32]);

/* `ok`, or what is wrong with it. */
void cache_describe(struct cache *c, char *ret, size_t size);

/* Bytes of its file, bytes that it can grow to, and how many processes read it directly. */
void cache_sizes(struct cache *c, uint64_t *ret_file, uint64_t *ret_map, uint64_t *ret_readers);

/* Clears the slots of readers that have died. On the loop. */
void cache_check_readers(struct cache *c);

/* Takes the settings over. */
void cache_configure(struct cache *c, const struct store *s);

/* Whether the path still names the open file. */
bool cache_is_in_place(const struct cache *c);

/* Grows the map, when it did not get all it asked for. On the writer's thread, without a transaction. */
bool cache_grow(struct cache *c);

/* A number above all that were drawn for this cache before, kept in a file beside it; 0: it cannot be. */
uint64_t cache_draw_epoch(struct cache *c);

/* Leases may have been given by a daemon before this one. */
bool cache_has_epoch(const struct cache *c);

/* Around every use of the environment: a fault in between leaves the marker behind, so that the next start
 * sets the cache aside. Not nested. */
void cache_watch(const struct cache *c);
void cache_unwatch(void);

/* An LMDB code as an error, and as a state of the cache: damage is noted. Returns -1. */
int cache_fail(struct cache *c, int rc, const char *what, struct xt_err *err);

#endif
