/*
 * How wide each column of a table is, so that the table fits a terminal: wide text columns give
 * way first, then reals; whole numbers never do; and when that is not enough, columns in the
 * middle are left out.
 */
#ifndef XTCTL_FIT_H
#define XTCTL_FIT_H

#include <stdbool.h>
#include <stddef.h>

enum cell_kind { CELL_NULL, CELL_TEXT, CELL_INTEGER, CELL_REAL };

#define FIT_SEPARATOR 3 /* columns between two cells */

/* One column. Zeroed to begin with. */
struct fit {
	char *name;	  /* owned by the table: the head, escaped */
	size_t head;	  /* its width */
	size_t widest[4]; /* widest cell seen of each enum cell_kind */
	bool hidden;	  /* left out */
	size_t width;	  /* what it got */
	size_t before;	  /* and on the page before: the table's */
};

/* Takes a cell into account. */
void fit_add(struct fit *f, enum cell_kind kind, size_t width);

/* True when its cells were numbers, NULLs aside. */
bool fit_is_number(const struct fit *f);

/* Sets the widths of n columns for a line of at most `columns`, 0: any length. Columns are left out
 * only when `may_hide`: once the head is printed it must stay true. */
void fit_columns(struct fit *f, size_t n, size_t columns, bool may_hide);

#endif
