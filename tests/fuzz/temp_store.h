/* The database of a target that needs one: in the directory of temp_dir.h, opened at the first input.
 * Inputs are undone, so that each finds it as the first one did. */
#ifndef XT_FUZZ_TEMP_STORE_H
#define XT_FUZZ_TEMP_STORE_H

#include "store.h"

/* The open store, with what `sql` made in it; the clock stands still. Aborts when it cannot be had. */
struct store *temp_store(const char *sql);

/* Begins the transaction of an input, which may take that long in SQLite. */
void temp_store_begin(struct store *s, int64_t limit_ms);

/* Undoes it, and asserts that nothing of it is left. */
void temp_store_undo(struct store *s);

/* The first column of the first row of a statement of ours, as a number or as a checksum of its text. */
int64_t temp_store_value(struct store *s, const char *sql);

/* Asserts that there are no other files beside the database. */
void temp_store_alone(void);

#endif
