/*
 * SQL aggregates that SQLite has not: deviation and variance, correlation and regression, quantiles and
 * the number of different values, by the names that DuckDB and the SQL standard give them. All but those
 * that begin with approx_ are window functions too. docs/sql.md describes them.
 */
#ifndef XT_AGGREGATES_H
#define XT_AGGREGATES_H

#include <sqlite3.h>

/* A SQLite code. */
int aggregates_install(sqlite3 *db);

#endif
