/*
 * Rows of the daemon in columns, as DuckDB's chunks have them: filled in one thread, handed over in another.
 */
#ifndef XTCTL_DUCK_BATCH_H
#define XTCTL_DUCK_BATCH_H

#include <stddef.h>

#include "duckdb_api.h"
#include "xetrack.h"

struct duck_batch;

/*
 * For at most `rows` of them, with n columns of these types; DUCK_SQLNULL: a column that nobody needs.
 * Borrows the API. NULL: out of memory.
 */
struct duck_batch *duck_batch_new(const struct duck_api *api, const enum duck_type *types, size_t n,
				  size_t rows);
void duck_batch_free(struct duck_batch *b); /* takes NULL */

/* Empties it; keeps its memory. */
void duck_batch_clear(struct duck_batch *b);

/* Copies a row, of which value places[i] belongs to column i. 0; -1: out of memory; 1: column *ret_column
 * takes no such value. The row is in it only when it is whole. */
int duck_batch_put(struct duck_batch *b, const xt_value *row, const size_t *places, size_t *ret_column)
	__attribute__((warn_unused_result));

size_t duck_batch_rows(const struct duck_batch *b);

/* Bytes that a value of the type takes in a batch, without a long text. */
size_t duck_batch_width(enum duck_type type);

/* No row more should be put. */
bool duck_batch_full(const struct duck_batch *b);

/* Whether column i got blobs among its texts, which are hexadecimal digits now. */
bool duck_batch_has_hex(const struct duck_batch *b, size_t i);

/* Copies all of it into an empty chunk with the same columns. */
void duck_batch_give(const struct duck_batch *b, duck_handle chunk);

#endif
