/*
 * Where a database's lock file, socket and log are: computed the same way by daemon and client,
 * so that nobody configures anything.
 *
 * Order: $XETRACK_SOCKET; the path in <database>.lock; else <dir>/<hash of the real path>.sock,
 * where <dir> is $XDG_RUNTIME_DIR/xetrack, or xetrack-<uid> in $TMPDIR or /tmp. Directories of the
 * environment that belong to another user (sudo keeps the variable) are passed over, and so are lock
 * files that one must not trust (own.h).
 */
#ifndef XT_PLACE_H
#define XT_PLACE_H

#include <limits.h>
#include <sys/types.h>

#include "proto.h"

struct place {
	char database[PATH_MAX]; /* real path */
	char lock[PATH_MAX];	 /* <database>.lock */
	char log[PATH_MAX];	 /* <database>.log: of a daemon that a client started */
	char spool[PATH_MAX];	 /* <database>.spool: directory of rows that clients keep while it is away */
	char dir[PATH_MAX];	 /* directory of the computed socket */
	char computed[PATH_MAX]; /* the socket's path when neither environment nor lock file names one */
	char socket[PATH_MAX];	 /* where the socket is, or would be made */
	mode_t dir_mode;	 /* that `dir` must have */
	mode_t socket_mode;	 /* that the socket must have */
	gid_t group;		 /* that both must have; (gid_t)-1: any */
	bool exists;		 /* the database file is there */
	bool held;		 /* the lock file says that `xtctl down` holds it */
};

/* Fills in all of it. The database need not exist, its directory must. -1 with an error that names
 * the path, also when the socket's path is longer than a socket address can hold. */
int place_find(struct place *ret, const char *database, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Moves the computed socket to where a group can reach it: xetrack-<uid>-<name> in $TMPDIR or /tmp,
 * 0750 and 0660 of that group; 0711 and 0666 when everybody's credentials are to be looked at instead
 * (group (gid_t)-1). The socket is there, whatever the lock file says. */
int place_share(struct place *p, const char *name, gid_t group, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Makes the socket's directory, with its mode and group, and checks that it is a directory of ours (not a
 * link) in which nobody else may write. */
int place_make_dir(const struct place *p, struct xt_err *err) __attribute__((warn_unused_result));

/* The text of a lock file: what place_find() reads back. fd is the open, locked file. 0 or -errno. */
int place_write_lock(int fd, const char *socket, int pid, bool held) __attribute__((warn_unused_result));

#endif
