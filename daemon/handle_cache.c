/* cache_begin, cache_abort, cache_get, cache_list, cache_stats: on the loop; cache_delete, cache_gc,
 * cache_reset: on the writer's thread. */
#include <stdio.h>

#include "canon.h"
#include "entries.h"
#include "handle.h"
#include "lease.h"
#include "log.h"
#include "loop.h"

/* The entry of a key, which lives until the answer is encoded. */
static bool look_up(struct loop_call *c, struct span key, struct entry *ret, struct span *ret_bytes,
		    struct use *ret_use)
{
	struct cache *cache = server_cache(c->server);

	c->reading = entries_read_begin(cache);
	return c->reading &&
	       entries_find(cache, key.data, server_wall_us(c->server), ret, ret_bytes, ret_use);
}

/* ---- cache_begin ------------------------------------------------------ */

void cache_answer_hit(const struct entry *e, bool direct, struct result_cache_begin *ret)
{
	*ret = (struct result_cache_begin){.state = span_str("hit"),
					   .value = e->value,
					   .encoding = e->encoding,
					   .origin = e->origin,
					   .uid = e->uid,
					   .created = e->created_us,
					   .function_ns = e->function_ns};
	ret->has = RESULT_BIT(cache_begin, value) | RESULT_BIT(cache_begin, origin) |
		   RESULT_BIT(cache_begin, uid) | RESULT_BIT(cache_begin, created) |
		   RESULT_BIT(cache_begin, function_ns);
	if (e->encoding.len)
		ret->has |= RESULT_BIT(cache_begin, encoding);
	if (direct && e->value.len > CACHE_INLINE)
		ret->has &= ~RESULT_BIT(cache_begin, value);
}

void cache_answer_state(enum lease_answer how, uint64_t token, struct result_cache_begin *ret)
{
	static const char *const states[] = {[LEASE_GIVEN] = "lease",
					     [LEASE_RESULT] = "miss",
					     [LEASE_HELD] = "held",
					     [LEASE_CYCLE] = "cycle",
					     [LEASE_NONE] = "miss"};

	*ret = (struct result_cache_begin){.state = span_str(states[how])};
	if (how == LEASE_GIVEN) {
		ret->has = RESULT_BIT(cache_begin, token);
		ret->token = token;
	}
}

/* The tokens of the leases that the new call is made in. Too many of them: all. */
static int read_within(struct span within, struct lease_ask *ask, struct xt_err *err)
{
	struct reader r = reader_of(within);
	struct token t = {0};

	if (reader_next(&r, &t) < 0 || t.type != TOKEN_ARRAY)
		return 0;
	ask->within_all = t.count > LEASE_WITHIN;
	for (uint32_t i = 0, n = t.count; i < n; i++) {
		if (reader_next(&r, &t) < 0 || t.type != TOKEN_INT || t.integer < 0)
			return xt_err_set(err, XT_E_bad_type, "within", "`within` must be tokens");
		if (!ask->within_all)
			ask->within[ask->n_within++] = (uint64_t)t.integer;
	}
	return 0;
}

static int ask(struct loop_call *c, const struct params_cache_begin *p, struct result_cache_begin *ret,
	       struct xt_err *err)
{
	uint64_t now = server_now_ms(c->server), token;
	struct lease_ask q = {.key = p->key.data,
			      .client = c->op->client,
			      .conn = c->op->conn,
			      .msgid = c->op->msgid,
			      .until_ms = HAS_PARAM(p, cache_begin, wait_ms) ? now + p->wait_ms : LEASE_NEVER,
			      .force = HAS_PARAM(p, cache_begin, force) && p->force,
			      .direct = HAS_PARAM(p, cache_begin, direct) && p->direct,
			      .within_all = !HAS_PARAM(p, cache_begin, within)};
	enum lease_answer how;

	if (!q.within_all && read_within(p->within, &q, err) < 0)
		return -1;
	int r = lease_ask(server_leases(c->server), &q, now, &how, &token, err);
	if (r == 0)
		cache_answer_state(how, token, ret);
	if (r > 0)
		server_lease_timer(c->server, q.until_ms);
	return r > 0 ? HANDLE_LATER : r;
}

int handle_cache_begin(struct loop_call *c, const struct params_cache_begin *p,
		       struct result_cache_begin *ret, struct xt_err *err)
{
	struct cache *cache = server_cache(c->server);
	bool force = HAS_PARAM(p, cache_begin, force) && p->force;
	struct entry e;

	if (!force && look_up(c, p->key, &e, NULL, NULL)) {
		cache_answer_hit(&e, HAS_PARAM(p, cache_begin, direct) && p->direct, ret);
		return 0;
	}
	atomic_fetch_add(&cache->misses, 1);
	cache_answer_state(LEASE_NONE, 0, ret);
	if (c->op->reader || atomic_load(&cache->off) ||
	    (HAS_PARAM(p, cache_begin, read_only) && p->read_only))
		return 0;
	return ask(c, p, ret, err);
}

int handle_cache_abort(struct loop_call *c, const struct params_cache_abort *p,
		       struct result_cache_abort *ret, struct xt_err *err)
{
	(void)err;
	ret->held = lease_abort(server_leases(c->server), p->key.data, p->token, c->op->client.uid);
	return 0;
}

/* ---- looking ---------------------------------------------------------- */

int handle_cache_get(struct loop_call *c, const struct params_cache_get *p, struct result_cache_get *ret,
		     struct xt_err *err)
{
	struct span bytes;
	struct entry e;
	struct use use;

	(void)err;
	if (look_up(c, p->key, &e, &bytes, &use))
		*ret = (struct result_cache_get){.has = UINT64_MAX,
						 .found = true,
						 .value = e.value,
						 .encoding = e.encoding,
						 .origin = e.origin,
						 .uid = e.uid,
						 .created = e.created_us,
						 .function_ns = e.function_ns,
						 .parts = e.parts,
						 .hits = use.hits,
						 .last_use = use.last_us,
						 .sound = entry_is_sound(p->key.data, bytes)};
	return 0;
}

/* A page that is being filled. */
struct page {
	struct buf *entries; /* encoded, with a head that has room for any number of them */
	uint32_t n;
	bool parts; /* with them */
};

#define HEAD_BYTES 5 /* of an array of any size */

static void put_text(msgpack_packer *pk, struct span s)
{
	msgpack_pack_str(pk, s.len);
	msgpack_pack_str_body(pk, s.data, s.len);
}

static void put_bin(msgpack_packer *pk, struct span s)
{
	msgpack_pack_bin(pk, s.len);
	msgpack_pack_bin_body(pk, s.data, s.len);
}

static bool put_entry(void *data, const uint8_t *key, const struct entry *e, const struct use *use,
		      size_t size)
{
	struct page *page = data;
	msgpack_packer pk = wire_packer(page->entries);

	msgpack_pack_map(&pk, page->parts ? 10 : 9);
	put_text(&pk, span_str("key"));
	put_bin(&pk, span_of(key, XT_CACHE_KEY));
	put_text(&pk, span_str("function"));
	put_text(&pk, canon_function(e->parts));
	put_text(&pk, span_str("origin"));
	put_text(&pk, e->origin);
	put_text(&pk, span_str("uid"));
	msgpack_pack_uint32(&pk, e->uid);
	put_text(&pk, span_str("created"));
	msgpack_pack_int64(&pk, e->created_us);
	put_text(&pk, span_str("function_ns"));
	msgpack_pack_uint64(&pk, e->function_ns);
	put_text(&pk, span_str("size"));
	msgpack_pack_uint64(&pk, size);
	put_text(&pk, span_str("hits"));
	msgpack_pack_uint64(&pk, use->hits);
	put_text(&pk, span_str("last_use"));
	msgpack_pack_int64(&pk, use->last_us);
	if (page->parts) {
		put_text(&pk, span_str("parts"));
		put_bin(&pk, e->parts);
	}
	page->n++;
	return page->entries->len < XT_PAGE_BYTES;
}

int handle_cache_list(struct loop_call *c, const struct params_cache_list *p, struct result_cache_list *ret,
		      struct xt_err *err)
{
	struct entries_query q = {.now_us = server_wall_us(c->server)};
	struct cache *cache = server_cache(c->server);
	struct page page = {.entries = &c->text, .parts = HAS_PARAM(p, cache_list, parts) && p->parts};
	uint8_t head[HEAD_BYTES] = {0xdd};

	q.after = HAS_PARAM(p, cache_list, after) ? p->after : q.after;
	q.function = HAS_PARAM(p, cache_list, function) ? p->function : q.function;
	q.track_id = HAS_PARAM(p, cache_list, track_id) ? p->track_id : q.track_id;
	q.prefix = HAS_PARAM(p, cache_list, prefix) ? p->prefix : q.prefix;
	buf_add(&c->text, head, sizeof(head));
	c->reading = entries_read_begin(cache);
	struct buf next = {0};
	if (c->reading)
		entries_list(cache, &q, put_entry, &page, &next);
	size_t end = c->text.len;
	buf_add(&c->text, next.data, next.len);
	bool failed = buf_failed(&c->text) || buf_failed(&next);
	size_t more = next.len;
	buf_done(&next);
	if (failed)
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	for (size_t i = 0; i < 4; i++)
		c->text.data[1 + i] = (uint8_t)(page.n >> 8 * (3 - i));
	ret->entries = span_of(c->text.data, end);
	ret->next = span_of(c->text.data + end, more);
	ret->has = more ? RESULT_BIT(cache_list, next) : 0;
	return 0;
}

int handle_cache_stats(struct loop_call *c, const struct params_cache_stats *p,
		       struct result_cache_stats *ret, struct xt_err *err)
{
	static _Thread_local char path[PATH_MAX + 32], state[512]; /* borrowed until they are encoded */
	struct cache *cache = server_cache(c->server);
	struct lease_stats st = leases_stats(server_leases(c->server), server_now_ms(c->server));

	(void)p;
	(void)err;
	bool open = cache_path(cache, path);
	cache_describe(cache, state, sizeof(state));
	*ret = (struct result_cache_stats){.state = span_str(state),
					   .path = span_str(open ? path : cache->dir),
					   .entries = atomic_load(&cache->entries),
					   .bytes = atomic_load(&cache->bytes),
					   .max_bytes = atomic_load(&cache->max_bytes),
					   .ttl_ms = atomic_load(&cache->ttl_us) / 1000,
					   .hits = atomic_load(&cache->hits),
					   .misses = atomic_load(&cache->misses),
					   .finished = atomic_load(&cache->finished),
					   .evicted = atomic_load(&cache->evicted),
					   .leases = st.leases,
					   .waiters = st.waiters,
					   .passed_on = st.passed_on,
					   .lost = st.lost,
					   .cycles = st.cycles,
					   .grace_ms = st.grace_ms};
	cache_sizes(cache, &ret->file_bytes, &ret->map_bytes, &ret->readers);
	return 0;
}

/* ---- changing --------------------------------------------------------- */

int handle_cache_delete(struct work *w, const struct params_cache_delete *p, struct result_cache_delete *ret,
			struct xt_err *err)
{
	if (p->keys.len % XT_CACHE_KEY != 0)
		return xt_err_set(err, XT_E_out_of_range, "keys", "`keys` has %zu bytes; a key has %d",
				  p->keys.len, XT_CACHE_KEY);
	for (size_t at = 0; at < p->keys.len; at += XT_CACHE_KEY) {
		uint64_t size;
		if (entries_remove(w->cache, p->keys.data + at, &size, err) < 0)
			return -1;
		ret->deleted += size > 0;
		ret->bytes += size;
	}
	return 0;
}

int handle_cache_gc(struct work *w, const struct params_cache_gc *p, struct result_cache_gc *ret,
		    struct xt_err *err)
{
	struct entries_gc done;

	(void)p;
	if (entries_gc(w->cache, w->store->now_us(), &done, err) < 0)
		return -1;
	ret->deleted = done.deleted;
	ret->bytes = done.bytes;
	ret->more = done.more;
	return 0;
}

int handle_cache_reset(struct work *w, const struct params_cache_reset *p, struct result_cache_reset *ret,
		       struct xt_err *err)
{
	char aside[PATH_MAX + 64], path[PATH_MAX + 32];

	(void)p;
	w->cache->off = w->store->read_only;
	if (cache_set_aside(w->cache, "reset", "a user asked for it", aside, err) < 0 ||
	    cache_make(w->cache, err) < 0)
		return -1;
	cache_path(w->cache, path);
	buf_clear(&w->text);
	buf_add_str(&w->text, aside);
	buf_add_str(&w->text, path);
	if (buf_failed(&w->text))
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	ret->aside = span_of(w->text.data, strlen(aside));
	ret->path = span_of(w->text.data + strlen(aside), strlen(path));
	return 0;
}
