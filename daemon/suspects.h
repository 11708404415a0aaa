/*
 * Columns that may be others under a new name. When a row brings a new column, it is held against those that
 * are there; what is alike is told at once where the table's last run had the old one in every row and this
 * row lacks it, and else when the run has ended without it.
 */
#ifndef XT_SUSPECTS_H
#define XT_SUSPECTS_H

#include "row.h"

/* A row has added the columns from `first` on; `keys` are those it has. Warns the sender. */
int suspects_notice(struct row_source *src, size_t first, const struct span *keys, size_t n,
		    struct xt_err *err) __attribute__((warn_unused_result));

/* Judges what was noticed of runs that have ended. w: whom to tell of it; its `out` NULL: nobody. */
int suspects_judge(struct store *s, struct warnings *w, struct xt_err *err)
	__attribute__((warn_unused_result));

#endif
