/*
 * An asset on its way out: read, decompressed and held against its hash piece by piece. Belongs to a cursor,
 * and is used by one thread at a time.
 */
#ifndef XT_ASSET_GET_H
#define XT_ASSET_GET_H

#include <sqlite3.h>

#include "asset.h"

struct asset_get;

/* Looks an asset's row up. 1: it is there; 0: it is not; -1: the error is in the connection. */
struct asset_row {
	uint64_t size, stored;
	bool file;
	struct buf data; /* owned: compressed, when it is no file; only where it was asked for */
};
int asset_row(sqlite3 *db, const uint8_t *hash, bool data, struct asset_row *ret)
	__attribute__((warn_unused_result));

/* Opens one by its row, whose data it takes over. NULL with the error set: corrupt_asset, when its file is
 * not there. */
struct asset_get *asset_get_new(struct assets *a, const uint8_t *hash, struct asset_row *row,
				struct xt_err *err);

/* Appends the next piece to `out`. 1: those were the last bytes, and all of it is what was put; 0: there is
 * more to come; -1: corrupt_asset. */
int asset_get_read(struct asset_get *g, struct buf *out, struct xt_err *err)
	__attribute__((warn_unused_result));

void asset_get_free(struct asset_get *g); /* takes NULL */

#endif
