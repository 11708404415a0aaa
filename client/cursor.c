#include "cursor.h"

#include <stdlib.h>

#define MORE_TRIES    5	       /* to ask anew when the connection breaks */
#define LONGEST_QUERY 86400000 /* `timeout_ms` of query, at most */

/* ---- asking ---------------------------------------------------------------- */

/* A query ends as `cancelled`, though nobody here cancelled it, when its daemon has to leave. */
static bool broke(const struct call *call, int status)
{
	return status == XT_ELOST || (status == XT_EREQUEST && call->err.code == XT_E_cancelled);
}

int cursor_ask(struct xt_client *c, enum method_id method, void *params, uint64_t *after, struct call *call)
{
	int r;

	*call = (struct call){0};
	for (unsigned tries = 0;; tries++) {
		r = call_ready(c);
		if (r != XT_OK)
			break;
		if (after)
			*after = c->last_seq;
		r = call_send(c, method, params, call);
		if (r == XT_OK)
			r = call_wait(c, call, NEVER);
		call_forget(c, call);
		bool replaced = r == XT_EREQUEST && call->err.code == XT_E_file_replaced;
		if (tries == MORE_TRIES || (!replaced && !broke(call, r)))
			break;
		if (replaced)
			link_drop(c); /* another daemon serves what is there now */
		call_done(call);
	}
	return r;
}

void cursor_cancel(struct xt_client *c, uint32_t id, unsigned epoch)
{
	struct params_cancel p = {.cursor = id};
	struct call call = {0};

	if (c->fd < 0 || c->epoch != epoch)
		return;
	if (call_send(c, METHOD_cancel, &p, &call) == XT_OK)
		call_forget(c, &call);
	call_done(&call);
}

/* ---- columns --------------------------------------------------------------- */

int cursor_bad(struct xt_client *c)
{
	return client_fail(c, XT_EPROTOCOL, "the daemon's answer has a result that makes no sense");
}

/* An encoded array of strings as NUL-terminated ones, in one allocation. */
static int read_strings(struct xt_client *c, struct span array, const char ***ret, size_t *ret_n)
{
	struct reader r = reader_of(array);
	struct token head, t;

	if (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY)
		return cursor_bad(c);
	/* The encoding has a byte before each string, which is room for the NUL behind it. */
	const char **strings = malloc(head.count * sizeof(*strings) + array.len);
	if (!strings)
		return client_fail(c, XT_ENOMEM, "out of memory");
	char *p = (char *)(strings + head.count);
	for (uint32_t i = 0; i < head.count; i++) {
		if (reader_next(&r, &t) < 0 || t.type != TOKEN_STR) {
			free(strings);
			return cursor_bad(c);
		}
		strings[i] = p;
		if (t.bytes.len)
			memcpy(p, t.bytes.data, t.bytes.len);
		p[t.bytes.len] = '\0';
		p += t.bytes.len + 1;
	}
	*ret = strings;
	*ret_n = head.count;
	return XT_OK;
}

/* ---- rows ------------------------------------------------------------------ */

int cursor_rows(struct xt_cursor *cur, struct span array)
{
	struct token head;

	cur->rows = reader_of(array);
	if (reader_next(&cur->rows, &head) < 0 || head.type != TOKEN_ARRAY)
		return cursor_bad(cur->client);
	cur->left = head.count;
	return XT_OK;
}

static int read_any_value(struct reader *r, xt_value *ret)
{
	struct token t;

	if (reader_next_any(r, &t) < 0)
		return -1;
	switch (t.type) {
	case TOKEN_NIL:
		*ret = xt_null();
		return 0;
	case TOKEN_BOOL:
		*ret = xt_bool(t.boolean);
		return 0;
	case TOKEN_INT:
		*ret = xt_int(t.integer);
		return 0;
	case TOKEN_UINT:
		*ret = xt_uint(t.uinteger);
		return 0;
	case TOKEN_REAL:
		*ret = xt_real(t.real);
		return 0;
	case TOKEN_STR:
		*ret = xt_textn((const char *)t.bytes.data, t.bytes.len);
		return 0;
	case TOKEN_BIN:
		*ret = xt_blob(t.bytes.data, t.bytes.len);
		return 0;
	default: /* SQLite has no nested values */
		return -1;
	}
}

/* Most values are short texts, reals and small numbers: these are read in place. */
static inline int read_value(struct reader *r, xt_value *ret)
{
	const uint8_t *at = r->at;
	size_t left = (size_t)(r->end - at), len;
	uint64_t u;

	if (left <= sizeof(u))
		return read_any_value(r, ret);
	uint8_t b = *at;
	if (b <= 0x7f) {
		*ret = xt_int(b);
		r->at = at + 1;
		return 0;
	}
	if (b == 0xcb) {
		memcpy(&u, at + 1, sizeof(u));
		u = __builtin_bswap64(u);
		memcpy(&ret->as.real, &u, sizeof(u));
		ret->type = XT_T_REAL;
		r->at = at + 1 + sizeof(u);
		return 0;
	}
	size_t head = b == 0xd9 ? 2 : 1;
	len = b == 0xd9 ? at[1] : b & 0x1f;
	if ((b == 0xd9 || (b & 0xe0) == 0xa0) && left - head >= len) {
		*ret = xt_textn((const char *)at + head, len);
		r->at = at + head + len;
		return 0;
	}
	return read_any_value(r, ret);
}

static int read_array_row(struct xt_cursor *cur)
{
	struct reader r = cur->rows;
	struct token head;

	if (reader_next(&r, &head) < 0 || head.type != TOKEN_ARRAY || head.count != cur->n)
		return -1;
	for (size_t i = 0; i < cur->n; i++)
		if (read_value(&r, &cur->row[i]) < 0)
			return -1;
	cur->rows = r;
	return 0;
}

static int read_map_row(struct xt_cursor *cur)
{
	struct token head, key;

	if (reader_next(&cur->rows, &head) < 0 || head.type != TOKEN_MAP)
		return -1;
	for (size_t i = 0; i < cur->n; i++)
		cur->row[i] = xt_null();
	for (uint32_t k = 0; k < head.count; k++) {
		size_t i = 0;
		if (reader_next(&cur->rows, &key) < 0 || key.type != TOKEN_STR)
			return -1;
		while (i < cur->n && !span_is(key.bytes, cur->names[i]))
			i++;
		if (i == cur->n)
			reader_skip(&cur->rows); /* of a newer daemon */
		else if (read_value(&cur->rows, &cur->row[i]) < 0)
			return -1;
	}
	return 0;
}

/* ---- opening --------------------------------------------------------------- */

void cursor_free(struct xt_cursor *cur)
{
	call_done(&cur->fetching);
	buf_done(&cur->page);
	free(cur->names);
	free(cur->types);
	free(cur->row);
	free(cur);
}

struct xt_cursor *cursor_new(struct xt_client *c, struct call *call)
{
	struct xt_cursor *cur = calloc(1, sizeof(*cur));

	if (!cur) {
		client_fail(c, XT_ENOMEM, "out of memory");
		return NULL;
	}
	cur->client = c;
	cur->id = call->msgid;
	cur->epoch = c->epoch;
	cur->page = call->result;
	call->result = (struct buf){0};
	return cur;
}

int cursor_row(struct xt_cursor *cur)
{
	cur->row = calloc(cur->n + 1, sizeof(*cur->row));
	return cur->row ? XT_OK : client_fail(cur->client, XT_ENOMEM, "out of memory");
}

/* Takes over a query's first page. */
static int open_query(struct xt_cursor *cur)
{
	struct xt_client *c = cur->client;
	struct result_query q;
	struct xt_err err;
	size_t n_types = 0;

	if (wire_decode(&proto_method(METHOD_query)->result, buf_span(&cur->page), &q, &err) < 0)
		return client_fail(c, XT_EPROTOCOL, "the daemon's answer: %s", err.message);
	cur->open = !q.done;
	int r = read_strings(c, q.columns, &cur->names, &cur->n);
	if (r == XT_OK)
		r = read_strings(c, q.types, &cur->types, &n_types);
	if (r == XT_OK && n_types != cur->n)
		r = cursor_bad(c);
	if (r == XT_OK)
		r = cursor_row(cur);
	return r == XT_OK ? cursor_rows(cur, q.rows) : r;
}

static int query(struct xt_client *c, struct params_query *p, struct xt_cursor **ret)
{
	struct call call;
	int r = cursor_ask(c, METHOD_query, p, &p->after, &call);
	unsigned epoch = c->epoch;

	struct xt_cursor *cur = r == XT_OK ? cursor_new(c, &call) : NULL;
	if (r == XT_OK)
		r = cur ? open_query(cur) : XT_ENOMEM;
	if (r == XT_OK) {
		*ret = cur;
	} else {
		if (r == XT_EINTR || r == XT_ENOMEM || r == XT_EPROTOCOL)
			cursor_cancel(c, call.msgid, epoch); /* it may still run there */
		if (cur)
			cursor_free(cur);
	}
	call_done(&call);
	return r;
}

int xt_query(xt_cursor **ret_cursor, xt_client *client, const char *sql, const xt_value *args, size_t n_args,
	     int timeout_ms)
{
	struct params_query p = {.has = PARAM_BIT(query, after), .sql = span_str(sql)};
	struct buf packed = {0};
	int r = XT_OK;

	*ret_cursor = NULL;
	if (timeout_ms != 0) {
		p.has |= PARAM_BIT(query, timeout_ms);
		p.timeout_ms =
			timeout_ms < 0 || timeout_ms > LONGEST_QUERY ? LONGEST_QUERY : (uint64_t)timeout_ms;
	}
	client_enter(client);
	if (n_args > 0) {
		r = pack_to(client, &packed, "args", &(xt_value){XT_T_ARRAY, {.items = args}, n_args});
		p.has |= PARAM_BIT(query, args);
		p.args = buf_span(&packed);
	}
	if (r == XT_OK)
		r = query(client, &p, ret_cursor);
	buf_done(&packed);
	return client_leave(client, r);
}

/* ---- reading --------------------------------------------------------------- */

size_t xt_cursor_columns(const xt_cursor *cursor)
{
	return cursor->n;
}

const char *xt_cursor_name(const xt_cursor *cursor, size_t column)
{
	return column < cursor->n ? cursor->names[column] : "";
}

const char *xt_cursor_type(const xt_cursor *cursor, size_t column)
{
	return column < cursor->n ? cursor->types[column] : "";
}

static int lost(struct xt_cursor *cur)
{
	call_forget(cur->client, &cur->fetching);
	cur->waiting = cur->open = false;
	return client_fail(cur->client, XT_ELOST,
			   "the query ended with the connection that it was asked on, before its last row; "
			   "ask it again");
}

static int send_fetch(struct xt_cursor *cur)
{
	struct params_fetch p = {.cursor = cur->id};

	return call_send(cur->client, METHOD_fetch, &p, &cur->fetching);
}

static int take_page(struct xt_cursor *cur)
{
	struct xt_client *c = cur->client;
	struct result_fetch f;
	struct xt_err err;

	buf_done(&cur->page);
	cur->page = cur->fetching.result;
	cur->fetching.result = (struct buf){0};
	if (wire_decode(&proto_method(METHOD_fetch)->result, buf_span(&cur->page), &f, &err) < 0)
		return client_fail(c, XT_EPROTOCOL, "the daemon's answer: %s", err.message);
	cur->open = !f.done;
	int r = cursor_rows(cur, f.rows);
	/* Who took a second page takes a third: the daemon makes it while this one is read. Not to get it
	 * sent is no failure yet. */
	if (r == XT_OK && cur->open && c->fd >= 0 && c->epoch == cur->epoch)
		cur->waiting = send_fetch(cur) == XT_OK;
	return r;
}

/* XT_EINTR leaves the request listed, so that the next call goes on waiting for the same page. */
static int next_page(struct xt_cursor *cur)
{
	struct xt_client *c = cur->client;
	int r = XT_OK;

	if (cur->failed)
		return client_fail(c, cur->failed, "the query has failed before");
	bool answered = cur->waiting && cur->fetching.done && !cur->fetching.lost;
	if (!answered && (c->epoch != cur->epoch || c->fd < 0))
		return lost(cur);
	if (!cur->waiting) {
		r = send_fetch(cur);
		if (r != XT_OK)
			return r;
		cur->waiting = true;
	}
	r = call_wait(c, &cur->fetching, NEVER);
	if (r == XT_EINTR)
		return r;
	cur->waiting = false;
	if (r == XT_EREQUEST)
		cur->open = false; /* the daemon has closed it */
	if (broke(&cur->fetching, r))
		return lost(cur);
	return r == XT_OK ? take_page(cur) : r;
}

/* Pages until one has rows; XT_DONE after the last. */
static int refill(struct xt_cursor *cur)
{
	struct xt_client *c = cur->client;
	int r = XT_OK;

	client_enter(c);
	while (r == XT_OK && cur->left == 0)
		r = cur->open || cur->failed ? next_page(cur) : XT_DONE;
	if (r < 0 && r != XT_EINTR)
		cur->failed = r;
	return client_leave(c, r);
}

int xt_cursor_next(xt_cursor *cursor, const xt_value **ret_row)
{
	*ret_row = NULL;
	if (cursor->left == 0) { /* the rows of a page are ours alone, and need no mutex */
		int r = refill(cursor);
		if (r != XT_OK)
			return r;
	}
	cursor->left--;
	if ((cursor->maps ? read_map_row(cursor) : read_array_row(cursor)) < 0) {
		client_enter(cursor->client);
		cursor->left = 0;
		cursor->failed = cursor_bad(cursor->client);
		return client_leave(cursor->client, cursor->failed);
	}
	*ret_row = cursor->row;
	return XT_OK;
}

void xt_cursor_close(xt_cursor *cursor)
{
	if (!cursor)
		return;
	struct xt_client *c = cursor->client;
	client_enter(c);
	call_forget(c, &cursor->fetching);
	if (cursor->open)
		cursor_cancel(c, cursor->id, cursor->epoch);
	client_leave(c, XT_OK);
	cursor_free(cursor);
}
