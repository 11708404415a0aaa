/*
 * A copy of the database on its way into a file: page by page from one snapshot, or written anew by
 * VACUUM INTO. Belongs to a cursor, and is used by one thread at a time.
 */
#ifndef XT_BACKUP_H
#define XT_BACKUP_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "part.h"

struct backup {
	struct part part;      /* the file */
	const char *database;  /* borrowed: its path */
	bool compact;	       /* written anew, in one step */
	sqlite3 *to;	       /* owned: the part, while pages are copied */
	sqlite3_backup *pages; /* owned: from the cursor's connection to that */
};

/* Begins one. `from` has a read transaction open, whose snapshot is copied, and outlives the backup.
 * NULL with the error set. */
struct backup *backup_new(sqlite3 *from, const char *database, struct span path, bool compact, bool replace,
			  struct xt_err *err);

/* Copies the next pages, or with `compact` everything; `cancelled` stops it. *ret_remaining: pages still
 * to come; *ret_bytes: the size of the file, which is in its place, or 0. */
int backup_step(struct backup *b, int pages, atomic_bool *cancelled, uint64_t *ret_remaining,
		uint64_t *ret_bytes, struct xt_err *err) __attribute__((warn_unused_result));

/* Gives up what is not done, and removes the part. NULL is allowed. */
void backup_free(struct backup *b);

#endif
