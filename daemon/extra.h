/* Fields that the daemon adds to the rows of a message: what it knows of them and their client does not. */
#ifndef XT_EXTRA_H
#define XT_EXTRA_H

#include "buf.h"
#include "token.h"

#define EXTRA_MAX 8

/* Fields to be added; their keys differ. Spans borrow. */
struct extra {
	struct {
		struct span key;  /* its text */
		struct span pair; /* encoded: key and value */
		struct span value;
	} fields[EXTRA_MAX];
	uint32_t n;
};

/* Appends fields from encoded keys and values; those that find no room are left out. */
void extra_add(struct extra *x, struct span pairs);

/*
 * Adds the fields to a message's rows; a key that a row has itself stays, and a row that would have more keys
 * than it may is left as it is. columns: names of the rows' values, where they are arrays; empty: rows are
 * maps. What makes no sense as a row makes none afterwards. *columns and *rows borrow from out then, until it
 * changes; they stay when memory runs out.
 */
void extra_put(const struct extra *x, struct span *columns, struct span *rows, struct buf *out);

#endif
