/*
 * Canonical MessagePack, and the cache keys that are made of it: equal calls have equal bytes in every
 * process, run and language. docs/cache.md is the specification, tests/vectors/canon.json has examples.
 *
 *     parts   [function, version, {argument: component, …}, {parameter: component, …}]
 *     key     BLAKE2b-256 of the parts (RFC 7693)
 *
 * A component is the canonical form of a value; where that has more than CANON_INLINE bytes, an extension
 * of type CANON_DIGEST with its BLAKE2b-256 stands for it.
 */
#ifndef XT_CANON_H
#define XT_CANON_H

#include "buf.h"
#include "token.h"

#define CANON_INLINE	 128 /* bytes of a component that stands for itself */
#define CANON_DIGEST	 1   /* MessagePack extension type of a digest */
#define CANON_MAX_DIGITS 15  /* decimals to round to: more are not exact in a double */

struct canon_options {
	bool round; /* round reals … */
	int digits; /* … to so many decimals, 0 to CANON_MAX_DIGITS */
};

/*
 * Appends the canonical form of the next value, which must have been scanned, and steps over it. -1: it has
 * none: a map with the same key twice (duplicate_key), an extension (bad_type), no memory.
 */
int canon_put(struct buf *out, struct reader *r, const struct canon_options *o, struct xt_err *err)
	__attribute__((warn_unused_result));

/*
 * Appends the parts of a call. args and params are encoded maps with text as keys, which must have been
 * scanned; version without data is nil. -1: as canon_put(), or more than XT_MAX_PARTS bytes.
 */
int canon_parts(struct buf *out, struct span function, struct span version, struct span args,
		struct span params, const struct canon_options *o, struct xt_err *err)
	__attribute__((warn_unused_result));

/* The key of parts. */
void canon_key(struct span parts, uint8_t ret_key[XT_CACHE_KEY]);

/* The function's name in parts. Empty: they are none. */
struct span canon_function(struct span parts);

#endif
