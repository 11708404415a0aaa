/* The yardstick: one process, SQLite, nothing else. */
#ifndef XT_BENCH_BARE_H
#define XT_BENCH_BARE_H

#include "measure.h"

/* Inserts `rows` rows, per_commit in a transaction, WAL, synchronous = FULL, with the table and the
 * index that the daemon makes. Rows a second; each commit's µs go to `commits` unless NULL. */
double bare_insert(const char *db, long rows, long per_commit, int page_size, struct samples *commits);

/* Rows in `events`. */
long count_rows(const char *db);

#endif
