/* hello, bye, confirm, flush: who is there, and how far it is. */
#include <unistd.h>

#include "handle.h"
#include "log.h"
#include "runs.h"

#ifndef XT_VERSION
#define XT_VERSION "0.1.0"
#endif

void hello_answer(const struct store *s, const struct params_hello *p, uint64_t mark, bool reader,
		  struct result_hello *ret)
{
	ret->protocol = p->protocol < XT_PROTOCOL ? p->protocol : XT_PROTOCOL;
	ret->version = span_str(XT_VERSION);
	ret->database_id = span_of(s->database_id, XT_CLIENT_ID);
	ret->mark = mark;
	ret->database = span_str(s->path);
	ret->pid = (uint64_t)getpid();
	ret->read_only = s->read_only || reader;
	ret->max_frame = XT_MAX_FRAME;
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
	hello_answer(s, p, w->client->mark, w->op->reader, ret);
	if (s->read_only || w->op->reader || w->client->mark == 0)
		return 0; /* nothing is known of it yet */
	clients_told(s, w->client, HAS_PARAM(p, hello, last_seq) ? p->last_seq : 0, false);
	/* A run that was thought crashed goes on. */
	return runs_of_client(s, &w->client->key, &(struct runs_turn){.from = "crashed", .to = "running"},
			      err);
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
	struct runs_turn end = {.from = "running", .to = failed ? "failed" : "finished", .end = true};

	(void)ret;
	if (s->read_only || w->op->reader)
		return 0;
	/* It will not come back for answers. */
	if (clients_settle(s, w->client, err) < 0 || runs_of_client(s, &w->client->key, &end, err) < 0 ||
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
