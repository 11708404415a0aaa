/* An encoded map in the making: keys in the order in which they came, each once; the last value wins. */
#ifndef XT_PAIRS_H
#define XT_PAIRS_H

#include "client.h"

struct pair {
	size_t key, value, end; /* where key and value begin in `bytes`, encoded, and where the value ends */
	size_t name_len;	/* bytes of the key's text, which ends where the value begins */
};

/* Zeroed: empty. */
struct pairs {
	struct buf bytes;   /* owned: encoded keys and values, also those that were replaced */
	struct pair *pairs; /* owned */
	size_t n, cap;
	bool failed; /* sticky: out of memory */
};

void pairs_done(struct pairs *p);

/* Adds a value that was measured, or one that is encoded. */
void pairs_add(struct pairs *p, struct span key, const xt_value *v);
void pairs_add_raw(struct pairs *p, struct span key, struct span value);

/* Adds what another has; or the pairs of an encoded map, of which those with text as keys are taken. */
void pairs_add_all(struct pairs *p, const struct pairs *from);
void pairs_add_map(struct pairs *p, struct span map);

/* Appends the map. Errors are the buffer's. */
void pairs_put_map(const struct pairs *p, struct buf *out);

/* The value of a key, as far as it is no container; it lives as long as nothing is added. */
bool pairs_get(const struct pairs *p, struct span key, xt_value *ret);

#endif
