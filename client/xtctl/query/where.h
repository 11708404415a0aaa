/*
 * Which rows a command looks at: those of one run, and those for which every --where holds.
 */
#ifndef XTCTL_WHERE_H
#define XTCTL_WHERE_H

#include "relation.h"
#include "value.h"

/* One --where: KEY=VALUE, or with !=, <, <=, > or >=; the value typed as by `log`. Zeroed is valid. */
struct condition {
	char *key;	    /* owned */
	const char *op;	    /* of SQL: "IS", "IS NOT", "<", … so that null can be asked for */
	struct value value; /* borrows from the text */
};

/* 0, or -1 with a sentence in `error`. condition_done() is due in any case. */
int condition_parse(struct condition *ret, const char *text, char *error, size_t size)
	__attribute__((warn_unused_result));
void condition_done(struct condition *c);

/*
 * The condition of SQL for the rows of the relation's run for which every --where holds, with names and
 * values in it; "1" for all rows. *ret is owned by the caller. CTL_OK, or the failure, such as a column that
 * there is not, is reported.
 */
int where_make(const struct relation *r, char **ret) __attribute__((warn_unused_result));

/* For a command that found nothing to show: says in a note that --track-id and --where leave no row of the
 * table, if that is so. *ret_none, which may be NULL: it is. CTL_OK, or the failure is reported. */
int where_tell_none(const struct relation *r, xt_client *client, const char *where, bool *ret_none)
	__attribute__((warn_unused_result));

#endif
