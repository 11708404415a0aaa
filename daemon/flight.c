/* Single flight: the leases, wired to connections, cache and writer. Part of server.h. */
#include <stdlib.h>

#include "calls.h"
#include "crash.h"
#include "entries.h"
#include "handle.h"
#include "log.h"
#include "runs.h"
#include "server.h"

#define GRACE_MS 5000u /* for holders of leases to come, after a start */
#define LOOK_MS	 500u  /* between two looks whether those that have not come live */

struct cache *server_cache(struct server *s)
{
	return s->cache;
}

struct leases *server_leases(struct server *s)
{
	return s->leases;
}

uint64_t server_now_ms(const struct server *s)
{
	return uv_now(&s->loop);
}

int64_t server_wall_us(const struct server *s)
{
	return s->store->now_us();
}

/* ---- callbacks of the leases ------------------------------------------ */

static void put_result(struct server *s, uint64_t conn, uint32_t msgid, const struct result_cache_begin *ret)
{
	struct conn *c = server_conn(s, conn);

	if (!c)
		return;
	wire_put_result(&c->out, msgid, METHOD_cache_begin, ret);
	conn_touch(c);
}

static void answer(void *data, const struct lease_ask *ask, const uint8_t *key, enum lease_answer how,
		   uint64_t token, const struct entry *entry)
{
	struct server *s = data;
	struct result_cache_begin ret;
	struct entry found;
	bool reading = how == LEASE_RESULT && !entry && entries_read_begin(s->cache);

	if (reading && entries_find(s->cache, key, server_wall_us(s), &found, NULL, NULL))
		entry = &found;
	if (how == LEASE_RESULT && entry)
		cache_answer_hit(entry, reading && ask->direct, &ret);
	else
		cache_answer_state(how, token, &ret);
	put_result(s, ask->conn, ask->msgid, &ret);
	if (reading)
		entries_read_end(s->cache);
}

static bool has(void *data, const uint8_t *key)
{
	struct server *s = data;
	struct entry ignored;

	if (!entries_read_begin(s->cache))
		return false;
	bool found = entries_find(s->cache, key, server_wall_us(s), &ignored, NULL, NULL);
	entries_read_end(s->cache);
	return found;
}

static uint64_t epoch(void *data)
{
	struct server *s = data;
	uint64_t n = cache_draw_epoch(s->cache);

	if (n == 0)
		log_warn("no leases can be given: nothing can be written in '%s'", s->cache->dir);
	return n;
}

static void look_at_absent(struct server *s);

/* ---- time ------------------------------------------------------------- */

static void on_lease_timer(uv_timer_t *t)
{
	struct server *s = t->data;

	s->lease_due = LEASE_NEVER;
	look_at_absent(s);
	if (s->absent)
		server_lease_timer(s, uv_now(&s->loop) + LOOK_MS);
	server_lease_timer(s, leases_tick(s->leases, uv_now(&s->loop)));
}

void server_lease_timer(struct server *s, uint64_t until_ms)
{
	uint64_t now = uv_now(&s->loop);

	if (until_ms >= s->lease_due || uv_is_closing((uv_handle_t *)&s->lease_timer))
		return;
	s->lease_due = until_ms;
	uv_timer_start(&s->lease_timer, on_lease_timer, until_ms > now ? until_ms - now : 0, 0);
}

/* ---- holders that have not come back ----------------------------------- */

/* One whose call had begun when the last daemon ended, and whose process lives. */
struct absent {
	struct client_key client;
	pid_t pid;
	struct absent *next;
};

static void claim_absent(void *data, const struct call_held *h)
{
	struct server *s = data;
	struct absent *a = peer_outlived_us(h->pid) ? malloc(sizeof(*a)) : NULL;
	struct entry e = {0};

	if (!a)
		return;
	if (entries_read_begin(s->cache)) {
		if (!entries_find(s->cache, h->key, server_wall_us(s), &e, NULL, NULL))
			e.token = 0;
		entries_read_end(s->cache);
	}
	lease_claim(s->leases, h->key, h->token, &h->client, e.token);
	*a = (struct absent){.client = h->client, .pid = h->pid, .next = s->absent};
	s->absent = a;
}

static bool same(const struct client_key *a, const struct client_key *b)
{
	return a->uid == b->uid && memcmp(a->id, b->id, XT_CLIENT_ID) == 0;
}

/* Takes a client's entries out of the list. */
static void forget_absent(struct server *s, const struct client_key *client)
{
	for (struct absent **at = &s->absent; *at;) {
		struct absent *a = *at;
		if (same(&a->client, client)) {
			*at = a->next;
			free(a);
		} else {
			at = &a->next;
		}
	}
}

/* Those that have died meanwhile are gone, and with them their leases. */
static void look_at_absent(struct server *s)
{
	for (struct absent *a = s->absent; a;) {
		struct client_key client = a->client;
		bool lives = peer_outlived_us(a->pid);
		a = a->next;
		if (lives)
			continue;
		forget_absent(s, &client);
		server_tell_gone(s, &client, false, "its process has ended");
		a = s->absent; /* others of its entries may have been next */
	}
}

void flight_done(struct server *s)
{
	while (s->absent)
		forget_absent(s, &s->absent->client);
	leases_free(s->leases);
}

/* ---- the start -------------------------------------------------------- */

/* Whom to wait for: who had part in a run, unless its process is known to be dead or its leases are known. */
static int expect_clients(struct server *s, struct xt_err *err)
{
	struct runs_client *list = NULL;
	size_t n = 0, expected = 0;

	if (runs_running(s->store, &list, &n, err) < 0)
		return -1;
	struct client_key *keys = calloc(n + 1, sizeof(*keys));
	for (size_t i = 0; keys && i < n; i++)
		if (list[i].pid == 0 || peer_outlived_us(list[i].pid))
			keys[expected++] = list[i].key;
	uint64_t until = uv_now(&s->loop) + GRACE_MS;
	int r = keys ? leases_expect(s->leases, keys, expected, until) : -1;
	free(keys);
	free(list);
	if (r < 0)
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	if (expected > 0)
		server_lease_timer(s, until);
	return 0;
}

int flight_init(struct server *s, struct xt_err *err)
{
	struct leases_options o = {.answer = answer, .has = has, .epoch = epoch, .data = s};

	s->lease_due = LEASE_NEVER;
	s->leases = leases_new(&o);
	if (!s->leases)
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	if (s->store->read_only || !cache_has_epoch(s->cache) || crash_defect("no grace time"))
		return 0;
	if (calls_held(s->store, claim_absent, s, err) < 0)
		return -1;
	if (s->absent)
		server_lease_timer(s, uv_now(&s->loop) + LOOK_MS);
	return expect_clients(s, err);
}

/* ---- holders ---------------------------------------------------------- */

void server_claim_leases(struct server *s, const struct conn *c, struct span leases)
{
	struct reader r = reader_of(leases);
	struct token head = {0}, key, token;
	uint64_t tokens[XT_MAX_LEASES];
	size_t n = 0;

	if (c->peer.role != ROLE_WRITER)
		return;
	forget_absent(s, &c->client);
	if (leases.len > 0 && (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY))
		return;
	for (uint32_t i = 0; i + 1 < head.count && i < 2 * XT_MAX_LEASES; i += 2) {
		struct entry e = {0};
		if (reader_next(&r, &key) < 0 || reader_next(&r, &token) < 0 || key.type != TOKEN_BIN ||
		    key.bytes.len != XT_CACHE_KEY || token.type != TOKEN_INT || token.integer <= 0)
			break;
		tokens[n++] = (uint64_t)token.integer;
		if (entries_read_begin(s->cache)) {
			if (!entries_find(s->cache, key.bytes.data, server_wall_us(s), &e, NULL, NULL))
				e.token = 0;
			entries_read_end(s->cache);
		}
		lease_claim(s->leases, key.bytes.data, (uint64_t)token.integer, &c->client, e.token);
	}
	lease_keep(s->leases, &c->client, tokens, n);
}

void server_finishing(struct server *s, struct op *op)
{
	const struct params_cache_finish *p = (const struct params_cache_finish *)op->params;

	op->lease = lease_finishing(s->leases, p->key.data, p->token, op->client.uid) ? OP_LEASE_HELD
										      : OP_LEASE_LOST;
}

void server_finished(struct server *s, const struct op *op)
{
	const struct params_cache_finish *p = (const struct params_cache_finish *)op->params;
	struct entry e = {.origin = p->track_id,
			  .encoding = p->encoding,
			  .value = p->value,
			  .uid = op->client.uid,
			  .created_us = server_wall_us(s),
			  .function_ns = p->function_ns};

	if (op->lease != OP_LEASE_HELD)
		return;
	/* What is large is read from the cache, by those who can, not sent to each of them. */
	bool look = op->result == OP_RESULT_GOOD && e.value.len > CACHE_INLINE && has(s, p->key.data);
	lease_finished(s->leases, p->key.data, p->token, op->result == OP_RESULT_GOOD, look ? NULL : &e);
	if (op->result == OP_RESULT_REFUSED)
		lease_abort(s->leases, p->key.data, p->token, op->client.uid);
}

/* ---- the cache's place ------------------------------------------------ */

void server_tell_cache(struct server *s, struct conn *c)
{
	char path[PATH_MAX + 32];

	if (!c->direct || !c->welcomed || c->state != CONN_OPEN ||
	    (s->told_cache == 0 && s->told_ttl_us == 0))
		return;
	if (!cache_path(s->cache, path))
		path[0] = '\0';
	struct params_cache_moved p = {.has = s->told_ttl_us ? PARAM_BIT(cache_moved, cache_ttl_ms) : 0,
				       .path = span_str(path),
				       .cache_ttl_ms = s->told_ttl_us / 1000};
	wire_put_notify(&c->out, METHOD_cache_moved, &p);
	conn_touch(c);
}

void server_look_at_cache(struct server *s)
{
	unsigned generation = atomic_load(&s->cache->generation);

	if (atomic_load(&s->cache->damaged) && !s->mending && !s->draining) {
		s->mending = true;
		server_mend_cache(s);
	}
	uint64_t ttl_us = atomic_load(&s->cache->ttl_us);
	if (generation == s->told_cache && ttl_us == s->told_ttl_us)
		return;
	s->told_cache = generation;
	s->told_ttl_us = ttl_us;
	for (struct conn *c = s->conns; c; c = c->next)
		server_tell_cache(s, c);
}
