#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "trace.h"

#define READ_BYTES 65536u

/* ---- what arrives ----------------------------------------------------- */

static void acknowledge(struct xt_client *c, uint64_t seq)
{
	if (seq > c->acked && seq <= c->last_seq)
		c->acked = seq;
}

/* Refused only because the daemon leaves: it closes, and what was not done is sent to the next one. */
static bool only_leaving(const struct wire_msg *m)
{
	struct xt_err err;

	if (m->error.len <= 1 || wire_decode_error(m->error, &err) < 0)
		return false;
	return err.code == XT_E_stopping || err.code == XT_E_file_replaced;
}

static void on_response(struct xt_client *c, const struct wire_msg *m)
{
	for (struct call *k = c->calls; k; k = k->next) {
		if (k->msgid != m->msgid || k->done)
			continue;
		if (only_leaving(m))
			return;
		call_answer(k, m->error, m->result);
		if (k->seq) {
			acknowledge(c, k->seq);
			if (k->seq > c->confirm)
				c->confirm = k->seq;
		}
		return;
	}
	if (m->msgid == 0 && m->error.len > 1) /* nobody's: why the daemon is about to close */
		(void)!wire_decode_error(m->error, &c->stream);
}

static void on_answer(struct xt_client *c, const struct params_answer *p)
{
	for (struct call *k = c->calls; k; k = k->next)
		if (k->seq == p->seq && !k->done)
			call_answer(k, p->error, p->result);
	acknowledge(c, p->seq);
	if (p->seq > c->confirm)
		c->confirm = p->seq;
}

static void on_reject(struct xt_client *c, const struct params_reject *p)
{
	char code[65], message[4097], field[4097];

	if (p->seq > c->confirm)
		c->confirm = p->seq;
	if (p->seq <= c->reject_seq)
		return; /* sent again, since it was not confirmed */
	c->reject_seq = p->seq;
	snprintf(code, sizeof(code), "%.*s", SPAN_ARG(p->code));
	snprintf(message, sizeof(message), "%.*s", SPAN_ARG(p->message));
	snprintf(field, sizeof(field), "%.*s", SPAN_ARG(p->field));
	c->rejected++;
	if (!c->reason[0])
		snprintf(c->reason, sizeof(c->reason), "%.64s: %.500s", code, message);
	if (!c->first_reason[0])
		snprintf(c->first_reason, sizeof(c->first_reason), "%.64s: %.500s", code, message);
	xt_rejection rejection = {.seq = p->seq, .code = code, .message = message, .field = field};
	if (c->opt.on_reject)
		c->opt.on_reject(&rejection, c->opt.user);
}

static void on_warning(struct xt_client *c, const struct params_warning *p)
{
	char code[65], message[4097];

	snprintf(code, sizeof(code), "%.*s", SPAN_ARG(p->code));
	snprintf(message, sizeof(message), "%.*s", SPAN_ARG(p->message));
	if (strncmp(code, "cache_", 6) == 0) { /* of each result that is not kept */
		if (strcmp(code, c->cache_warning) == 0)
			return;
		snprintf(c->cache_warning, sizeof(c->cache_warning), "%.63s", code);
	}
	if (c->opt.on_warning)
		c->opt.on_warning(code, message, c->opt.user);
}

static void on_state(struct xt_client *c, const struct params_state *p)
{
	char code[65];

	c->trouble[0] = c->trouble_code[0] = '\0';
	if (span_is(p->state, "ok"))
		return;
	snprintf(code, sizeof(code), "%.*s", SPAN_ARG(p->code));
	if (span_is(p->state, "degraded")) {
		snprintf(c->trouble, sizeof(c->trouble), "%.*s", SPAN_ARG(p->message));
		snprintf(c->trouble_code, sizeof(c->trouble_code), "%.63s", code);
	}
	char message[4097];
	snprintf(message, sizeof(message), "%.*s", SPAN_ARG(p->message));
	if (c->opt.on_warning)
		c->opt.on_warning(code, message, c->opt.user);
}

static int no_sense(struct xt_client *c, const struct xt_err *why)
{
	return xt_err_set(&c->stream, why->code, NULL, "the daemon sent what it must not: %s", why->message);
}

int pump_frame(struct xt_client *c, struct span body)
{
	union {
		struct params_ack ack;
		struct params_reject reject;
		struct params_warning warning;
		struct params_answer answer;
		struct params_state state;
		struct params_cache_moved moved;
	} p;
	struct wire_msg m;
	struct xt_err err;

	if (c->stale)
		return 0;
	/* SQLite keeps any bytes as text, so a result may hold what is not UTF-8: it is the caller's. */
	if (wire_open(body, &m, &err) < 0 && err.code != XT_E_bad_utf8)
		return no_sense(c, &err);
	if (c->trace)
		trace_message("libxetrack", "<-", body);
	if (m.kind == WIRE_RESPONSE) {
		on_response(c, &m);
		return 0;
	}
	if (!m.method || m.method->kind != KIND_EVENT || m.method->params.size > sizeof(p))
		return 0; /* of a newer daemon */
	if (wire_decode(&m.method->params, m.params, &p, &err) < 0)
		return no_sense(c, &err);
	if (m.method->id == METHOD_ack)
		acknowledge(c, p.ack.seq);
	else if (m.method->id == METHOD_reject)
		on_reject(c, &p.reject);
	else if (m.method->id == METHOD_warning)
		on_warning(c, &p.warning);
	else if (m.method->id == METHOD_answer)
		on_answer(c, &p.answer);
	else if (m.method->id == METHOD_state)
		on_state(c, &p.state);
	else if (m.method->id == METHOD_cache_moved)
		flight_cache_at(c, p.moved.path, p.moved.cache_ttl_ms);
	return 0;
}

int pump_parse(struct xt_client *c)
{
	size_t at = 0, size;
	struct span body;
	int r = 0;

	while (r == 0) {
		struct span rest = span_of(c->in.data + at, c->in.len - at);
		enum frame_status s = frame_next(rest, XT_MAX_FRAME, &body, &size);
		if (s == FRAME_MORE)
			break;
		if (s == FRAME_BAD)
			r = xt_err_set(&c->stream, XT_E_bad_frame, NULL,
				       "the daemon sent a message of no, or of too many, bytes");
		else if (pump_frame(c, body) < 0)
			r = -1;
		else
			at += size;
	}
	buf_consume(&c->in, at);
	return r;
}

/* Room for the next read. False: there is no memory for it now. */
static bool make_room(struct xt_client *c)
{
	bool made = buf_reserve(&c->in, READ_BYTES) == 0;

	c->in.failed = false;
	return made;
}

/* n: what recv() said, which was no error that passes. False: the connection is gone. */
static bool take_read(struct xt_client *c, ssize_t n)
{
	if (n > 0)
		c->in.len += (size_t)n;
	if (n > 0 && pump_parse(c) == 0)
		return true;
	link_drop(c);
	return false;
}

void pump_read(struct xt_client *c)
{
	c->unread = 0;
	while (c->fd >= 0 && !c->reading) {
		if (!make_room(c))
			return;
		ssize_t n = recv(c->fd, c->in.data + c->in.len, READ_BYTES, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (!take_read(c, n) || (size_t)n < READ_BYTES)
			break;
	}
	window_trim(c);
}

/* ---- waiting ---------------------------------------------------------- */

/* Another thread reads: it wakes us when something came. */
static void wait_turn(struct xt_client *c, int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms % 1000 * 1000000L;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000L;
	t.tv_nsec %= 1000000000L;
	pthread_cond_timedwait(&c->cond, &c->lock, &t);
}

/* Waits for bytes only, for SLICE_MS, and reads them: recv() does both, where two system calls would be a
 * good part of what a short question takes. Without the mutex: nobody else touches `in` while `reading`. */
static int wait_read(struct xt_client *c)
{
	c->unread = 0;
	c->reading = true;
	pthread_mutex_unlock(&c->lock);
	ssize_t n = recv(c->fd, c->in.data + c->in.len, READ_BYTES, 0);
	int error = errno;
	pthread_mutex_lock(&c->lock);
	c->reading = false;
	bool interrupted = n < 0 && error == EINTR;
	if (n >= 0 || (error != EINTR && error != EAGAIN)) {
		if (take_read(c, n) && (size_t)n == READ_BYTES)
			pump_read(c);
		window_trim(c);
		if (c->spill.on)
			window_send(c);
	}
	pthread_cond_broadcast(&c->cond);
	return interrupted ? XT_EINTR : XT_OK;
}

/* Waits without the mutex; r: what poll said. */
static int wait_fd(struct xt_client *c, int ms)
{
	bool unsent = !c->mute && c->window.sent < c->window.bytes.len;
	struct pollfd p = {.fd = c->fd, .events = (short)(unsent ? POLLIN | POLLOUT : POLLIN)};

	if (c->fd >= 0 && c->waits && !unsent && ms == SLICE_MS && make_room(c))
		return wait_read(c);
	c->reading = true;
	pthread_mutex_unlock(&c->lock);
	int r = poll(&p, 1, ms); /* fd -1: a nap until the next try to connect */
	int error = errno;
	pthread_mutex_lock(&c->lock);
	c->reading = false;
	if (r > 0) {
		if (p.revents & POLLOUT)
			window_send(c);
		if (p.revents & ~POLLOUT)
			pump_read(c);
		if (c->spill.on)
			window_send(c); /* what is acknowledged makes room for more of the spool */
	}
	pthread_cond_broadcast(&c->cond);
	return r < 0 && error == EINTR ? XT_EINTR : XT_OK;
}

static bool ask_interrupted(struct xt_client *c, int64_t now)
{
	c->asked_at = now;
	pthread_mutex_unlock(&c->lock);
	bool yes = c->opt.interrupted(c->opt.user);
	pthread_mutex_lock(&c->lock);
	return yes;
}

int pump_wait(struct xt_client *c, int64_t deadline)
{
	int ms = poll_timeout(deadline, SLICE_MS);

	if (c->fd < 0) {
		int64_t nap = c->retry_at - now_ms();
		if (nap < 0)
			nap = 0;
		if (nap < ms)
			ms = (int)nap;
	}
	bool signalled = false;
	if (c->reading)
		wait_turn(c, ms ? ms : 1);
	else
		signalled = wait_fd(c, ms) == XT_EINTR;
	int64_t now = now_ms();
	/* One may also have come just before the call slept, which no system call tells. */
	if (c->opt.interrupted)
		signalled = (signalled || now - c->asked_at >= SLICE_MS) && ask_interrupted(c, now);
	if (signalled)
		return XT_EINTR;
	return now >= deadline ? XT_ETIMEOUT : XT_OK;
}
