/* One encoded value bound to a statement: how arguments of users' statements and single values get in.
 * Rows go a faster way, see row.c. */
#ifndef XT_BIND_H
#define XT_BIND_H

#include <sqlite3.h>

#include "wire.h"

/* Refuses what SQLite cannot hold: integers of 2^63 and more, extension types. field: what the error
 * says that it is about. */
int bind_check(const struct token *t, const char *field, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Binds the value at r, which is stepped over, as parameter i; text and bytes are copied, maps and
 * arrays become JSON text. */
int bind_value(sqlite3_stmt *st, int i, struct reader *r, const char *field, struct xt_err *err)
	__attribute__((warn_unused_result));

#endif
