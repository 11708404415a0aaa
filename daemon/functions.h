/*
 * SQL functions that replace SQLite's own of the same name. Theirs compare every position with every
 * byte of the pattern, which for two long values takes hours, and nothing looks at the clock inside a
 * function. These take a time that grows with the sum of the lengths.
 */
#ifndef XT_FUNCTIONS_H
#define XT_FUNCTIONS_H

#include <sqlite3.h>

/* A SQLite code. */
int functions_install(sqlite3 *db);

#endif
