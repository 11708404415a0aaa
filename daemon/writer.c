#include "writer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "apply.h"
#include "asset.h"
#include "batch.h"
#include "crash.h"
#include "entries.h"
#include "epoch.h"
#include "log.h"

#define LONGEST_US    600000000 /* that a batch may take: a trigger without an end is stopped */
#define RETRY_MS      50	/* between two tries when the disk is full or the file locked; doubled … */
#define MAX_RETRY_MS  2000	/* … up to this */
#define LOOK_MS	      2000	/* between two looks at what is warned of, while there is nothing to do */
#define PAUSE_MS      50	/* after a batch, when there is little room on the disk */
#define GATHER_OPS    64	/* with more messages than these a commit is worth its while */
#define GATHER_US     50	/* a shorter wait for more than there are is not worth its while … */
#define MAX_GATHER_US 2000	/* … and this is the longest */

/* ---- batches ---------------------------------------------------------- */

/* Who has little under way does not wait for the end of a batch that others fill: it gets into it, and the
 * batch ends early. Once in a batch, so that the others come to their turn. */
static void take_news(struct writer *w, const struct batch *b, struct lanes *queue)
{
	if (b->prompted || !atomic_load_explicit(&w->news, memory_order_relaxed))
		return;
	pthread_mutex_lock(&w->lock);
	lanes_splice(queue, &w->queue);
	atomic_store(&w->news, false);
	pthread_mutex_unlock(&w->lock);
}

/* Applies messages until the queue is empty or the batch is large enough; or up to a culprit, so that the
 * next one cannot undo what was good before it. */
static int fill(struct writer *w, struct batch *b, struct lanes *queue, struct xt_err *err)
{
	struct work *work = &b->work;

	while (!work->met) {
		take_news(w, b, queue);
		struct op_list *lane = batch_next_lane(b, queue);
		if (!lane->first || (b->ops.first && (batch_alone(lane->first) || batch_alone(b->ops.first))))
			break;
		if (lane == &queue->bulk && !batch_has_room(b))
			break;
		b->prompted = b->prompted || lane == &queue->prompt;
		struct op *op = op_pop(lane);
		op_push(&b->ops, op);
		if (work_apply(work, op, err) < 0 || work_broken(work->store))
			return -1;
		crash_point("in a batch");
	}
	return 0;
}

static void set_state(struct writer *w, enum writer_state state, const struct xt_err *why)
{
	pthread_mutex_lock(&w->lock);
	bool changed = w->state != state || (why && w->why.code != why->code);
	w->state = state;
	if (why)
		w->why = *why;
	pthread_mutex_unlock(&w->lock);
	if (changed)
		w->wake(w->data);
}

/* How many are waiting for the next batch meanwhile. */
static size_t give_back(struct writer *w, struct op_list *ops)
{
	pthread_mutex_lock(&w->lock);
	size_t waiting = lanes_count(&w->queue);
	op_splice(&w->done, ops);
	pthread_mutex_unlock(&w->lock);
	w->wake(w->data);
	return waiting;
}

static struct timespec in_us(int64_t us)
{
	int64_t t = batch_now_us() + us;

	return (struct timespec){.tv_sec = t / 1000000, .tv_nsec = t % 1000000 * 1000};
}

/* Waits, until there is something new in the queue unless `deaf`. False: the writer is to stop, so trying
 * again makes no sense. */
static bool nap(struct writer *w, int64_t ms, bool deaf)
{
	struct timespec until = in_us(ms * 1000);

	pthread_mutex_lock(&w->lock);
	int r = 0;
	while (!w->stopping && r != ETIMEDOUT && (deaf || lanes_empty(&w->queue)))
		r = pthread_cond_timedwait(&w->cond, &w->lock, &until);
	bool go_on = !w->stopping;
	pthread_mutex_unlock(&w->lock);
	return go_on;
}

/* Who has come again has not gone: his end waits in the queue still, and must not be told behind his return.
 */
static void forget_gone(struct op_list *kept, struct op_list *done, const struct client_key *client)
{
	struct op_list all = *kept;
	struct op *op;

	*kept = (struct op_list){0};
	while ((op = op_pop(&all))) {
		bool his = op->kind == OP_GONE && op->client.uid == client->uid &&
			   memcmp(op->client.id, client->id, XT_CLIENT_ID) == 0;
		op_push(his ? done : kept, op);
	}
}

/* While nothing can be stored clients are greeted and questions answered that need nothing new. */
static void serve_held(struct writer *w, struct batch *b, struct lanes *queue)
{
	struct op_list all = {0}, done = {0};
	struct lanes kept = {0};
	struct op *op;

	pthread_mutex_lock(&w->lock);
	lanes_splice(queue, &w->queue);
	pthread_mutex_unlock(&w->lock);
	op_splice(&all, &queue->prompt);
	op_splice(&all, &queue->bulk);
	while ((op = op_pop(&all))) {
		bool answered = work_apply_held(&b->work, op);
		if (answered && op->method->id == METHOD_hello)
			forget_gone(&kept.bulk, &done, &op->client);
		if (answered)
			op_push(&done, op);
		else
			lanes_push(&kept, op);
	}
	*queue = kept;
	if (done.first)
		give_back(w, &done);
}

/* Waits before the next try; the waits grow. False: the writer is to stop. */
static bool hold(struct writer *w, struct batch *b, struct lanes *queue)
{
	int64_t until = batch_now_us() + b->retry_ms * 1000;
	bool go_on;

	b->retry_ms = 2 * b->retry_ms < MAX_RETRY_MS ? 2 * b->retry_ms : MAX_RETRY_MS;
	do {
		serve_held(w, b, queue);
		assets_settle(w->store->assets, w->store); /* which may make room */
		int64_t left = (until - batch_now_us()) / 1000;
		go_on = nap(w, left > 0 ? left : 0, false);
	} while (go_on && batch_now_us() < until);
	return go_on;
}

/* The room that is kept for it lets a checkpoint through, after which the WAL begins anew in its place. -1:
 * the disk failed, and will not say so again. */
static int make_room(struct writer *w)
{
	if (w->reserve.bytes == 0)
		return 0;
	reserve_release(&w->reserve);
	return store_checkpoint(w->store, false);
}

/* Fills a batch and commits it. -1: it was rolled back, or is to be. */
static int fill_and_commit(struct writer *w, struct batch *b, struct lanes *queue, struct xt_err *err)
{
	struct store *s = w->store;

	if (s->read_only) {
		s->trouble = TROUBLE_NONE;
		epoch_notice_only(s);
		return fill(w, b, queue, err);
	}
	if (disk_look(s, err) == DISK_REFUSE) {
		s->trouble = TROUBLE_RETRY;
		s->why = *err;
		return -1;
	}
	if (store_begin(s, err) < 0 || fill(w, b, queue, err) < 0)
		return -1;
	if (crash_defect("acknowledge before commit")) {
		give_back(w, &b->ops);
		b->work.op = NULL;
	}
	if (entries_commit(w->cache, s->now_us(), &b->refusal) < 0) {
		b->work.cache_refusal = &b->refusal;
		return -1;
	}
	crash_point("before commit");
	int64_t start = batch_now_us();
	if (store_commit(s, err) < 0)
		return -1;
	crash_point("after commit");
	b->commit_us = batch_now_us() - start;
	return 0;
}

/* A cache that is damaged, or whose file was removed or replaced, is set aside, and a new one made when it is
 * needed. */
static bool mend_cache(struct writer *w)
{
	char aside[PATH_MAX + 64];
	struct xt_err err;

	bool damaged = atomic_load(&w->cache->damaged);
	if (!damaged && cache_is_in_place(w->cache))
		return false;
	if (cache_set_aside(w->cache, damaged ? "damaged" : "replaced",
			    damaged ? "it is damaged" : "its file was removed or replaced", aside, &err) == 0)
		return true;
	log_error("the cache cannot be used and cannot be set aside error=\"%s\"", err.message);
	return false;
}

/* The batch's rows go on without its results; or with them, once a damaged cache has gone. */
static int without_cache(struct writer *w, struct batch *b, struct lanes *queue)
{
	log_warn("results are not kept error=\"%s\"", b->refusal.message);
	store_rollback(w->store);
	batch_take_back(b, queue);
	if (!b->mended && mend_cache(w))
		b->work.cache_refusal = NULL;
	b->mended = true;
	return 1;
}

/* One try. 0: committed. 1: rolled back, try again. -1: this cannot go on. */
static int try_batch(struct writer *w, struct batch *b, struct lanes *queue)
{
	struct store *s = w->store;
	struct xt_err err = {0};

	const struct xt_err *refusal = b->work.cache_refusal;
	s->guard.deadline_ns = (batch_now_us() + LONGEST_US) * 1000;
	s->guard.timed_out = false; /* of an earlier batch: it stops no other */
	if (fill_and_commit(w, b, queue, &err) == 0)
		return 0;
	if (b->work.cache_refusal != refusal)
		return without_cache(w, b, queue);
	enum trouble trouble = s->trouble;
	bool culprit = trouble == TROUBLE_NONE || trouble == TROUBLE_CULPRIT;
	struct xt_err why = culprit ? err : s->why;
	bool noted = culprit && batch_note_culprit(b, &err);
	store_rollback(s);
	batch_take_back(b, queue);
	if (noted && !atomic_load(&w->abandon))
		return 1;
	if (culprit &&
	    !b->work.no_call_rows) { /* what else is made up by us: the rows of calls whose worker died */
		log_warn("rows of calls that did not end are left out error=\"%s\"", why.message);
		b->work.no_call_rows = true;
		return 1;
	}
	if (trouble == TROUBLE_RETRY && why.code == XT_E_disk_full && make_room(w) < 0) {
		trouble = TROUBLE_FATAL;
		why = s->why;
	}
	if (trouble == TROUBLE_RETRY) {
		set_state(w, WRITER_DEGRADED, &why);
		if (hold(w, b, queue))
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

/* What cannot be stored is given back with nothing but the end of its connection. The codes are those
 * that clients know as no answer: they send again, to the next daemon. */
static void give_up(struct writer *w, struct batch *b, struct lanes *queue)
{
	struct xt_err why;

	batch_take_back(b, queue);
	op_splice(&b->ops, &queue->prompt);
	op_splice(&b->ops, &queue->bulk);
	writer_state(w, &why);
	if (why.code != XT_E_file_replaced)
		why.code = XT_E_stopping;
	for (struct op *op = b->ops.first; op; op = op->next) {
		if (op->kind == OP_METHOD || op->kind == OP_BARRIER)
			wire_put_error(&op->out, op->request ? op->msgid : 0, &why);
		op->close = op->refused = true;
	}
	give_back(w, &b->ops);
}

static int after_commit(struct writer *w, const struct op_list *ops)
{
	struct store *s = w->store;
	struct xt_err ignored;
	bool tidy = false;

	tide_rise_all(&w->tide, &s->risen, s->all_risen); /* who waits is told before who sent */
	intake_committed(&w->intake, s);
	entries_committed(w->cache);
	cache_configure(w->cache, s);
	for (struct op *op = ops->first; op; op = op->next) {
		tidy = tidy || op->kind == OP_TIDY;
		if (op->kind != OP_GONE)
			continue;
		struct client *c = clients_find(s, &op->client, &ignored);
		if (c)
			clients_drop(s, c);
	}
	if (s->read_only)
		return 0;
	if (store_checkpoint(s, tidy) < 0)
		return -1;
	reserve_keep(&w->reserve, store_wal_used(s));
	return 0;
}

/* How things stand now that a batch is stored. */
static void look_around(struct writer *w)
{
	struct store *s = w->store;
	uint64_t warn = (uint64_t)s->config[CONFIG_WAL_WARN] << 20;
	struct xt_err why = {0};
	enum disk_level level = s->read_only ? DISK_PLENTY : disk_look(s, &why);

	if (level >= DISK_SLOW) {
		set_state(w, WRITER_SLOW, &why);
		nap(w, PAUSE_MS, true);
	} else if (level == DISK_WARN) {
		set_state(w, WRITER_WARNED, &why);
	} else if (store_wal_used(s) > warn) {
		xt_err_set(
			&why, XT_E_wal_blocked, NULL,
			"the write-ahead log has %llu MiB and cannot be put back, for another program reads "
			"an old snapshot of '%.200s'; end that program's statement",
			(unsigned long long)(store_wal_used(s) >> 20), s->path);
		set_state(w, WRITER_WARNED, &why);
	} else {
		set_state(w, WRITER_OK, NULL);
	}
}

/* Stores the head of the queue. */
static void run_batch(struct writer *w, struct batch *b, struct lanes *queue)
{
	int64_t start = batch_now_us();
	int r;

	b->work.culprit = NULL;
	b->work.cache_refusal = NULL;
	b->work.no_call_rows = false;
	b->mended = false;
	mend_cache(w);
	b->retry_ms = RETRY_MS;
	batch_take_back(b, queue);
	while ((r = try_batch(w, b, queue)) > 0)
		start = batch_now_us();
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
	int64_t took = batch_now_us() - start;
	batch_adapt(b, took);
	count(w, b, took);
	batch_resume_last(b, queue);
	/* Only with no prompt ones left: those may have come before. */
	b->bulk_turn = !b->bulk_us && !queue->prompt.first && queue->bulk.first;
	struct op_list done = b->ops;
	b->ops = (struct op_list){0};
	struct op_list again = done; /* looked at before it is out of our hands */
	bool sound = after_commit(w, &again) == 0;
	if (!sound) /* what was committed is acknowledged all the same */
		set_state(w, WRITER_FAILED, &w->store->why);
	crash_point("before acknowledgement");
	b->under_way = done.count + lanes_count(queue);
	b->under_way += give_back(w, &done);
	if (sound)
		look_around(w);
}

/* Does the head of the queue, which has no transaction. */
static void run_outside(struct writer *w, struct batch *b, struct lanes *queue)
{
	struct store *s = w->store;
	struct op_list done = {0};
	struct op *op = op_pop(batch_next_lane(b, queue));

	b->bulk_turn = false;
	s->guard.deadline_ns = 0;
	s->guard.timed_out = false;
	s->trouble = TROUBLE_NONE;
	mend_cache(w);
	work_outside(&b->work, op);
	if (s->trouble == TROUBLE_FATAL)
		set_state(w, WRITER_FAILED, &s->why);
	op_push(&done, op);
	give_back(w, &done);
}

/* ---- thread ----------------------------------------------------------- */

/* Senders that wait for each row would else split into two halves that commit by turns, each waiting for the
 * other's commit too: whom the last commit answered sends again a moment after the next has begun. So for
 * half a commit's time it waits until as many are there as were under way then. Under the lock. */
static void gather(struct writer *w, const struct batch *b)
{
	int64_t most = b->commit_us / 2 < MAX_GATHER_US ? b->commit_us / 2 : MAX_GATHER_US;
	struct timespec until = in_us(most);
	int r = 0;

	if (most < GATHER_US || b->under_way > GATHER_OPS)
		return;
	w->wanted = b->under_way;
	while (lanes_count(&w->queue) < w->wanted && !w->stopping && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&w->cond, &w->lock, &until);
	w->wanted = 0;
}

/* Takes the queue; false when it is empty and the writer is to stop. What it warns of may end while there is
 * nothing to do. */
static bool take_queue(struct writer *w, const struct batch *b, struct lanes *ret)
{
	pthread_mutex_lock(&w->lock);
	while (lanes_empty(&w->queue) && !w->stopping) {
		struct timespec until = in_us(LOOK_MS * 1000);
		bool warns = w->state == WRITER_WARNED || w->state == WRITER_SLOW;
		bool uses = entries_has_uses(w->cache);
		int r = warns || uses ? pthread_cond_timedwait(&w->cond, &w->lock, &until)
				      : pthread_cond_wait(&w->cond, &w->lock);
		if (r != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&w->lock);
		entries_flush(w->cache);
		if (warns && store_checkpoint(w->store, false) < 0)
			set_state(w, WRITER_FAILED, &w->store->why);
		else if (warns)
			look_around(w);
		pthread_mutex_lock(&w->lock);
	}
	gather(w, b);
	lanes_splice(ret, &w->queue);
	atomic_store(&w->news, false);
	pthread_mutex_unlock(&w->lock);
	return !lanes_empty(ret);
}

static void *writer_main(void *data)
{
	struct writer *w = data;
	struct batch *b = calloc(1, sizeof(*b));
	struct lanes queue = {0};
	struct xt_err why;

	pthread_setname_np(pthread_self(), "xt-writer");
	if (b) {
		b->work.names = calloc(XT_MAX_COLUMNS + 1, sizeof(struct span));
		b->work.keys = calloc(XT_MAX_COLUMNS + 1, sizeof(struct span));
	}
	if (!b || !b->work.names || !b->work.keys)
		abort(); /* at the start, with nothing accepted yet */
	b->work.store = w->store;
	b->work.cache = w->cache;
	cache_configure(w->cache, w->store);
	b->work.intake = &w->intake;
	intake_init(&w->intake, w->store->path);
	if (!w->store->read_only)
		reserve_init(&w->reserve, w->store->path);
	else
		w->reserve.fd = -1;
	w->store->guard.abandon = &w->abandon;
	b->row_limit = 1000;
	if (!w->store->read_only)
		assets_start(w->store->assets, w->store);
	while (take_queue(w, b, &queue))
		while (!lanes_empty(&queue)) {
			if (writer_state(w, &why) == WRITER_FAILED)
				give_up(w, b, &queue);
			else if (batch_outside(batch_next_lane(b, &queue)->first))
				run_outside(w, b, &queue);
			else
				run_batch(w, b, &queue);
		}
	intake_done(&w->intake);
	reserve_release(&w->reserve); /* room for the last checkpoint */
	free(b->work.names);
	free(b->work.keys);
	buf_done(&b->work.text);
	buf_done(&b->work.rows);
	free(b);
	return NULL;
}

int writer_start(struct writer *w, struct store *store, struct cache *cache, void (*wake)(void *data),
		 void *data)
{
	pthread_condattr_t attr;
	sigset_t all, old;

	w->store = store;
	w->cache = cache;
	tide_init(&w->tide, (uint64_t)store->now_us());
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

void writer_submit(struct writer *w, struct lanes *ops)
{
	if (lanes_empty(ops))
		return;
	pthread_mutex_lock(&w->lock);
	bool idle = lanes_empty(&w->queue);
	if (ops->prompt.first)
		atomic_store(&w->news, true);
	lanes_splice(&w->queue, ops);
	bool enough = w->wanted > 0 && lanes_count(&w->queue) >= w->wanted;
	pthread_mutex_unlock(&w->lock);
	if (idle || enough)
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
	atomic_store(&w->abandon, true);
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->cond);
	pthread_join(w->thread, NULL);
	w->running = false;
	tide_done(&w->tide);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->cond);
}
