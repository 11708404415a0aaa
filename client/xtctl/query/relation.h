/*
 * The table that a command works on, and its columns.
 */
#ifndef XTCTL_RELATION_H
#define XTCTL_RELATION_H

#include "xtctl.h"

struct relation_column {
	char *name; /* owned, as all below */
	char *type; /* as declared: "INTEGER", "REAL", "TEXT", "BLOB", "BOOLEAN", or "" */
	char *key;  /* as it was logged; NULL: by another program */
};

/* Zeroed is valid. */
struct relation {
	const struct ctl *ctl; /* borrowed */
	char *name;	       /* owned */
	struct relation_column *columns;
	size_t n;
	char *run; /* owned: the one that --track-id names; NULL: of all */
};

/* Finds the table: --table, XETRACK_TABLE, events; where nobody named one and there is no `events`, the one
 * with the most rows, with a note; and the run that --track-id names. CTL_OK, or the failure, such as a run
 * that there is not, is reported. relation_done() is due in any case. */
int relation_open(const struct ctl *ctl, xt_client *client, struct relation *ret)
	__attribute__((warn_unused_result));

/* The same for rows that are waited for: so may the run be, and that it is not there is a note. */
int relation_open_early(const struct ctl *ctl, xt_client *client, struct relation *ret)
	__attribute__((warn_unused_result));
void relation_done(struct relation *r);

/* A column by its name, as SQLite compares names. NULL: there is none. */
const struct relation_column *relation_find(const struct relation *r, const char *name);

/* The same; that there is none is reported, with the name that may be meant. */
const struct relation_column *relation_column(const struct relation *r, const char *name);

/* The column whose name a mistyped `name` may mean, other than `except`, which may be NULL. Borrowed; NULL:
 * none is like it. */
const char *relation_near(const struct relation *r, const char *name, const char *except);

/* Columns of a list "a,b", in its order; *ret is owned by the caller, the columns borrow. CTL_OK, or the
 * failure is reported. */
int relation_columns(const struct relation *r, const char *list, const struct relation_column ***ret,
		     size_t *ret_n) __attribute__((warn_unused_result));

/* Whether it is declared as numbers: INTEGER, REAL or BOOLEAN. */
bool relation_is_number(const struct relation_column *c);

#endif
