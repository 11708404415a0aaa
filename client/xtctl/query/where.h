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
 * The condition of SQL for the rows of a run (track_id; NULL: of all) for which all conditions of the list
 * hold, with names and values in it; "1" for all rows. *ret is owned by the caller. CTL_OK, or the failure,
 * such as a column that there is not, is reported.
 */
int where_make(const struct relation *r, const char *track_id, const struct option_list *conditions,
	       char **ret) __attribute__((warn_unused_result));

#endif
