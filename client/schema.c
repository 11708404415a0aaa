/* What may be said of a table's columns: renames, aliases, what is accepted, frozen, required. */
#include "client.h"

#define SET_TABLE(p, method, name)                            \
	do {                                                  \
		if (name) {                                   \
			(p)->has |= PARAM_BIT(method, table); \
			(p)->table = span_str(name);          \
		}                                             \
	} while (0)

int xt_schema_rename(xt_client *client, const char *table, const char *old_name, const char *new_name,
		     xt_renamed *ret_renamed)
{
	struct params_schema_rename p = {.old = span_str(old_name), .new = span_str(new_name)};
	struct result_schema_rename result;
	struct call call = {0};

	SET_TABLE(&p, schema_rename, table);
	client_enter(client);
	int r = call_run(client, METHOD_schema_rename, &p, &call, &result, NEVER);
	if (r == XT_OK && ret_renamed) {
		*ret_renamed = (xt_renamed){.merged = result.merged, .moved = result.moved};
		snprintf(ret_renamed->name, sizeof(ret_renamed->name), "%.*s", SPAN_ARG(result.name));
	}
	call_done(&call);
	return client_leave(client, r);
}

int xt_schema_alias(xt_client *client, const char *table, const char *key, const char *column,
		    bool *ret_changed)
{
	struct params_schema_alias p = {.key = span_str(key)};
	struct result_schema_alias result;
	struct call call = {0};

	SET_TABLE(&p, schema_alias, table);
	if (column) {
		p.has |= PARAM_BIT(schema_alias, column);
		p.column = span_str(column);
	}
	client_enter(client);
	int r = call_run(client, METHOD_schema_alias, &p, &call, &result, NEVER);
	if (r == XT_OK && ret_changed)
		*ret_changed = result.changed;
	call_done(&call);
	return client_leave(client, r);
}

int xt_schema_accept(xt_client *client, const char *table, const char *column, const char *other,
		     uint64_t *ret_accepted)
{
	struct params_schema_accept p = {.column = span_str(column)};
	struct result_schema_accept result;
	struct call call = {0};

	SET_TABLE(&p, schema_accept, table);
	if (other) {
		p.has |= PARAM_BIT(schema_accept, other);
		p.other = span_str(other);
	}
	client_enter(client);
	int r = call_run(client, METHOD_schema_accept, &p, &call, &result, NEVER);
	if (r == XT_OK && ret_accepted)
		*ret_accepted = result.accepted;
	call_done(&call);
	return client_leave(client, r);
}

int xt_schema_freeze(xt_client *client, const char *table, bool frozen, bool *ret_changed)
{
	struct params_schema_freeze p = {.has = PARAM_BIT(schema_freeze, thaw), .thaw = !frozen};
	struct result_schema_freeze result;
	struct call call = {0};

	SET_TABLE(&p, schema_freeze, table);
	client_enter(client);
	int r = call_run(client, METHOD_schema_freeze, &p, &call, &result, NEVER);
	if (r == XT_OK && ret_changed)
		*ret_changed = result.changed;
	call_done(&call);
	return client_leave(client, r);
}

static int pack_names(struct xt_client *c, const char *const *names, size_t n, struct buf *out)
{
	msgpack_packer pk = wire_packer(out);

	msgpack_pack_array(&pk, n);
	for (size_t i = 0; i < n; i++) {
		if (!names[i])
			return client_fail(c, XT_EINVAL, "a column's name is NULL");
		msgpack_pack_str(&pk, strlen(names[i]));
		msgpack_pack_str_body(&pk, names[i], strlen(names[i]));
	}
	return buf_failed(out) ? client_fail(c, XT_ENOMEM, "out of memory") : XT_OK;
}

int xt_schema_require(xt_client *client, const char *table, const char *const *columns, size_t n_columns,
		      bool required, uint64_t *ret_changed)
{
	struct params_schema_require p = {.has = PARAM_BIT(schema_require, drop), .drop = !required};
	struct result_schema_require result;
	struct call call = {0};
	struct buf packed = {0};

	SET_TABLE(&p, schema_require, table);
	client_enter(client);
	int r = pack_names(client, columns, n_columns, &packed);
	p.columns = buf_span(&packed);
	if (r == XT_OK)
		r = call_run(client, METHOD_schema_require, &p, &call, &result, NEVER);
	if (r == XT_OK && ret_changed)
		*ret_changed = result.changed;
	call_done(&call);
	buf_done(&packed);
	return client_leave(client, r);
}
