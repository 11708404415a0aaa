/*
 * A database that is copied from or to, and questions to it. One of ours is asked through its daemon.
 * Another, such as the Python library's, would be made ours by a daemon, so SQLite reads that here, and it
 * stays as it is.
 */
#ifndef XTCTL_SOURCE_H
#define XTCTL_SOURCE_H

#include <sqlite3.h>

#include "xtctl.h"

/* Zeroed: none. */
struct source {
	struct ctl ctl;	   /* a copy of the command's, with this database in it, for messages */
	xt_client *client; /* NULL: none of ours */
	sqlite3 *db;	   /* owned; NULL: one of ours */
};

/* An open question. Zeroed: none. */
struct question {
	struct source *source; /* borrowed */
	xt_cursor *cursor;     /* owned: of a client … */
	sqlite3_stmt *st;      /* … or owned: of SQLite */
	xt_value *row;	       /* owned: of SQLite: n values */
	size_t n;	       /* columns */
};

/* Opens a database that is there, to be read. CTL_OK, or the failure is reported. */
int source_open(struct source *s, const struct ctl *ctl, const char *path)
	__attribute__((warn_unused_result));

/* Opens the daemon's, which creates it. CTL_OK, or the failure is reported. */
int source_open_target(struct source *s, const struct ctl *ctl, const char *path)
	__attribute__((warn_unused_result));

/* `status` is handed on if it is not CTL_OK, or the failure of the end is reported. */
int source_close(struct source *s, int status);

/* Asks; values as for xt_query(). CTL_OK, or the failure is reported. question_done() is due in any case. */
int source_ask(struct source *s, const char *sql, const xt_value *args, size_t n, struct question *ret)
	__attribute__((warn_unused_result));

/* The next row, which lives until the next call: XT_OK, XT_DONE, or another status of the library. */
int question_next(struct question *q, const xt_value **ret_row) __attribute__((warn_unused_result));
void question_done(struct question *q);

/* Reports a status of question_next(). */
int source_fail(const struct source *s, int status);

/* Whether a question has any answer. CTL_OK, or the failure is reported. */
int source_has(struct source *s, const char *sql, const xt_value *args, size_t n, bool *ret)
	__attribute__((warn_unused_result));

/* Calls `each` for the rows, until it returns something else than CTL_OK, which is handed on. */
int source_each(struct source *s, const char *sql, const xt_value *args, size_t n,
		int each(const xt_value *row, void *data), void *data) __attribute__((warn_unused_result));

#endif
