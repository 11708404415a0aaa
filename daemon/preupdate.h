/*
 * Where SQLite's pre-update hook has the value of a column. In a table with virtual columns that is not the
 * same for all tables, changes and versions of SQLite: by the column's number in the table, or by its number
 * among those that are stored. So it is tried.
 */
#ifndef XT_PREUPDATE_H
#define XT_PREUPDATE_H

#include "store.h"

enum preupdate_value {
	PREUPDATE_OLD,	    /* of a row that is changed or deleted */
	PREUPDATE_INSERTED, /* of a new row */
	PREUPDATE_UPDATED,  /* of a row as it becomes */
	PREUPDATE_VALUES
};

struct preupdate {
	bool declared[2][PREUPDATE_VALUES]; /* by the number in the table; [1]: WITHOUT ROWID */
};

int preupdate_learn(struct preupdate *ret, struct xt_err *err) __attribute__((warn_unused_result));

/* The index to ask with: of a column, by both of its numbers. */
static inline int preupdate_index(const struct preupdate *p, bool without_rowid, enum preupdate_value v,
				  int declared, int stored)
{
	return p->declared[without_rowid][v] ? declared : stored;
}

#endif
