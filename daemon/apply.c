#include "apply.h"

#include "asset.h"
#include "entries.h"
#include "fate.h"
#include "intake.h"
#include "table.h"

#define TIDY_PIECES 200 /* of the cache, that are looked at in a turn */

/* ---- answers ---------------------------------------------------------- */

static void answer(struct op *op, const void *result, const struct xt_err *err)
{
	if (!op->request)
		return;
	if (err)
		wire_put_error(&op->out, op->msgid, err);
	else
		wire_put_result(&op->out, op->msgid, op->method->id, result);
}

/* Keeps the answer of a request that changed something, or was refused, until it is confirmed. */
static int keep_answer(struct work *w, uint64_t seq, const void *result, const struct xt_err *failure,
		       struct xt_err *err)
{
	static const uint8_t nil[] = {0xc0};
	struct params_answer p = {.seq = seq, .error = span_of(nil, 1), .result = span_of(nil, 1)};
	struct buf encoded = {0}, event = {0};
	int r = -1;

	if (failure)
		wire_put_error_object(&encoded, failure);
	else
		wire_put_shape(&encoded, &w->op->method->result, result);
	*(failure ? &p.error : &p.result) = buf_span(&encoded);
	wire_put_notify(&event, METHOD_answer, &p);
	if (buf_failed(&encoded) || buf_failed(&event))
		xt_err_set(err, XT_E_internal, NULL, "out of memory");
	else
		r = outbox_put(w->store, &w->client->key, seq, "answer", buf_span(&event), err);
	buf_done(&encoded);
	buf_done(&event);
	return r;
}

/* A request that was applied before: the answer it had. */
static int answer_again(struct work *w, uint64_t seq, struct xt_err *err)
{
	struct buf kept = {0};
	struct span body;
	struct wire_msg msg;
	struct params_answer p;
	size_t size;

	if (!w->op->request)
		return 0;
	int r = outbox_get(w->store, &w->client->key, seq, &kept, err);
	if (r == 0 && frame_next(buf_span(&kept), XT_MAX_FRAME, &body, &size) == FRAME_OK &&
	    wire_open(body, &msg, err) == 0 && wire_decode(&msg.method->params, msg.params, &p, err) == 0) {
		wire_put_response(&w->op->out, w->op->msgid, p.error, p.result);
	} else if (r >= 0) {
		struct xt_err gone;
		xt_err_set(
			&gone, XT_E_out_of_range, "seq",
			"request %llu was answered and the answer confirmed; number new requests from %llu",
			(unsigned long long)seq, (unsigned long long)w->client->mark + 1);
		answer(w->op, NULL, &gone);
	}
	buf_done(&kept);
	return r < 0 ? -1 : 0;
}

/* ---- one message ------------------------------------------------------ */

union any_result {
#define METHOD(name, id, kind, thread, flags, doc) struct result_##name name;
#include "methods.def"
};

static uint64_t seq_of(const struct op *op)
{
	uint64_t seq;

	memcpy(&seq, op->params + op->method->params.fields[0].offset, sizeof(seq));
	return seq;
}

bool work_broken(const struct store *s)
{
	return s->trouble != TROUBLE_NONE || (!s->read_only && sqlite3_get_autocommit(s->db));
}

/* Runs a handler that is undone as a whole when it fails. 0, 1: it failed, in *failure; -1: trouble. */
static int call_undoable(struct work *w, union any_result *result, struct xt_err *failure, struct xt_err *err)
{
	size_t events = w->events->len;

	if (store_exec(w->store, "SAVEPOINT op", err) < 0)
		return -1;
	int r = handle_call(w->op->method, w, w->op->params, result, failure);
	if (work_broken(w->store)) {
		if (r < 0)
			*err = *failure;
		else
			xt_err_set(err, XT_E_internal, NULL, "a statement ended the transaction");
		return -1;
	}
	if (r < 0) {
		w->events->len = events;
		tables_drop(w->store); /* may show what is undone now */
		if (store_exec(w->store, "ROLLBACK TO op", err) < 0)
			return -1;
	}
	if (store_exec(w->store, "RELEASE op", err) < 0)
		return -1;
	return r < 0 ? 1 : 0;
}

static int apply_once(struct work *w, uint64_t seq, struct xt_err *err)
{
	const struct culprit *known = work_culprit(w, seq);
	union any_result result = {0};
	struct xt_err failure;
	int r = 1;

	if (known)
		failure = known->err;
	else
		r = call_undoable(w, &result, &failure, err);
	if (r < 0)
		return -1;
	clients_advance(w->store, w->client, seq);
	w->client->requests++;
	answer(w->op, &result, r ? &failure : NULL);
	if (r == 0 && !w->op->request)
		return 0; /* the acknowledgement is all that is to be told */
	return keep_answer(w, seq, &result, r ? &failure : NULL, err);
}

/* A number ahead of its turn: what is between was lost on the way. */
static int refuse_gap(struct work *w, uint64_t seq)
{
	struct xt_err gap;

	xt_err_set(&gap, XT_E_seq_gap, "seq",
		   "sequence number %llu came, %llu is next; connect again and resend",
		   (unsigned long long)seq, (unsigned long long)w->client->mark + 1);
	wire_put_error(&w->op->out, w->op->request ? w->op->msgid : 0, &gap);
	w->op->close = true;
	return 0;
}

/* Rows are stored or rejected one by one, so there is nothing to undo. */
static int apply_rows(struct work *w, uint64_t seq, struct xt_err *err)
{
	union any_result result = {0};
	uint64_t mark = w->client->mark;

	if (handle_call(w->op->method, w, w->op->params, &result, err) < 0)
		return -1;
	if (!w->op->request || w->op->more)
		return 0;
	if (w->client->mark == mark && seq <= mark && !w->op->resumed)
		return answer_again(w, seq, err);
	answer(w->op, &result, NULL);
	/* A message of no rows has no number of its own. */
	return w->client->mark >= seq ? keep_answer(w, seq, &result, NULL, err) : 0;
}

/* A message with a sequence number: only mark + 1 applies. */
static int apply_numbered(struct work *w, struct xt_err *err)
{
	uint64_t seq = seq_of(w->op), mark = w->client->mark;

	if (seq > mark + 1)
		return refuse_gap(w, seq);
	if (w->op->method->flags & METHOD_ROWS)
		return apply_rows(w, seq, err);
	if (seq == mark + 1)
		return apply_once(w, seq, err);
	w->duplicates++;
	return answer_again(w, seq, err);
}

/* After the welcome comes what the client may have missed. */
static int after_hello(struct work *w, struct xt_err *err)
{
	struct xt_err liar;

	if (!w->op->request && w->client->mark > 0) { /* greeted by dispatch.c as one who had sent nothing */
		xt_err_set(&liar, XT_E_out_of_range, "last_seq",
			   "this client id has sent %llu numbers, hello says 0; draw a new id",
			   (unsigned long long)w->client->mark);
		wire_put_error(&w->op->out, 0, &liar);
		w->op->close = true;
		return 0;
	}
	w->client->untold = 0;
	return outbox_tell(w->store, w->client, &w->op->out, err);
}

static int apply_method(struct work *w, struct xt_err *err)
{
	union any_result result = {0};

	if (w->op->method->flags & METHOD_SEQ)
		return apply_numbered(w, err);
	if (handle_call(w->op->method, w, w->op->params, &result, err) < 0)
		return -1;
	answer(w->op, &result, NULL);
	return w->op->method->id == METHOD_hello ? after_hello(w, err) : 0;
}

static int apply_barrier(struct work *w)
{
	struct xt_err err;

	if (w->client->mark >= w->op->after)
		return 0;
	xt_err_set(&err, XT_E_out_of_range, "after", "number %llu was never sent; the last is %llu",
		   (unsigned long long)w->op->after, (unsigned long long)w->client->mark);
	answer(w->op, NULL, &err);
	w->op->refused = true;
	return 0;
}

static int apply_gone(struct work *w, struct xt_err *err)
{
	w->client->connected = false;
	if (w->store->read_only || w->op->reader)
		return 0;
	if (clients_settle(w->store, w->client, err) < 0)
		return -1;
	return fate_crashed(w, &w->client->key, w->op->cause, err);
}

/* Greeted while nothing could be stored: what `hello` would have written. */
static int welcome_back(struct work *w, struct xt_err *err)
{
	clients_told(w->store, w->client, w->client->told, false);
	return fate_returned(w, &w->client->key, err);
}

static int apply_spool(struct work *w, struct xt_err *err)
{
	struct intake_report report = {0};
	struct op *op = w->op;

	if (w->store->read_only)
		return 0;
	if (intake_apply(w->intake, w, &report, err) < 0)
		return -1;
	op->again = report.more;
	op->waiting = report.owned > 0;
	return 0;
}

bool work_apply_held(struct work *w, struct op *op)
{
	union any_result result = {0};
	struct xt_err err;
	bool hello = op->kind == OP_METHOD && op->method->id == METHOD_hello;

	if (!hello && op->kind != OP_BARRIER)
		return false;
	struct client *c = clients_find(w->store, &op->client, &err);
	if (!c || (op->kind == OP_BARRIER && c->committed < op->after))
		return false;
	if (!hello)
		return true;
	w->op = op;
	w->client = c;
	w->events = &op->out;
	c->connected = c->returned = true;
	hello_answer(w->store, w->cache, op, c->committed, &result.hello);
	result.hello.held = true;
	result.hello.has |= RESULT_BIT(hello, held);
	answer(op, &result, NULL);
	if (after_hello(w, &err) < 0)
		op->close = true; /* it comes again */
	w->op = NULL;
	w->client = NULL;
	return true;
}

/* Once a day what is too old goes, by pieces that others do not wait long for. */
static void tidy_cache(struct work *w)
{
	struct entries_gc done = {.more = true};
	struct xt_err err;

	for (int i = 0; i < TIDY_PIECES && done.more; i++)
		if (entries_gc(w->cache, w->store->now_us(), &done, &err) < 0)
			return;
}

int work_apply(struct work *w, struct op *op, struct xt_err *err)
{
	w->op = op;
	w->events = &op->out;
	if (op->kind == OP_TIDY || op->kind == OP_MARK || op->kind == OP_LOOK)
		return 0;
	if (op->kind == OP_JUDGE)
		tidy_cache(w);
	if (op->kind == OP_JUDGE)
		return fate_judge(w, &op->again, err) < 0 ? -1 : clients_forget_old(w->store, err);
	if (op->kind == OP_SPOOL)
		return apply_spool(w, err);
	w->client = clients_find(w->store, &op->client, err);
	if (!w->client || (w->client->returned && welcome_back(w, err) < 0))
		return -1;
	int r = op->kind == OP_BARRIER ? apply_barrier(w)
		: op->kind == OP_GONE  ? apply_gone(w, err)
				       : apply_method(w, err);
	if (op->method && (op->method->flags & METHOD_SEQ))
		op->ack = w->client->mark;
	return r;
}

void work_outside(struct work *w, struct op *op)
{
	union any_result result = {0};
	struct xt_err err;

	w->op = op;
	w->events = &op->out;
	if (op->kind == OP_SETTLE) {
		assets_settle(w->store->assets, w->store);
		return;
	}
	if (op->kind == OP_CACHE)
		return; /* it was mended when this came */
	int r = handle_call(op->method, w, op->params, &result, &err);
	answer(op, &result, r < 0 ? &err : NULL);
}
