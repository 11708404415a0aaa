/* Who needs which asset, inside the open transaction. */
#ifndef XT_ASSET_REFS_H
#define XT_ASSET_REFS_H

#include "store.h"

/* Drops a run's references, and the assets that nobody else refers to. */
int asset_refs_drop_run(struct store *s, struct span track_id, struct xt_err *err)
	__attribute__((warn_unused_result));

#endif
