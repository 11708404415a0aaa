#include "spill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define LOAD_BYTES (256u << 10) /* of frames that are read from the file at once */

/* ---- to the file ------------------------------------------------------ */

static struct spool_record record_of(const struct frame *f, const uint8_t *bytes)
{
	return (struct spool_record){
		.seq = f->seq, .rows = f->rows, .seq_off = f->seq_off, .frame = span_of(bytes, f->size)};
}

static int create(struct xt_client *c)
{
	struct spool_head head = {0};
	struct xt_err err;

	if (c->spill.file.fd >= 0)
		return 0;
	memcpy(head.client, c->id, XT_CLIENT_ID);
	memcpy(head.database_id, c->database_id, XT_CLIENT_ID);
	if (spool_make_dir(c->spill.dir, &err) < 0)
		return client_fail_err(c, -1, &err);
	int r = spool_create(&c->spill.file, c->spill.dir, &head);
	if (r < 0)
		return client_fail(c, -1, "cannot make a spool file in '%s': %s", c->spill.dir, strerror(-r));
	return 0;
}

/* The window's frames that are not in the file yet: all of them, or none. 0 or -errno. */
static int put_window(struct xt_client *c)
{
	struct window *w = &c->window;
	uint64_t end = c->spill.file.end, to = c->spill.to;
	size_t at = w->head;
	int r = 0;

	for (size_t i = w->first; i < w->end && r == 0; i++) {
		struct spool_record rec = record_of(&w->frames[i], w->bytes.data + at);
		at += w->frames[i].size;
		if (rec.seq <= c->spill.to) /* also those without a number, which nobody needs any more */
			continue;
		size_t size = rec.frame.len + SPOOL_OVERHEAD;
		/* At the end the limit is worth less than the rows. */
		r = c->spill.file.end + size > c->opt.spool_bytes && !c->closing
			    ? -EFBIG
			    : spool_reserve(&c->spill.file, size);
		if (r == 0)
			r = spool_append(&c->spill.file, &rec);
		if (r == 0)
			c->spill.to = rec.seq + rec.rows - 1;
	}
	if (r < 0) {
		spool_cut(&c->spill.file, end);
		c->spill.to = to;
		spill_settle(c); /* a file with nothing in it goes */
		return r;
	}
	c->spill.on = true;
	window_rewind(c); /* it is all in the file now */
	return 0;
}

static bool may_spill(const struct xt_client *c)
{
	return !c->opt.no_spool && c->spill.dir && c->knows_database && !c->read_only;
}

bool spill_begin(struct xt_client *c)
{
	if (c->spill.on)
		return true;
	return may_spill(c) && create(c) == 0 && put_window(c) == 0;
}

int spill_room(struct xt_client *c, size_t size)
{
	int64_t deadline = 0;
	size_t bytes = size + SPOOL_OVERHEAD;

	for (;;) {
		bool fits = c->spill.file.end + bytes <= c->opt.spool_bytes || c->spill.to == 0;
		int r = fits ? spool_reserve(&c->spill.file, bytes) : 0;
		if (fits && r == 0)
			return XT_OK;
		if (!deadline)
			deadline = client_full_deadline(c);
		if (c->fd >= 0 || link_try(c))
			window_send(c);
		if (!c->spill.on)
			return XT_OK; /* read to its end: there is room in the window */
		int waited = pump_wait(c, deadline);
		window_trim(c);
		if (waited == XT_EINTR)
			return client_fail(c, waited, "a signal came while waiting for room in the spool");
		if (waited == XT_ETIMEOUT)
			return client_fail(c, XT_EFULL, "the spool '%s' has %llu bytes and takes no more: %s",
					   c->spill.file.path, (unsigned long long)c->spill.file.end,
					   fits ? strerror(-r) : "it is as large as spool_bytes allows");
	}
}

int spill_last(struct xt_client *c)
{
	struct window *w = &c->window;
	struct frame *f = &w->frames[w->end - 1];
	struct spool_record rec = record_of(f, w->bytes.data + w->bytes.len - f->size);

	if (!c->spill.on || f->seq == 0)
		return XT_OK;
	int r = spool_append(&c->spill.file, &rec);
	w->bytes.len -= f->size;
	w->end--;
	if (r < 0) {
		c->last_seq -= f->rows;
		return client_fail(c, XT_EFULL, "cannot write to the spool '%s': %s", c->spill.file.path,
				   strerror(-r));
	}
	c->spill.to = c->last_seq;
	return XT_OK;
}

/* ---- and back --------------------------------------------------------- */

/* Our own file cannot be read: it is left to the daemon, which sets it aside and says so. What follows
 * cannot go on with the numbers behind it. */
static void give_up(struct xt_client *c)
{
	char message[PATH_MAX + 100];

	snprintf(message, sizeof(message), "the spool '%s' cannot be read any more; it is kept for a look",
		 c->spill.file.path);
	if (c->opt.on_warning)
		c->opt.on_warning("corrupt", message, c->opt.user);
	if (client_new_id(c) == XT_OK)
		window_renumber(c);
	shutdown(c->fd, SHUT_RDWR); /* who reads it connects anew */
	c->mute = c->stale = true;
}

static bool load_one(struct xt_client *c)
{
	struct window *w = &c->window;
	struct spool_record rec;
	uint64_t at = c->spill.file.at;
	int r;

	do
		r = spool_read(&c->spill.file, &rec);
	while (r == 1 && (rec.rows == 0 || rec.seq + rec.rows - 1 <= c->acked));
	if (r < 0 || (r == 0 && c->spill.file.at < c->spill.file.end)) {
		if (r != -ENOMEM)
			give_up(c);
		return false;
	}
	if (r == 0)
		return false;
	if (window_reserve(c, rec.frame.len) != XT_OK) {
		spool_seek(&c->spill.file, at);
		return false;
	}
	memcpy(w->bytes.data + w->bytes.len, rec.frame.data, rec.frame.len);
	w->bytes.len += rec.frame.len;
	w->frames[w->end++] = (struct frame){
		.seq = rec.seq, .rows = rec.rows, .size = (uint32_t)rec.frame.len, .seq_off = rec.seq_off};
	return true;
}

void spill_load(struct xt_client *c)
{
	if (!c->spill.on || c->fd < 0)
		return;
	while (c->spill.file.at < c->spill.file.end)
		if (window_size(&c->window) >= LOAD_BYTES || !load_one(c))
			break;
	if (c->spill.on && c->spill.file.at >= c->spill.file.end)
		c->spill.on = false; /* the window has it all, and takes what follows */
}

void spill_settle(struct xt_client *c)
{
	if (c->spill.on || c->spill.file.fd < 0 || c->acked < c->spill.to)
		return;
	spool_remove(&c->spill.file);
	c->spill.to = 0;
}

void spill_rewind(struct xt_client *c)
{
	if (c->spill.on)
		spool_seek(&c->spill.file, SPOOL_HEAD);
}

int spill_drain(struct xt_client *c, int64_t deadline)
{
	while (c->spill.on) {
		if (c->fd < 0 && !link_try(c) && (c->retry_at >= deadline || now_ms() >= deadline))
			return XT_ECONNECT;
		window_send(c);
		if (!c->spill.on)
			break;
		int r = pump_wait(c, deadline);
		if (r != XT_OK)
			return client_fail(c, r, "rows of the spool '%s' come first", c->spill.file.path);
	}
	return XT_OK;
}

/* ---- the end ---------------------------------------------------------- */

/* So that the run ends as it was meant to when the daemon takes the file in. */
static void put_goodbye(struct xt_client *c, const char *status)
{
	struct params_bye p = {.has = PARAM_BIT(bye, last_seq) | PARAM_BIT(bye, status),
			       .last_seq = c->last_seq,
			       .status = span_str(status)};
	struct buf frame = {0};

	wire_put_notify(&frame, METHOD_bye, &p);
	struct spool_record rec = {.frame = buf_span(&frame)};
	if (!buf_failed(&frame))
		(void)!spool_append(&c->spill.file, &rec);
	buf_done(&frame);
}

uint64_t spill_all(struct xt_client *c, const char *status)
{
	uint64_t n = c->last_seq - c->acked;

	if (!spill_begin(c))
		return 0;
	put_goodbye(c, status);
	return spool_sync(&c->spill.file) < 0 ? 0 : n;
}

void spill_leave(struct xt_client *c)
{
	spool_close(&c->spill.file);
	c->spill.to = 0;
	c->spill.on = false;
}
