/* Rows into tables: from encoded values straight to the bound statement. */
#ifndef XT_ROW_H
#define XT_ROW_H

#include "table.h"

/* What the rows of one message have in common. */
struct row_source {
	struct store *store;
	struct table *table;	/* changes when a failure made the cache anew */
	struct span table_name; /* as sent */
	struct span track_id;
	int64_t time_us;      /* when they were logged */
	bool check_utf8;      /* text may be invalid */
	struct span *columns; /* names, when rows are arrays; NULL: rows are maps */
	size_t n_columns;
	const struct shape *shape; /* of `columns`, once it is known */
	struct warnings warnings;
	bool altered;		/* the row has changed its table */
	bool told_conflict;	/* of a value that found no place the sender was told */
	struct span *keys;	/* scratch of XT_MAX_COLUMNS + 1 */
	char stamp[STAMP_SIZE]; /* of time_us */
};

/* Looks up the table and writes the stamp. */
int row_source_open(struct row_source *src, struct xt_err *err) __attribute__((warn_unused_result));

/*
 * Stores the row at r, which is stepped over in any case. 0; or -1: the row can not be stored, or
 * the store has trouble.
 */
int row_store(struct row_source *src, struct reader *r, struct xt_err *err)
	__attribute__((warn_unused_result));

#endif
