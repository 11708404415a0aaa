#include "dispatch.h"

#include <stdlib.h>
#include <unistd.h>

#include "entries.h"
#include "handle.h"
#include "reader.h"
#include "server.h"
#include "trace.h"

union any_result {
#define METHOD(name, id, kind, thread, flags, doc) struct result_##name name;
#include "methods.def"
};

/* ---- refusals --------------------------------------------------------- */

/* A message that is not taken. What carried a sequence number must not be lost in silence: the
 * connection ends, and the client has it still. */
static void refuse(struct conn *c, const struct wire_msg *msg, const struct xt_err *err)
{
	wire_put_error(&c->out, msg->kind == WIRE_REQUEST ? msg->msgid : 0, err);
	conn_touch(c);
	if (msg->kind == WIRE_NOTIFY && msg->method && (msg->method->flags & METHOD_SEQ))
		conn_finish(c);
}

static int check_kind(const struct wire_msg *msg, struct xt_err *err)
{
	const struct method_desc *m = msg->method;
	bool request = msg->kind == WIRE_REQUEST;

	if (!m)
		return xt_err_set(err, XT_E_unknown_method, NULL, "there is no method '%.*s'",
				  (int)(msg->name.len < 64 ? msg->name.len : 64),
				  (const char *)msg->name.data);
	if (m->kind == KIND_EVENT)
		return xt_err_set(err, XT_E_wrong_kind, NULL, "'%s' is sent by the daemon, not to it",
				  m->name);
	if (request ? m->kind == KIND_NOTIFY : m->kind == KIND_REQUEST)
		return xt_err_set(err, XT_E_wrong_kind, NULL, "'%s' must be sent as a %s", m->name,
				  request ? "notification" : "request");
	return 0;
}

static int check_gates(struct conn *c, const struct wire_msg *msg, struct xt_err *err)
{
	const struct method_desc *m = msg->method;

	if (!c->greeted && !(m->flags & METHOD_EARLY))
		return xt_err_set(err, XT_E_hello_first, NULL, "the first message must be `hello`, not `%s`",
				  m->name);
	if (c->greeted && m->id == METHOD_hello)
		return xt_err_set(err, XT_E_not_allowed, NULL, "`hello` was said already on this connection");
	if ((m->flags & METHOD_WRITE) && c->peer.role != ROLE_WRITER)
		return xt_err_set(
			err, XT_E_not_allowed, NULL,
			"user %u may only query here, not `%s`: the daemon counts it among its readers "
			"(--readers)",
			(unsigned)c->peer.uid, m->name);
	if ((m->flags & METHOD_FILES) && c->peer.uid != geteuid() && c->peer.uid != 0)
		return xt_err_set(err, XT_E_not_allowed, NULL,
				  "`%s` makes a file of the user with id %u, and only that user and root may "
				  "ask for it",
				  m->name, (unsigned)geteuid());
	if ((m->flags & METHOD_WRITE) && !(m->flags & METHOD_FILES) && m->id != METHOD_shutdown &&
	    c->server->store->read_only)
		return xt_err_set(err, XT_E_read_only, NULL, "'%.200s' is open for reading only",
				  c->server->store->path);
	if (m->id != METHOD_hello && !(m->flags & METHOD_VIEW))
		return 0;
	if (!c->server->failed && !store_is_in_place(c->server->store)) {
		server_fail(c->server, "the database file was removed or replaced");
		return xt_err_set(err, XT_E_file_replaced, "database",
				  "'%.200s' was removed or replaced; connect again, to another daemon",
				  c->server->store->path);
	}
	if (c->server->draining && m->id == METHOD_hello)
		return xt_err_set(err, XT_E_stopping, NULL, "the daemon is stopping; connect again");
	return 0;
}

/* ---- on the loop ------------------------------------------------------ */

static void run_here(struct conn *c, struct op *op)
{
	struct loop_call call = {.server = c->server, .op = op};
	union any_result result = {0};
	struct xt_err err;

	int r = handle_call(op->method, &call, op->params, &result, &err);
	if (op->request && r < 0)
		wire_put_error(&c->out, op->msgid, &err);
	else if (op->request && r != HANDLE_LATER)
		wire_put_result(&c->out, op->msgid, op->method->id, &result);
	if (call.reading)
		entries_read_end(c->server->cache);
	buf_done(&call.text);
	conn_touch(c);
	server_op_free(op);
}

/* ---- to other threads ------------------------------------------------- */

static void take_hello(struct conn *c, struct op *op)
{
	const struct params_hello *p = (const struct params_hello *)op->params;

	c->greeted = true;
	c->client.uid = c->peer.uid;
	memcpy(c->client.id, p->client.data, XT_CLIENT_ID);
	op->client = c->client;
	c->direct = hello_is_direct(op);
	server_greeted(c->server, c);
	server_sampling_greeted(c->server, c);
	server_claim_leases(c->server, c, HAS_PARAM(p, hello, leases) ? p->leases : span_of(NULL, 0));
	lease_client_came(c->server->leases, &c->client);
	/* Who has numbered nothing yet has the mark 0, and need not wait for the writer: `status` works
	 * while a long statement runs. */
	if (HAS_PARAM(p, hello, last_seq) && p->last_seq == 0) {
		struct result_hello result = {0};
		hello_answer(c->server->store, c->server->cache, op, 0, &result);
		wire_put_result(&c->out, op->msgid, METHOD_hello, &result);
		c->welcomed = true;
		op->request = false;
		op->greeting = true;
		conn_touch(c);
	}
}

static uint64_t after_of(const struct op *op)
{
	const struct params_query *q = (const struct params_query *)op->params;
	const struct params_tables *t = (const struct params_tables *)op->params;
	const struct params_columns *k = (const struct params_columns *)op->params;
	const struct params_backup *b = (const struct params_backup *)op->params;

	switch (op->method->id) {
	case METHOD_query:
		return HAS_PARAM(q, query, after) ? q->after : 0;
	case METHOD_tables:
		return HAS_PARAM(t, tables, after) ? t->after : 0;
	case METHOD_columns:
		return HAS_PARAM(k, columns, after) ? k->after : 0;
	case METHOD_backup:
		return HAS_PARAM(b, backup, after) ? b->after : 0;
	default:
		return 0;
	}
}

/* What a message that goes on with a cursor calls it; NULL: it opens one. */
static const char *cursor_kind(const struct op *op, uint64_t *ret_id)
{
	const struct params_fetch *f = (const struct params_fetch *)op->params;
	const struct params_backup_step *b = (const struct params_backup_step *)op->params;
	const struct params_asset_chunk *k = (const struct params_asset_chunk *)op->params;
	const struct params_asset_read *r = (const struct params_asset_read *)op->params;

	switch (op->method->id) {
	case METHOD_fetch:
		*ret_id = f->cursor;
		return "query";
	case METHOD_backup_step:
		*ret_id = b->cursor;
		return "backup";
	case METHOD_asset_chunk:
		*ret_id = k->cursor;
		return "upload";
	case METHOD_asset_read:
		*ret_id = r->cursor;
		return "download";
	default:
		return NULL;
	}
}

/* The cursor that a reading message works on: a new one, or that which it names. */
static int find_cursor(struct conn *c, struct op *op, struct xt_err *err)
{
	uint64_t named = 0;
	const char *kind = cursor_kind(op, &named);

	if (!kind)
		return server_cursor_open(c->server, c, op, err);
	unsigned id = (unsigned)named;
	op->cursor = server_cursor_find(c->server, c->id, id);
	if (!op->cursor || op->cursor->closing)
		return xt_err_set(
			err, XT_E_cursor_expired, "cursor",
			"there is no open %s %u on this connection; it came to its end, or was open "
			"or idle for too long",
			kind, id);
	if (op->cursor->busy)
		return xt_err_set(err, XT_E_busy, "cursor", "%s %u is at work on an earlier %s", kind, id,
				  op->method->name);
	return 0;
}

static int queue(struct conn *c, struct op *op, struct xt_err *err)
{
	if (op->method->thread == THREAD_READER) {
		if (find_cursor(c, op, err) < 0)
			return -1;
		op->after = after_of(op);
		op->kind = op->after > c->committed ? OP_BARRIER : OP_METHOD;
	}
	if (op->method->id == METHOD_hello)
		take_hello(c, op);
	c->said_bye = c->said_bye || op->method->id == METHOD_bye;
	if (op->method->id == METHOD_cache_finish)
		server_finishing(c->server, op);
	server_sample(c->server, c, op);
	server_queue(c->server, c, op);
	return 0;
}

/* ---- a frame ---------------------------------------------------------- */

static void take(struct conn *c, const struct wire_msg *msg, size_t bytes, bool check_utf8)
{
	size_t size = sizeof(struct op) + msg->method->params.size;
	struct op *op = malloc(size);
	struct xt_err err;

	if (!op) {
		xt_err_set(&err, XT_E_busy, NULL, "the daemon is out of memory; try again");
		refuse(c, msg, &err);
		return;
	}
	memset(op, 0, sizeof(*op));
	op->method = msg->method;
	op->request = msg->kind == WIRE_REQUEST;
	op->check_utf8 = check_utf8;
	op->msgid = msg->msgid;
	op->conn = c->id;
	op->client = c->client;
	op->pid = c->peer.pid;
	op->reader = c->peer.role != ROLE_WRITER;
	op->bytes = bytes + size; /* what it costs us */
	if (wire_decode(&msg->method->params, msg->params, op->params, &err) < 0) {
		free(op);
		refuse(c, msg, &err);
		return;
	}
	op->block = c->in;
	c->in->refs++;
	if (msg->method->thread == THREAD_LOOP) {
		run_here(c, op);
	} else if (queue(c, op, &err) < 0) {
		refuse(c, msg, &err);
		server_op_free(op);
	}
}

void dispatch_message(struct conn *c, struct span body)
{
	struct wire_msg msg = {0};
	struct xt_err err, utf8;
	int opened = wire_open(body, &msg, &utf8);
	bool row_text = opened < 0 && utf8.code == XT_E_bad_utf8 && msg.kind == WIRE_NOTIFY && msg.method &&
			msg.method->id == METHOD_log;

	if (opened < 0 && utf8.code != XT_E_bad_utf8) {
		conn_put_error(c, &utf8);
		conn_finish(c); /* what follows cannot be understood */
		return;
	}
	if (c->server->trace)
		trace_message("xetrackd", "<-", body);
	if (msg.kind == WIRE_RESPONSE) {
		xt_err_set(&err, XT_E_bad_message, NULL, "a response, but the daemon asks nothing");
		conn_put_error(c, &err);
		conn_finish(c);
		return;
	}
	/* Bad text in one row of a log is that row's affair; anywhere else the message's. */
	if (opened < 0 && !row_text)
		refuse(c, &msg, &utf8);
	else if (check_kind(&msg, &err) < 0 || check_gates(c, &msg, &err) < 0)
		refuse(c, &msg, &err);
	else
		take(c, &msg, body.len, row_text);
}
