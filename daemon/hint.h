/*
 * What may have been meant by a statement that SQLite refused for a name.
 */
#ifndef XT_HINT_H
#define XT_HINT_H

#include <sqlite3.h>

#include "near.h"
#include "span.h"

#define HINT_SIZE 300

/* "; did you mean 'latency'?" for a message such as "no such column: latncy", looked for among the tables of
 * users and their columns, or what that column was renamed to; else "". Returns ret. */
const char *hint_for(sqlite3 *db, const char *message, char ret[HINT_SIZE]);

/* The same for the name of a table. */
const char *hint_for_table(sqlite3 *db, struct span name, char ret[HINT_SIZE]);

#endif
