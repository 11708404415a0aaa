/*
 * DuckDB, where its library is installed: found at run time, so that neither building nor running xtctl needs
 * it. It writes and reads Parquet, and answers what SQLite cannot.
 */
#ifndef XTCTL_DUCK_H
#define XTCTL_DUCK_H

#include <stdatomic.h>
#include <stddef.h>

#include "duckdb_api.h"

#define DUCK_ERROR_BYTES 2000

/* A private database in memory. Zeroed: none. */
struct duck {
	struct duck_api api;
	void *library; /* owned: of dlopen() */
	duck_handle database;
	duck_handle connection;
	char *spill;		      /* owned: a directory of our own for what exceeds its memory */
	const atomic_int *stop;	      /* borrowed: once it is set, statements end */
	char error[DUCK_ERROR_BYTES]; /* the last failure's sentence */
};

/*
 * Loads the library that XETRACK_DUCKDB names, else libduckdb.so from where the loader looks, and opens a
 * database in memory. 0; -1: it failed; -ENOENT: there is no library. `error` says what can be done. After a
 * failure it is as if zeroed, but for the error.
 */
int duck_open(struct duck *d, const atomic_int *stop) __attribute__((warn_unused_result));
void duck_close(struct duck *d);

/* Runs a statement without an answer. 0, or -1 with d->error set. */
int duck_run(struct duck *d, const char *sql) __attribute__((warn_unused_result));

/* Prepares a statement; destroy_prepare() it. 0, or -1 with d->error set. */
int duck_prepare(struct duck *d, const char *sql, duck_handle *ret) __attribute__((warn_unused_result));

/* Runs a prepared statement; destroy_result() what comes, also on failure. Its rows are made while they are
 * fetched. 0, or -1 with d->error set. */
int duck_execute(struct duck *d, duck_handle prepared, struct duck_result *ret)
	__attribute__((warn_unused_result));

/* Sets d->error from a text of the library, without its kind ("Binder Error: ") and the statement, on one
 * line; returns -1. */
int duck_fail(struct duck *d, const char *message);

#endif
