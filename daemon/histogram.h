/*
 * The SQL aggregate histogram(x, low, high, bins): how many values lie in each of so many equal parts of the
 * range, as a JSON list, in one pass and the memory of the list.
 */
#ifndef XT_HISTOGRAM_H
#define XT_HISTOGRAM_H

#include <sqlite3.h>

/* A SQLite code. */
int histogram_install(sqlite3 *db);

/* Answers with the text of a JSON list that lacks its bracket at the end, and frees it. */
void histogram_answer(sqlite3_context *ctx, sqlite3_str *list);

#endif
