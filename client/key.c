#include "key.h"

#include "canon.h"
#include "pairs.h"

int key_check_fields(struct xt_client *c, const char *what, const xt_field *fields, size_t n)
{
	size_t bytes = 0, items = 0;

	if (n > XT_MAX_COLUMNS || (n > 0 && !fields))
		return client_fail(c, XT_EINVAL, "%zu %s%s, a row holds %d", n, what,
				   fields ? "" : " at NULL", XT_MAX_COLUMNS);
	for (size_t i = 0; i < n; i++) {
		if (!fields[i].key)
			return client_fail(c, XT_EINVAL, "one of the %s has a NULL key", what);
		const char *why = pack_measure(&fields[i].value, ROW_DEPTH - 1, &bytes, &items);
		if (!why && bytes > XT_MAX_FRAME)
			why = "and those before it have more bytes than a message holds";
		if (!why && items > ROW_ITEMS)
			why = "and those before it have more than 65,000 items";
		if (why)
			return client_fail(c, XT_EINVAL, "'%.200s' %s", fields[i].key, why);
	}
	return XT_OK;
}

int key_check_call(struct xt_client *c, const char *function, const xt_field *args, size_t n_args,
		   const xt_call_options *o)
{
	if (!function || !function[0] || strlen(function) > XT_MAX_KEY || !utf8_valid(span_str(function)))
		return client_fail(c, XT_EINVAL, "a function's name is 1 to %d bytes of UTF-8", XT_MAX_KEY);
	if (o->version && (strlen(o->version) > XT_MAX_KEY || !utf8_valid(span_str(o->version))))
		return client_fail(c, XT_EINVAL, "a version is at most %d bytes of UTF-8", XT_MAX_KEY);
	int r = key_check_fields(c, "arguments", args, n_args);
	if (r == XT_OK)
		r = key_check_fields(c, "parameters", o->params, o->n_params);
	if (r == XT_OK)
		r = key_check_fields(c, "columns", o->columns, o->n_columns);
	return r == XT_OK ? key_check_fields(c, "labels", o->labels, o->n_labels) : r;
}

int key_put_parts(struct xt_client *c, const struct xt_run *run, const char *function, const xt_field *args,
		  size_t n_args, const xt_call_options *o, struct buf *out)
{
	struct canon_options how = {.round = o->round_digits > 0, .digits = o->round_digits - 1};
	struct pairs a = {0}, p = {0};
	struct buf packed_args = {0}, packed_params = {0};
	struct span key_args;
	struct xt_err err;
	uint32_t items;
	int r = XT_OK;

	if (o->round_digits < 0 || how.digits > CANON_MAX_DIGITS)
		return client_fail(c, XT_EINVAL, "round_digits is 0 to %d, not %d", CANON_MAX_DIGITS + 1,
				   o->round_digits);
	for (size_t i = 0; i < n_args && !o->key_args; i++)
		pairs_add(&a, span_str(args[i].key), &args[i].value);
	for (size_t i = 0; run && i < run->n_params; i++)
		pairs_add_raw(&p, span_of(run->param[i].key, run->param[i].len),
			      span_of(run->params.data + run->param[i].value,
				      run->param[i].end - run->param[i].value));
	for (size_t i = 0; i < o->n_params; i++)
		pairs_add(&p, span_str(o->params[i].key), &o->params[i].value);
	pairs_put_map(&a, &packed_args);
	pairs_put_map(&p, &packed_params);
	key_args = o->key_args ? span_of(o->key_args, o->key_args_bytes) : buf_span(&packed_args);
	if (a.failed || p.failed || buf_failed(&packed_args) || buf_failed(&packed_params))
		r = client_fail(c, XT_ENOMEM, "out of memory");
	else if (wire_scan_within(key_args, XT_MAX_DEPTH, UINT32_MAX, &items, &err) < 0 ||
		 wire_scan(buf_span(&packed_params), &err) < 0 ||
		 canon_parts(out, span_str(function), span_str(o->version), key_args,
			     buf_span(&packed_params), &how, &err) < 0)
		r = client_fail_err(c, XT_EINVAL, &err);
	pairs_done(&a);
	pairs_done(&p);
	buf_done(&packed_args);
	buf_done(&packed_params);
	return r;
}

/* ---- the key ---------------------------------------------------------- */

int xt_cache_key(xt_client *client, const char *function, const xt_field *args, size_t n_args,
		 const xt_call_options *options, uint8_t ret_key[XT_KEY_BYTES])
{
	static const xt_call_options none;
	const xt_call_options *o = options ? options : &none;
	struct buf parts = {0};

	client_enter(client);
	int r = key_check_call(client, function, args, n_args, o);
	if (r == XT_OK)
		r = key_put_parts(client, NULL, function, args, n_args, o, &parts);
	if (r == XT_OK)
		canon_key(buf_span(&parts), ret_key);
	buf_done(&parts);
	return client_leave(client, r);
}

int xt_cache_parts(xt_client *client, const char *function, const xt_field *args, size_t n_args,
		   const xt_call_options *options, const uint8_t **ret_parts, size_t *ret_size)
{
	static const xt_call_options none;
	const xt_call_options *o = options ? options : &none;

	client_enter(client);
	buf_clear(&client->cached);
	int r = key_check_call(client, function, args, n_args, o);
	if (r == XT_OK)
		r = key_put_parts(client, NULL, function, args, n_args, o, &client->cached);
	if (r == XT_OK) {
		*ret_parts = client->cached.data;
		*ret_size = client->cached.len;
	}
	return client_leave(client, r);
}
