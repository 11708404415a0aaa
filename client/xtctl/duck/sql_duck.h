/*
 * `sql --engine duckdb`: a statement that DuckDB runs over the daemon's rows. The database is its schema
 * `db`, and the one that names without a schema are looked for in.
 */
#ifndef XTCTL_SQL_DUCK_H
#define XTCTL_SQL_DUCK_H

#include "duck.h"
#include "xtctl.h"

/* Runs the statement in a DuckDB that duck_open() has opened, prints what it answers, and closes it. CTL_OK,
 * or the failure is reported. */
int sql_duck(struct ctl *ctl, xt_client *client, struct duck *duck, const char *sql, const xt_value *args,
	     size_t n) __attribute__((warn_unused_result));

#endif
