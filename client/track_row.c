/* The row of a call: what it shows of the function, its arguments and what it came to. */
#include "track.h"

#include <sodium.h>
#include <stdio.h>

#define MAX_NESTING 10	 /* of maps in an argument that become columns of their own */
#define BLOB_SHOWN  1024 /* bytes of a blob that a row shows; a longer one is named by its hash */

int track_no_memory(struct xt_client *c)
{
	return client_fail(c, XT_ENOMEM, "out of memory");
}

/* ---- what a row shows ------------------------------------------------- */

/* Long blobs are named by their hash: a row is for people. */
static xt_value shown(const xt_value *v, char text[128])
{
	uint8_t hash[8];
	char hex[2 * sizeof(hash) + 1];

	if (v->type != XT_T_BLOB || v->n <= BLOB_SHOWN)
		return *v;
	uint8_t digest[32];
	crypto_generichash(digest, sizeof(digest), v->as.blob, v->n, NULL, 0);
	memcpy(hash, digest, sizeof(hash));
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	snprintf(text, 128, "<%zu bytes, blake2b %s>", v->n, hex);
	return xt_text(text);
}

static void add_shown(struct pairs *to, const char *key, const xt_value *v)
{
	char text[128];
	xt_value short_v = shown(v, text);

	pairs_add(to, span_str(key), &short_v);
}

/* An argument as columns: a map's fields as <argument>_<field>. name: the column's so far. */
static void add_argument(struct pairs *to, struct buf *name, const xt_value *v, int depth)
{
	char text[128];
	xt_value short_v = shown(v, text);

	if (v->type != XT_T_MAP || depth == MAX_NESTING) {
		pairs_add(to, buf_span(name), &short_v);
		return;
	}
	for (size_t i = 0, len = name->len; i < v->n; i++) {
		buf_add_str(name, "_");
		buf_add_str(name, v->as.fields[i].key);
		add_argument(to, name, &v->as.fields[i].value, depth + 1);
		name->len = len;
	}
}

/* As long as nothing went wrong, and nothing came from the cache. */
static void put_state(struct pairs *row, bool cached)
{
	xt_value empty = xt_text(""), null = xt_null();

	pairs_add(row, span_str("error"), &null);
	pairs_add(row, span_str("error_type"), &null);
	if (cached)
		pairs_add(row, span_str("cache"), &empty);
}

/* All of them as JSON, and each as a column. */
static int put_arguments(struct xt_call *call, const xt_field *args, size_t n_args)
{
	struct pairs *row = &call->row;
	struct pairs shown_args = {0};
	xt_value none = xt_array(NULL, 0);

	pairs_add(row, span_str("args"), &none); /* in C all arguments have names */
	for (size_t i = 0; i < n_args; i++)
		add_shown(&shown_args, args[i].key, &args[i].value);
	struct buf map = {0};
	pairs_put_map(&shown_args, &map);
	pairs_add_raw(row, span_str("kwargs"), buf_span(&map));
	put_state(row, true);
	struct buf name = {0};
	for (size_t i = 0; i < n_args; i++) {
		buf_clear(&name);
		buf_add_str(&name, args[i].key);
		add_argument(row, &name, &args[i].value, 0);
	}
	bool failed = buf_failed(&map) || buf_failed(&name) || shown_args.failed || row->failed;
	buf_done(&name);
	buf_done(&map);
	pairs_done(&shown_args);
	return failed ? track_no_memory(call->run->client) : XT_OK;
}

int track_put_row(struct xt_call *call, const char *function, const xt_field *args, size_t n_args,
		  const xt_call_options *o)
{
	const struct xt_run *run = call->run;
	struct pairs *row = &call->row;
	xt_value name = xt_text(o->name ? o->name : function);

	for (size_t i = 0; i < run->n_params; i++) {
		const struct param *p = &run->param[i];
		pairs_add_raw(row, span_of(p->key, p->len),
			      span_of(run->params.data + p->value, p->end - p->value));
	}
	pairs_add(row, span_str("function_name"), &name);
	if (!o->columns)
		return put_arguments(call, args, n_args);
	put_state(row, o->cache);
	for (size_t i = 0; i < o->n_columns; i++)
		pairs_add(row, span_str(o->columns[i].key), &o->columns[i].value);
	return row->failed ? track_no_memory(run->client) : XT_OK;
}

/* ---- the whole of it -------------------------------------------------- */

void track_put_whole_row(const struct xt_call *call, struct buf *out)
{
	struct pairs all = {0};

	pairs_add_all(&all, &call->row);
	pairs_add_all(&all, &call->results);
	pairs_add_all(&all, &call->params);
	pairs_put_map(&all, out);
	out->failed = out->failed || all.failed;
	pairs_done(&all);
}

double xt_call_seconds(const xt_call *call)
{
	struct timespec now;

	if (!call || call->hit)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - call->start.tv_sec) + (double)(now.tv_nsec - call->start.tv_nsec) / 1e9;
}

void track_set_time(struct xt_call *call)
{
	xt_value seconds = xt_real(xt_call_seconds(call));

	pairs_add(&call->row, span_str("function_time"), &seconds);
}
