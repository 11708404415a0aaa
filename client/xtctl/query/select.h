/*
 * The rows that a command is to take out of a table: of one run, with one value, some columns; or what a
 * statement answers.
 */
#ifndef XTCTL_SELECT_H
#define XTCTL_SELECT_H

#include "relation.h"

/* What was asked for. NULL: not. */
struct select_options {
	const char *columns; /* "a,b" */
	const char *sql;     /* a statement, instead of all else */
};

/* Zeroed is valid. */
struct select {
	char *sql;		  /* owned: the statement; for a table it ends with its conditions */
	char *where;		  /* owned: those conditions; NULL: none, of a statement */
	struct relation relation; /* the table; zeroed for a statement */
};

/* Makes it of the options --table, --track-id and --where and those given. CTL_OK, or the failure is
 * reported. select_done() is due in any case. */
int select_make(const struct ctl *ctl, xt_client *client, const struct select_options *options,
		struct select *ret) __attribute__((warn_unused_result));
void select_done(struct select *s);

#endif
