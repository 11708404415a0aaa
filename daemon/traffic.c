/* Messages between the loop and the threads, and the open queries. Part of server.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "asset.h"
#include "log.h"
#include "server.h"

#define MAX_CONN_CURSORS 64
#define CURSOR_IDLE	 300000u  /* ms that a query may wait for its next fetch */
#define CURSOR_AGE	 3600000u /* ms that a query may be open: it keeps the WAL from being put back */
#define CURSOR_HURRY	 5000u	  /* ms it may wait while the WAL is large */
#define LARGE_WAL	 (UINT64_C(1) << 30)
#define SPOOL_MS	 60000u /* between two looks for spool files */
#define OWNED_SPOOL_MS	 1000u	/* while some wait for their owners */
#define CURSOR_LATE	 60000u /* ms it may be open, whatever it does, while the WAL is huge */
#define HUGE_WAL	 (UINT64_C(4) << 30)
#define WATCH_MS	 1000u
#define JUDGE_MS	 30000u /* between two looks at clients that are not there but live */

/* ---- messages --------------------------------------------------------- */

void server_op_free(struct op *op)
{
	buf_done(&op->out);
	buf_done(&op->extra);
	block_unref(op->block);
	share_unref(op->share);
	free(op);
}

void server_to_threads(struct server *s, struct op *op, size_t queued)
{
	if (op->method && op->method->thread == THREAD_READER && op->kind == OP_METHOD) {
		reader_submit(&s->readers, op);
	} else if (op->kind == OP_CLOSE) {
		reader_submit(&s->readers, op);
	} else {
		lane_choose(&s->keeper, op, queued);
		lanes_push(&s->to_writer, op);
	}
}

static enum share_kind share_kind(const struct op *op)
{
	return op->method->thread == THREAD_READER ? SHARE_READING : SHARE_QUEUED;
}

bool server_reads(struct server *s, const struct conn *c)
{
	const struct shares *all = &s->shares;

	if (all->used[SHARE_QUEUED] < all->max[SHARE_QUEUED] / 2)
		return !s->full;
	bool fair = share_allows(c->share, SHARE_QUEUED, 0);
	s->squeezed = s->squeezed || !fair;
	return fair && !s->full;
}

void server_queue(struct server *s, struct conn *c, struct op *op)
{
	if (op->cursor)
		op->cursor->busy = true;
	c->ops++;
	c->jobs += op->method->thread == THREAD_READER;
	c->queued += op->bytes;
	op->share = share_ref(c->share);
	share_take(op->share, share_kind(op), op->bytes);
	s->queued_ops++;
	s->unasked_ops += op->greeting;
	s->full = s->full || s->shares.used[SHARE_QUEUED] >= s->shares.max[SHARE_QUEUED];
	if (op->method->flags & METHOD_VIEW)
		server_hold_read(s, op);
	else
		server_to_threads(s, op, c->queued);
}

struct op *server_queue_internal(struct server *s, enum op_kind kind, const struct client_key *client,
				 struct cursor *cursor)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL; /* a run's end or a checkpoint comes later */
	op->kind = kind;
	op->greeting = true;
	op->cursor = cursor;
	if (client)
		op->client = *client;
	s->queued_ops++;
	s->unasked_ops++;
	server_to_threads(s, op, 0);
	return op;
}

void server_tell_gone(struct server *s, const struct client_key *client, bool reader, const char *cause)
{
	struct op *op = server_queue_internal(s, OP_GONE, client, NULL);

	lease_client_gone(s->leases, client);
	server_sampling_gone(s, client);
	if (!op)
		return;
	op->reader = reader;
	cache_check_readers(s->cache);
	snprintf(op->cause, sizeof(op->cause), "%s", cause);
}

/* ---- assets ----------------------------------------------------------- */

/* Files that uploads and deletions have left in limbo. */
static void settle_assets(struct server *s)
{
	if (!s->settling && !s->failed && !s->store->read_only &&
	    atomic_load(&s->store->assets->n_restless) > 0)
		s->settling = server_queue_internal(s, OP_SETTLE, NULL, NULL) != NULL;
}

/* ---- spool files ------------------------------------------------------ */

static void on_spool_timer(uv_timer_t *t)
{
	server_look_for_spools(t->data);
}

void server_look_for_spools(struct server *s)
{
	char dir[PATH_MAX];

	if (s->spooling || s->draining || s->store->read_only)
		return;
	snprintf(dir, sizeof(dir), "%s.spool", s->store->path);
	if (access(dir, F_OK) == 0)
		s->spooling = server_queue_internal(s, OP_SPOOL, NULL, NULL) != NULL;
	else
		uv_timer_start(&s->spool_timer, on_spool_timer, SPOOL_MS, 0);
}

/* A piece was taken in: on with the next, or a look later. */
static void spool_back(struct server *s, const struct op *op)
{
	s->spooling = false;
	if (op->again)
		server_look_for_spools(s);
	else if (!s->draining)
		uv_timer_start(&s->spool_timer, on_spool_timer, op->waiting ? OWNED_SPOOL_MS : SPOOL_MS, 0);
}

/* ---- state ------------------------------------------------------------ */

void server_tell_state(struct server *s, struct conn *c)
{
	static const char *const names[] = {[WRITER_OK] = "ok",
					    [WRITER_WARNED] = "warning",
					    [WRITER_SLOW] = "slow",
					    [WRITER_DEGRADED] = "degraded",
					    [WRITER_FAILED] = "degraded"};
	struct xt_err why;
	enum writer_state state = writer_state(&s->writer, &why);
	struct params_state p = {.state = span_str(names[state])};

	if (state != WRITER_OK) {
		p.has = PARAM_BIT(state, code) | PARAM_BIT(state, message);
		p.code = span_str(proto_error_name(why.code));
		p.message = span_str(why.message);
	}
	wire_put_notify(&c->out, METHOD_state, &p);
	conn_touch(c);
}

void server_tidy(struct server *s)
{
	server_queue_internal(s, OP_TIDY, NULL, NULL);
}

void server_mend_cache(struct server *s)
{
	server_queue_internal(s, OP_CACHE, NULL, NULL);
}

void server_judge(struct server *s)
{
	server_queue_internal(s, OP_JUDGE, NULL, NULL);
}

static void on_judge_timer(uv_timer_t *t)
{
	server_judge(t->data);
}

struct conn *server_conn(struct server *s, uint64_t id)
{
	size_t slot = id & 0xffffff;
	struct conn *c = slot < s->n_slots ? s->slots[slot] : NULL;

	return id && c && c->id == id && c->state != CONN_CLOSING ? c : NULL;
}

/* ---- cursors ---------------------------------------------------------- */

struct cursor *server_cursor_find(struct server *s, uint64_t conn, uint32_t msgid)
{
	for (struct cursor *k = s->cursors; k; k = k->next)
		if (k->conn == conn && k->msgid == msgid)
			return k;
	return NULL;
}

int server_cursor_open(struct server *s, const struct conn *c, struct op *op, struct xt_err *err)
{
	if (server_cursor_find(s, op->conn, op->msgid))
		return xt_err_set(err, XT_E_busy, NULL, "msgid %u names an open query of this connection",
				  op->msgid);
	size_t ours = 0;
	for (struct cursor *k = s->cursors; k; k = k->next)
		ours += k->conn == op->conn;
	if (ours >= MAX_CONN_CURSORS)
		return xt_err_set(err, XT_E_busy, NULL, "%d queries of this connection are open; close one",
				  MAX_CONN_CURSORS);
	if (!share_allows(c->share, SHARE_CURSORS, 1))
		return xt_err_set(
			err, XT_E_busy, NULL,
			"%zu queries are open, %zu of them of this process; close one, or try again",
			s->n_cursors, c->share->held[SHARE_CURSORS]);
	if (!share_allows(c->share, SHARE_READING, op->bytes))
		return xt_err_set(err, XT_E_busy, NULL,
				  "queries of this process wait already, with %zu bytes; try again",
				  c->share->held[SHARE_READING]);
	bool asset = op->method->id == METHOD_asset_put || op->method->id == METHOD_asset_get;
	if (asset && !share_allows(c->share, SHARE_ASSETS, 1))
		return xt_err_set(err, XT_E_busy, NULL,
				  "%zu assets are being put or read, %zu of them by this process; try again",
				  s->shares.used[SHARE_ASSETS], c->share->held[SHARE_ASSETS]);
	struct cursor *k = cursor_new(s->store, op->conn, op->msgid);
	if (!k)
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	k->asset = asset;
	k->opened_ms = k->idle_ms = uv_now(&s->loop);
	k->next = s->cursors;
	s->cursors = k;
	s->n_cursors++;
	k->share = share_ref(c->share);
	share_take(k->share, SHARE_CURSORS, 1);
	share_take(k->share, SHARE_ASSETS, asset);
	server_watch(s);
	op->cursor = k;
	return 0;
}

static void cursor_forget(struct server *s, struct cursor *k)
{
	struct cursor **at = &s->cursors;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	share_give(k->share, SHARE_CURSORS, 1);
	share_give(k->share, SHARE_ASSETS, k->asset);
	share_unref(k->share);
	cursor_free(k);
	s->n_cursors--;
}

/* Ends a query: at once when it is between pages, else when its thread notices. */
static void cursor_end(struct server *s, struct cursor *k)
{
	atomic_store(&k->cancelled, true);
	if (k->closing)
		return;
	k->closing = true;
	if (!k->busy) {
		k->busy = true;
		server_queue_internal(s, OP_CLOSE, NULL, k);
	}
}

bool server_cancel(struct server *s, uint64_t conn, uint32_t msgid)
{
	struct cursor *k = server_cursor_find(s, conn, msgid);

	if (!k || k->closing)
		return false;
	cursor_end(s, k);
	return true;
}

void server_end_cursors(struct server *s, uint64_t conn)
{
	for (struct cursor *k = s->cursors; k; k = k->next)
		if (conn == 0 || k->conn == conn)
			cursor_end(s, k);
}

/* Ends queries that keep the WAL from being put back for too long. */
static void look_at_cursors(struct server *s)
{
	uint64_t now = uv_now(&s->loop), wal = store_wal_bytes(s->store);

	for (struct cursor *k = s->cursors; k; k = k->next) {
		uint64_t idle = now - k->idle_ms, age = k->asset ? 0 : now - k->opened_ms;
		if (!k->busy && (idle > CURSOR_IDLE || age > CURSOR_AGE ||
				 (wal > LARGE_WAL && idle > CURSOR_HURRY && !k->asset)))
			cursor_end(s, k);
		else if (wal > HUGE_WAL && age > CURSOR_LATE)
			cursor_end(s, k);
	}
}

static void on_watch(uv_timer_t *t)
{
	struct server *s = t->data;

	if (s->n_cursors > 0)
		look_at_cursors(s);
	else
		reader_forget(&s->readers);		  /* no pages are to come */
	for (struct conn *c = s->conns; c; c = c->next) { /* none is freed before its close callback */
		conn_look_gone(c);
		conn_look_late(c);
	}
	server_room(s);
	if (s->n_cursors == 0 && s->n_strangers == 0 && s->n_waiting == 0)
		uv_timer_stop(t);
}

void server_watch(struct server *s)
{
	if (!uv_is_active((uv_handle_t *)&s->watch_timer) && !uv_is_closing((uv_handle_t *)&s->watch_timer))
		uv_timer_start(&s->watch_timer, on_watch, WATCH_MS, WATCH_MS);
}

void server_room(struct server *s)
{
	for (struct conn *c = s->n_waiting ? s->conns : NULL; c; c = c->next) {
		if (!c->waits)
			continue;
		c->waits = false;
		s->n_waiting--;
		conn_regulate(c); /* asks again when it is to be read */
	}
}

/* A thread is done with a cursor. */
static void cursor_back(struct server *s, struct cursor *k)
{
	k->busy = false;
	k->idle_ms = uv_now(&s->loop);
	if (k->finished) {
		cursor_forget(s, k);
	} else if (k->closing) { /* cancelled too late for its last page */
		k->closing = false;
		cursor_end(s, k);
	}
}

/* ---- back from the threads -------------------------------------------- */

/* A query whose `after` is committed goes on to the readers. */
static bool goes_on(struct server *s, struct op *op)
{
	if (op->kind != OP_BARRIER || op->refused)
		return false;
	op->kind = OP_METHOD;
	server_to_threads(s, op, 0);
	return true;
}

static void deliver(struct server *s, struct conn *c, struct op *op)
{
	conn_put(c, &op->out);
	if (op->method->id == METHOD_hello) {
		c->welcomed = true;
		if (s->told != WRITER_OK)
			server_tell_state(s, c);
		server_tell_cache(s, c); /* it may have moved since the answer was made */
	}
	if (op->ack > c->ack)
		c->ack = op->ack;
	if (op->ack > c->committed)
		c->committed = op->ack;
	c->ops--;
	c->jobs -= op->method->thread == THREAD_READER;
	c->queued -= op->bytes;
	if (op->close)
		conn_finish(c);
	conn_touch(c);
}

static void take_back(struct server *s, struct op *op)
{
	lane_leave(&s->keeper, op);
	if (goes_on(s, op))
		return;
	s->queued_ops--;
	s->unasked_ops -= op->greeting;
	if (op->share)
		share_give(op->share, share_kind(op), op->bytes);
	struct conn *c = op->method ? server_conn(s, op->conn) : NULL;
	if (op->kind == OP_SPOOL)
		spool_back(s, op);
	if (op->kind == OP_SETTLE)
		s->settling = false;
	if (op->kind == OP_CACHE)
		s->mending = false;
	if (op->kind == OP_LOOK)
		server_looked(s);
	if (op->kind == OP_MARK)
		server_marked(s, op->mark);
	if (op->kind == OP_JUDGE && op->again && !s->draining)
		uv_timer_start(&s->judge_timer, on_judge_timer, JUDGE_MS, DAY_MS);
	if (op->method && op->method->id == METHOD_cache_finish)
		server_finished(s, op);
	if (c)
		deliver(s, c, op);
	if (op->cursor) {
		op->cursor->finished = op->cursor->finished || op->kind == OP_BARRIER;
		cursor_back(s, op->cursor);
	}
	server_op_free(op);
	if (c)
		conn_rest(c);
}

void server_take_back(struct server *s)
{
	struct op_list done = {0};
	struct op *op;

	writer_take(&s->writer, &done);
	reader_take(&s->readers, &done);
	while ((op = op_pop(&done)))
		take_back(s, op);
	server_look_at_waits(s);
	settle_assets(s);
	if ((s->full || s->squeezed) && s->shares.used[SHARE_QUEUED] < s->shares.max[SHARE_QUEUED] / 2) {
		s->full = s->squeezed = false;
		for (struct conn *c = s->conns; c; c = c->next)
			conn_regulate(c);
	}
}
