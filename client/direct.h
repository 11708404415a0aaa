/*
 * Reading the cache without the daemon: its LMDB file is mapped into this process, read-only. LMDB allows one
 * environment a process and file, so there is one process-wide table of them, counted by reference; a child
 * of fork begins with an empty one and never touches what it inherited.
 */
#ifndef XT_DIRECT_H
#define XT_DIRECT_H

#include "buf.h"
#include "entry.h"

struct direct_env;
struct MDB_txn;

/* A client's reader. Zeroed: the cache is not read directly. */
struct direct {
	struct direct_env *env; /* a reference */
	struct MDB_txn *txn;	/* owned: reset while nothing is read */
	struct buf bytes;	/* owned: a copy of the entry that was read last */
};

/* Opens the cache in that directory, if it is sound and ours, in place of one that is open. What is not is
 * not read directly. */
void direct_open(struct direct *d, const char *path);
void direct_close(struct direct *d);

/* After fork, in the child: lets go of what is the parent's. */
void direct_abandon(struct direct *d);

/* The entry of a key, which lives until the next look. 1; 0: there is none; -1: ask the daemon. */
int direct_get(struct direct *d, const uint8_t *key, struct entry *ret);

#endif
