/* Edits the text of a CREATE TABLE statement, as SQLite keeps it in sqlite_schema. Knows no SQLite. */
#ifndef XT_SCHEMA_EDIT_H
#define XT_SCHEMA_EDIT_H

#include "buf.h"

/* Appends to `out` the statement with the declared type of `column` replaced by `type` ("" for
 * none). Names are compared as SQLite does, without regard to ASCII case. -1: no such column, or
 * not understood. */
int schema_retype(struct buf *out, const char *sql, const char *column, const char *type)
	__attribute__((warn_unused_result));

#endif
