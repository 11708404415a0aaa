/* hello, bye, confirm, flush: who is there, and how far it is. */
#include <unistd.h>

#include "cache.h"
#include "fate.h"
#include "handle.h"
#include "log.h"

#ifndef XT_VERSION
#define XT_VERSION "0.1.0"
#endif

bool hello_is_direct(const struct op *op)
{
	const struct params_hello *p = (const struct params_hello *)op->params;

	return op->client.uid == geteuid() && HAS_PARAM(p, hello, pid) && p->pid > 0 &&
	       p->pid == (uint64_t)op->pid;
}

static void tell_cache(struct cache *c, const struct op *op, struct result_hello *ret)
{
	static _Thread_local char path[PATH_MAX + 32]; /* the result borrows it until it is encoded */
	uint64_t ttl_us = atomic_load(&c->ttl_us);

	if (ttl_us) {
		ret->has |= RESULT_BIT(hello, cache_ttl_ms);
		ret->cache_ttl_ms = ttl_us / 1000;
	}
	if (!hello_is_direct(op) || !cache_path(c, path))
		return;
	ret->has |= RESULT_BIT(hello, cache);
	ret->cache = span_str(path);
}

void hello_answer(const struct store *s, struct cache *cache, const struct op *op, uint64_t mark,
		  struct result_hello *ret)
{
	const struct params_hello *p = (const struct params_hello *)op->params;

	ret->protocol = p->protocol < XT_PROTOCOL ? p->protocol : XT_PROTOCOL;
	ret->version = span_str(XT_VERSION);
	ret->database_id = span_of(s->database_id, XT_CLIENT_ID);
	ret->mark = mark;
	ret->database = span_str(s->path);
	ret->pid = (uint64_t)getpid();
	ret->read_only = s->read_only || op->reader;
	ret->max_frame = XT_MAX_FRAME;
	tell_cache(cache, op, ret);
}

/* A client that had more acknowledged than is here, or knew another database: the file was replaced. It
 * draws a new id and sends again what was not acknowledged; whoever reads the log may wonder why. */
static void notice_other_state(const struct store *s, const struct client *c, const struct params_hello *p)
{
	bool other = HAS_PARAM(p, hello, database_id) &&
		     memcmp(p->database_id.data, s->database_id, XT_CLIENT_ID) != 0;
	bool older = HAS_PARAM(p, hello, acked) && p->acked > c->mark;

	if (other || older)
		log_warn("a client knew %s of this database acknowledged=%llu here=%llu",
			 other ? "another one in place" : "a newer state",
			 (unsigned long long)(HAS_PARAM(p, hello, acked) ? p->acked : 0),
			 (unsigned long long)c->mark);
}

int handle_hello(struct work *w, const struct params_hello *p, struct result_hello *ret, struct xt_err *err)
{
	struct store *s = w->store;

	w->client->connected = true;
	notice_other_state(s, w->client, p);
	hello_answer(s, w->cache, w->op, w->client->mark, ret);
	if (s->read_only || w->op->reader || w->client->mark == 0)
		return 0; /* nothing is known of it yet */
	clients_told(s, w->client, HAS_PARAM(p, hello, last_seq) ? p->last_seq : 0, false);
	return fate_returned(w, &w->client->key, err); /* a run that was thought crashed goes on */
}

static int forget_answers(struct store *s, struct client *c, struct xt_err *err)
{
	c->untold = 0;
	return outbox_confirm(s, c, INT64_MAX, err);
}

int handle_bye(struct work *w, const struct params_bye *p, struct result_bye *ret, struct xt_err *err)
{
	struct store *s = w->store;
	bool failed = HAS_PARAM(p, bye, status) && span_is(p->status, "failed");

	(void)ret;
	if (s->read_only || w->op->reader)
		return 0;
	/* It will not come back for answers. */
	if (clients_settle(s, w->client, err) < 0 || fate_left(w, &w->client->key, failed, err) < 0 ||
	    forget_answers(s, w->client, err) < 0)
		return -1;
	clients_told(s, w->client, HAS_PARAM(p, bye, last_seq) ? p->last_seq : w->client->mark, true);
	return 0;
}

int handle_confirm(struct work *w, const struct params_confirm *p, struct result_confirm *ret,
		   struct xt_err *err)
{
	struct client *c = w->client;

	(void)ret;
	if (w->store->read_only || w->op->reader)
		return 0;
	if (outbox_confirm(w->store, c, p->seq, err) < 0)
		return -1;
	/* The next piece, once the one before has arrived. */
	return c->untold && p->seq + 1 >= c->untold ? outbox_tell(w->store, c, w->events, err) : 0;
}

int handle_flush(struct work *w, const struct params_flush *p, struct result_flush *ret, struct xt_err *err)
{
	(void)p;
	(void)err;
	ret->mark = w->client->mark;
	return 0;
}
