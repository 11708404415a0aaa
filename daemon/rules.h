/* What users said of a table's schema: aliases of renamed columns, required columns, no new ones. */
#ifndef XT_RULES_H
#define XT_RULES_H

#include "table.h"

/* Reads the names of required columns, before a table's columns are taken in; and the rest behind them. */
int rules_load_required(struct store *s, struct table *t, struct xt_err *err)
	__attribute__((warn_unused_result));
int rules_load(struct store *s, struct table *t, struct xt_err *err) __attribute__((warn_unused_result));

/* Tables may have gone: drops what was said of those that are not there. Which columns are required stays,
 * for that may be said of a table before it is made, too. */
int rules_sweep(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

/* How many of them a table has, by a statement that counts. */
int rules_count(struct store *s, enum stmt_id id, const char *table, int64_t *ret, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Has a key lead to a column; name NULL: no longer. -1 also when the table has too many aliases then: what
 * was written is to be undone. */
int rules_put_alias(struct store *s, const char *table, struct span key, const char *name, struct xt_err *err)
	__attribute__((warn_unused_result));

/* A fixed statement over the rules of a table, its first parameter bound. NULL with the error set. */
sqlite3_stmt *rules_stmt(struct store *s, enum stmt_id id, const char *table, struct xt_err *err);

/* Binds the time as text, copied. */
void rules_bind_now(struct store *s, sqlite3_stmt *st, int i);

/* A row brings a key that has no column. -1: the table is frozen; the message has the nearest name. */
int rules_may_add(struct table *t, struct span key, struct xt_err *err) __attribute__((warn_unused_result));

/* -1: the row with these keys lacks one that the table requires. */
int rules_has_required(const struct table *t, const struct span *keys, size_t n, struct xt_err *err)
	__attribute__((warn_unused_result));

/* The same of a column whose value is NULL. Returns -1. */
int rules_refuse_null(const struct table *t, const struct column *c, struct xt_err *err);

/* The name of the table's column that is most like another, or NULL: none is. */
const char *rules_nearest(const struct table *t, struct span name);

#endif
