#include "conn.h"

#include <poll.h>
#include <stdlib.h>

#include "dispatch.h"
#include "log.h"
#include "reader.h"
#include "server.h"
#include "trace.h"

#define SMALL_READ 4096u
#define LARGE_READ 65536u
#define MIN_TURN   32768       /* bytes after which it is the others' turn */
#define MIN_ROOM   1024u       /* less is not worth a read */
#define MAX_QUEUED (4u << 20)  /* bytes of one connection under way */
#define MAX_JOBS   16u	       /* queries of one connection under way */
#define SLOW_OUT   (1u << 20)  /* unread answers at which reading stops */
#define MAX_OUT	   (64u << 20) /* and at which the connection ends */
#define FREE_ROOM  131072u     /* bytes of a frame that need no room of SHARE_ROOM */
#define HELLO_MS   10000u      /* that a connection may take to say hello */
#define ROOM_MS	   30000u      /* that a large frame may take while others wait for its room */

/* ---- blocks ----------------------------------------------------------- */

struct block *block_new(size_t cap)
{
	struct block *b = malloc(sizeof(*b) + cap);

	if (b)
		*b = (struct block){.refs = 1, .cap = cap};
	return b;
}

void block_unref(struct block *b)
{
	if (b && --b->refs == 0)
		free(b);
}

/* ---- closing ---------------------------------------------------------- */

/* The large frame has come, or never will. */
static void give_room(struct conn *c)
{
	c->server->n_waiting -= c->waits;
	c->waits = false;
	if (!c->room)
		return;
	share_give(c->share, SHARE_ROOM, c->room);
	c->room = 0;
	server_room(c->server);
}

static void on_close(uv_handle_t *h)
{
	struct conn *c = h->data;

	buf_done(&c->out);
	buf_done(&c->writing);
	block_unref(c->in);
	watch_unref(c->watch);
	sampled_unref(c->sampled);
	server_forget(c->server, c);
	share_unref(c->share);
	free(c);
}

void conn_close(struct conn *c)
{
	if (c->state == CONN_CLOSING)
		return;
	c->state = CONN_CLOSING;
	give_room(c);
	share_give(c->share, SHARE_UNREAD, c->unread);
	server_lost(c->server, c);
	uv_close((uv_handle_t *)&c->pipe, on_close);
}

void conn_finish(struct conn *c)
{
	if (c->state != CONN_OPEN)
		return;
	c->state = CONN_EOF;
	conn_regulate(c);
	conn_touch(c);
}

/* ---- out -------------------------------------------------------------- */

void conn_touch(struct conn *c)
{
	if (!c->dirty && c->state != CONN_CLOSING)
		server_touch(c->server, c);
}

void conn_put(struct conn *c, struct buf *answer)
{
	if (c->out.len > 0 || buf_failed(&c->out) || answer->len < LARGE_READ) {
		buf_add(&c->out, answer->data, answer->len);
		return;
	}
	struct buf t = c->out;
	c->out = *answer;
	c->out.max = t.max;
	*answer = t;
}

void conn_put_error(struct conn *c, const struct xt_err *err)
{
	wire_put_error(&c->out, 0, err);
	conn_touch(c);
}

static void put_ack(struct conn *c)
{
	struct params_ack p = {.seq = c->ack};

	wire_put_notify(&c->out, METHOD_ack, &p);
	c->ack = 0;
}

/* All of it is written: a large buffer is given up. */
static void rest_out(struct conn *c, struct buf *b)
{
	buf_clear(b);
	if (b->cap > LARGE_READ)
		reader_keep(&c->server->readers, b);
}

static void on_written(uv_write_t *req, int status)
{
	struct conn *c = req->data;

	rest_out(c, &c->writing);
	if (c->state == CONN_CLOSING)
		return;
	if (status < 0)
		c->mute = true;
	conn_touch(c);
}

/* Hands `out` to libuv. */
static void write_out(struct conn *c)
{
	uv_buf_t b = uv_buf_init((char *)c->out.data, (unsigned)c->out.len);
	if (c->server->trace)
		trace_frames("xetrackd", "->", buf_span(&c->out));
	int n = uv_try_write((uv_stream_t *)&c->pipe, &b, 1);

	if (n < 0 && n != UV_EAGAIN) {
		c->mute = true;
		return;
	}
	if (n > 0)
		buf_consume(&c->out, (size_t)n);
	if (c->out.len == 0) {
		rest_out(c, &c->out);
		return;
	}
	struct buf t = c->writing;
	c->writing = c->out;
	c->out = t;
	c->write.data = c;
	b = uv_buf_init((char *)c->writing.data, (unsigned)c->writing.len);
	if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &b, 1, on_written) < 0) {
		buf_clear(&c->writing);
		c->mute = true;
	}
}

static void blame_slow(struct conn *c)
{
	/* No error is sent: the socket is full, perhaps in the middle of a frame. */
	if (log_allows(&c->server->blame))
		log_warn("connection closed: it does not read its answers code=%s pid=%d unread=%zu",
			 proto_error_name(XT_E_slow_reader), (int)c->peer.pid, c->out.len + c->writing.len);
	conn_close(c);
}

/* Counts what is not read. False: the process has more of it than it leaves to others. */
static bool count_unread(struct conn *c)
{
	size_t now = c->out.len + c->writing.len;

	if (now < c->unread)
		share_give(c->share, SHARE_UNREAD, c->unread - now);
	else
		share_take(c->share, SHARE_UNREAD, now - c->unread);
	bool more = now > c->unread;
	c->unread = now;
	return !more || now < SLOW_OUT || share_allows(c->share, SHARE_UNREAD, 0);
}

void conn_flush(struct conn *c)
{
	if (c->state == CONN_CLOSING)
		return;
	if (c->ack)
		put_ack(c);
	if (c->mute)
		buf_clear(&c->out);
	if (buf_failed(&c->out)) {
		blame_slow(c);
		return;
	}
	if (c->out.len > 0 && c->writing.len == 0)
		write_out(c);
	if (c->mute)
		buf_clear(&c->out);
	bool written = c->writing.len == 0 && c->out.len == 0;
	if (!count_unread(c))
		blame_slow(c);
	else if (c->state == CONN_EOF && c->ops == 0 && (written || c->peer_died))
		conn_close(c);
	else
		conn_regulate(c);
}

/* ---- in --------------------------------------------------------------- */

/* Whether the next frame may come: a small one always, a large one when its process has room for all of it.
 */
static bool have_room(struct conn *c)
{
	if (c->need <= FREE_ROOM || c->room >= c->need)
		return true;
	if (!share_allows(c->share, SHARE_ROOM, c->need - c->room))
		return false;
	share_take(c->share, SHARE_ROOM, c->need - c->room);
	c->room = c->need;
	c->room_ms = uv_now(&c->server->loop);
	return true;
}

/* Room for the next read: behind what is there, or in a new block with the uncut bytes moved to its
 * front. Large frames grow with what has come, so that a length costs nothing until its bytes come. */
static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	struct conn *c = h->data;
	size_t uncut = c->in ? c->in->len - c->cut : 0;

	(void)suggested;
	*ret = uv_buf_init(NULL, 0); /* libuv reports UV_ENOBUFS */
	if (!have_room(c)) {
		c->waits = true;
		c->server->n_waiting++;
		server_watch(c->server);
		return;
	}
	if (c->in && c->in->refs == 1 && uncut == 0)
		c->in->len = c->cut = 0;
	size_t room = c->in ? c->in->cap - c->in->len : 0;
	bool fits = c->in && c->need <= c->in->cap - c->cut;
	if (room < MIN_ROOM && !(fits && room > 0)) {
		size_t cap = c->need > 2 * uncut + LARGE_READ ? 2 * uncut + LARGE_READ : c->need;
		if (cap < c->read_size)
			cap = c->read_size;
		if (cap < uncut + MIN_ROOM)
			cap = uncut + MIN_ROOM;
		struct block *b = block_new(cap);
		if (!b)
			return;
		if (uncut)
			memcpy(b->data, c->in->data + c->cut, uncut);
		b->len = uncut;
		block_unref(c->in);
		c->in = b;
		c->cut = 0;
		room = b->cap - b->len;
	}
	*ret = uv_buf_init((char *)c->in->data + c->in->len, (unsigned)room);
}

/* Cuts whole frames and dispatches them. */
static void cut_frames(struct conn *c)
{
	struct xt_err err;
	struct span body;
	size_t size;

	while (c->state == CONN_OPEN) {
		struct span rest = span_of(c->in->data + c->cut, c->in->len - c->cut);
		enum frame_status s = frame_next(rest, XT_MAX_FRAME, &body, &size);
		c->need = size;
		if (s == FRAME_MORE)
			return;
		if (s == FRAME_BAD) {
			xt_err_set(&err, XT_E_bad_frame, NULL,
				   "a message's length must be 1 to %d bytes; the first bytes of a stream "
				   "are a length too",
				   XT_MAX_FRAME);
			conn_put_error(c, &err);
			conn_finish(c);
			return;
		}
		c->cut += size;
		if (c->room)
			give_room(c); /* from here on it counts as a message */
		dispatch_message(c, body);
	}
}

void conn_rest(struct conn *c)
{
	if (!c->in || c->ops > 0 || c->cut < c->in->len)
		return;
	block_unref(c->in);
	c->in = NULL;
	c->cut = 0;
	c->need = FRAME_HEADER;
	c->read_size = SMALL_READ;
}

/* The peer sends no more. Has it closed altogether, then nobody waits for answers either. */
static void on_end(struct conn *c)
{
	struct pollfd p = {0};

	if (uv_fileno((uv_handle_t *)&c->pipe, &p.fd) == 0 && poll(&p, 1, 0) == 1 && (p.revents & POLLHUP)) {
		c->mute = true;
		server_end_cursors(c->server, c->id);
	}
	conn_finish(c);
}

void conn_look_gone(struct conn *c)
{
	struct pollfd p = {0};

	if (c->state == CONN_OPEN && !c->reading && uv_fileno((uv_handle_t *)&c->pipe, &p.fd) == 0 &&
	    poll(&p, 1, 0) == 1 && (p.revents & POLLHUP))
		on_end(c);
}

/* Has the dead peer's last word been read? */
static void look_for_last_word(struct conn *c)
{
	struct pollfd p = {.events = POLLIN};

	if (c->state == CONN_OPEN && uv_fileno((uv_handle_t *)&c->pipe, &p.fd) == 0 && poll(&p, 1, 0) == 0) {
		c->mute = true;
		server_end_cursors(c->server, c->id);
		conn_finish(c);
	}
}

void conn_peer_died(struct conn *c)
{
	c->peer_died = true;
	look_for_last_word(c);
	if (c->state != CONN_CLOSING)
		conn_touch(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	struct conn *c = stream->data;

	if (c->state != CONN_OPEN || n == 0)
		return;
	if (n == UV_ENOBUFS) { /* goes on when there is room; when memory is short, at the next turn */
		conn_regulate(c);
		return;
	}
	if (n < 0) {
		if (n != UV_EOF && n != UV_ECONNRESET)
			log_debug("read failed pid=%d error=\"%s\"", (int)c->peer.pid, uv_strerror((int)n));
		on_end(c);
		return;
	}
	c->server->read_bytes += (size_t)n;
	c->in->len += (size_t)n;
	bool more = (size_t)n == b->len;
	if (more)
		c->read_size = LARGE_READ;
	cut_frames(c);
	conn_rest(c);
	if (c->peer_died)
		look_for_last_word(c);
	if (c->state == CONN_CLOSING)
		return;
	if (more && n >= MIN_TURN && c->reading) {
		/* libuv would go on with what came meanwhile, many times over: others are read first. */
		c->reading = false;
		uv_read_stop(stream);
		conn_touch(c);
	} else {
		conn_regulate(c);
	}
}

void conn_look_late(struct conn *c)
{
	uint64_t now = uv_now(&c->server->loop);
	struct xt_err err;

	/* Who is not read, because the writer is behind, is not late. */
	if (c->state != CONN_OPEN || !c->reading)
		return;
	if (!c->greeted && now - c->since_ms > HELLO_MS) {
		xt_err_set(&err, XT_E_hello_first, NULL, "no `hello` came in %u ms", HELLO_MS);
		conn_put_error(c, &err);
		conn_flush(c);
		conn_close(c);
	} else if (c->room && c->server->n_waiting > 0 && now - c->room_ms > ROOM_MS) {
		if (log_allows(&c->server->blame))
			log_warn("connection closed: a large message does not go on, and others wait pid=%d",
				 (int)c->peer.pid);
		conn_close(c);
	}
}

void conn_regulate(struct conn *c)
{
	/* Between half and all of a limit it stays as it is. */
	size_t queued = c->reading ? MAX_QUEUED : MAX_QUEUED / 2;
	bool want = c->state == CONN_OPEN && c->queued < queued && c->jobs < MAX_JOBS && !c->waits &&
		    (c->out.len + c->writing.len < SLOW_OUT || c->peer_died) && server_reads(c->server, c);

	if (want == c->reading || c->state == CONN_CLOSING)
		return;
	c->reading = want;
	c->since_ms = uv_now(&c->server->loop);
	if (want)
		uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
	else
		uv_read_stop((uv_stream_t *)&c->pipe);
}

void conn_start(struct conn *c)
{
	c->pipe.data = c;
	c->read_size = SMALL_READ;
	c->need = FRAME_HEADER;
	buf_init(&c->out, MAX_OUT);
	buf_init(&c->writing, MAX_OUT);
	conn_regulate(c);
}
