#include "lease.h"

#include <stdlib.h>

#define BUCKETS	    4096
#define EPOCH_SHIFT 32
#define MAX_LEASES  100000 /* in all */
#define MAX_WAITERS 100000 /* the same */
#define MANY	    1000   /* of either, from which on one client may not have more than its share */
#define COUNTERS    4096
#define MAX_STEPS   200000 /* of a search for a circle */

enum lease_state {
	LEASE_RESERVED,	 /* nobody holds it: the grace time, or about to be passed on */
	LEASE_LIVE,	 /* its holder computes */
	LEASE_FINISHING, /* its result is with the writer */
};

/* Who waits for a lease. */
struct waiter {
	struct lease_ask ask; /* its key is the lease's */
	struct lease *lease;
	struct waiter *next;		    /* behind it in the lease's queue */
	struct waiter *prev_all, *next_all; /* all that wait */
};

struct lease {
	uint8_t key[XT_CACHE_KEY];
	enum lease_state state;
	uint64_t token;		  /* not while reserved */
	struct client_key client; /* its holder; not while reserved */
	bool abandoned;		  /* finishing, and its holder has gone */
	unsigned seen;		  /* mark of the last search that came here */
	struct waiter *first, **last;
	struct lease *next; /* in its bucket */
};

struct leases {
	struct leases_options opt;
	struct lease *buckets[BUCKETS];
	unsigned held[COUNTERS];     /* leases of the clients whose ids begin alike: no client has more */
	struct waiter *waiters;	     /* all of them */
	struct client_key *expected; /* owned: clients that may hold leases of an earlier daemon */
	size_t n_expected;
	uint64_t grace_until_ms; /* 0: no grace time */
	uint64_t epoch;		 /* 0: not drawn yet */
	uint64_t counter;	 /* of leases given in it */
	unsigned search;	 /* mark of the last search */
	unsigned steps;		 /* that it took */
	struct lease_stats stats;
};

/* ---- tables ----------------------------------------------------------- */

struct leases *leases_new(const struct leases_options *o)
{
	struct leases *l = calloc(1, sizeof(*l));

	if (l)
		l->opt = *o;
	return l;
}

static struct lease **bucket(struct leases *l, const uint8_t *key)
{
	return &l->buckets[(key[0] | (size_t)key[1] << 8) % BUCKETS]; /* keys are hashes */
}

static struct lease *find(struct leases *l, const uint8_t *key)
{
	for (struct lease *e = *bucket(l, key); e; e = e->next)
		if (memcmp(e->key, key, XT_CACHE_KEY) == 0)
			return e;
	return NULL;
}

static struct lease *add(struct leases *l, const uint8_t *key)
{
	struct lease *e = calloc(1, sizeof(*e)), **at = bucket(l, key);

	if (!e)
		return NULL;
	memcpy(e->key, key, XT_CACHE_KEY);
	e->last = &e->first;
	e->next = *at;
	*at = e;
	l->stats.leases++;
	return e;
}

static unsigned *counter(struct leases *l, const struct client_key *client)
{
	return &l->held[(client->id[0] | (size_t)client->id[1] << 8) % COUNTERS]; /* ids are random */
}

/* The lease goes to another client; NULL: to none. Its state is changed behind that. */
static void hand(struct leases *l, struct lease *e, const struct client_key *client)
{
	if (e->state != LEASE_RESERVED)
		--*counter(l, &e->client);
	if (!client)
		return;
	/* The analyzer does not see that a waiter that was answered is not in the queue any more. */
	e->client = *client; /* NOLINT(clang-analyzer-unix.Malloc) */
	++*counter(l, client);
}

static void drop(struct leases *l, struct lease *e)
{
	struct lease **at = bucket(l, e->key);

	hand(l, e, NULL);
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	l->stats.leases--;
	free(e);
}

static void drop_waiter(struct leases *l, struct waiter *w)
{
	struct waiter **at = &w->lease->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (w->lease->last == &w->next)
		w->lease->last = at;
	if (w->prev_all)
		w->prev_all->next_all = w->next_all;
	else
		l->waiters = w->next_all;
	if (w->next_all)
		w->next_all->prev_all = w->prev_all;
	l->stats.waiters--;
	free(w);
}

void leases_free(struct leases *l)
{
	if (!l)
		return;
	while (l->waiters)
		drop_waiter(l, l->waiters);
	for (size_t i = 0; i < BUCKETS; i++)
		while (l->buckets[i])
			drop(l, l->buckets[i]);
	free(l->expected);
	free(l);
}

static bool same_client(const struct client_key *a, const struct client_key *b)
{
	return a->uid == b->uid && memcmp(a->id, b->id, XT_CLIENT_ID) == 0;
}

/* ---- giving ----------------------------------------------------------- */

static void answer(struct leases *l, struct waiter *w, enum lease_answer how, uint64_t token,
		   const struct entry *entry)
{
	struct lease_ask ask = w->ask;
	uint8_t key[XT_CACHE_KEY];

	memcpy(key, w->lease->key, sizeof(key));
	drop_waiter(l, w);
	l->opt.answer(l->opt.data, &ask, key, how, token, entry);
}

/* A token for a new holder; 0: there is no epoch. */
static uint64_t give(struct leases *l, struct lease *e, const struct client_key *client)
{
	if (l->epoch == 0)
		l->epoch = l->opt.epoch(l->opt.data);
	if (l->epoch == 0)
		return 0;
	hand(l, e, client);
	e->state = LEASE_LIVE;
	e->abandoned = false;
	e->token = l->epoch << EPOCH_SHIFT | ++l->counter;
	return e->token;
}

/* Those who wait for a result get it. */
static void answer_all(struct leases *l, struct lease *e, const struct entry *entry)
{
	for (struct waiter *w = e->first, *next; w; w = next) {
		next = w->next;
		if (!w->ask.force)
			answer(l, w, LEASE_RESULT, 0, entry);
	}
}

/* Nobody holds it any more: the next one computes, unless the result is there by now. */
static void pass_on(struct leases *l, struct lease *e)
{
	hand(l, e, NULL);
	e->state = LEASE_RESERVED;
	if (l->grace_until_ms)
		return;
	if (e->first && l->opt.has(l->opt.data, e->key))
		answer_all(l, e, NULL);
	struct waiter *w = e->first;
	if (!w) {
		drop(l, e);
		return;
	}
	uint64_t token = give(l, e, &w->ask.client);
	if (token) {
		answer(l, w, LEASE_GIVEN, token, NULL);
		return;
	}
	while (e->first)
		answer(l, e->first, LEASE_NONE, 0, NULL); /* NOLINT(clang-analyzer-unix.Malloc) */
	drop(l, e);
}

/* ---- circles ---------------------------------------------------------- */

static bool waits_within(const struct waiter *w, const struct lease *held)
{
	if (!same_client(&w->ask.client, &held->client))
		return false;
	if (w->ask.within_all)
		return true;
	for (size_t i = 0; i < w->ask.n_within; i++)
		if (w->ask.within[i] == held->token)
			return true;
	return false;
}

static bool is_held_by(const struct lease *e, const struct lease_ask *ask)
{
	if (e->state == LEASE_RESERVED || !same_client(&e->client, &ask->client))
		return false;
	if (ask->within_all)
		return true;
	for (size_t i = 0; i < ask->n_within; i++)
		if (ask->within[i] == e->token)
			return true;
	return false;
}

/* Whether the lease cannot end before the question is answered: its holder asks, or waits in the call that
 * holds it for a lease of which the same is true. Depth is bounded by how deep calls are nested. */
static bool waits_for(struct leases *l, struct lease *e, const struct lease_ask *ask)
{
	if (e->state != LEASE_LIVE || e->seen == l->search)
		return false;
	if (l->steps > MAX_STEPS)
		return true; /* so many wait for each other that the loop has no time to find out */
	e->seen = l->search;
	if (is_held_by(e, ask))
		return true;
	for (struct waiter *w = l->waiters; w; w = w->next_all, l->steps++)
		if (waits_within(w, e) && waits_for(l, w->lease, ask))
			return true;
	return false;
}

/* ---- asking ----------------------------------------------------------- */

static bool may_wait(const struct leases *l, const struct lease_ask *ask)
{
	size_t ours = 0;

	if (l->stats.waiters < MANY)
		return true;
	for (const struct waiter *w = l->waiters; w; w = w->next_all)
		ours += same_client(&w->ask.client, &ask->client);
	return ours < XT_MAX_LEASES && l->stats.waiters < MAX_WAITERS;
}

static bool may_hold(struct leases *l, const struct lease_ask *ask)
{
	size_t ours = 0;

	if (l->stats.leases < MANY ||
	    (l->stats.leases < MAX_LEASES && *counter(l, &ask->client) < XT_MAX_LEASES))
		return true;
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct lease *e = l->buckets[i]; e; e = e->next)
			ours += e->state != LEASE_RESERVED && same_client(&e->client, &ask->client);
	return ours < XT_MAX_LEASES && l->stats.leases < MAX_LEASES;
}

static int wait_for(struct leases *l, struct lease *e, const struct lease_ask *ask, struct xt_err *err)
{
	struct waiter *w = may_wait(l, ask) ? calloc(1, sizeof(*w)) : NULL;

	if (!w)
		return xt_err_set(
			err, XT_E_busy, NULL,
			"%llu calls wait for results of others, too many of them of this client; try "
			"again",
			(unsigned long long)l->stats.waiters);
	w->ask = *ask;
	w->ask.key = e->key;
	w->lease = e;
	*e->last = w;
	e->last = &w->next;
	w->next_all = l->waiters;
	if (l->waiters)
		l->waiters->prev_all = w;
	l->waiters = w;
	l->stats.waiters++;
	return 1;
}

int lease_ask(struct leases *l, const struct lease_ask *ask, uint64_t now_ms, enum lease_answer *ret,
	      uint64_t *ret_token, struct xt_err *err)
{
	struct lease *e = find(l, ask->key);

	*ret_token = 0;
	if (!e) {
		e = may_hold(l, ask) ? add(l, ask->key) : NULL;
		if (!e)
			return xt_err_set(
				err, XT_E_busy, NULL,
				"%llu calls are being computed, too many of them by this client; try "
				"again",
				(unsigned long long)l->stats.leases);
		if (!l->grace_until_ms) {
			*ret_token = give(l, e, &ask->client);
			*ret = *ret_token ? LEASE_GIVEN : LEASE_NONE;
			if (!*ret_token)
				drop(l, e);
			return 0;
		}
	}
	if (ask->until_ms <= now_ms) {
		*ret = LEASE_HELD;
		if (e->state == LEASE_RESERVED && !e->first)
			drop(l, e);
		return 0;
	}
	l->search++;
	l->steps = 0;
	if ((ask->within_all || ask->n_within > 0) && waits_for(l, e, ask)) {
		l->stats.cycles++;
		*ret = LEASE_CYCLE;
		return 0;
	}
	return wait_for(l, e, ask, err);
}

/* ---- ending ----------------------------------------------------------- */

static struct lease *held(struct leases *l, const uint8_t *key, uint64_t token, uint32_t uid)
{
	struct lease *e = find(l, key);

	return e && e->state != LEASE_RESERVED && e->token == token && e->client.uid == uid ? e : NULL;
}

bool lease_finishing(struct leases *l, const uint8_t *key, uint64_t token, uint32_t uid)
{
	struct lease *e = held(l, key, token, uid);

	if (!e) {
		l->stats.lost++;
		return false;
	}
	e->state = LEASE_FINISHING;
	return true;
}

void lease_finished(struct leases *l, const uint8_t *key, uint64_t token, bool applied,
		    const struct entry *entry)
{
	struct lease *e = find(l, key);

	if (!e || e->state == LEASE_RESERVED || e->token != token)
		return;
	if (applied) {
		answer_all(l, e, entry);
		pass_on(l, e); /* to those who want to compute anew */
	} else if (e->abandoned) {
		l->stats.passed_on++;
		pass_on(l, e);
	} else {
		e->state = LEASE_LIVE;
	}
}

bool lease_abort(struct leases *l, const uint8_t *key, uint64_t token, uint32_t uid)
{
	struct lease *e = held(l, key, token, uid);

	if (!e || e->state != LEASE_LIVE)
		return false;
	l->stats.passed_on += e->first != NULL;
	pass_on(l, e);
	return true;
}

void lease_keep(struct leases *l, const struct client_key *client, const uint64_t *tokens, size_t n)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct lease *e = l->buckets[i], *next; e; e = next) {
			next = e->next;
			if (e->state != LEASE_LIVE || !same_client(&e->client, client))
				continue;
			bool kept = false;
			for (size_t k = 0; k < n; k++)
				kept = kept || tokens[k] == e->token;
			if (!kept)
				pass_on(l, e);
		}
}

void lease_claim(struct leases *l, const uint8_t *key, uint64_t token, const struct client_key *client,
		 uint64_t stored)
{
	struct lease *e = find(l, key);

	if (e && e->state != LEASE_RESERVED) {
		if (e->token == token && e->client.uid == client->uid) {
			hand(l, e, client); /* it had to draw a new id */
			e->abandoned = false;
		}
		return;
	}
	if (l->epoch == 0)
		l->epoch = l->opt.epoch(l->opt.data);
	if (token > (l->epoch << EPOCH_SHIFT | l->counter))
		return; /* never given: the cache was deleted since, and its epochs with it */
	if (stored >= token || (!e && !(e = add(l, key))))
		return; /* another one computed it meanwhile */
	hand(l, e, client);
	e->state = LEASE_LIVE;
	e->token = token;
	e->abandoned = false;
}

void lease_client_gone(struct leases *l, const struct client_key *client)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct lease *e = l->buckets[i], *next; e; e = next) {
			next = e->next;
			if (e->state == LEASE_RESERVED || !same_client(&e->client, client))
				continue;
			if (e->state == LEASE_FINISHING) {
				e->abandoned = true;
				continue;
			}
			l->stats.passed_on += e->first != NULL;
			pass_on(l, e);
		}
	lease_client_came(l, client); /* either way nobody waits for it */
}

void lease_conn_gone(struct leases *l, uint64_t conn)
{
	for (struct waiter *w = l->waiters, *next; w; w = next) {
		next = w->next_all;
		if (w->ask.conn != conn)
			continue;
		struct lease *e = w->lease;
		drop_waiter(l, w);
		if (e->state == LEASE_RESERVED && !e->first)
			drop(l, e);
	}
}

bool lease_cancel(struct leases *l, uint64_t conn, uint32_t msgid)
{
	for (struct waiter *w = l->waiters; w; w = w->next_all) {
		if (w->ask.conn != conn || w->ask.msgid != msgid)
			continue;
		struct lease *e = w->lease;
		answer(l, w, LEASE_HELD, 0, NULL);
		if (e->state == LEASE_RESERVED && !e->first)
			drop(l, e);
		return true;
	}
	return false;
}

/* ---- the grace time, and waits that end --------------------------------- */

int leases_expect(struct leases *l, const struct client_key *clients, size_t n, uint64_t until_ms)
{
	if (n == 0)
		return 0;
	l->expected = malloc(n * sizeof(*clients));
	if (!l->expected)
		return -1;
	memcpy(l->expected, clients, n * sizeof(*clients));
	l->n_expected = n;
	l->grace_until_ms = until_ms;
	return 0;
}

static void end_grace(struct leases *l)
{
	l->grace_until_ms = 0;
	l->n_expected = 0;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct lease *e = l->buckets[i], *next; e; e = next) {
			next = e->next;
			if (e->state == LEASE_RESERVED)
				pass_on(l, e);
		}
}

void lease_client_came(struct leases *l, const struct client_key *client)
{
	for (size_t i = 0; i < l->n_expected; i++)
		if (same_client(&l->expected[i], client)) {
			l->expected[i] = l->expected[--l->n_expected];
			if (l->n_expected == 0)
				end_grace(l);
			return;
		}
}

uint64_t leases_tick(struct leases *l, uint64_t now_ms)
{
	uint64_t next_ms = LEASE_NEVER;

	if (l->grace_until_ms && now_ms >= l->grace_until_ms)
		end_grace(l);
	for (struct waiter *w = l->waiters, *next; w; w = next) {
		next = w->next_all;
		struct lease *e = w->lease;
		if (w->ask.until_ms > now_ms) {
			next_ms = w->ask.until_ms < next_ms ? w->ask.until_ms : next_ms;
			continue;
		}
		answer(l, w, LEASE_HELD, 0, NULL);
		if (e->state == LEASE_RESERVED && !e->first)
			drop(l, e);
	}
	return l->grace_until_ms && l->grace_until_ms < next_ms ? l->grace_until_ms : next_ms;
}

struct lease_stats leases_stats(const struct leases *l, uint64_t now_ms)
{
	struct lease_stats st = l->stats;

	st.grace_ms = l->grace_until_ms > now_ms ? l->grace_until_ms - now_ms : 0;
	return st;
}
