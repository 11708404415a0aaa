/* Function calls: xt_call_begin(), what they come to, and the block that is a call. */
#include "track.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "canon.h"
#include "key.h"

#define SETTLE_MS 1000 /* for the daemon to have the run on disk */

void track_discard(struct xt_call *call)
{
	pairs_done(&call->row);
	pairs_done(&call->results);
	pairs_done(&call->params);
	buf_done(&call->parts);
	buf_done(&call->value);
	free(call->encoding);
	free(call);
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
	track_put_whole_row(call, &row); /* without results as yet */
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
	int r = buf_failed(&row) ? track_no_memory(c) : track_push(c, METHOD_call_begin, &p, row.len);
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

/* The cached results become the row's, and where they are from. */
static int take_hit(struct xt_call *call, const struct entry *e)
{
	xt_value origin = xt_textn((const char *)e->origin.data, e->origin.len);

	call->hit = true;
	pairs_add(&call->row, span_str("cache"), &origin);
	add_results(call, e);
	track_set_time(call);
	if (call->row.failed || call->results.failed || cache_copy(&call->value, e, &call->cached) < 0)
		return track_no_memory(call->run->client);
	int r = track_log_row(call);
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
		r = track_put_row(call, function, args, n_args, o);
	for (size_t i = 0; i < o->n_params && r == XT_OK; i++)
		pairs_add(&call->params, span_str(o->params[i].key), &o->params[i].value);
	for (size_t i = 0; i < o->n_labels && r == XT_OK; i++)
		pairs_add(&call->params, span_str(o->labels[i].key), &o->labels[i].value);
	if (r == XT_OK && call->params.failed)
		r = track_no_memory(c);
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
		return client_leave(c, track_no_memory(c));
	call->run = run;
	call->pid = c->pid;
	int r = begin(call, function, args, n_args, options ? options : &none);
	if (r < 0)
		track_discard(call);
	else
		*ret_call = call;
	return client_leave(c, r);
}

/* ---- results ---------------------------------------------------------- */

void track_fail(struct xt_call *call, const char *error_type, const char *error)
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
		r = track_no_memory(c);
	if (r != XT_OK) { /* half a result is none, and must not be kept */
		char why[sizeof(c->error)];
		memcpy(why, c->error, sizeof(why));
		track_fail(call, "ResultError", why);
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
			r = track_no_memory(c);
	}
	if (value)
		buf_add(&call->value, value, size);
	if (r == XT_OK && buf_failed(&call->value))
		r = track_no_memory(c);
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
	track_fail(call, error_type, error);
	client_leave(call->run->client, XT_OK);
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
