#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "trace.h"

#define COMPACT_BYTES (256u << 10) /* dead bytes at the front that are worth a memmove */

void window_done(struct window *w)
{
	buf_done(&w->bytes);
	free(w->frames);
	*w = (struct window){0};
}

int window_reserve(struct xt_client *c, size_t size)
{
	struct window *w = &c->window;

	if (w->end == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 256;
		struct frame *frames = realloc(w->frames, cap * sizeof(*frames));
		if (!frames)
			return client_fail(c, XT_ENOMEM, "out of memory");
		w->frames = frames;
		w->cap = cap;
	}
	if (buf_reserve(&w->bytes, size) < 0) {
		w->bytes.failed = false;
		return client_fail(c, XT_ENOMEM, "out of memory");
	}
	return XT_OK;
}

int window_room(struct xt_client *c, size_t size)
{
	struct window *w = &c->window;
	int64_t deadline = 0;

	while (!c->spill.on && window_size(w) > 0 && window_size(w) + size > c->opt.window_bytes) {
		if (!deadline)
			deadline = client_full_deadline(c);
		if (c->fd >= 0 || link_try(c))
			window_send(c);
		else if (spill_begin(c))
			break;
		int r = pump_wait(c, deadline);
		window_trim(c);
		if (r == XT_EINTR)
			return client_fail(c, r, "a signal came while waiting for room in the window");
		if (r == XT_ETIMEOUT && window_size(w) + size > c->opt.window_bytes)
			return client_fail(
				c, XT_EFULL,
				"%zu bytes of rows are not acknowledged and the daemon takes no more%s%s",
				window_size(w),
				c->fd < 0	? "; it cannot be reached"
				: c->trouble[0] ? ": "
						: "",
				c->fd < 0 ? "" : c->trouble);
	}
	if (c->spill.on) {
		int r = spill_room(c, size);
		if (r != XT_OK)
			return r;
	}
	return window_reserve(c, size);
}

void window_commit(struct xt_client *c, size_t size, size_t rows, size_t seq_off)
{
	struct window *w = &c->window;
	struct frame *f = &w->frames[w->end++];

	*f = (struct frame){.rows = (uint32_t)rows, .size = (uint32_t)size, .seq_off = (uint32_t)seq_off};
	if (rows) {
		f->seq = c->last_seq + 1;
		c->last_seq += rows;
		put_be64(w->bytes.data + w->bytes.len + seq_off, f->seq);
	}
	w->bytes.len += size;
	if (c->trace)
		trace_frames("libxetrack", "->", span_of(w->bytes.data + w->bytes.len - size, size));
}

/* Decodes what we are about to send, as the daemon will. */
static int check_own(struct xt_client *c, const struct method_desc *m, struct span frame)
{
	_Alignas(uint64_t) uint8_t params[PROTO_MAX_PARAMS];
	struct wire_msg msg;
	struct xt_err err;

	if (wire_open(span_of(frame.data + FRAME_HEADER, frame.len - FRAME_HEADER), &msg, &err) < 0 ||
	    wire_decode(&m->params, msg.params, params, &err) < 0)
		return client_fail_err(c, XT_EINVAL, &err);
	return XT_OK;
}

int window_put(struct xt_client *c, const struct method_desc *m, uint32_t msgid, const void *params,
	       uint64_t *ret_seq)
{
	struct buf *b = &c->window.bytes;
	size_t start = b->len, seq_off = 0;
	bool numbered = (m->flags & METHOD_SEQ) != 0;
	int r = window_reserve(c, 256);

	if (r != XT_OK)
		return r;
	if (msgid)
		wire_put_request(b, msgid, m->id, params);
	else
		wire_put_notify(b, m->id, params);
	size_t size = b->len - start;
	b->len = start;
	if (b->failed) {
		b->failed = false;
		return client_fail(c, XT_EINVAL, "this '%s' is larger than a message, which holds %d bytes",
				   m->name, XT_MAX_FRAME);
	}
	if (numbered) { /* the placeholder was large, so its encoding has all nine bytes */
		const uint8_t *at = memmem(b->data + start, size, "\xa3seq\xcf", 5);
		if (!at)
			return client_fail(c, XT_EINVAL, "'%s' has no sequence number", m->name);
		seq_off = (size_t)(at + 5 - (b->data + start));
		put_be64(b->data + start + seq_off, c->last_seq + 1);
	}
	r = check_own(c, m, span_of(b->data + start, size));
	if (r != XT_OK)
		return r;
	window_commit(c, size, numbered, seq_off);
	if (ret_seq)
		*ret_seq = numbered ? c->last_seq : 0;
	return XT_OK;
}

static void put_confirm(struct xt_client *c)
{
	struct params_confirm p = {.seq = c->confirm};

	if (window_put(c, proto_method(METHOD_confirm), 0, &p, NULL) == XT_OK)
		c->confirmed = c->confirm;
}

void window_send(struct xt_client *c)
{
	struct window *w = &c->window;

	if (c->fd < 0 || c->mute)
		return;
	if (c->confirm > c->confirmed)
		put_confirm(c);
	spill_load(c);
	if (c->mute)
		return;
	while (w->sent < w->bytes.len) {
		ssize_t n = send(c->fd, w->bytes.data + w->sent, w->bytes.len - w->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			w->sent += (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
			c->mute = true; /* acks may still wait to be read */
		return;
	}
}

void window_trim(struct xt_client *c)
{
	struct window *w = &c->window;

	spill_settle(c);
	while (w->first < w->end) {
		const struct frame *f = &w->frames[w->first];
		if (f->seq ? f->seq + f->rows - 1 > c->acked : w->head + f->size > w->sent)
			break;
		w->head += f->size;
		w->first++;
	}
	if (w->sent < w->head)
		w->sent = w->head;
	if (w->first == w->end) {
		w->first = w->end = 0;
		w->head = w->sent = w->bytes.len = 0;
		return;
	}
	if (w->head >= COMPACT_BYTES && w->head > w->bytes.len / 2) {
		buf_consume(&w->bytes, w->head);
		w->sent -= w->head;
		w->head = 0;
	}
	if (w->first > 1024 && w->first > w->end / 2) {
		memmove(w->frames, w->frames + w->first, (w->end - w->first) * sizeof(*w->frames));
		w->end -= w->first;
		w->first = 0;
	}
}

/* Only numbered frames that go beyond `above` remain, all of them unsent. */
static void window_keep(struct xt_client *c, uint64_t above)
{
	struct window *w = &c->window;
	size_t from = w->head, to = 0, kept = 0;

	for (size_t i = w->first; i < w->end; i++) {
		struct frame f = w->frames[i];
		if (f.seq && f.seq + f.rows - 1 > above) {
			memmove(w->bytes.data + to, w->bytes.data + from, f.size);
			to += f.size;
			w->frames[kept++] = f;
		}
		from += f.size;
	}
	w->first = 0;
	w->end = kept;
	w->head = w->sent = 0;
	w->bytes.len = to;
}

void window_rewind(struct xt_client *c)
{
	window_keep(c, c->spill.on ? UINT64_MAX : c->acked);
	spill_rewind(c);
}

void window_renumber(struct xt_client *c)
{
	struct window *w = &c->window;
	size_t at = 0;

	for (struct call *k = c->calls; k; k = k->next)
		if (k->seq && (k->seq <= c->acked || k->seq <= c->spill.to))
			k->done = k->lost =
				true; /* its effect went with the newer database, or comes unasked */
	window_keep(c, c->spill.to);  /* the daemon takes those in with the file */
	spill_leave(c);
	uint64_t before = c->last_seq;
	c->last_seq = 0;
	for (size_t i = w->first; i < w->end; i++) {
		struct frame *f = &w->frames[i];
		if (f->seq) {
			uint64_t seq = c->last_seq + 1;
			/* New numbers are never above old ones, so no call is renumbered twice. */
			for (struct call *k = c->calls; k; k = k->next)
				if (k->seq == f->seq)
					k->seq = seq;
			f->seq = seq;
			c->last_seq += f->rows;
			put_be64(w->bytes.data + at + f->seq_off, seq);
		}
		at += f->size;
	}
	c->acked = c->confirm = c->confirmed = c->reject_seq = 0;
	for (struct held *h = c->held; h;
	     h = h->next) /* which is which does not matter: till all are known */
		if (h->seq > 0 && h->seq <= before)
			h->seq = c->last_seq > 0 ? c->last_seq : 1;
}
