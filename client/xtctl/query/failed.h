/*
 * What counts as a failed execution, and what as a hit of the cache, by the columns that a table has.
 */
#ifndef XTCTL_FAILED_H
#define XTCTL_FAILED_H

#include "relation.h"

/* SQL that is true of the rows of failed executions: `error` or `error_type` says something. Owned; NULL: out
 * of memory. A table without either has none: *ret_known is false then, and the SQL false. */
char *failed_condition(const struct relation *r, bool *ret_known);

/* SQL for what kind of failure a row is: its error_type, else "unnamed". Owned; NULL: out of memory. */
char *failed_type(const struct relation *r);

/* SQL for what messages have in common that differ in their numbers only: `error`, in short, with # for each
 * of these. Owned; NULL: out of memory, or there is no such column. */
char *failed_shape(const struct relation *r);

/* SQL for how a row came by its values, from the column `cache`: 'hit', 'computed', or 'neither' where it is
 * NULL. A constant; NULL: the table has no such column. */
const char *failed_cache(const struct relation *r);

#endif
