/* Clients whose last connection has ended: who has died, and of what, and who may come back. Part of
 * server.h. */
#include <stdlib.h>

#include "server.h"

#define RETURN_MS 1000u /* for a client whose process lives to connect again */
#define TICK_MS	  200u

struct departed {
	struct client_key client;
	bool reader;	     /* it could only query */
	struct watch *watch; /* a reference: its process */
	uint64_t until;	     /* loop time */
	struct departed *next;
};

static void end(struct server *s, struct departed **at, const char *cause)
{
	struct departed *d = *at;

	server_tell_gone(s, &d->client, d->reader, cause);
	*at = d->next;
	watch_unref(d->watch);
	free(d);
	if (!s->departed)
		uv_timer_stop(&s->departed_timer);
}

static void on_timer(uv_timer_t *t)
{
	struct server *s = t->data;

	for (struct departed **at = &s->departed; *at;)
		if ((*at)->until <= uv_now(&s->loop))
			end(s, at, "its connection ended without a goodbye");
		else
			at = &(*at)->next;
}

void server_departed(struct server *s, const struct conn *c)
{
	struct departed *d = NULL;
	bool reader = c->peer.role != ROLE_WRITER;

	if (s->draining)
		return; /* it is we who leave */
	if (!c->said_bye && c->watch && !c->watch->died)
		d = malloc(sizeof(*d));
	if (!d) {
		const char *cause = c->said_bye			     ? ""
				    : c->watch && c->watch->cause[0] ? c->watch->cause
				    : c->watch			     ? "its process has ended"
					       : "its connection ended without a goodbye";
		server_tell_gone(s, &c->client, reader, cause);
		return;
	}
	*d = (struct departed){.client = c->client,
			       .reader = reader,
			       .watch = watch_ref(c->watch),
			       .until = uv_now(&s->loop) + RETURN_MS,
			       .next = s->departed};
	s->departed = d;
	if (!uv_is_active((uv_handle_t *)&s->departed_timer))
		uv_timer_start(&s->departed_timer, on_timer, TICK_MS, TICK_MS);
}

void server_returned(struct server *s, const struct client_key *client)
{
	for (struct departed **at = &s->departed; *at; at = &(*at)->next) {
		struct departed *d = *at;
		if (d->client.uid != client->uid || memcmp(d->client.id, client->id, XT_CLIENT_ID) != 0)
			continue;
		*at = d->next;
		watch_unref(d->watch);
		free(d);
		return;
	}
}

void server_forget_departed(struct server *s)
{
	while (s->departed) {
		struct departed *d = s->departed;
		s->departed = d->next;
		watch_unref(d->watch);
		free(d);
	}
}

/* What it sent before is still read; a forked child may keep its socket open. */
void server_on_death(struct watch *w, void *data)
{
	struct server *s = data;
	const char *cause = w->cause[0] ? w->cause : "its process has ended";

	watch_ref(w); /* while its connections let go of it */
	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (c->watch == w)
			conn_peer_died(c);
	}
	for (struct departed **at = &s->departed; *at;)
		if ((*at)->watch == w)
			end(s, at, cause);
		else
			at = &(*at)->next;
	watch_unref(w);
}
