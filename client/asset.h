/* What the two halves of the assets share. Inside asset.c and asset_get.c. */
#ifndef XT_CLIENT_ASSET_H
#define XT_CLIENT_ASSET_H

#include "cursor.h"

#define ASSET_TRIES 5 /* to begin anew when the connection breaks */

/* The 32 bytes of a hash of 64 digits. */
int asset_hash(struct xt_client *c, const char *hex, uint8_t ret[XT_ASSET_HASH])
	__attribute__((warn_unused_result));

/* Opens a transfer, waiting while the daemon is busy with others'. *ret: the struct result_x. */
int asset_begin(struct xt_client *c, enum method_id method, void *params, uint32_t *ret_id,
		unsigned *ret_epoch, void *ret) __attribute__((warn_unused_result));

/* A step of a transfer; its answer's spans live in the call: call_done() it. XT_ELOST: begin anew. */
int asset_step(struct xt_client *c, enum method_id method, void *params, unsigned epoch, struct call *call,
	       void *ret) __attribute__((warn_unused_result));

#endif
