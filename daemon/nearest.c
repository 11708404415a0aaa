#include "nearest.h"

#include <stdlib.h>

void nearest_done(struct nearest *n)
{
	for (size_t i = 0; i < NEAREST_KEPT; i++)
		free(n->kept[i].key);
	*n = (struct nearest){0};
}

bool nearest_get(const struct nearest *n, struct span key, long *ret)
{
	size_t i = span_hash(key) % NEAREST_KEPT;

	if (!n->kept[i].key || !span_eq(key, span_of(n->kept[i].key, n->kept[i].len)))
		return false;
	*ret = n->kept[i].column;
	return true;
}

void nearest_put(struct nearest *n, struct span key, long column)
{
	size_t i = span_hash(key) % NEAREST_KEPT;
	uint8_t *copy = key.len <= NEAREST_KEY ? malloc(key.len + 1) : NULL;

	if (!copy)
		return;
	memcpy(copy, key.data, key.len);
	free(n->kept[i].key);
	n->kept[i].key = copy;
	n->kept[i].len = key.len;
	n->kept[i].column = column;
}
