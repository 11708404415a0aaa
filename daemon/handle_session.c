/* hello, bye, confirm, flush: who is there, and how far it is. */
#include <unistd.h>

#include "handle.h"
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

int handle_hello(struct work *w, const struct params_hello *p, struct result_hello *ret, struct xt_err *err)
{
	struct store *s = w->store;

	w->client->connected = true;
	hello_answer(s, p, w->client->mark, w->op->reader, ret);
	/* A run that was thought crashed goes on. */
	if (!s->read_only && !w->op->reader &&
	    runs_of_client(s, &w->client->key, "crashed", "running", false, err) < 0)
		return -1;
	return 0;
}

static int forget_answers(struct store *s, struct client *c, struct xt_err *err)
{
	c->untold = 0;
	return outbox_confirm(s, c, INT64_MAX, err);
}

int handle_bye(struct work *w, const struct params_bye *p, struct result_bye *ret, struct xt_err *err)
{
	struct store *s = w->store;

	(void)ret;
	if (s->read_only || w->op->reader)
		return 0;
	/* It will not come back for answers. */
	if (clients_settle(s, w->client, err) < 0 ||
	    runs_of_client(s, &w->client->key, "running", "finished", true, err) < 0 ||
	    forget_answers(s, w->client, err) < 0)
		return -1;
	sqlite3_stmt *st = store_stmt(s, STMT_CLIENT_BYE, err);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, w->client->key.uid);
	sqlite3_bind_blob(st, 2, w->client->key.id, XT_CLIENT_ID, SQLITE_STATIC);
	if (HAS_PARAM(p, bye, last_seq))
		sqlite3_bind_int64(st, 3, (int64_t)p->last_seq);
	return store_run(s, st, err);
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
