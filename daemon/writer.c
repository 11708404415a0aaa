#include "writer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "handle.h"
#include "runs.h"
#include "table.h"

#define BATCH_US     5000  /* what a batch may take, so that acknowledgements do not wait long */
#define MAX_BATCH_US 20000 /* the same on a slow disk, whose commits cost more than rows */
#define COMMIT_SHARE 8	   /* a batch takes this many times its commit, within these bounds */
#define MIN_ROWS     64	   /* of a batch */
#define MAX_ROWS     20000
#define RETRY_MS     100  /* between two tries when the disk is full or the file locked */
#define MAX_CULPRITS 1000 /* statements that may break one batch */

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* What lives as long as the thread. */
struct batch {
	struct work work;
	struct op_list ops; /* those of the open transaction */
	struct culprit culprits[MAX_CULPRITS];
	uint64_t row_limit; /* rows that take about as long as a batch may */
	int64_t commit_us;  /* what the last commit took */
};

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

static bool broken(const struct store *s)
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
	if (broken(w->store)) {
		*err = *failure;
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
	answer(w->op, &result, r ? &failure : NULL);
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

static int apply_log(struct work *w, uint64_t seq, struct xt_err *err)
{
	struct result_log result;
	uint64_t mark = w->client->mark;

	if (handle_call(w->op->method, w, w->op->params, &result, err) < 0)
		return -1;
	if (!w->op->request)
		return 0;
	if (w->client->mark == mark)
		return answer_again(w, seq, err);
	answer(w->op, &result, NULL);
	return keep_answer(w, seq, &result, NULL, err);
}

/* A message with a sequence number: only mark + 1 applies. */
static int apply_numbered(struct work *w, struct xt_err *err)
{
	uint64_t seq = seq_of(w->op), mark = w->client->mark;

	if (seq > mark + 1)
		return refuse_gap(w, seq);
	if (w->op->method->id == METHOD_log)
		return apply_log(w, seq, err);
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
	return outbox_all(w->store, &w->client->key, &w->op->out, err);
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
	if (w->store->read_only)
		return 0;
	return runs_of_client(w->store, &w->client->key, "running", "crashed", true, err);
}

static int apply(struct work *w, struct op *op, struct xt_err *err)
{
	w->op = op;
	w->events = &op->out;
	if (op->kind == OP_TIDY)
		return 0;
	if (op->kind == OP_JUDGE)
		return runs_judge(w->store, err);
	w->client = clients_find(w->store, &op->client, err);
	if (!w->client)
		return -1;
	int r = op->kind == OP_BARRIER ? apply_barrier(w)
		: op->kind == OP_GONE  ? apply_gone(w, err)
				       : apply_method(w, err);
	if (op->method && (op->method->flags & METHOD_SEQ))
		op->ack = w->client->mark;
	return r;
}

/* ---- batches ---------------------------------------------------------- */

/* A user's statement may roll everything back, so it has a transaction to itself. */
static bool alone(const struct op *op)
{
	return op->kind == OP_METHOD && op->method->id == METHOD_exec;
}

/* Applies messages until the queue is empty or the batch is large enough; first those that an
 * earlier try had taken. */
static int fill(struct batch *b, struct op_list *queue, struct xt_err *err)
{
	struct work *w = &b->work;

	for (struct op *op = b->ops.first; op; op = op->next)
		if (apply(w, op, err) < 0 || broken(w->store))
			return -1;
	while (queue->first && w->stored + w->rejected < b->row_limit) {
		if (b->ops.first && (alone(queue->first) || alone(b->ops.first)))
			break;
		struct op *op = op_pop(queue);
		op_push(&b->ops, op);
		if (apply(w, op, err) < 0 || broken(w->store))
			return -1;
	}
	return 0;
}

static void reset(struct batch *b)
{
	for (struct op *op = b->ops.first; op; op = op->next) {
		buf_done(&op->out);
		op->ack = 0;
		op->close = op->refused = false;
	}
	b->work.stored = b->work.rejected = b->work.duplicates = 0;
}

static void set_state(struct writer *w, enum writer_state state, const struct xt_err *why)
{
	pthread_mutex_lock(&w->lock);
	bool changed = w->state != state;
	w->state = state;
	if (why)
		w->why = *why;
	pthread_mutex_unlock(&w->lock);
	if (changed)
		w->wake(w->data);
}

/* Waits a little. False: the writer is to stop, so trying again makes no sense. */
static bool nap(struct writer *w)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += RETRY_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&w->lock);
	int r = 0;
	while (!w->stopping && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&w->cond, &w->lock, &until);
	bool go_on = !w->stopping;
	pthread_mutex_unlock(&w->lock);
	return go_on;
}

/* The statement that broke the transaction: the one that was being applied. */
static bool note_culprit(struct batch *b, const struct xt_err *err)
{
	struct work *w = &b->work;

	if (w->n_culprits == MAX_CULPRITS || !w->client || !w->op->method ||
	    !(w->op->method->flags & METHOD_SEQ))
		return false;
	struct culprit *c = &b->culprits[w->n_culprits++];
	*c = (struct culprit){.client = w->client->key, .seq = w->client->mark + 1, .err = *err};
	return true;
}

/* One try. 0: committed. 1: rolled back, try again. -1: this cannot go on. */
static int try_batch(struct writer *w, struct batch *b, struct op_list *queue)
{
	struct store *s = w->store;
	struct xt_err err = {0};

	if (s->read_only) {
		s->trouble = TROUBLE_NONE;
		if (fill(b, queue, &err) == 0)
			return 0;
	} else if (store_begin(s, &err) == 0 && fill(b, queue, &err) == 0) {
		int64_t start = now_us();
		if (store_commit(s, &err) == 0) {
			b->commit_us = now_us() - start;
			return 0;
		}
	}
	enum trouble trouble = s->trouble;
	struct xt_err why = trouble == TROUBLE_NONE || trouble == TROUBLE_CULPRIT ? err : s->why;
	bool noted = (trouble == TROUBLE_NONE || trouble == TROUBLE_CULPRIT) && note_culprit(b, &err);
	store_rollback(s);
	reset(b);
	if (noted)
		return 1;
	if (trouble == TROUBLE_RETRY) {
		set_state(w, WRITER_DEGRADED, &why);
		if (nap(w))
			return 1;
	}
	set_state(w, WRITER_FAILED, &why);
	return -1;
}

static void count(struct writer *w, const struct batch *b, int64_t took_us)
{
	struct writer_stats *st = &w->stats;

	atomic_fetch_add(&st->rows, b->work.stored);
	atomic_fetch_add(&st->rejects, b->work.rejected);
	atomic_fetch_add(&st->duplicates, b->work.duplicates);
	atomic_fetch_add(&st->batches, 1);
	atomic_store(&st->batch_us, (uint64_t)took_us);
	if ((uint64_t)took_us > atomic_load(&st->batch_max_us))
		atomic_store(&st->batch_max_us, (uint64_t)took_us);
}

static void give_back(struct writer *w, struct op_list *ops)
{
	pthread_mutex_lock(&w->lock);
	op_splice(&w->done, ops);
	pthread_mutex_unlock(&w->lock);
	w->wake(w->data);
}

/* What cannot be stored is given back with nothing but the end of its connection. The codes are those
 * that clients know as no answer: they send again, to the next daemon. */
static void give_up(struct writer *w, struct batch *b, struct op_list *queue)
{
	struct xt_err why;

	op_splice(&b->ops, queue);
	reset(b);
	writer_state(w, &why);
	if (why.code != XT_E_file_replaced && why.code != XT_E_io_error)
		why.code = XT_E_stopping;
	for (struct op *op = b->ops.first; op; op = op->next) {
		if (op->kind == OP_METHOD || op->kind == OP_BARRIER)
			wire_put_error(&op->out, op->request ? op->msgid : 0, &why);
		op->close = op->refused = true;
	}
	give_back(w, &b->ops);
}

static void after_commit(struct store *s, const struct op_list *ops)
{
	struct xt_err ignored;

	for (struct op *op = ops->first; op; op = op->next) {
		if (op->kind == OP_TIDY && !s->read_only)
			store_checkpoint(s, true);
		if (op->kind != OP_GONE)
			continue;
		struct client *c = clients_find(s, &op->client, &ignored);
		if (c)
			clients_drop(s, c);
	}
	if (!s->read_only)
		store_checkpoint(s, false);
}

/* How many rows the next batch may have: as many as keep acknowledgements prompt, but not so few that the
 * disk is waited for more than rows are stored. */
static void adapt(struct batch *b, int64_t took_us)
{
	uint64_t rows = b->work.stored + b->work.rejected;
	int64_t may_take = COMMIT_SHARE * b->commit_us;

	if (rows < MIN_ROWS || took_us <= 0)
		return;
	may_take = may_take < BATCH_US ? BATCH_US : may_take > MAX_BATCH_US ? MAX_BATCH_US : may_take;
	uint64_t limit = (3 * b->row_limit + rows * (uint64_t)may_take / (uint64_t)took_us) / 4;
	b->row_limit = limit < MIN_ROWS ? MIN_ROWS : limit > MAX_ROWS ? MAX_ROWS : limit;
}

/* Stores the head of the queue. */
static void run_batch(struct writer *w, struct batch *b, struct op_list *queue)
{
	int64_t start = now_us();
	int r;

	b->work.n_culprits = 0;
	reset(b);
	while ((r = try_batch(w, b, queue)) > 0)
		start = now_us();
	if (r == 0 && !store_is_in_place(w->store)) {
		struct xt_err why;
		xt_err_set(&why, XT_E_file_replaced, "database",
			   "'%.200s' was removed or replaced while it was open; nothing more is stored there",
			   w->store->path);
		set_state(w, WRITER_FAILED, &why);
		r = -1;
	}
	if (r < 0) {
		give_up(w, b, queue);
		return;
	}
	int64_t took = now_us() - start;
	adapt(b, took);
	count(w, b, took);
	set_state(w, WRITER_OK, NULL);
	struct op_list done = b->ops;
	b->ops = (struct op_list){0};
	struct op_list again = done; /* looked at before it is out of our hands */
	after_commit(w->store, &again);
	give_back(w, &done);
}

/* ---- thread ----------------------------------------------------------- */

/* Takes the queue; false when it is empty and the writer is to stop. */
static bool take_queue(struct writer *w, struct op_list *ret)
{
	pthread_mutex_lock(&w->lock);
	while (!w->queue.first && !w->stopping)
		pthread_cond_wait(&w->cond, &w->lock);
	op_splice(ret, &w->queue);
	pthread_mutex_unlock(&w->lock);
	return ret->first != NULL;
}

static void *writer_main(void *data)
{
	struct writer *w = data;
	struct batch *b = calloc(1, sizeof(*b));
	struct op_list queue = {0};
	struct xt_err why;

	pthread_setname_np(pthread_self(), "xt-writer");
	if (b) {
		b->work.names = calloc(XT_MAX_COLUMNS + 1, sizeof(struct span));
		b->work.keys = calloc(XT_MAX_COLUMNS + 1, sizeof(struct span));
	}
	if (!b || !b->work.names || !b->work.keys)
		abort(); /* at the start, with nothing accepted yet */
	b->work.store = w->store;
	b->work.culprits = b->culprits;
	b->row_limit = 1000;
	while (take_queue(w, &queue))
		while (queue.first) {
			if (writer_state(w, &why) == WRITER_FAILED)
				give_up(w, b, &queue);
			else
				run_batch(w, b, &queue);
		}
	free(b->work.names);
	free(b->work.keys);
	buf_done(&b->work.text);
	free(b);
	return NULL;
}

int writer_start(struct writer *w, struct store *store, void (*wake)(void *data), void *data)
{
	pthread_condattr_t attr;
	sigset_t all, old;

	w->store = store;
	w->wake = wake;
	w->data = data;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->cond, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&w->thread, NULL, writer_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	w->running = r == 0;
	return -r;
}

void writer_submit(struct writer *w, struct op_list *ops)
{
	if (!ops->first)
		return;
	pthread_mutex_lock(&w->lock);
	bool idle = !w->queue.first;
	op_splice(&w->queue, ops);
	pthread_mutex_unlock(&w->lock);
	if (idle)
		pthread_cond_signal(&w->cond);
}

void writer_take(struct writer *w, struct op_list *ret)
{
	pthread_mutex_lock(&w->lock);
	op_splice(ret, &w->done);
	pthread_mutex_unlock(&w->lock);
}

enum writer_state writer_state(struct writer *w, struct xt_err *ret_why)
{
	pthread_mutex_lock(&w->lock);
	enum writer_state state = w->state;
	*ret_why = w->why;
	pthread_mutex_unlock(&w->lock);
	return state;
}

void writer_stop(struct writer *w)
{
	if (!w->running)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->cond);
	pthread_join(w->thread, NULL);
	w->running = false;
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->cond);
}
