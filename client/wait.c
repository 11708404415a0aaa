#include "cursor.h"

/* Asks until it is answered, or the deadline has passed. */
static int ask(struct xt_client *c, struct params_wait *p, uint64_t *level, int64_t deadline)
{
	struct result_wait answer;
	struct xt_err err;
	struct call call;

	if (deadline != NEVER) {
		int64_t left = deadline - now_ms();
		p->has |= PARAM_BIT(wait, wait_ms);
		p->wait_ms = left > 0 ? (uint64_t)left : 0;
	}
	int r = cursor_ask(c, METHOD_wait, p, NULL, &call);
	unsigned epoch = c->epoch;
	if (r == XT_EINTR)
		cursor_cancel(c, call.msgid, epoch); /* else it waits there still */
	if (r == XT_OK &&
	    wire_decode(&proto_method(METHOD_wait)->result, buf_span(&call.result), &answer, &err) < 0)
		r = client_fail(c, XT_EPROTOCOL, "the daemon's answer: %s", err.message);
	if (r == XT_OK && answer.level == *level)
		r = client_fail(c, XT_ETIMEOUT, "no rows came in time");
	if (r == XT_OK)
		*level = answer.level;
	call_done(&call);
	return r;
}

int xt_wait(xt_client *client, const char *table, uint64_t *level, int timeout_ms)
{
	struct params_wait p = {.level = *level};

	if (*level != 0)
		p.has |= PARAM_BIT(wait, level);
	if (table) {
		p.has |= PARAM_BIT(wait, table);
		p.table = span_str(table);
	}
	client_enter(client);
	int r = ask(client, &p, level, deadline_in(timeout_ms));
	return client_leave(client, r);
}
