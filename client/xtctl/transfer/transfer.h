/*
 * One table of rows from one database to another. What is there already is left alone, so a copy may be
 * repeated, and goes on where it was interrupted. The Python package's `copy` has the same rules;
 * docs/analysis.md tells them.
 */
#ifndef XTCTL_TRANSFER_H
#define XTCTL_TRANSFER_H

#include "group.h"
#include "progress.h"
#include "source.h"

/* A column of the source, but for track_id and timestamp; all owned. */
struct transfer_column {
	char *name, *type;
	char *key;    /* under which it was logged */
	char *mapped; /* the target's column of that key */
	bool generated;
};

struct transfer {
	struct source *from, *to; /* borrowed */
	const char *table;	  /* borrowed */
	const struct group
		*skipped;	   /* borrowed: runs, of one value each, that were deleted from the target */
	struct progress *progress; /* borrowed */
	uint64_t *copied;	   /* borrowed: rows, of all tables */
	struct transfer_column *columns; /* owned: n of them */
	size_t n;
	bool unique;	    /* a time is taken once in a run of the target: a table of the Python library */
	const char *number; /* what the target's rows are numbered by; NULL: nothing */
	bool moved;	    /* of the run that is copied, rows have moved on to later times */
	int64_t top;	    /* in the target it has no rows behind this number, as far as is known … */
	int64_t epoch;	    /* … while the table's numbers are those of this epoch */
	uint64_t seen;	    /* its rows that were read from the source in this try */
	bool overtaken;	    /* somebody else put rows of it there: what it has must be read again */
	bool gone;	    /* it was deleted from the target */
	struct group batch; /* rows of one run that wait: their time, and a value a column */
	size_t bytes;	    /* in their texts and blobs */
};

/* Copies the table. CTL_OK, or the failure is reported. */
int transfer_table(struct transfer *t) __attribute__((warn_unused_result));

void transfer_column_done(struct transfer_column *c);

/* Finds the columns, makes the target's table where it is missing, adds columns to it and widens their types.
 * CTL_OK, or the failure is reported. From transfer_columns.c. */
int transfer_columns(struct transfer *t) __attribute__((warn_unused_result));

/* Whether (track_id, timestamp) is the table's key. CTL_OK, or the failure is reported. */
int transfer_is_unique(struct source *s, const char *table, bool *ret) __attribute__((warn_unused_result));

/* Copies the records of runs that the target does not know: all of them, or those with rows in `tables`, of
 * one value each. A run that goes on has none yet: in the target nobody would end it. CTL_OK, or the
 * failure is reported. From transfer_runs.c. */
int transfer_runs(struct source *from, struct source *to, const struct group *tables)
	__attribute__((warn_unused_result));

void transfer_done(struct transfer *t);

#endif
