/*
 * Which rows of a table a command looks at: those of --track-id, with the value of --where.
 */
#ifndef XTCTL_SELECTION_H
#define XTCTL_SELECTION_H

#include "relation.h"
#include "value.h"

/* A summary of a large table takes its time; Ctrl-C ends it. */
#define SELECTION_TIMEOUT_MS 86400000

/* Zeroed is valid. */
struct selection {
	char *where;	  /* owned: a condition of SQL, with the parameters ?1 and ?2 for … */
	xt_value args[2]; /* … these, n_args of them */
	size_t n_args;
	char *key;	    /* owned: of --where */
	struct value value; /* owned: of --where */
};

/* Reads the options. CTL_OK, or the failure is reported. selection_done() is due in any case. */
int selection_open(const struct ctl *ctl, const struct relation *rel, struct selection *ret)
	__attribute__((warn_unused_result));
void selection_done(struct selection *s);

/* Runs a statement that has the condition in it; `sql` may be NULL, out of memory. The library's status. */
int selection_query(const struct selection *s, xt_client *client, const char *sql, xt_cursor **ret)
	__attribute__((warn_unused_result));

#endif
