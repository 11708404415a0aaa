/*
 * Which runs gain and lose rows by a user's statement, so that the audit can tell what was deleted from
 * what is missing; and whether it uses numbers of rows again (epoch.h). Rows are counted by SQLite's
 * pre-update hook; tables that are made or dropped as a whole, by a look at them.
 */
#ifndef XT_TALLY_H
#define XT_TALLY_H

#include "runs.h"

struct tally;

/* Begins to count on the store's connection. NULL with the error set. */
struct tally *tally_begin(struct store *s, struct xt_err *err);

/* A prepared statement drops this table: its rows are counted before it does. */
int tally_dropped(struct tally *t, const char *table, struct xt_err *err) __attribute__((warn_unused_result));

/* A statement made this table: so are the rows that it has. */
int tally_created(struct tally *t, const char *table, struct xt_err *err) __attribute__((warn_unused_result));

/* Ends; hands what was counted to the runs when `keep`. Takes NULL. */
int tally_end(struct tally *t, bool keep, struct xt_err *err) __attribute__((warn_unused_result));

#endif
