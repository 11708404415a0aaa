/* The internal tables: made when a database is first opened, brought up to date when an older xetrackd made
 * them. docs/storage.md describes them. */
#ifndef XT_LAYOUT_H
#define XT_LAYOUT_H

#include "store.h"

/* Refuses a database whose layout is newer than this program knows. */
int layout_check(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

/* Makes or updates the internal tables and reads the database's identity, which is drawn at the first
 * time; of a read-only store only reads it. */
int layout_open(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

/* A number in xt_meta, `absent` when it is not there; and setting one. */
int layout_get(struct store *s, const char *key, int64_t absent, int64_t *ret, struct xt_err *err)
	__attribute__((warn_unused_result));
int layout_set(struct store *s, const char *key, int64_t value, struct xt_err *err)
	__attribute__((warn_unused_result));

#endif
