#include "client.h"

#include <limits.h>
#include <stdlib.h>

#define MAX_ASKS 50    /* connections that may break while one answer is waited for */
#define ALONE_MS 30000 /* for which nobody waits again for a daemon that did not come */

void flight_cache_at(struct xt_client *c, struct span path, uint64_t ttl_ms)
{
	char dir[PATH_MAX];

	c->cache_ttl_us = ttl_ms * 1000;
	snprintf(dir, sizeof(dir), "%.*s", SPAN_ARG(path));
	if (dir[0] && !c->opt.no_direct_cache)
		direct_open(&c->direct, dir);
	else
		direct_close(&c->direct);
}

/* ---- looking ---------------------------------------------------------- */

/* In the map. 1, 0: not there; -1: ask the daemon. */
static int look_direct(struct xt_client *c, const uint8_t *key, struct entry *ret)
{
	int r = direct_get(&c->direct, key, ret);

	return r > 0 && entry_is_expired(ret, c->cache_ttl_us, wall_us()) ? 0 : r;
}

static void take_answer(const struct result_cache_begin *a, struct entry *ret)
{
	*ret = (struct entry){.value = a->value,
			      .encoding = a->encoding,
			      .origin = a->origin,
			      .uid = (uint32_t)a->uid,
			      .created_us = a->created,
			      .function_ns = a->function_ns};
}

/* A result of one's own that is on its way is waited for: one reads one's own writes. */
static int await_own(struct xt_client *c, const uint8_t *key)
{
	uint64_t seq = 0;

	for (const struct held *h = c->held; h; h = h->next)
		if (h->seq > c->acked && memcmp(h->key, key, XT_CACHE_KEY) == 0)
			seq = h->seq;
	if (seq == 0 || c->fd < 0)
		return XT_OK;
	int r = client_await(c, seq, client_full_deadline(c));
	return r == XT_EINTR ? r : XT_OK;
}

int flight_look(struct xt_client *c, const uint8_t *key, struct entry *ret, struct call *call)
{
	struct params_cache_begin p = {.has = PARAM_BIT(cache_begin, read_only),
				       .key = span_of(key, XT_CACHE_KEY),
				       .read_only = true};
	struct result_cache_begin answer = {0};
	int r = await_own(c, key);

	if (r != XT_OK)
		return r;
	r = look_direct(c, key, ret);
	if (r >= 0)
		return r ? XT_OK : XT_DONE;
	for (int i = 0; i < MAX_ASKS; i++) {
		call_done(call);
		r = call_run(c, METHOD_cache_begin, &p, call, &answer, NEVER);
		if (r != XT_ELOST)
			break;
	}
	if (r != XT_OK)
		return r;
	if (!span_is(answer.state, "hit"))
		return XT_DONE;
	take_answer(&answer, ret);
	return XT_OK;
}

/* ---- leases ----------------------------------------------------------- */

static struct held *add_held(struct xt_client *c, const uint8_t *key, uint64_t token, bool apart)
{
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	memcpy(h->key, key, XT_CACHE_KEY);
	h->token = token;
	h->apart = apart;
	h->thread = pthread_self();
	h->next = c->held;
	c->held = h;
	return h;
}

static void drop(struct xt_client *c, struct held *held)
{
	struct held **at = &c->held;

	while (*at && *at != held)
		at = &(*at)->next;
	if (*at)
		*at = held->next;
	free(held);
}

static void put_abort(struct xt_client *c, const uint8_t *key, uint64_t token)
{
	struct params_cache_abort p = {.key = span_of(key, XT_CACHE_KEY), .token = token};

	if (c->fd >= 0 && window_put(c, proto_method(METHOD_cache_abort), 0, &p, NULL) == XT_OK)
		window_send(c);
}

void flight_abort(struct xt_client *c, struct held *held)
{
	put_abort(c, held->key, held->token); /* without a connection: the next hello does not name it */
	drop(c, held);
}

static void forget_finished(struct xt_client *c)
{
	for (struct held **at = &c->held; *at;) {
		struct held *h = *at;
		if (h->seq > 0 && h->seq <= c->acked) {
			*at = h->next;
			free(h);
		} else {
			at = &h->next;
		}
	}
}

/* A client holds so many leases at most, also of calls that have ended and whose results are on their way:
 * when these are as many, the oldest is waited for. */
static int wait_for_finished(struct xt_client *c)
{
	uint64_t oldest = UINT64_MAX;
	size_t n = 0;

	forget_finished(c);
	for (const struct held *h = c->held; h; h = h->next) {
		n++;
		if (h->seq > 0 && h->seq < oldest)
			oldest = h->seq;
	}
	if (n < XT_MAX_LEASES || oldest == UINT64_MAX || c->fd < 0)
		return XT_OK;
	int r = client_await(c, oldest, client_full_deadline(c));
	return r == XT_EINTR ? r : XT_OK;
}

/* The lease that another thread was given and has not taken yet; 0: none. */
static uint64_t lease_of(const struct call *k)
{
	struct result_cache_begin a;
	struct xt_err err;

	if (!k->key || !k->done || k->lost || k->failed ||
	    wire_decode(&proto_method(METHOD_cache_begin)->result, buf_span(&k->result), &a, &err) < 0)
		return 0;
	return span_is(a.state, "lease") ? a.token : 0;
}

static void put_lease(msgpack_packer *pk, const uint8_t *key, uint64_t token)
{
	msgpack_pack_bin(pk, XT_CACHE_KEY);
	msgpack_pack_bin_body(pk, key, XT_CACHE_KEY);
	msgpack_pack_uint64(pk, token);
}

size_t flight_tell(struct xt_client *c, struct buf *out)
{
	msgpack_packer pk = wire_packer(out);
	size_t n = 0;

	forget_finished(c);
	for (const struct held *h = c->held; h; h = h->next)
		n++;
	for (const struct call *k = c->calls; k; k = k->next)
		n += lease_of(k) != 0;
	msgpack_pack_array(&pk, 2 * n);
	for (const struct held *h = c->held; h; h = h->next)
		put_lease(&pk, h->key, h->token);
	for (const struct call *k = c->calls; k; k = k->next)
		if (lease_of(k))
			put_lease(&pk, k->key, lease_of(k));
	return n;
}

void flight_settle(struct xt_client *c)
{
	for (const struct held *h = c->held; h; h = h->next)
		if (h->seq > 0 && h->seq <= c->acked)
			put_abort(c, h->key, h->token);
	forget_finished(c);
}

void flight_forget(struct xt_client *c)
{
	while (c->held)
		drop(c, c->held);
}

/* ---- asking ----------------------------------------------------------- */

static bool is_within(const struct held *h, bool apart)
{
	return !apart && !h->apart && h->seq == 0 && pthread_equal(h->thread, pthread_self());
}

/* The leases of the calls on this thread, which cannot end before the answer. */
static void put_within(struct xt_client *c, bool apart, struct buf *out)
{
	msgpack_packer pk = wire_packer(out);
	size_t n = 0;

	forget_finished(c);
	for (const struct held *h = c->held; h; h = h->next)
		n += is_within(h, apart);
	msgpack_pack_array(&pk, n);
	for (const struct held *h = c->held; h; h = h->next)
		if (is_within(h, apart))
			msgpack_pack_uint64(&pk, h->token);
}

/* A signal came: the question is taken back. Its answer is waited for all the same, which takes no time, for
 * it may be a lease by now. */
static int take_back(struct xt_client *c, const uint8_t *key, struct call *call)
{
	struct params_cancel p = {.cursor = call->msgid};
	struct result_cache_begin answer;
	struct xt_err err;

	if (window_put(c, proto_method(METHOD_cancel), ++c->msgid ? c->msgid : ++c->msgid, &p, NULL) == XT_OK)
		window_send(c);
	int r;
	do
		r = call_wait(c, call, deadline_in(c->opt.connect_timeout_ms));
	while (r == XT_EINTR);
	call_forget(c, call);
	if (r == XT_ETIMEOUT)
		link_drop(c); /* the next hello names no lease that its answer may have given */
	if (r == XT_OK &&
	    wire_decode(&proto_method(METHOD_cache_begin)->result, buf_span(&call->result), &answer, &err) ==
		    0 &&
	    span_is(answer.state, "lease"))
		put_abort(c, key, answer.token);
	return client_fail(c, XT_EINTR, "a signal came while another worker computes this call");
}

static int ask(struct xt_client *c, struct params_cache_begin *p, struct call *call,
	       struct result_cache_begin *ret)
{
	struct xt_err err;
	int r = XT_ELOST;

	for (int i = 0; i < MAX_ASKS && r == XT_ELOST; i++) {
		call_done(call);
		r = call_send(c, METHOD_cache_begin, p, call);
		call->key = p->key.data;
		if (r == XT_OK)
			r = call_wait(c, call, NEVER);
		if (r == XT_EINTR && call->msgid)
			r = take_back(c, p->key.data, call);
	}
	call_forget(c, call);
	if (r == XT_OK &&
	    wire_decode(&proto_method(METHOD_cache_begin)->result, buf_span(&call->result), ret, &err) < 0)
		r = client_fail(c, XT_EPROTOCOL, "the daemon's answer: %s", err.message);
	return r;
}

/* A large result is not sent but read from the map. Where that cannot be it is asked for once more. */
static int take_hit(struct xt_client *c, struct params_cache_begin *p, struct call *call,
		    struct result_cache_begin *answer, struct entry *ret)
{
	if (answer->has & RESULT_BIT(cache_begin, value)) {
		take_answer(answer, ret);
		return XT_OK;
	}
	if (look_direct(c, p->key.data, ret) > 0)
		return XT_OK;
	p->direct = false;
	p->force = false;
	int r = ask(c, p, call, answer);
	if (r == XT_OK && !span_is(answer->state, "hit"))
		r = client_fail(c, XT_EPROTOCOL, "a result that was there is gone");
	if (r == XT_OK)
		take_answer(answer, ret);
	return r;
}

/* Nobody can be asked, or nothing can be kept there: the call is worth more than its result. */
static bool goes_on_alone(const struct xt_client *c, int r)
{
	return r == XT_ECONNECT || r == XT_EDOWN || r == XT_ELOST ||
	       (r == XT_EREQUEST && (strcmp(c->code, "unknown_method") == 0 || strcmp(c->code, "busy") == 0));
}

int flight_begin(struct xt_client *c, const uint8_t *key, const xt_call_options *o, enum flight *ret,
		 struct entry *ret_entry, struct held **ret_held, struct call *call)
{
	struct params_cache_begin p = {.key = span_of(key, XT_CACHE_KEY)};
	struct result_cache_begin answer = {0};
	struct buf within = {0};

	*ret = FLIGHT_COMPUTE;
	if (await_own(c, key) != XT_OK)
		return XT_EINTR;
	if (!o->force && look_direct(c, key, ret_entry) > 0) {
		*ret = FLIGHT_HIT;
		return XT_OK;
	}
	if (c->fd < 0 && now_ms() < c->alone_until && !link_try(c))
		return XT_OK;
	p.has = PARAM_BIT(cache_begin, within) | PARAM_BIT(cache_begin, force) |
		PARAM_BIT(cache_begin, read_only);
	p.force = o->force;
	p.read_only = o->read_only;
	if (c->direct.env) {
		p.has |= PARAM_BIT(cache_begin, direct);
		p.direct = true;
	}
	if (o->wait_ms != 0) {
		p.has |= PARAM_BIT(cache_begin, wait_ms);
		p.wait_ms = o->wait_ms < 0 ? 0 : (uint64_t)o->wait_ms;
	}
	int r = wait_for_finished(c);
	if (r != XT_OK)
		return r;
	put_within(c, o->apart, &within);
	p.within = buf_span(&within);
	r = ask(c, &p, call, &answer);
	buf_done(&within);
	if (r == XT_ECONNECT || r == XT_EDOWN)
		c->alone_until = now_ms() + ALONE_MS;
	if (r != XT_OK)
		return goes_on_alone(c, r) ? XT_OK : r;
	if (span_is(answer.state, "held"))
		return client_fail(c, XT_ETIMEOUT,
				   "another worker computes this call, and was waited for %d ms",
				   o->wait_ms < 0 ? 0 : o->wait_ms);
	if (span_is(answer.state, "hit")) {
		*ret = FLIGHT_HIT;
		return take_hit(c, &p, call, &answer, ret_entry);
	}
	if (span_is(answer.state, "lease")) {
		*ret_held = add_held(c, key, answer.token, o->apart);
		if (!*ret_held) {
			put_abort(c, key, answer.token);
			return client_fail(c, XT_ENOMEM, "out of memory");
		}
		*ret = FLIGHT_LEASE;
	}
	return XT_OK;
}
