/*
 * An asset on its way in: hashed, compressed and written as its pieces come, so that it takes no more memory
 * than a small one. Belongs to a cursor, and is used by one thread at a time.
 */
#ifndef XT_ASSET_PUT_H
#define XT_ASSET_PUT_H

#include "asset.h"

struct asset_put;

/* Begins one; expected: the hash that it must come to, or empty. NULL with the error set. */
struct asset_put *asset_put_new(struct assets *a, struct span expected, struct xt_err *err);

/* The next bytes; with the last ones the content is held (asset.h) until the upload is freed. After a failure
 * it can only be freed. */
int asset_put_add(struct asset_put *p, struct span data, bool last, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Bytes so far, and after the last the hash; NULL: there is more to come. */
uint64_t asset_put_size(const struct asset_put *p);
const uint8_t *asset_put_hash(const struct asset_put *p);

/* Lets go of what it holds and removes what is not whole. NULL is allowed. */
void asset_put_free(struct asset_put *p);

#endif
