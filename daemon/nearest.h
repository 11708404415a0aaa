/*
 * What was answered when a frozen table refused a key: the column that is most like it. To find that, the key
 * is held against every column, which costs several times what a row does that is stored; and a worker with
 * the wrong key sends it again and again. Bounded: a key that finds its place taken pushes the other out.
 */
#ifndef XT_NEAREST_H
#define XT_NEAREST_H

#include "span.h"

#define NEAREST_KEPT 64
#define NEAREST_KEY  128 /* bytes of a key; longer ones are not kept */

/* Zeroed: nothing is known. */
struct nearest {
	struct {
		uint8_t *key; /* owned; NULL: nothing is here */
		size_t len;
		long column;
	} kept[NEAREST_KEPT];
};

void nearest_done(struct nearest *n);

/* True when the key is known: *ret is what was put with it. */
bool nearest_get(const struct nearest *n, struct span key, long *ret);

/* Copies the key; when there is no memory nothing is kept. */
void nearest_put(struct nearest *n, struct span key, long column);

#endif
