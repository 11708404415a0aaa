/*
 * What a cache key was made from, read again: proto/canon.h writes it, docs/cache.md describes it.
 */
#ifndef XTCTL_PARTS_H
#define XTCTL_PARTS_H

#include "buf.h"
#include "token.h"

/* All spans borrow. */
struct parts {
	struct span function; /* its name */
	struct span version;  /* encoded: text or nil */
	struct span args;     /* encoded map of components */
	struct span params;   /* the same */
};

/* Reads parts. -1: the bytes are none. */
int parts_read(struct span bytes, struct parts *ret) __attribute__((warn_unused_result));

/* Appends a component as JSON; one that stands for a long value as "digest 1a2b3c4d5e6f…", where `quoted`
 * in quotes. */
void parts_put_component(struct buf *out, struct span component, bool quoted);

/* Appends a map of components as a JSON object. */
void parts_put_map(struct buf *out, struct span map);

/* Where two calls of a function differ. */
struct difference {
	const char *part; /* "version", "argument" or "parameter" */
	struct span name; /* of the argument or parameter */
	struct span a, b; /* encoded components; no data: it has none */
};

struct likeness {
	size_t same, different; /* parts */
};

/* Compares; `each`, which may be NULL, is called for what differs. */
struct likeness parts_compare(const struct parts *a, const struct parts *b,
			      void (*each)(const struct difference *d, void *data), void *data);

/* Whether the first is more alike. */
static inline bool likeness_more(struct likeness a, struct likeness b)
{
	return a.same != b.same ? a.same > b.same : a.different < b.different;
}

#endif
