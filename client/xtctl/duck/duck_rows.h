/*
 * The daemon's rows as a table of DuckDB: `xt_rows(i)` in a statement is the answer to source i, read while
 * DuckDB asks for it, a page at a time, and only the columns that the statement uses.
 */
#ifndef XTCTL_DUCK_ROWS_H
#define XTCTL_DUCK_ROWS_H

#include <stdatomic.h>

#include "duck.h"
#include "progress.h"
#include "xetrack.h"

struct duck_column {
	char *name;	     /* owned */
	enum duck_type type; /* BIGINT, DOUBLE, VARCHAR, BLOB or BOOLEAN */
	bool mixed;	     /* has whole numbers among reals */
};

/* Zeroed to begin with, but for what is borrowed. */
struct duck_source {
	xt_client *client;	   /* borrowed */
	char *table;		   /* owned: its quoted name; NULL: a statement */
	const char *sql;	   /* borrowed: the statement */
	int timeout_ms;		   /* of a page; 0: the daemon's default */
	atomic_uint *leaving;	   /* borrowed: the struct ctl's, with whose options the client was opened */
	struct progress *progress; /* borrowed: shows how far it is; NULL: nothing does */
	struct duck_column *columns; /* owned: n of them */
	size_t n;

	uint64_t rows; /* read so far */
	int status;    /* the library's, of a read that failed; else XT_OK */
	size_t hex; /* column with blobs among texts, which were written as hexadecimal digits, counted from
		       1; 0: none */
};

/*
 * Finds names and types of the columns: as declared where one type is; where none is (an expression, a column
 * of several types) by looking at all values: whole numbers, with reals among them, blobs alone; else text.
 * The library's status; XT_EINVAL: two columns cannot be told apart, or none is there.
 */
int duck_source_describe(struct duck_source *s) __attribute__((warn_unused_result));
void duck_source_done(struct duck_source *s);

/* What xt_rows() reads from. */
struct duck_rows {
	struct duck *duck;	     /* borrowed */
	struct duck_source *sources; /* borrowed: n of them */
	size_t n;
};

/* Makes xt_rows() known; *rows must live as long as the database. 0, or -1 with the error of rows->duck set.
 */
int duck_rows_register(struct duck_rows *rows) __attribute__((warn_unused_result));

/* The first source's failure, as the library's status; XT_OK: none had any. */
int duck_rows_status(const struct duck_rows *rows, const xt_client **ret_client);

#endif
