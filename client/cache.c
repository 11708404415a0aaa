/* Entries of the cache, one by one and all of them: what xtctl shows. */
#include "canon.h"
#include "cursor.h"

/* ---- one entry -------------------------------------------------------- */

int cache_copy(struct buf *b, const struct entry *e, xt_cached *ret)
{
	buf_add(b, e->value.data, e->value.len);
	buf_add(b, e->encoding.data, e->encoding.len);
	buf_add(b, "", 1);
	buf_add(b, e->origin.data, e->origin.len);
	buf_add(b, "", 1);
	if (buf_failed(b))
		return -1;
	*ret = (xt_cached){.value = b->data,
			   .size = e->value.len,
			   .encoding = (const char *)b->data + e->value.len,
			   .origin = (const char *)b->data + e->value.len + e->encoding.len + 1,
			   .uid = e->uid,
			   .created_us = e->created_us,
			   .function_time = (double)e->function_ns / 1e9};
	return 0;
}

/* Copies an entry, and behind it its key's parts and the name of its function, to where they live until the
 * next call. */
static int keep_cached(struct xt_client *c, const struct entry *e, xt_cached *ret)
{
	struct span function = canon_function(e->parts);
	struct buf *b = &c->cached;

	buf_clear(b);
	if (buf_reserve(b, e->value.len + e->encoding.len + e->origin.len + e->parts.len + function.len + 3) <
		    0 ||
	    cache_copy(b, e, ret) < 0)
		return client_fail(c, XT_ENOMEM, "out of memory");
	buf_add(b, e->parts.data, e->parts.len);
	buf_add(b, function.data, function.len);
	buf_add(b, "", 1);
	return XT_OK;
}

int xt_cache_get(xt_client *client, const uint8_t key[XT_KEY_BYTES], xt_cached *ret)
{
	struct call call = {0};
	struct entry e;

	client_enter(client);
	int r = flight_look(client, key, &e, &call);
	if (r == XT_OK)
		r = keep_cached(client, &e, ret);
	call_done(&call);
	return client_leave(client, r);
}

/* What xt_cache_read() says besides: it points to what keep_cached() kept. */
static void describe(const xt_cached *cached, const struct entry *e, const struct result_cache_get *a,
		     const uint8_t key[XT_KEY_BYTES], xt_cache_item *ret)
{
	const char *parts = cached->origin + e->origin.len + 1;

	*ret = (xt_cache_item){.key = key,
			       .function = parts + e->parts.len,
			       .origin = cached->origin,
			       .uid = cached->uid,
			       .created_us = cached->created_us,
			       .function_time = cached->function_time,
			       .size = a->value.len,
			       .hits = a->hits,
			       .last_use_us = a->last_use,
			       .parts = (const uint8_t *)parts,
			       .parts_size = e->parts.len,
			       .sound = a->sound};
}

int xt_cache_read(xt_client *client, const uint8_t key[XT_KEY_BYTES], xt_cache_item *ret,
		  xt_cached *ret_cached)
{
	struct params_cache_get p = {.key = span_of(key, XT_CACHE_KEY)};
	struct result_cache_get a = {0};
	struct call call = {0};

	client_enter(client);
	int r = call_run(client, METHOD_cache_get, &p, &call, &a, NEVER);
	if (r == XT_OK && !a.found)
		r = XT_DONE;
	if (r == XT_OK) {
		struct entry e = {.value = a.value,
				  .encoding = a.encoding,
				  .origin = a.origin,
				  .uid = (uint32_t)a.uid,
				  .created_us = a.created,
				  .function_ns = a.function_ns,
				  .parts = a.parts};
		r = keep_cached(client, &e, ret_cached);
		if (r == XT_OK)
			describe(ret_cached, &e, &a, key, ret);
	}
	call_done(&call);
	return client_leave(client, r);
}

/* ---- all of them ------------------------------------------------------ */

/* One of a page's maps. 0, or -1. */
static int read_item(struct reader *r, xt_cache_item *ret, char function[XT_MAX_KEY + 1],
		     char origin[XT_MAX_TRACK_ID + 1])
{
	struct token head, key, t;

	*ret = (xt_cache_item){.sound = true, .function = function, .origin = origin};
	function[0] = origin[0] = '\0';
	if (reader_next(r, &head) < 0 || head.type != TOKEN_MAP)
		return -1;
	for (uint32_t i = 0; i < head.count; i++) {
		if (reader_next(r, &key) < 0 || key.type != TOKEN_STR)
			return -1;
		struct reader value = reader_of(reader_skip(r));
		if (reader_next(&value, &t) < 0)
			return -1;
		if (span_is(key.bytes, "key") && t.type == TOKEN_BIN && t.bytes.len == XT_CACHE_KEY)
			ret->key = t.bytes.data;
		else if (span_is(key.bytes, "function") && t.type == TOKEN_STR && t.bytes.len <= XT_MAX_KEY)
			snprintf(function, XT_MAX_KEY + 1, "%.*s", SPAN_ARG(t.bytes));
		else if (span_is(key.bytes, "origin") && t.type == TOKEN_STR &&
			 t.bytes.len <= XT_MAX_TRACK_ID)
			snprintf(origin, XT_MAX_TRACK_ID + 1, "%.*s", SPAN_ARG(t.bytes));
		else if (span_is(key.bytes, "parts") && t.type == TOKEN_BIN) {
			ret->parts = t.bytes.data;
			ret->parts_size = t.bytes.len;
		} else if (t.type == TOKEN_INT) {
			if (span_is(key.bytes, "uid"))
				ret->uid = (uint32_t)t.integer;
			else if (span_is(key.bytes, "created"))
				ret->created_us = t.integer;
			else if (span_is(key.bytes, "function_ns"))
				ret->function_time = (double)t.integer / 1e9;
			else if (span_is(key.bytes, "size"))
				ret->size = (uint64_t)t.integer;
			else if (span_is(key.bytes, "hits"))
				ret->hits = (uint64_t)t.integer;
			else if (span_is(key.bytes, "last_use"))
				ret->last_use_us = t.integer;
		}
	}
	return ret->key ? 0 : -1;
}

/* Hands the entries of a page over, with the mutex released: what is done with them may take its time. */
static int hand_over(struct xt_client *c, struct span entries,
		     bool (*each)(const xt_cache_item *item, void *data), void *data, bool *ret_enough)
{
	struct reader r = reader_of(entries);
	char function[XT_MAX_KEY + 1], origin[XT_MAX_TRACK_ID + 1];
	xt_cache_item item;
	struct token head;
	int bad = reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY;

	client_leave(c, XT_OK);
	for (uint32_t i = 0; !bad && !*ret_enough && i < head.count; i++) {
		bad = read_item(&r, &item, function, origin) < 0;
		*ret_enough = !bad && !each(&item, data);
	}
	client_enter(c);
	return bad ? cursor_bad(c) : XT_OK;
}

int xt_cache_each(xt_client *client, const xt_cache_filter *filter,
		  bool (*each)(const xt_cache_item *item, void *data), void *data)
{
	static const xt_cache_filter none;
	const xt_cache_filter *f = filter ? filter : &none;
	struct params_cache_list p = {.has = PARAM_BIT(cache_list, parts), .parts = f->parts};
	struct buf next = {0};
	bool enough = false;
	int r = XT_OK;

	if (f->function) {
		p.has |= PARAM_BIT(cache_list, function);
		p.function = span_str(f->function);
	}
	if (f->track_id) {
		p.has |= PARAM_BIT(cache_list, track_id);
		p.track_id = span_str(f->track_id);
	}
	if (f->prefix_size) {
		p.has |= PARAM_BIT(cache_list, prefix);
		p.prefix = span_of(f->prefix, f->prefix_size);
	}
	client_enter(client);
	do {
		struct result_cache_list page = {0};
		struct call call = {0};
		do { /* a page comes at once; who wants to stop says so by `each` */
			call_done(&call);
			r = call_run(client, METHOD_cache_list, &p, &call, &page, NEVER);
		} while (r == XT_EINTR);
		buf_clear(&next);
		buf_add(&next, page.next.data, page.next.len);
		p.has |= PARAM_BIT(cache_list, after);
		p.after = buf_span(&next);
		if (r == XT_OK)
			r = hand_over(client, page.entries, each, data, &enough);
		call_done(&call);
	} while (r == XT_OK && !enough && next.len > 0);
	buf_done(&next);
	return client_leave(client, r);
}

/* ---- changing --------------------------------------------------------- */

int xt_cache_delete(xt_client *client, const uint8_t *keys, size_t n, uint64_t *ret_deleted,
		    uint64_t *ret_bytes)
{
	struct params_cache_delete p = {.keys = span_of(keys, n * XT_CACHE_KEY)};
	struct result_cache_delete a = {0};
	struct call call = {0};

	client_enter(client);
	int r = n > 0 ? call_run(client, METHOD_cache_delete, &p, &call, &a, NEVER) : XT_OK;
	call_done(&call);
	if (ret_deleted)
		*ret_deleted = a.deleted;
	if (ret_bytes)
		*ret_bytes = a.bytes;
	return client_leave(client, r);
}

int xt_cache_gc(xt_client *client, uint64_t *ret_deleted, uint64_t *ret_bytes)
{
	struct params_cache_gc p = {0};
	struct result_cache_gc a = {0};
	uint64_t deleted = 0, bytes = 0;
	int r;

	client_enter(client);
	do {
		struct call call = {0};
		r = call_run(client, METHOD_cache_gc, &p, &call, &a, NEVER);
		call_done(&call);
		deleted += r == XT_OK ? a.deleted : 0;
		bytes += r == XT_OK ? a.bytes : 0;
	} while (r == XT_OK && a.more);
	if (ret_deleted)
		*ret_deleted = deleted;
	if (ret_bytes)
		*ret_bytes = bytes;
	return client_leave(client, r);
}

int xt_cache_reset(xt_client *client, char *aside, size_t size)
{
	struct params_cache_reset p = {0};
	struct result_cache_reset a = {0};
	struct call call = {0};

	client_enter(client);
	int r = call_run(client, METHOD_cache_reset, &p, &call, &a, NEVER);
	if (size > 0)
		snprintf(aside, size, "%.*s", SPAN_ARG(a.aside));
	call_done(&call);
	return client_leave(client, r);
}
