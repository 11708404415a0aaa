/*
 * Files in directories that others may write too: what somebody else put there in our place is
 * refused, never followed, never waited for.
 */
#ifndef XT_OWN_H
#define XT_OWN_H

#include <sys/types.h>

#include "proto.h"

/* True when a file of this user beside the database is as good as ours: whoever made it could replace the
 * database as well. That is everybody who may write the directory; but where everybody may, only we, root,
 * the database's owner and the directory's. */
bool own_trusts(uid_t uid, const char *database);

/* Opens a file that lies beside the database (or anywhere else), O_CLOEXEC added: a regular file of a
 * trusted owner with one name, reached by no link. -1 with an error that names the path and the remedy:
 * XT_E_not_allowed when it is refused, XT_E_io_error when the system would not open it. */
int own_open(const char *path, int flags, mode_t mode, const char *database, struct xt_err *err)
	__attribute__((warn_unused_result));

/* The same without opening it: SQLite's files are opened by SQLite only. Nothing there is fine. */
int own_look(const char *path, const char *database, struct xt_err *err) __attribute__((warn_unused_result));

/* own_look() at all files that SQLite keeps beside the database. */
int own_look_beside(const char *database, struct xt_err *err) __attribute__((warn_unused_result));

/* Refuses a directory in which anybody may replace what is ours: one that everybody may write and that
 * has no sticky bit. */
int own_directory(const char *path, struct xt_err *err) __attribute__((warn_unused_result));

/* Refuses a link that another user put into a directory that everybody may write, as Linux does with
 * fs.protected_symlinks. */
int own_link(const char *path, struct xt_err *err) __attribute__((warn_unused_result));

#endif
