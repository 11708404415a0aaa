/*
 * Where a database's lock file, socket and log are: computed the same way by daemon and client,
 * so that nobody configures anything.
 *
 * Order: $XETRACK_SOCKET; the path in <database>.lock; else <dir>/<hash of the real path>.sock,
 * where <dir> is $XDG_RUNTIME_DIR/xetrack, or xetrack-<uid> in $TMPDIR or /tmp.
 */
#ifndef XT_PLACE_H
#define XT_PLACE_H

#include <limits.h>

#include "proto.h"

struct place {
	char database[PATH_MAX]; /* real path */
	char lock[PATH_MAX];	 /* <database>.lock */
	char log[PATH_MAX];	 /* <database>.log: of a daemon that a client started */
	char spool[PATH_MAX];	 /* <database>.spool: directory of rows that clients keep while it is away */
	char dir[PATH_MAX];	 /* directory of the computed socket */
	char computed[PATH_MAX]; /* the socket's path when neither environment nor lock file names one */
	char socket[PATH_MAX];	 /* where the socket is, or would be made */
	bool exists;		 /* the database file is there */
	bool held;		 /* the lock file says that `xtctl down` holds it */
};

/* Fills in all of it. The database need not exist, its directory must. -1 with an error that names
 * the path, also when the socket's path is longer than a socket address can hold. */
int place_find(struct place *ret, const char *database, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Makes the socket's directory, 0700, and checks that it is a directory of ours (not a link). */
int place_make_dir(const struct place *p, struct xt_err *err) __attribute__((warn_unused_result));

/* The text of a lock file: what place_find() reads back. fd is the open, locked file. 0 or -errno. */
int place_write_lock(int fd, const char *socket, int pid, bool held) __attribute__((warn_unused_result));

#endif
