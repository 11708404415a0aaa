/*
 * What DuckDB answers, row by row, as the values of this program.
 */
#ifndef XTCTL_DUCK_ANSWER_H
#define XTCTL_DUCK_ANSWER_H

#include "duck.h"
#include "xetrack.h"

struct duck_column_of; /* a column of the answer */

/* Zeroed is valid. */
struct duck_answer {
	struct duck *duck; /* borrowed */
	duck_handle statement;
	struct duck_result result;
	size_t n;			/* columns */
	const char **names;		/* owned; the texts are the result's */
	const char **types;		/* owned: as SQLite would declare them, for printing; static texts */
	struct duck_column_of *columns; /* owned */
	xt_value *row;			/* owned: n values, which borrow from the chunk */
	duck_handle chunk;		/* rows [at, rows) of it are still to come */
	size_t at, rows;
};

/*
 * Runs a statement with values for its parameters. Columns of types that we have not (decimals, times, lists)
 * come as reals or as texts. 0, or -1 with the error of `duck` set. duck_answer_done() is due in any case.
 */
int duck_answer_open(struct duck_answer *a, struct duck *duck, const char *sql, const xt_value *args,
		     size_t n_args) __attribute__((warn_unused_result));

/* The next row, which lives until the next call: 1; 0 at the end, or -1 with the error set. */
int duck_answer_next(struct duck_answer *a, const xt_value **ret_row) __attribute__((warn_unused_result));

/* Whether the statement is one that answers with rows, and not one that did something. */
bool duck_answer_has_rows(const struct duck_answer *a);

void duck_answer_done(struct duck_answer *a);

#endif
