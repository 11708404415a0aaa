/* A column gets another name, or two become one. */
#ifndef XT_RENAME_H
#define XT_RENAME_H

#include "table.h"

struct rename_report {
	char name[IDENT_SIZE]; /* that the column has now */
	bool merged;	       /* it was one of two */
	uint64_t moved;	       /* rows whose value came over from the column that is gone */
};

/*
 * Renames a column of a table. `to`: the column of the new name, or -1; `key`: the new name as given. All in
 * the open transaction, which the caller undoes when it fails. The tables in memory are as they were before:
 * the caller drops them.
 */
int rename_column(struct store *s, struct table *t, size_t from, long to, struct span key, struct warnings *w,
		  struct rename_report *ret, struct xt_err *err) __attribute__((warn_unused_result));

#endif
