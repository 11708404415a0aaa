/* call_begin, cache_finish: function calls on the writer's thread. */
#include "calls.h"
#include "canon.h"
#include "entries.h"
#include "extra.h"
#include "handle.h"

int handle_call_begin(struct work *w, const struct params_call_begin *p, struct result_call_begin *ret,
		      struct xt_err *err)
{
	(void)ret;
	return calls_begin(w, p, err);
}

/* ---- cache_finish ----------------------------------------------------- */

static int lost(struct xt_err *why)
{
	return xt_err_set(
		why, XT_E_lease_lost, "token",
		"the lease was lost: another worker computes this call, or has; the row is marked with "
		"lease_lost, its result is not kept");
}

/* May the result be kept? -1: why not. */
static int judge(struct work *w, const struct params_cache_finish *p, struct xt_err *why)
{
	uint8_t key[XT_CACHE_KEY];

	if (w->op->lease == OP_LEASE_LOST || entries_token(w->cache, p->key.data) > p->token)
		return lost(why);
	if (HAS_PARAM(p, cache_finish, parts)) {
		canon_key(p->parts, key);
		if (memcmp(key, p->key.data, sizeof(key)) != 0)
			return xt_err_set(why, XT_E_out_of_range, "parts",
					  "the key is not that of the parts, so the result is not kept");
	}
	if (w->cache_refusal)
		*why = *w->cache_refusal;
	return w->cache_refusal ? -1 : 0;
}

/* The row as the one of a log; marked: with lease_lost. */
static int log_row(struct work *w, const struct params_cache_finish *p, bool marked, struct result_log *ret,
		   struct xt_err *err)
{
	static const uint8_t one = 0x91; /* an array of one row */
	static const char mark[] = "\xaalease_lost\xc3";
	struct extra add = {0};
	struct params_log log = {
		.seq = p->seq, .track_id = p->track_id, .table = p->table, .time = p->time, .call = p->call};

	log.has |= HAS_PARAM(p, cache_finish, table) ? PARAM_BIT(log, table) : 0;
	log.has |= HAS_PARAM(p, cache_finish, time) ? PARAM_BIT(log, time) : 0;
	log.has |= HAS_PARAM(p, cache_finish, call) ? PARAM_BIT(log, call) : 0;
	buf_clear(&w->text);
	buf_add(&w->text, &one, 1);
	buf_add(&w->text, p->row.data, p->row.len);
	if (buf_failed(&w->text))
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	log.rows = buf_span(&w->text);
	extra_add(&add, buf_span(&w->op->extra));
	if (marked)
		extra_add(&add, span_str(mark));
	return rows_log(w, &log, &add, ret, err);
}

static int keep_result(struct work *w, const struct params_cache_finish *p, struct xt_err *why)
{
	struct entry e = {
		.origin = p->track_id,
		.encoding = p->encoding,
		.parts = p->parts,
		.value = p->value,
		.uid = w->client->key.uid,
		.created_us = w->store->now_us(),
		.function_ns = p->function_ns,
		/* What lay in a spool may be of a cache that was deleted since: it fences nobody off. */
		.token = w->op->lease == OP_LEASE_UNASKED ? 0 : p->token};

	return entries_put(w->cache, p->key.data, &e, &w->client->key, p->seq, why);
}

/* Tells what was not kept: in the answer, and to who waits for none. */
static void tell(struct work *w, const struct xt_err *why, struct result_cache_finish *ret)
{
	struct params_warning p = {.code = span_str(proto_error_name(why->code)),
				   .message = span_str(why->message)};

	wire_put_notify(w->events, METHOD_warning, &p);
	buf_clear(&w->text);
	buf_add_str(&w->text, why->message);
	ret->has |= RESULT_BIT(cache_finish, code) | RESULT_BIT(cache_finish, message);
	ret->code = p.code;
	ret->message = buf_span(&w->text);
}

int handle_cache_finish(struct work *w, const struct params_cache_finish *p, struct result_cache_finish *ret,
			struct xt_err *err)
{
	struct xt_err why = {0};
	struct result_log log = {0};
	bool known = w->client->mark >= p->seq;
	int keep = known ? -1 : judge(w, p, &why);

	if (log_row(w, p, why.code == XT_E_lease_lost, &log, err) < 0)
		return -1;
	ret->stored = log.stored > 0;
	if (keep == 0 && ret->stored)
		keep = keep_result(w, p, &why);
	ret->cached = keep == 0 && ret->stored;
	if (why.code)
		tell(w, &why, ret);
	bool refused = !known && !ret->stored;
	w->op->result = refused ? OP_RESULT_REFUSED : OP_RESULT_GOOD;
	return 0;
}
