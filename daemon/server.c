#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log.h"
#include "trace.h"

#define BACKLOG	    4096
#define CALM_MS	    1000  /* that a better state must last before it is told */
#define DRAIN_MS    10000 /* longest wait for senders to be quiet */
#define QUIET_TURNS 3
#define COMPLAIN_MS 10000 /* between two log lines about the same trouble */
#define SPARE_FDS   1024  /* at most, that are no connections */
#define MAX_CURSORS 256
#define MIN_CURSORS 8
#define MAX_SAMPLED 16384	 /* calls: each costs a little at every tick */
#define MAX_WAITS   100000	 /* requests that wait for rows: some 100 bytes each */
#define MAX_ASSETS  32		 /* uploads and downloads: zstd takes 2 MiB for one */
#define MAX_QUEUED  (32u << 20)	 /* bytes that wait for the writer */
#define MAX_READING (64u << 20)	 /* bytes that wait for the readers */
#define MAX_ROOM    (128u << 20) /* bytes of large messages that have come in part */
#define MAX_UNREAD  (128u << 20) /* bytes of answers that are not read */
#define PLENTY_OPS  1500	 /* messages under way: more than the writer does in one nap */
#define NAP_US	    1		 /* with the kernel's slack some 50 */

/* ---- connections ------------------------------------------------------ */

static int new_slot(struct server *s, size_t *ret)
{
	for (size_t i = 0; i < s->n_slots; i++) {
		size_t at = (s->serial + i) % s->n_slots;
		if (!s->slots[at]) {
			*ret = at;
			return 0;
		}
	}
	size_t n = s->n_slots ? 2 * s->n_slots : 64;
	struct conn **slots = realloc(s->slots, n * sizeof(*slots));
	if (!slots)
		return -1;
	memset(slots + s->n_slots, 0, (n - s->n_slots) * sizeof(*slots));
	s->slots = slots;
	*ret = s->n_slots;
	s->n_slots = n;
	return 0;
}

static void close_and_free(uv_handle_t *h)
{
	free(h->data);
}

/* Turned away before it is one of ours: the error is written if the kernel takes it at once. */
static void turn_away(struct conn *c, enum xt_code code, const char *why)
{
	struct buf out = {0};
	struct xt_err err;

	xt_err_set(&err, code, NULL, "%s", why);
	wire_put_error(&out, 0, &err);
	uv_buf_t b = uv_buf_init((char *)out.data, (unsigned)out.len);
	uv_try_write((uv_stream_t *)&c->pipe, &b, 1);
	buf_done(&out);
	uv_close((uv_handle_t *)&c->pipe, close_and_free);
}

/* Descriptors are shared out: half of few, or a thousand of many, are for queries (SQLite takes three for
 * each) and for files of our own. */
static void set_limits(struct server *s)
{
	struct rlimit lim = {.rlim_cur = 1024};

	getrlimit(RLIMIT_NOFILE, &lim);
	size_t kept = lim.rlim_cur / 2 < SPARE_FDS ? lim.rlim_cur / 2 : SPARE_FDS;
	size_t cursors = kept > 64 + 3 * MIN_CURSORS ? (kept - 64) / 3 : MIN_CURSORS;
	s->shares.max[SHARE_CONNS] = lim.rlim_cur - kept;
	s->shares.max[SHARE_CURSORS] = cursors < MAX_CURSORS ? cursors : MAX_CURSORS;
	s->shares.max[SHARE_ASSETS] = MAX_ASSETS;
	s->shares.max[SHARE_SAMPLED] = MAX_SAMPLED;
	s->shares.max[SHARE_WAITS] = MAX_WAITS;
	s->shares.max[SHARE_QUEUED] = MAX_QUEUED;
	s->shares.max[SHARE_READING] = MAX_READING;
	s->shares.max[SHARE_ROOM] = MAX_ROOM;
	s->shares.max[SHARE_UNREAD] = MAX_UNREAD;
}

static void complain(struct server *s, const char *what, const char *why)
{
	if (uv_now(&s->loop) - s->complained_ms < COMPLAIN_MS && s->complained_ms)
		return;
	s->complained_ms = uv_now(&s->loop);
	log_warn("%s error=\"%s\" connections=%zu", what, why, s->n_conns);
}

static void admit(struct server *s, struct conn *c)
{
	uv_os_fd_t fd;
	size_t slot;

	if (uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0 ||
	    peer_of(fd, s->store->path, &s->opt.access, &c->peer) < 0) {
		turn_away(c, XT_E_not_allowed, "the daemon cannot tell who you are");
	} else if (c->peer.role == ROLE_NONE) {
		if (log_allows(&s->blame))
			log_warn("connection refused: another user uid=%u pid=%d", (unsigned)c->peer.uid,
				 (int)c->peer.pid);
		turn_away(c, XT_E_not_allowed,
			  "the daemon serves its own user, the database's owner, root and the groups it was "
			  "told to (--group, --readers), not you");
	} else if (!(c->share = share_of(&s->shares, c->peer.uid, c->peer.pid)) ||
		   !share_allows(c->share, SHARE_CONNS, 1) ||
		   s->n_conns + s->watches.count >= s->shares.max[SHARE_CONNS] || new_slot(s, &slot) < 0) {
		complain(s, "connection refused", "too many connections");
		turn_away(
			c, XT_E_busy,
			"too many connections, most of them of this process; raise the limit of open files, "
			"or try again");
		share_unref(c->share);
	} else {
		share_take(c->share, SHARE_CONNS, 1);
		s->n_strangers++;
		server_watch(s);
		c->server = s;
		c->id = ++s->serial << 24 | slot;
		s->slots[slot] = c;
		c->next = s->conns;
		if (s->conns)
			s->conns->prev = c;
		s->conns = c;
		s->n_conns++;
		/* Connections come before descriptors of processes. */
		if (s->n_conns + s->watches.count < s->shares.max[SHARE_CONNS] / 2)
			c->watch = watch_peer(&s->watches, fd, &c->peer);
		uv_timer_stop(&s->idle_timer);
		conn_start(c);
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct server *s = listener->data;
	struct conn *c = status < 0 ? NULL : calloc(1, sizeof(*c));

	if (!c) {
		complain(s, "cannot accept a connection", status < 0 ? uv_strerror(status) : "out of memory");
		return;
	}
	c->pipe.data = c;
	if (uv_pipe_init(&s->loop, &c->pipe, 0) < 0) {
		free(c);
		return;
	}
	if (uv_accept(listener, (uv_stream_t *)&c->pipe) < 0)
		uv_close((uv_handle_t *)&c->pipe, close_and_free);
	else
		admit(s, c);
}

void server_touch(struct server *s, struct conn *c)
{
	c->dirty = true;
	c->next_dirty = s->dirty;
	s->dirty = c;
}

static struct conn **same_bucket(struct server *s, const struct client_key *key)
{
	return &s->same[(key->id[0] | (size_t)key->id[1] << 8) % SERVER_BUCKETS];
}

static bool same_client(const struct conn *a, const struct conn *b)
{
	return a->client.uid == b->client.uid && memcmp(a->client.id, b->client.id, XT_CLIENT_ID) == 0;
}

void server_greeted(struct server *s, struct conn *c)
{
	struct conn **bucket = same_bucket(s, &c->client);

	s->n_strangers--;
	c->next_same = *bucket;
	*bucket = c;
	for (struct conn *old = c->next_same, *next; old; old = next) {
		next = old->next_same;
		if (same_client(old, c))
			conn_close(old); /* its client has come again: nobody reads there any more */
	}
	server_returned(s, &c->client);
}

static void unlink_same(struct server *s, struct conn *c)
{
	struct conn **at = same_bucket(s, &c->client);
	bool others = false;

	while (*at != c)
		at = &(*at)->next_same;
	*at = c->next_same;
	for (struct conn *k = *same_bucket(s, &c->client); k; k = k->next_same)
		others = others || same_client(k, c);
	if (!others)
		server_departed(s, c);
}

static void on_idle(uv_timer_t *t)
{
	struct server *s = t->data;

	if (s->n_conns > 0 || s->draining)
		return;
	log_info("idle, leaving idle_ms=%llu", (unsigned long long)s->opt.idle_exit_ms);
	server_drain(s, false);
}

void server_lost(struct server *s, struct conn *c)
{
	s->slots[c->id & 0xffffff] = NULL;
	server_end_cursors(s, c->id);
	share_give(c->share, SHARE_CONNS, 1);
	lease_conn_gone(s->leases, c->id);
	server_end_waits(s, c);
	if (c->greeted)
		unlink_same(s, c);
	else
		s->n_strangers--;
	server_look_for_spools(s);
	if (--s->n_conns > 0)
		return;
	server_tidy(s);
	if (s->opt.idle_exit_ms && !s->draining)
		uv_timer_start(&s->idle_timer, on_idle, s->opt.idle_exit_ms, 0);
}

void server_forget(struct server *s, struct conn *c)
{
	struct conn **at = &s->dirty;

	while (c->dirty && *at != c) /* made dirty and closed in one turn */
		at = &(*at)->next_dirty;
	if (c->dirty)
		*at = c->next_dirty;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
}

/* ---- turns of the loop ------------------------------------------------ */

static void flush_dirty(struct server *s)
{
	while (s->dirty) {
		struct conn *c = s->dirty;
		s->dirty = c->next_dirty;
		c->dirty = false;
		conn_flush(c);
	}
}

static void close_handles(struct server *s)
{
	uv_handle_t *handles[] = {(uv_handle_t *)&s->async,	   (uv_handle_t *)&s->prepare,
				  (uv_handle_t *)&s->spin,	   (uv_handle_t *)&s->idle_timer,
				  (uv_handle_t *)&s->watch_timer,  (uv_handle_t *)&s->judge_timer,
				  (uv_handle_t *)&s->spool_timer,  (uv_handle_t *)&s->departed_timer,
				  (uv_handle_t *)&s->calm_timer,   (uv_handle_t *)&s->drain_timer,
				  (uv_handle_t *)&s->lease_timer,  (uv_handle_t *)&s->sample_timer,
				  (uv_handle_t *)&s->settle_timer, (uv_handle_t *)&s->settle_spin,
				  (uv_handle_t *)&s->wait_timer,   (uv_handle_t *)&s->wal_event,
				  (uv_handle_t *)&s->sigterm,	   (uv_handle_t *)&s->sigint,
				  (uv_handle_t *)&s->listener};

	/* Closing a signal's handle gives it back its default, which would kill us on the way out. */
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++)
		if (!uv_is_closing(handles[i]))
			uv_close(handles[i], NULL);
}

static void leave(struct server *s)
{
	s->leaving = true;
	uv_idle_stop(&s->spin);
	for (struct conn *c = s->conns; c; c = c->next)
		conn_finish(c);
	flush_dirty(s);
}

static void on_spin(uv_idle_t *i)
{
	(void)i; /* being active keeps the loop from waiting */
}

/* While draining: has everybody's last word been read and answered? */
static void look_whether_quiet(struct server *s)
{
	if (s->leaving) {
		if (s->n_conns == 0 && s->queued_ops == 0)
			close_handles(s);
		return;
	}
	if (s->queued_ops > 0 && !s->failed) {
		uv_idle_stop(&s->spin); /* the threads will wake us */
		s->quiet_turns = 0;
		return;
	}
	uv_idle_start(&s->spin, on_spin);
	s->quiet_turns = s->read_bytes == s->quiet_at ? s->quiet_turns + 1 : 0;
	s->quiet_at = s->read_bytes;
	if (s->quiet_turns < QUIET_TURNS)
		return;
	leave(s);
	if (s->n_conns == 0 && s->queued_ops == 0)
		close_handles(s);
}

static void on_prepare(uv_prepare_t *p)
{
	struct server *s = p->data;

	server_look_at_cache(s);
	server_look_at_reads(s);
	flush_dirty(s);
	if (s->draining)
		look_whether_quiet(s);
	writer_submit(&s->writer, &s->to_writer);
	/* The writer has work for longer than this nap. Without it every row would wake the loop, which
	 * costs the sender and the loop more than the row itself. */
	if (s->queued_ops > PLENTY_OPS && !s->draining)
		usleep(NAP_US);
}

static void tell_all(struct server *s, enum writer_state state, const struct xt_err *why)
{
	static const char *const says[] = {[WRITER_OK] = "rows are stored again",
					   [WRITER_WARNED] = "rows are stored, but not for long",
					   [WRITER_SLOW] = "rows are stored slowly",
					   [WRITER_DEGRADED] = "rows wait: the batch cannot be stored now"};

	if (state == WRITER_OK)
		log_info("%s waiting=%zu", says[state], s->queued_ops);
	else
		log_warn("%s error=\"%s\" connections=%zu", says[state], why->message, s->n_conns);
	s->told = state;
	s->told_code = why->code;
	s->told_ms = uv_now(&s->loop);
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->welcomed && c->state == CONN_OPEN)
			server_tell_state(s, c);
}

static void look_at_state(struct server *s, bool now);

static void on_calm(uv_timer_t *t)
{
	look_at_state(t->data, false);
}

/* What has become worse is told at once; what is better, when it stays so: a disk at a watermark goes to
 * and fro with every commit. now: whatever it is. */
static void look_at_state(struct server *s, bool now)
{
	struct xt_err why;
	enum writer_state state = writer_state(&s->writer, &why);
	uint64_t since = uv_now(&s->loop) - s->told_ms;

	if (state == WRITER_FAILED)
		server_fail(s, why.message);
	else if (state == s->told && (state == WRITER_OK || why.code == s->told_code))
		return;
	else if (now || state > s->told || since >= CALM_MS)
		tell_all(s, state, &why);
	else if (!s->draining)
		uv_timer_start(&s->calm_timer, on_calm, CALM_MS - since, 0);
}

static void on_async(uv_async_t *a)
{
	struct server *s = a->data;

	server_take_back(s);
	look_at_state(s, false);
}

static void wake(void *data)
{
	struct server *s = data;

	uv_async_send(&s->async);
}

/* Somebody goes on sending, or does not read: their rows are resent to the next daemon. */
static void on_drain_timer(uv_timer_t *t)
{
	struct server *s = t->data;
	atomic_store(&s->writer.abandon, true);
	if (!s->leaving)
		leave(s);
	for (struct conn *c = s->conns; c; c = c->next)
		conn_close(c);
	if (s->queued_ops > 0)
		log_warn("left with messages that could not be stored messages=%zu", s->queued_ops);
	close_handles(s);
}

void server_drain(struct server *s, bool hold)
{
	s->hold = s->hold || hold;
	if (s->draining)
		return;
	if (!s->failed)
		look_at_state(s, true);
	s->draining = true;
	log_info("draining connections=%zu", s->n_conns);
	if (!uv_is_closing((uv_handle_t *)&s->listener))
		uv_close((uv_handle_t *)&s->listener, NULL);
	uv_timer_stop(&s->idle_timer);
	uv_timer_stop(&s->spool_timer);
	uv_timer_stop(&s->calm_timer);
	server_forget_departed(s);
	uv_timer_start(&s->drain_timer, on_drain_timer, DRAIN_MS, 0);
	atomic_store(&s->readers.leaving, true);
	server_end_cursors(s, 0);
	uv_idle_start(&s->spin, on_spin);
}

void server_fail(struct server *s, const char *why)
{
	if (s->failed)
		return;
	s->failed = true;
	log_error("nothing more can be stored, leaving error=\"%s\"", why);
	server_drain(s, false);
}

static void on_signal(uv_signal_t *sig, int number)
{
	struct server *s = sig->data;

	log_info("signal received number=%d", number);
	server_drain(s, false);
}

static void on_judge(uv_timer_t *t)
{
	server_judge(t->data);
}

/* ---- facts ------------------------------------------------------------ */

void server_facts(struct server *s, struct server_facts *ret)
{
	*ret = (struct server_facts){
		.socket = s->opt.socket,
		.log_file = s->opt.log_file,
		.durability = s->opt.durability,
		.store = s->store,
		.stats = &s->writer.stats,
		.connections = s->n_conns,
		.queued_ops = s->queued_ops - s->unasked_ops,
		.queued_bytes = s->queued_ops > s->unasked_ops
					? s->shares.used[SHARE_QUEUED] + s->shares.used[SHARE_READING]
					: 0,
		.cursors = s->n_cursors,
		.uptime_ms = uv_now(&s->loop) - s->started_ms,
		.idle_exit_ms = s->opt.idle_exit_ms,
		.draining = s->draining,
	};
	ret->writer = writer_state(&s->writer, &ret->why);
}

/* ---- start and stop --------------------------------------------------- */

static int listen_fail(struct xt_err *err, const struct server_options *o, int code)
{
	return xt_err_set(err, XT_E_io_error, "socket", "cannot listen on '%.200s': %s", o->socket,
			  uv_strerror(code));
}

static int start_listening(struct server *s, struct xt_err *err)
{
	int r = uv_pipe_open(&s->listener, s->opt.listen_fd);

	if (r == 0)
		r = uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
	return r < 0 ? listen_fail(err, &s->opt, r) : 0;
}

static void init_handles(struct server *s)
{
	uv_async_init(&s->loop, &s->async, on_async);
	uv_prepare_init(&s->loop, &s->prepare);
	uv_idle_init(&s->loop, &s->spin);
	uv_timer_init(&s->loop, &s->idle_timer);
	uv_timer_init(&s->loop, &s->watch_timer);
	uv_timer_init(&s->loop, &s->judge_timer);
	uv_timer_init(&s->loop, &s->spool_timer);
	uv_timer_init(&s->loop, &s->departed_timer);
	uv_timer_init(&s->loop, &s->calm_timer);
	uv_timer_init(&s->loop, &s->drain_timer);
	uv_timer_init(&s->loop, &s->lease_timer);
	uv_timer_init(&s->loop, &s->sample_timer);
	uv_timer_init(&s->loop, &s->settle_timer);
	uv_idle_init(&s->loop, &s->settle_spin);
	uv_timer_init(&s->loop, &s->wait_timer);
	uv_fs_event_init(&s->loop, &s->wal_event);
	uv_signal_init(&s->loop, &s->sigterm);
	uv_signal_init(&s->loop, &s->sigint);
	uv_pipe_init(&s->loop, &s->listener, 0);
	s->async.data = s->prepare.data = s->spin.data = s;
	s->idle_timer.data = s->watch_timer.data = s->judge_timer.data = s->drain_timer.data = s;
	s->spool_timer.data = s->departed_timer.data = s->calm_timer.data = s;
	s->lease_timer.data = s->sample_timer.data = s->settle_timer.data = s->settle_spin.data = s;
	s->wait_timer.data = s->wal_event.data = s;
	s->watches = (struct watch_list){.loop = &s->loop, .on_death = server_on_death, .data = s};
	s->sigterm.data = s->sigint.data = s->listener.data = s;
}

int server_init(struct server *s, struct store *store, struct cache *cache, const struct server_options *o,
		struct xt_err *err)
{
	*s = (struct server){.opt = *o, .store = store, .cache = cache, .trace = trace_wanted()};
	int r = uv_loop_init(&s->loop);
	if (r < 0)
		return xt_err_set(err, XT_E_internal, NULL, "cannot start the event loop: %s",
				  uv_strerror(r));
	init_handles(s);
	set_limits(s);
	server_sampling_init(s);
	if (flight_init(s, err) < 0 || server_waits_init(s, err) < 0)
		return -1;
	r = writer_start(&s->writer, store, cache, wake, s);
	if (r == 0)
		r = reader_start(&s->readers, store->path, wake, s);
	if (r < 0)
		return xt_err_set(err, XT_E_internal, NULL, "cannot start a thread: %s", strerror(-r));
	uv_prepare_start(&s->prepare, on_prepare);
	uv_signal_start(&s->sigterm, on_signal, SIGTERM);
	uv_signal_start(&s->sigint, on_signal, SIGINT);
	if (!store->read_only)
		uv_timer_start(&s->judge_timer, on_judge, o->grace_ms, DAY_MS);
	if (o->idle_exit_ms)
		uv_timer_start(&s->idle_timer, on_idle, o->idle_exit_ms, 0);
	s->started_ms = uv_now(&s->loop);
	server_look_for_spools(s);
	return start_listening(s, err);
}

int server_run(struct server *s)
{
	uv_run(&s->loop, UV_RUN_DEFAULT);
	return s->failed ? -1 : 0;
}

void server_done(struct server *s)
{
	struct op *op;

	s->draining = true;
	for (struct conn *c = s->conns; c; c = c->next)
		conn_close(c);
	server_forget_departed(s);
	close_handles(s);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	writer_submit(&s->writer, &s->to_writer);
	for (struct cursor *k = s->cursors; k; k = k->next)
		atomic_store(&k->cancelled, true);
	writer_stop(&s->writer);
	if (!reader_stop(&s->readers)) {
		log_warn("left while a statement is in a function that does not end");
		return; /* what its thread uses stays until the process has ended */
	}
	op_splice(&s->writer.done, &s->readers.done);
	op_splice(&s->writer.done, &s->young_reads);
	op_splice(&s->writer.done, &s->settling_reads);
	while ((op = op_pop(&s->writer.done)))
		server_op_free(op);
	while (s->cursors) {
		struct cursor *next = s->cursors->next;
		share_unref(s->cursors->share);
		cursor_free(s->cursors);
		s->cursors = next;
	}
	flight_done(s);
	server_waits_done(s);
	sampler_done(&s->sampler);
	free(s->slots);
	uv_loop_close(&s->loop);
}
