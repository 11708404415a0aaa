/*
 * The rows at the ends of a column: those with its largest or smallest value, in the whole table or in each
 * group of its rows.
 */
#ifndef XTCTL_ENDS_H
#define XTCTL_ENDS_H

#include "relation.h"

struct ends {
	struct ctl *ctl;
	xt_client *client;
	const struct relation *rel;
	const char *where;		 /* of SQL: the rows that are looked at */
	const struct relation_column *x; /* whose ends they are */
	bool largest;			 /* else the smallest */
	int64_t n;			 /* so many rows; -1: all that have the value at the end */
	const char *columns;		 /* a list of those that are shown; NULL: all */
	const char *by; /* a list: the ends among the rows with the same values of these; NULL: of all */
};

/* Prints them. What tells which rows they are, the columns of `by` and then x, stands before the other
 * columns, unless `columns` has it in another place. CTL_OK, or the failure is reported. */
int ends_print(const struct ends *e) __attribute__((warn_unused_result));

#endif
