/* The end of a call: its row, with what is kept of its results. */
#include "track.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- rows ------------------------------------------------------------- */

int track_push(struct xt_client *c, enum method_id method, void *params, size_t bytes)
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

int track_log_row(struct xt_call *call)
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
	track_put_whole_row(call, &rows);
	p.rows = buf_span(&rows);
	int r = buf_failed(&rows) ? track_no_memory(run->client)
				  : track_push(run->client, METHOD_log, &p, rows.len);
	buf_done(&rows);
	return r;
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
	track_put_whole_row(call, &row);
	p.row = buf_span(&row);
	int r = buf_failed(&row)
			? track_no_memory(c)
			: track_push(c, METHOD_cache_finish, &p, row.len + value.len + call->parts.len);
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

	while ((r = track_log_row(call)) == XT_EINTR)
		continue;
	if (r != XT_EINVAL || call->results.n == 0)
		return r;
	memcpy(why, c->error, sizeof(why));
	pairs_done(&call->results);
	track_fail(call, "ResultError", why);
	while ((r = track_log_row(call)) == XT_EINTR)
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
	track_set_time(call);
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
	track_discard(call);
	return client_leave(c, r);
}

void xt_call_free(xt_call *call)
{
	if (!call)
		return;
	struct xt_client *c = call->run->client;
	client_enter(c);
	if (!call->hit && !call->broken && !call->failed)
		track_fail(call, "Abandoned", "the call was left before its end");
	client_leave(c, XT_OK);
	(void)xt_call_end(call);
}
