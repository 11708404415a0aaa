/* Function calls: xt_call_begin() to xt_call_end(). */
#include "client.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "canon.h"
#include "key.h"
#include "pairs.h"

#define MAX_NESTING 10	 /* of maps in an argument that become columns of their own */
#define BLOB_SHOWN  1024 /* bytes of a blob that a row shows; a longer one is named by its hash */
#define SETTLE_MS   1000 /* for the daemon to have the run on disk */

struct xt_call {
	struct xt_run *run;   /* borrowed */
	pid_t pid;	      /* that began it: a child's lease would be its parent's */
	struct pairs row;     /* run parameters, function columns, arguments */
	struct pairs results; /* what it came to */
	struct pairs params;  /* of the call, and labels: they win */
	struct buf parts;     /* what the key is made from; empty: not cached */
	struct buf value;     /* what is kept in place of the results, or what a hit is from; without data:
				 neither */
	char *encoding;	      /* owned: of it; NULL: MessagePack */
	xt_cached cached;     /* of a hit; points into `value` */
	uint8_t key[XT_CACHE_KEY];
	struct held *held; /* in the client's list; NULL: nothing is kept */
	bool keep;	   /* `held` was given */
	uint64_t number;   /* of its call_begin; 0: none was sent */
	struct timespec start;
	bool hit;     /* it came from the cache, and is logged */
	bool failed;  /* it has an error */
	bool through; /* XT_TRACK: the block came to its end */
	bool broken;  /* XT_TRACK: it could not be begun, and is not logged */
};

static int no_memory(struct xt_client *c)
{
	return client_fail(c, XT_ENOMEM, "out of memory");
}

static void call_discard(struct xt_call *call)
{
	pairs_done(&call->row);
	pairs_done(&call->results);
	pairs_done(&call->params);
	buf_done(&call->parts);
	buf_done(&call->value);
	free(call->encoding);
	free(call);
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
	return failed ? no_memory(call->run->client) : XT_OK;
}

/* run's parameters < function columns < arguments. What is computed since comes later. */
static int put_row(struct xt_call *call, const char *function, const xt_field *args, size_t n_args,
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
	return row->failed ? no_memory(run->client) : XT_OK;
}

/* ---- rows ------------------------------------------------------------- */

/* The row of a call: what it began with, what it came to, the call's own parameters. */
static void put_whole_row(const struct xt_call *call, struct buf *out)
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

static void set_time(struct xt_call *call)
{
	xt_value seconds = xt_real(xt_call_seconds(call));

	pairs_add(&call->row, span_str("function_time"), &seconds);
}

/* Numbered and pushed as every row is. */
static int push(struct xt_client *c, enum method_id method, void *params, size_t bytes)
{
	uint64_t placeholder = UINT64_MAX;
	const struct method_desc *m = proto_method(method);

	memcpy((uint8_t *)params + m->params.fields[0].offset, &placeholder, sizeof(placeholder));
	int r = client_writable(c);
	if (r == XT_OK)
		r = window_room(c, bytes + 1024);
	if (r == XT_OK)
		r = window_put(c, m, 0, params, NULL);
	return r == XT_OK ? row_push(c) : r;
}

/* Logs the row: of a hit, of a failure, of a result that is not kept. */
static int log_row(struct xt_call *call)
{
	const struct xt_run *run = call->run;
	struct params_log p = {.has = PARAM_BIT(log, time), .track_id = span_str(run->id), .time = wall_us()};
	struct buf rows = {0};
	static const uint8_t one = 0x91; /* an array of one row */

	if (run->table) {
		p.has |= PARAM_BIT(log, table);
		p.table = span_str(run->table);
	}
	if (call->number) {
		p.has |= PARAM_BIT(log, call);
		p.call = call->number;
	}
	if (call->hit) {
		p.has |= PARAM_BIT(log, hit);
		p.hit = span_of(call->key, XT_CACHE_KEY);
	}
	buf_add(&rows, &one, 1);
	put_whole_row(call, &rows);
	p.rows = buf_span(&rows);
	int r = buf_failed(&rows) ? no_memory(run->client) : push(run->client, METHOD_log, &p, rows.len);
	buf_done(&rows);
	return r;
}

/* ---- begin ------------------------------------------------------------ */

/* Tells that it has begun, so that it is known should this process die. */
static int tell_begun(struct xt_call *call)
{
	const struct xt_run *run = call->run;
	struct xt_client *c = run->client;
	struct params_call_begin p = {.has = PARAM_BIT(call_begin, time),
				      .call = c->last_call + 1,
				      .track_id = span_str(run->id),
				      .time = wall_us()};
	struct buf row = {0};

	if (run->table) {
		p.has |= PARAM_BIT(call_begin, table);
		p.table = span_str(run->table);
	}
	put_whole_row(call, &row); /* without results as yet */
	p.row = buf_span(&row);
	if (call->held) {
		p.has |= PARAM_BIT(call_begin, key) | PARAM_BIT(call_begin, token);
		p.key = span_of(call->key, XT_CACHE_KEY);
		p.token = call->held->token;
	}
	if (run->sample_ms) {
		p.has |= PARAM_BIT(call_begin, sample_ms);
		p.sample_ms = (uint64_t)run->sample_ms;
	}
	if (run->sample_network) {
		p.has |= PARAM_BIT(call_begin, sample_network);
		p.sample_network = true;
	}
	int r = buf_failed(&row) ? no_memory(c) : push(c, METHOD_call_begin, &p, row.len);
	buf_done(&row);
	if (r == XT_OK)
		call->number = ++c->last_call;
	return r;
}

/* A map has the result's fields; anything else is the result itself. In a pickle's array the fields come
 * first. */
static void add_results(struct xt_call *call, const struct entry *e)
{
	struct reader r = reader_of(e->value);
	struct span fields = e->value;
	struct token head;
	struct xt_err err;

	if (wire_scan(e->value, &err) < 0 || reader_next(&r, &head) < 0)
		return;
	if (span_is(e->encoding, "pickle") && head.type == TOKEN_ARRAY && head.count > 0)
		fields = reader_skip(&r);
	else if (e->encoding.len > 0)
		return;
	r = reader_of(fields);
	if (reader_next(&r, &head) == 0 && head.type == TOKEN_MAP)
		pairs_add_map(&call->results, fields);
	else
		pairs_add_raw(&call->results, span_str("function_result"), fields);
}

/* Copies it to where it lives as long as the call. */
static int keep_entry(struct xt_call *call, const struct entry *e)
{
	struct buf *b = &call->value;

	buf_add(b, e->value.data, e->value.len);
	buf_add(b, e->encoding.data, e->encoding.len);
	buf_add(b, "", 1);
	buf_add(b, e->origin.data, e->origin.len);
	buf_add(b, "", 1);
	if (buf_failed(b))
		return -1;
	call->cached = (xt_cached){.value = b->data,
				   .size = e->value.len,
				   .encoding = (const char *)b->data + e->value.len,
				   .origin = (const char *)b->data + e->value.len + e->encoding.len + 1,
				   .uid = e->uid,
				   .created_us = e->created_us,
				   .function_time = (double)e->function_ns / 1e9};
	return 0;
}

/* The cached results become the row's, and where they are from. */
static int take_hit(struct xt_call *call, const struct entry *e)
{
	xt_value origin = xt_textn((const char *)e->origin.data, e->origin.len);

	call->hit = true;
	pairs_add(&call->row, span_str("cache"), &origin);
	add_results(call, e);
	set_time(call);
	if (call->row.failed || call->results.failed || keep_entry(call, e) < 0)
		return no_memory(call->run->client);
	int r = log_row(call);
	return r == XT_OK ? XT_HIT : r;
}

/* Whose part in a run is not known to the database is not waited for after a crash of the daemon, and would
 * lose its lease: so the first cached call waits for that to be on disk. */
static int settle_run(struct xt_run *run)
{
	uint64_t joined = run->joined;

	run->joined = 0;
	if (joined == 0 || run->client->acked >= joined || run->client->fd < 0)
		return XT_OK;
	int r = client_await(run->client, joined, deadline_in(SETTLE_MS));
	return r == XT_EINTR ? r : XT_OK;
}

/* Of another user, and to be loaded by running code: it is computed, and nothing kept. */
static bool is_foreign(const struct entry *e, const xt_call_options *o)
{
	return e->encoding.len > 0 && e->uid != geteuid() && !o->trust;
}

static void warn_foreign(struct xt_client *c, const struct entry *e)
{
	char message[200];

	snprintf(message, sizeof(message),
		 "a cached result is a %.*s of user %u, which is not loaded without trust: it is computed "
		 "anew",
		 SPAN_ARG(e->encoding), (unsigned)e->uid);
	if (c->opt.on_warning)
		c->opt.on_warning("foreign_result", message, c->opt.user);
}

/* From the cache, or with a lease, or without either. */
static int look_up(struct xt_call *call, const xt_call_options *o)
{
	struct xt_client *c = call->run->client;
	enum flight flight = FLIGHT_COMPUTE;
	struct call rpc = {0};
	struct entry e = {0};

	canon_key(buf_span(&call->parts), call->key);
	int r = settle_run(call->run);
	if (r == XT_OK)
		r = flight_begin(c, call->key, o, &flight, &e, &call->held, &rpc);
	call->keep = call->held != NULL;
	if (r == XT_OK && flight == FLIGHT_HIT && is_foreign(&e, o))
		warn_foreign(c, &e);
	else if (r == XT_OK && flight == FLIGHT_HIT)
		r = take_hit(call, &e);
	call_done(&rpc);
	return r;
}

static int begin(struct xt_call *call, const char *function, const xt_field *args, size_t n_args,
		 const xt_call_options *o)
{
	struct xt_client *c = call->run->client;

	int r = key_check_call(c, function, args, n_args, o);
	if (r == XT_OK)
		r = put_row(call, function, args, n_args, o);
	for (size_t i = 0; i < o->n_params && r == XT_OK; i++)
		pairs_add(&call->params, span_str(o->params[i].key), &o->params[i].value);
	for (size_t i = 0; i < o->n_labels && r == XT_OK; i++)
		pairs_add(&call->params, span_str(o->labels[i].key), &o->labels[i].value);
	if (r == XT_OK && call->params.failed)
		r = no_memory(c);
	if (r == XT_OK && o->cache)
		r = key_put_parts(c, call->run, function, args, n_args, o, &call->parts);
	if (r == XT_OK && o->cache)
		r = look_up(call, o);
	if (r == XT_OK)
		r = tell_begun(call);
	if (r < 0 && call->held)
		flight_abort(c, call->held);
	clock_gettime(CLOCK_MONOTONIC, &call->start);
	return r;
}

int xt_call_begin(xt_call **ret_call, xt_run *run, const char *function, const xt_field *args, size_t n_args,
		  const xt_call_options *options)
{
	static const xt_call_options none;
	struct xt_client *c = run->client;

	*ret_call = NULL;
	client_enter(c);
	struct xt_call *call = calloc(1, sizeof(*call));
	if (!call)
		return client_leave(c, no_memory(c));
	call->run = run;
	call->pid = c->pid;
	int r = begin(call, function, args, n_args, options ? options : &none);
	if (r < 0)
		call_discard(call);
	else
		*ret_call = call;
	return client_leave(c, r);
}

/* ---- results ---------------------------------------------------------- */

static void fail(struct xt_call *call, const char *error_type, const char *error)
{
	xt_value type = xt_text(error_type && error_type[0] ? error_type : "Error");
	xt_value text = xt_text(error ? error : "");

	call->failed = true;
	pairs_add(&call->results, span_str("error"), &text);
	pairs_add(&call->results, span_str("error_type"), &type);
}

int xt_call_result_fields(xt_call *call, const xt_field *fields, size_t n_fields)
{
	if (!call || call->hit)
		return XT_OK;
	struct xt_client *c = call->run->client;
	client_enter(c);
	int r = key_check_fields(c, "results", fields, n_fields);
	for (size_t i = 0; i < n_fields && r == XT_OK; i++)
		pairs_add(&call->results, span_str(fields[i].key), &fields[i].value);
	if (r == XT_OK && call->results.failed)
		r = no_memory(c);
	if (r != XT_OK) { /* half a result is none, and must not be kept */
		char why[sizeof(c->error)];
		memcpy(why, c->error, sizeof(why));
		fail(call, "ResultError", why);
	}
	return client_leave(c, r);
}

int xt_call_get(xt_call *call, const char *key, xt_value *ret_value)
{
	return call && pairs_get(&call->results, span_str(key), ret_value) ? XT_OK : XT_DONE;
}

int xt_call_keep(xt_call *call, const void *value, size_t size, const char *encoding)
{
	if (!call || call->hit)
		return XT_OK;
	struct xt_client *c = call->run->client;
	int r = XT_OK;

	client_enter(c);
	if (!value && call->held) {
		flight_abort(c, call->held);
		call->held = NULL;
	}
	call->keep = call->keep && value;
	buf_clear(&call->value);
	free(call->encoding);
	call->encoding = NULL;
	if (encoding && encoding[0]) {
		if (strlen(encoding) > 64 || !utf8_valid(span_str(encoding)))
			r = client_fail(c, XT_EINVAL, "an encoding's name is at most 64 bytes of UTF-8");
		else if (!(call->encoding = strdup(encoding)))
			r = no_memory(c);
	}
	if (value)
		buf_add(&call->value, value, size);
	if (r == XT_OK && buf_failed(&call->value))
		r = no_memory(c);
	return client_leave(c, r);
}

bool xt_call_kept(const xt_call *call)
{
	return call && call->keep && !call->failed;
}

int xt_call_cached(const xt_call *call, xt_cached *ret)
{
	if (!call || !call->hit)
		return XT_DONE;
	*ret = call->cached;
	return XT_OK;
}

void xt_call_fail(xt_call *call, const char *error_type, const char *error)
{
	if (!call || call->hit)
		return;
	client_enter(call->run->client);
	fail(call, error_type, error);
	client_leave(call->run->client, XT_OK);
}

/* ---- end -------------------------------------------------------------- */

/* Row and result in one message: both are stored, or neither. */
static int finish(struct xt_call *call, struct span value)
{
	const struct xt_run *run = call->run;
	struct xt_client *c = run->client;
	struct params_cache_finish p = {.has = PARAM_BIT(cache_finish, time) |
					       PARAM_BIT(cache_finish, parts) |
					       PARAM_BIT(cache_finish, function_ns),
					.track_id = span_str(run->id),
					.time = wall_us(),
					.key = span_of(call->key, XT_CACHE_KEY),
					.token = call->held->token,
					.value = value,
					.parts = buf_span(&call->parts)};
	struct timespec now;
	struct buf row = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	p.function_ns = (uint64_t)(now.tv_sec - call->start.tv_sec) * 1000000000u +
			(uint64_t)(now.tv_nsec - call->start.tv_nsec);
	if (call->encoding) {
		p.has |= PARAM_BIT(cache_finish, encoding);
		p.encoding = span_str(call->encoding);
	}
	if (run->table) {
		p.has |= PARAM_BIT(cache_finish, table);
		p.table = span_str(run->table);
	}
	if (call->number) {
		p.has |= PARAM_BIT(cache_finish, call);
		p.call = call->number;
	}
	put_whole_row(call, &row);
	p.row = buf_span(&row);
	int r = buf_failed(&row) ? no_memory(c)
				 : push(c, METHOD_cache_finish, &p, row.len + value.len + call->parts.len);
	if (r == XT_OK)
		call->held->seq = c->last_seq; /* held until it is acknowledged */
	buf_done(&row);
	return r;
}

static void warn_too_large(struct xt_client *c, size_t size)
{
	char message[200];

	snprintf(message, sizeof(message),
		 "a result of %zu bytes is not cached: with its row it has to fit into a message, half of %d "
		 "bytes; make it an asset",
		 size, XT_MAX_FRAME);
	if (c->opt.on_warning)
		c->opt.on_warning("too_large", message, c->opt.user);
}

/* Logs the row, whatever comes; if its results are what no message can hold, without them. */
static int log_at_last(struct xt_call *call)
{
	struct xt_client *c = call->run->client;
	char why[sizeof(c->error)];
	int r;

	while ((r = log_row(call)) == XT_EINTR)
		continue;
	if (r != XT_EINVAL || call->results.n == 0)
		return r;
	memcpy(why, c->error, sizeof(why));
	pairs_done(&call->results);
	fail(call, "ResultError", why);
	while ((r = log_row(call)) == XT_EINTR)
		continue;
	return r == XT_OK ? client_fail(c, XT_EINVAL, "the results cannot be logged: %s", why) : r;
}

static int end(struct xt_call *call)
{
	struct xt_client *c = call->run->client;
	struct buf value = {0};
	int r = XT_EINVAL;

	if (call->pid != c->pid) { /* begun by the parent, whose call and lease it is */
		call->held = NULL;
		call->keep = false;
		call->number = 0;
	}
	set_time(call);
	bool keep = call->keep && !call->failed;
	if (keep && call->value.len > 0)
		buf_add(&value, call->value.data, call->value.len);
	else if (keep)
		pairs_put_map(&call->results, &value);
	if (keep && value.len > XT_MAX_CACHE_VALUE) {
		warn_too_large(c, value.len);
		keep = false;
	}
	while (keep && !buf_failed(&value) && (r = finish(call, buf_span(&value))) == XT_EINTR)
		continue; /* the last chance of this row */
	if (r == XT_EINVAL &&
	    value.len > XT_MAX_FRAME / 4) /* it is in the row too, and both do not fit into a message */
		warn_too_large(c, value.len);
	if (call->keep && r != XT_OK) /* also a row with its result may be too large for a message */
		flight_abort(c, call->held);
	if (!keep || r == XT_EINVAL)
		r = log_at_last(call);
	buf_done(&value);
	return r;
}

int xt_call_end(xt_call *call)
{
	if (!call)
		return XT_OK;
	struct xt_client *c = call->run->client;
	client_enter(c);
	int r = call->hit || call->broken ? XT_OK : end(call);
	call_discard(call);
	return client_leave(c, r);
}

void xt_call_free(xt_call *call)
{
	if (!call)
		return;
	struct xt_client *c = call->run->client;
	client_enter(c);
	if (!call->hit && !call->broken && !call->failed)
		fail(call, "Abandoned", "the call was left before its end");
	client_leave(c, XT_OK);
	(void)xt_call_end(call);
}

/* ---- XT_TRACK --------------------------------------------------------- */

/* The arguments cannot be logged: the block is run all the same, and its row says what it lacks. */
static xt_call *enter_without(xt_run *run, const char *function)
{
	struct xt_client *c = run->client;
	char why[sizeof(c->error)];
	xt_call *call;

	client_enter(c);
	memcpy(why, c->error, sizeof(why));
	client_leave(c, XT_OK);
	if (c->opt.on_warning)
		c->opt.on_warning("untracked", why, c->opt.user);
	if (xt_call_begin(&call, run, function, NULL, 0, NULL) == XT_OK) {
		xt_call_fail(call, "ArgumentError", why);
		return call;
	}
	call = calloc(1, sizeof(*call));
	if (call) {
		call->run = run;
		call->broken = true;
	}
	return call;
}

xt_call *xt_call_enter_(xt_run *run, const char *function, const xt_field *args, size_t n_args,
			const xt_call_options *options)
{
	xt_call *call;
	int r = xt_call_begin(&call, run, function, args, n_args, options);

	if (r >= XT_OK || r == XT_EINTR)
		return call; /* NULL: who is told to stop does not begin */
	return enter_without(run, function);
}

xt_call *xt_call_first_(xt_call *call)
{
	return call && call->hit ? NULL : call;
}

xt_call *xt_call_through_(xt_call *call)
{
	call->through = true;
	return NULL;
}

void xt_call_leave_(xt_call **call)
{
	if (*call && (*call)->through)
		(void)xt_call_end(*call);
	else
		xt_call_free(*call);
}
