/*
 * What the parts of `schema` share.
 */
#ifndef XTCTL_SCHEMA_H
#define XTCTL_SCHEMA_H

#include "findings.h"
#include "relation.h"

/* Calls `each` for every row of a statement, until one returns false. args: texts of its parameters. The
 * library's status; XT_OK where an internal table is not there: another program made the database. */
int schema_rows(xt_client *client, const char *sql, const char *const *args, size_t n_args,
		bool each(const xt_value *row, void *data), void *data) __attribute__((warn_unused_result));

/* A text of an answer, owned by the caller; NULL: it is none, or there was no memory. */
char *schema_text(const xt_value *v);

/* A number of an answer; 0: it is none. */
uint64_t schema_number(const xt_value *v);

/* Opens the table that the command is about and hands it over: the whole of a command. */
int schema_with_table(struct ctl *ctl,
		      int run(struct ctl *ctl, xt_client *client, const struct relation *table));

/* Adds what `schema check` has to say of a table; NULL: of all. From schema_check.c. CTL_OK, or the failure
 * is reported. */
int schema_findings(struct ctl *ctl, xt_client *client, const char *table, struct findings *found)
	__attribute__((warn_unused_result));

#endif
