#include "fate.h"

#include <stdlib.h>

#include "calls.h"
#include "peer.h"
#include "runs.h"
#include "suspects.h"

int fate_crashed(struct work *w, const struct client_key *client, const char *cause, struct xt_err *err)
{
	struct runs_turn crash = {.from = "running", .to = "crashed", .cause = cause, .end = true};
	char why[128];

	snprintf(why, sizeof(why), "the worker died: %.100s", cause);
	if (cause[0] && calls_abandon(w, client, "WorkerDied", why, err) < 0)
		return -1;
	return runs_of_client(w->store, client, &crash, err) < 0 ? -1 : suspects_judge(w->store, NULL, err);
}

int fate_left(struct work *w, const struct client_key *client, bool failed, struct xt_err *err)
{
	struct runs_turn end = {.from = "running", .to = failed ? "failed" : "finished", .end = true};

	if (calls_abandon(w, client, "Unfinished", "the worker left without ending the call", err) < 0)
		return -1;
	if (runs_of_client(w->store, client, &end, err) < 0)
		return -1;
	return suspects_judge(w->store, &(struct warnings){w->events}, err);
}

int fate_returned(struct work *w, const struct client_key *client, struct xt_err *err)
{
	static const struct runs_turn back = {.from = "crashed", .to = "running"};

	return runs_of_client(w->store, client, &back, err);
}

/* again: its process lives, so it is looked at later. */
static int judge(struct work *w, const struct runs_client *k, bool *again, struct xt_err *err)
{
	struct client *c = clients_find(w->store, &k->key, err);

	if (!c)
		return -1;
	if (c->connected || clients_spool(w->store, &k->key)) /* how that one ended its file tells */
		return 0;
	clients_drop(w->store, c);
	if (peer_outlived_us(k->pid)) { /* it computes, and will come when it has something to say */
		*again = true;
		return 0;
	}
	return fate_crashed(w, &k->key, FATE_AWAY, err);
}

int fate_judge(struct work *w, bool *ret_again, struct xt_err *err)
{
	struct runs_client *list = NULL;
	size_t n = 0;
	int r = runs_running(w->store, &list, &n, err);

	*ret_again = false;
	for (size_t i = 0; i < n && r == 0; i++)
		r = judge(w, &list[i], ret_again, err);
	free(list);
	return r;
}
