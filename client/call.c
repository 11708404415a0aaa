#include "client.h"

#define DRAIN_MS   600000 /* for what is in the spool, which comes first */
#define MAX_BREAKS 5	  /* connections that may break without an acknowledgement while one call waits */

void call_done(struct call *call)
{
	buf_done(&call->result);
}

void call_answer(struct call *call, struct span error, struct span result)
{
	call->done = true;
	if (error.len > 0 && error.data[0] != 0xc0) {
		call->failed = true;
		if (wire_decode_error(error, &call->err) < 0)
			xt_err_set(&call->err, XT_E_internal, NULL, "the daemon refused without a reason");
		return;
	}
	buf_add(&call->result, result.data, result.len);
}

void call_forget(struct xt_client *c, struct call *call)
{
	for (struct call **k = &c->calls; *k; k = &(*k)->next)
		if (*k == call) {
			*k = call->next;
			return;
		}
}

/* Connected, or an error; waits no longer than the options allow. */
static int connected(struct xt_client *c, int64_t deadline)
{
	while (c->fd < 0) {
		if (!c->reading)
			return link_open(c, poll_timeout(deadline, c->opt.connect_timeout_ms), true);
		int r = pump_wait(c, deadline);
		if (r != XT_OK)
			return client_fail(c, r, "not connected");
	}
	return XT_OK;
}

int call_ready(struct xt_client *c)
{
	return connected(c, NEVER);
}

int call_send(struct xt_client *c, enum method_id method, void *params, struct call *call)
{
	const struct method_desc *m = proto_method(method);
	uint64_t placeholder = UINT64_MAX;

	*call = (struct call){0};
	int r = connected(c, NEVER);
	if (r == XT_OK)
		r = spill_drain(c, deadline_in(c->opt.connect_timeout_ms + DRAIN_MS));
	if (r == XT_OK && (m->flags & METHOD_SEQ))
		r = client_writable(c);
	if (r != XT_OK)
		return r;
	if (m->flags & METHOD_SEQ)
		memcpy((uint8_t *)params + m->params.fields[0].offset, &placeholder, sizeof(placeholder));
	if (++c->msgid == 0)
		c->msgid = 1;
	call->msgid = c->msgid;
	r = window_put(c, m, call->msgid, params, &call->seq);
	if (r != XT_OK)
		return r;
	call->next = c->calls;
	c->calls = call;
	window_send(c);
	return XT_OK;
}

static int finish(struct xt_client *c, struct call *call)
{
	call_forget(c, call);
	if (call->lost)
		return client_fail(c, XT_ELOST, "the connection broke before the answer came%s%s",
				   c->stream.message[0] ? ": " : "", c->stream.message);
	if (call->failed)
		return client_fail_err(c, XT_EREQUEST, &call->err);
	if (buf_failed(&call->result))
		return client_fail(c, XT_ENOMEM, "out of memory");
	return XT_OK;
}

int call_wait(struct xt_client *c, struct call *call, int64_t deadline)
{
	uint64_t acked = c->acked;
	unsigned breaks = 0;

	while (!call->done) {
		if (c->fd < 0 && !c->reading) {
			breaks = c->acked > acked ? 0 : breaks + 1;
			acked = c->acked;
			int r = breaks > MAX_BREAKS ? XT_ELOST : connected(c, deadline);
			if (r == XT_EINTR || r == XT_ETIMEOUT)
				return r;
			if (r != XT_OK) {
				call_forget(c, call);
				return r == XT_ELOST
					       ? client_fail(c, r,
							     "the connection breaks again and again: %s",
							     c->stream.message)
					       : r;
			}
			continue;
		}
		int r = pump_wait(c, deadline);
		if (r != XT_OK && !call->done)
			return client_fail(
				c, r, "%s%s", r == XT_EINTR ? "a signal came" : "no answer came in time",
				call->seq ? "; the change was sent and will be made all the same" : "");
	}
	return finish(c, call);
}

int call_run(struct xt_client *c, enum method_id method, void *params, struct call *call, void *ret,
	     int64_t deadline)
{
	struct xt_err err;
	int r = call_send(c, method, params, call);

	if (r == XT_OK)
		r = call_wait(c, call, deadline);
	call_forget(c, call);
	if (r == XT_OK && wire_decode(&proto_method(method)->result, buf_span(&call->result), ret, &err) < 0)
		r = client_fail(c, XT_EPROTOCOL, "the daemon's answer: %s", err.message);
	return r;
}
