#include <stdlib.h>

#include "table.h"

#define MAX_SHAPES 128 /* of a table; beyond that they start anew */

void shapes_drop(struct table *t)
{
	for (size_t i = 0; i < t->n_shapes; i++) {
		struct shape *sh = t->shapes[i];
		sqlite3_finalize(sh->insert);
		for (size_t k = 0; k < sh->n; k++)
			free((void *)(uintptr_t)sh->keys[k].data);
		free(sh->keys);
		free(sh->columns);
		free(sh);
	}
	t->n_shapes = 0;
	t->last = NULL;
}

struct shape *table_shape(struct table *t, const struct span *keys, size_t n, uint64_t hash)
{
	for (size_t i = 0; i < t->n_shapes; i++) {
		struct shape *sh = t->shapes[i];
		size_t k = 0;
		if (sh->hash != hash || sh->n != n)
			continue;
		while (k < n && span_eq(sh->keys[k], keys[k]))
			k++;
		if (k == n)
			return sh;
	}
	return NULL;
}

static int prepare_insert(struct store *s, const struct table *t, struct shape *sh, struct xt_err *err)
{
	struct buf *sql = &s->scratch;

	buf_clear(sql);
	buf_add_str(sql, "INSERT INTO ");
	ident_quote(sql, t->name);
	buf_add_str(sql, "(\"track_id\", \"timestamp\"");
	for (size_t i = 0; i < sh->n; i++) {
		buf_add_str(sql, ", ");
		ident_quote(sql, t->columns[sh->columns[i]].name);
	}
	buf_add_str(sql, ") VALUES (?, ?");
	for (size_t i = 0; i < sh->n; i++)
		buf_add_str(sql, ", ?");
	buf_add_str(sql, ")");
	if (sqlite3_prepare_v3(s->db, (const char *)sql->data, (int)sql->len, SQLITE_PREPARE_PERSISTENT,
			       &sh->insert, NULL) != SQLITE_OK)
		return store_fail(s, err);
	return 0;
}

struct shape *table_add_shape(struct store *s, struct table *t, const struct span *keys, size_t n,
			      uint64_t hash, struct xt_err *err)
{
	if (t->n_shapes == MAX_SHAPES)
		shapes_drop(t);
	if (!t->shapes)
		t->shapes = calloc(MAX_SHAPES, sizeof(struct shape *));
	struct shape *sh = calloc(1, sizeof(*sh));
	if (sh) {
		sh->keys = calloc(n + 1, sizeof(*sh->keys));
		sh->columns = calloc(n + 1, sizeof(*sh->columns));
	}
	if (!t->shapes || !sh || !sh->keys || !sh->columns) {
		if (sh) {
			free(sh->keys);
			free(sh->columns);
		}
		free(sh);
		xt_err_set(err, XT_E_internal, NULL, "out of memory");
		return NULL;
	}
	sh->hash = hash;
	t->shapes[t->n_shapes++] = sh;
	for (; sh->n < n; sh->n++) {
		size_t i = sh->n;
		uint8_t *copy = malloc(keys[i].len + 1);
		if (!copy) {
			shapes_drop(t);
			xt_err_set(err, XT_E_internal, NULL, "out of memory");
			return NULL;
		}
		memcpy(copy, keys[i].data, keys[i].len);
		sh->keys[i] = span_of(copy, keys[i].len);
		sh->columns[i] = (uint32_t)table_column(t, keys[i]);
	}
	if (prepare_insert(s, t, sh, err) < 0) {
		shapes_drop(t);
		return NULL;
	}
	return sh;
}
