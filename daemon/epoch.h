/*
 * Where numbers of rows begin anew. SQLite numbers a new row one above the highest there is: when the last
 * rows of a table are deleted, their numbers are used again. Who follows a table by the number of the last
 * row that it saw must know that: a row of xt_epochs says which was the highest one then. docs/storage.md
 * says how it is used.
 */
#ifndef XT_EPOCH_H
#define XT_EPOCH_H

#include "store.h"

#define EPOCH_NO_TOP (-1) /* of a table whose rows have no numbers */

/* Inside a new transaction: other programs may have put rows into any table, or deleted the last ones, whose
 * numbers we would use again. */
int epoch_notice(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

/* The same of a file that is only read, and has no transaction. */
void epoch_notice_only(struct store *s);

/*
 * The highest number that a table is known to have had, by its name, kept when the table is forgotten:
 * without it nobody would notice that another program deleted the last rows. epoch_kept(): 0: none is known.
 */
void epoch_keep(struct store *s, const char *table, int64_t top);
int64_t epoch_kept(const struct store *s, const char *table);
void epochs_done(struct store *s);

/* When the file is opened: of all tables as they are. One that cannot be read, as in a damaged file, is left
 * out. */
void epoch_keep_all(struct store *s);

/* Our own commit is no news. */
void epoch_committed(struct store *s);

/* The highest number of a row, by the table's name; 0: there is no row. */
int epoch_top(struct store *s, const char *table, int64_t *ret, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Rows may have been deleted since the highest number was `top`: if the last ones were, an epoch begins. */
int epoch_look(struct store *s, const char *table, int64_t top, struct xt_err *err)
	__attribute__((warn_unused_result));

/* An epoch begins: numbers above `top` were used before, and are used again. */
int epoch_begin(struct store *s, const char *table, int64_t top, struct xt_err *err)
	__attribute__((warn_unused_result));

#endif
