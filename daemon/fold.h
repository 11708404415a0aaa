/* A row that has both the old and the new key of a renamed column is made one that has each column once. */
#ifndef XT_FOLD_H
#define XT_FOLD_H

#include "row.h"

/* True when two of these keys lead to the same column. */
bool fold_needed(const struct table *t, const struct span *keys, size_t n);

/* Appends the row as a map with one key a column: the column's own key goes before its aliases, a value
 * before NULL. A value that finds no place is told of by a warning, once a message. */
int fold_row(struct row_source *src, struct span row, const struct span *keys, size_t n, struct buf *out,
	     struct xt_err *err) __attribute__((warn_unused_result));

#endif
