/*
 * Rows that are read ahead of DuckDB, in a thread of their own: while it compresses a group of rows, which
 * takes as long as reading them did, the next ones come.
 */
#ifndef XTCTL_DUCK_AHEAD_H
#define XTCTL_DUCK_AHEAD_H

#include <stdatomic.h>

#include "duck_batch.h"

#define DUCK_WHY_BYTES 400

/* What is read. All of it is borrowed. */
struct duck_reading {
	const struct duck_api *api;
	xt_client *client;
	xt_cursor *cursor;	     /* the thread's alone from here on */
	const enum duck_type *types; /* of n columns; DUCK_SQLNULL: one that nobody needs */
	const size_t *places;	     /* where in the cursor's rows they are */
	const char *const *names;    /* of the columns, for messages */
	size_t n;
	atomic_uint *leaving; /* not 0: waits of the client in all threads end (see struct ctl) */
};

struct duck_ahead;

/* Begins to read. NULL: out of memory, or of threads. */
struct duck_ahead *duck_ahead_start(const struct duck_reading *reading);

/* Ends it, without waiting for rows. Takes NULL. */
void duck_ahead_stop(struct duck_ahead *a);

/*
 * Waits for the next rows, which stay as they are until the next call. XT_OK; XT_DONE: there are no more;
 * else the library's status of a failure, or XT_EINVAL: a row has a value that its column cannot take.
 * *ret_why is a sentence then, of the daemon or of our own.
 */
int duck_ahead_next(struct duck_ahead *a, const struct duck_batch **ret, const char **ret_why)
	__attribute__((warn_unused_result));

#endif
