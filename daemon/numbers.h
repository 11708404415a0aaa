/*
 * VACUUM numbers the rows of a table anew, from 1, when the table has neither an INTEGER PRIMARY KEY nor any
 * index: who follows it by the number of the last row that it saw, and whatever else keeps numbers of rows,
 * would go wrong. Such a table gets an index for that while, one over none of its rows.
 */
#ifndef XT_NUMBERS_H
#define XT_NUMBERS_H

#include "store.h"

/* Gives an index to each table whose rows would get other numbers. In a transaction of its own: there must be
 * none. */
int numbers_keep(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

/* Drops these indexes, also those that a killed daemon left. Likewise. */
int numbers_release(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

#endif
