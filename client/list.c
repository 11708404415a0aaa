#include "cursor.h"

#include <stdlib.h>

static const char *type_name(enum field_type type)
{
	return type == TYPE_STR	   ? "TEXT"
	       : type == TYPE_BIN  ? "BLOB"
	       : type == TYPE_BOOL ? "BOOLEAN"
				   : "INTEGER";
}

/* One column for each of a method's described fields. */
static int name_columns(struct xt_cursor *cur, const struct field_desc *fields, size_t n)
{
	cur->names = malloc(n * sizeof(*cur->names));
	cur->types = malloc(n * sizeof(*cur->types));
	if (!cur->names || !cur->types)
		return client_fail(cur->client, XT_ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		cur->names[i] = fields[i].name;
		cur->types[i] = type_name(fields[i].type);
	}
	cur->n = n;
	return cursor_row(cur);
}

/* An answer as a cursor. NULL `items`: the answer is the one row; else that field of it has them. */
static int open_listing(struct xt_cursor *cur, const char *items, const struct field_desc *fields, size_t n)
{
	struct xt_client *c = cur->client;
	struct token head, key;

	cur->maps = true;
	int r = name_columns(cur, fields, n);
	if (r != XT_OK)
		return r;
	cur->rows = reader_of(buf_span(&cur->page));
	cur->left = 1;
	if (!items)
		return XT_OK;
	if (reader_next(&cur->rows, &head) < 0 || head.type != TOKEN_MAP)
		return cursor_bad(c);
	for (uint32_t k = 0; k < head.count; k++) {
		if (reader_next(&cur->rows, &key) < 0 || key.type != TOKEN_STR)
			return cursor_bad(c);
		struct span value = reader_skip(&cur->rows);
		if (span_is(key.bytes, items))
			return cursor_rows(cur, value);
	}
	return cursor_bad(c);
}

static int listing(struct xt_cursor **ret, struct xt_client *c, enum method_id method, void *params,
		   uint64_t *after, const char *items, const struct field_desc *fields, size_t n)
{
	struct call call;

	client_enter(c);
	int r = cursor_ask(c, method, params, after, &call);
	struct xt_cursor *cur = r == XT_OK ? cursor_new(c, &call) : NULL;
	if (r == XT_OK)
		r = cur ? open_listing(cur, items, fields, n) : XT_ENOMEM;
	if (r == XT_OK)
		*ret = cur;
	else if (cur)
		cursor_free(cur);
	call_done(&call);
	return client_leave(c, r);
}

int xt_tables(xt_cursor **ret_cursor, xt_client *client)
{
	static const struct field_desc fields[] = {{.name = "name", .type = TYPE_STR},
						   {.name = "rows", .type = TYPE_U64},
						   {.name = "columns", .type = TYPE_U64},
						   {.name = "runs", .type = TYPE_U64}};
	struct params_tables p = {.has = PARAM_BIT(tables, after)};

	*ret_cursor = NULL;
	return listing(ret_cursor, client, METHOD_tables, &p, &p.after, "tables", fields, 4);
}

int xt_columns(xt_cursor **ret_cursor, xt_client *client, const char *table)
{
	static const struct field_desc fields[] = {{.name = "name", .type = TYPE_STR},
						   {.name = "type", .type = TYPE_STR},
						   {.name = "key", .type = TYPE_STR}};
	struct params_columns p = {.has = PARAM_BIT(columns, after)};

	*ret_cursor = NULL;
	if (table) {
		p.has |= PARAM_BIT(columns, table);
		p.table = span_str(table);
	}
	return listing(ret_cursor, client, METHOD_columns, &p, &p.after, "columns", fields, 3);
}

int xt_daemon_status(xt_cursor **ret_cursor, xt_client *client)
{
	const struct shape_desc *shape = &proto_method(METHOD_status)->result;
	struct params_status p = {0};

	*ret_cursor = NULL;
	return listing(ret_cursor, client, METHOD_status, &p, NULL, NULL, shape->fields, shape->count);
}

int xt_cache_stats(xt_cursor **ret_cursor, xt_client *client)
{
	const struct shape_desc *shape = &proto_method(METHOD_cache_stats)->result;
	struct params_cache_stats p = {0};

	*ret_cursor = NULL;
	return listing(ret_cursor, client, METHOD_cache_stats, &p, NULL, NULL, shape->fields, shape->count);
}
