/* query, fetch, tables, columns: reading, on a thread of the pool. */
#include "handle.h"
#include "hint.h"
#include "put.h"
#include "reader.h"
#include "store.h"

#define QUERY_TIMEOUT_MS 60000

/* ---- pages ------------------------------------------------------------ */

static void pack_text(msgpack_packer *pk, const void *text, size_t n)
{
	if (utf8_valid(span_of(text, n))) {
		msgpack_pack_str(pk, n);
		msgpack_pack_str_body(pk, text, n);
	} else { /* SQLite does not look; MessagePack's readers do */
		msgpack_pack_bin(pk, n);
		msgpack_pack_bin_body(pk, text, n);
	}
}

/* Values are asked for as such, once each: SQLite's functions for columns look at the statement every time.
 * The connection is this thread's alone, so that they are protected. */
static void put_column(struct buf *out, sqlite3_value *v)
{
	int type = sqlite3_value_type(v);
	bool text = type == SQLITE_TEXT, sized = text || type == SQLITE_BLOB;
	const void *bytes = text ? sqlite3_value_text(v) : sized ? sqlite3_value_blob(v) : NULL;
	size_t n =
		bytes ? (size_t)sqlite3_value_bytes(v) : 0; /* none: the next step says that memory ran out */
	uint8_t *p = buf_room(out, n + PUT_SCALAR);

	if (!p)
		return;
	if (type == SQLITE_INTEGER)
		p = put_int(p, sqlite3_value_int64(v));
	else if (type == SQLITE_FLOAT)
		p = put_real(p, sqlite3_value_double(v));
	else if (!sized)
		p = put_nil(p);
	else /* SQLite does not look what is in a text; MessagePack's readers do */
		p = text && utf8_valid(span_of(bytes, n)) ? put_str(p, bytes, n) : put_bin(p, bytes, n);
	out->len = (size_t)(p - out->data);
}

static void put_row(struct buf *out, sqlite3_stmt *st)
{
	int n = sqlite3_column_count(st);
	uint8_t *p = buf_room(out, PUT_HEAD);

	if (p)
		out->len = (size_t)(put_array(p, (size_t)n) - out->data);
	for (int i = 0; i < n; i++)
		put_column(out, sqlite3_column_value(st, i));
}

/* An array whose length is filled in when it is known. */
static void begin_array(struct buf *out)
{
	buf_clear(out);
	buf_add(out, "\xdd\0\0\0\0", 5);
}

static void end_array(struct buf *out, uint32_t n)
{
	if (buf_failed(out))
		return;
	for (int i = 0; i < 4; i++)
		out->data[1 + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* Makes the next row the pending one, where none is. */
static int step(struct cursor *c, struct xt_err *err)
{
	if (c->pending || c->at_end)
		return 0;
	int rc = sqlite3_step(c->st);
	c->pending = rc == SQLITE_ROW;
	c->at_end = rc == SQLITE_DONE;
	return c->pending || c->at_end ? 0 : guard_refuse(&c->db->guard, c->db->db, err);
}

/* Rows until the page is full or the statement ends. */
static int read_page(struct cursor *c, bool *ret_done, struct xt_err *err)
{
	uint64_t width = (uint64_t)sqlite3_column_count(c->st) + 1;
	uint64_t fit =
		(XT_MAX_ITEMS - 100 - 2 * width) / width; /* rows that keep the answer below XT_MAX_ITEMS */
	uint64_t most = c->page_rows < fit ? c->page_rows : fit;
	uint32_t n = 0;

	begin_array(&c->rows);
	for (;; n++) {
		if (step(c, err) < 0)
			return -1;
		if (c->at_end || n >= most || c->rows.len >= XT_PAGE_BYTES)
			break;
		size_t start = c->rows.len;
		put_row(&c->rows, c->st);
		if (buf_failed(&c->rows)) {
			if (n == 0)
				return xt_err_set(
					err, XT_E_too_large, NULL,
					"a row of the result is larger than a message can be (%d bytes)",
					XT_MAX_FRAME);
			c->rows.failed = false;
			c->rows.len = start;
			break;
		}
		c->pending = false;
	}
	end_array(&c->rows, n);
	*ret_done = c->at_end;
	if (c->at_end) {
		sqlite3_finalize(c->st);
		c->st = NULL;
	}
	return 0;
}

static void describe(struct cursor *c)
{
	msgpack_packer names = wire_packer(&c->names), types = wire_packer(&c->types);
	int n = sqlite3_column_count(c->st);

	buf_clear(&c->names);
	buf_clear(&c->types);
	msgpack_pack_array(&names, (size_t)n);
	msgpack_pack_array(&types, (size_t)n);
	for (int i = 0; i < n; i++) {
		const char *name = sqlite3_column_name(c->st, i), *type = sqlite3_column_decltype(c->st, i);
		pack_text(&names, name ? name : "", name ? strlen(name) : 0);
		pack_text(&types, type ? type : "", type ? strlen(type) : 0);
	}
}

/* ---- query and fetch -------------------------------------------------- */

int handle_query(struct cursor *c, const struct params_query *p, struct result_query *ret, struct xt_err *err)
{
	struct guard *g = &c->db->guard;

	c->page_rows = HAS_PARAM(p, query, page_rows) ? p->page_rows : XT_PAGE_ROWS;
	c->timeout_ms = HAS_PARAM(p, query, timeout_ms) ? p->timeout_ms : QUERY_TIMEOUT_MS;
	guard_enter(g, GUARD_READ, c->timeout_ms, &c->cancelled);
	int r = guard_prepare(g, c->db->db, p->sql, HAS_PARAM(p, query, args) ? p->args : span_of(NULL, 0),
			      &c->st, err);
	/* The first step may compile the statement anew, and `*` may name more columns then. */
	if (r == 0)
		r = step(c, err);
	if (r == 0) {
		describe(c);
		r = read_page(c, &ret->done, err);
	}
	guard_leave(g);
	ret->columns = buf_span(&c->names);
	ret->types = buf_span(&c->types);
	ret->rows = buf_span(&c->rows);
	return r;
}

int handle_fetch(struct cursor *c, const struct params_fetch *p, struct result_fetch *ret, struct xt_err *err)
{
	struct guard *g = &c->db->guard;

	if (!c->st || c->backup)
		return xt_err_set(err, XT_E_bad_type, "cursor", "%u is a %s, not a query",
				  (unsigned)p->cursor, c->backup ? "backup" : "transfer of an asset");
	guard_enter(g, GUARD_READ, c->timeout_ms, &c->cancelled);
	int r = read_page(c, &ret->done, err);
	guard_leave(g);
	ret->rows = buf_span(&c->rows);
	return r;
}

/* ---- tables and columns ----------------------------------------------- */

static int prepare(struct cursor *c, const char *sql, sqlite3_stmt **ret, struct xt_err *err)
{
	if (sqlite3_prepare_v3(c->db->db, sql, -1, 0, ret, NULL) == SQLITE_OK)
		return 0;
	return guard_fail(&c->db->guard, c->db->db, err);
}

/* One row of numbers. */
static int read_counts(struct cursor *c, const char *sql, int64_t *ret, int n, struct xt_err *err)
{
	sqlite3_stmt *st = NULL;

	if (prepare(c, sql, &st, err) < 0)
		return -1;
	int rc = sqlite3_step(st);
	for (int i = 0; i < n && rc == SQLITE_ROW; i++)
		ret[i] = sqlite3_column_int64(st, i);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : guard_fail(&c->db->guard, c->db->db, err);
}

static int describe_table(struct cursor *c, const char *name, struct xt_err *err)
{
	struct buf q = {0}, sql = {0};
	int64_t counts[3] = {0};

	ident_quote(&q, name);
	buf_add(&q, "", 1);
	/* From one track_id to the next by the index: runs are few, rows many. No table that is asked
	 * about may be called as the list of them is. */
	buf_printf(&sql,
		   "WITH RECURSIVE xt_ids(id) AS (SELECT min(track_id) FROM %s UNION ALL SELECT (SELECT "
		   "min(track_id) FROM %s "
		   "WHERE track_id > xt_ids.id) FROM xt_ids WHERE xt_ids.id IS NOT NULL) SELECT (SELECT "
		   "count(*) FROM "
		   "%s), "
		   "count(id), 0 FROM xt_ids",
		   (char *)q.data, (char *)q.data, (char *)q.data);
	int r = read_counts(c, (char *)sql.data, counts, 2, err);
	buf_clear(&sql);
	char *text = sqlite3_mprintf("SELECT count(*) FROM pragma_table_info(%Q)", name);
	if (r == 0)
		r = text ? read_counts(c, text, &counts[2], 1, err)
			 : xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	sqlite3_free(text);
	msgpack_packer pk = wire_packer(&c->rows);
	static const char *const keys[] = {"rows", "runs", "columns"};
	msgpack_pack_map(&pk, 4);
	pack_text(&pk, "name", 4);
	pack_text(&pk, name, strlen(name));
	for (int i = 0; i < 3; i++) {
		pack_text(&pk, keys[i], strlen(keys[i]));
		msgpack_pack_int64(&pk, counts[i]);
	}
	buf_done(&q);
	buf_done(&sql);
	return r;
}

int handle_tables(struct cursor *c, const struct params_tables *p, struct result_tables *ret,
		  struct xt_err *err)
{
	sqlite3_stmt *st = NULL;
	uint32_t n = 0;
	int rc = SQLITE_DONE;

	(void)p;
	guard_enter(&c->db->guard, GUARD_READ, QUERY_TIMEOUT_MS, &c->cancelled);
	begin_array(&c->rows);
	int r = prepare(c, TABLE_NAMES_SQL, &st, err);
	for (; r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW; n++) {
		const char *name = (const char *)sqlite3_column_text(st, 0);
		r = name ? describe_table(c, name, err) : guard_fail(&c->db->guard, c->db->db, err);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = guard_fail(&c->db->guard, c->db->db, err);
	sqlite3_finalize(st);
	guard_leave(&c->db->guard);
	end_array(&c->rows, n);
	ret->tables = buf_span(&c->rows);
	return r;
}

/* Foreign files that are only read have no xt_columns. */
static const char columns_sql[] =
	"SELECT i.name, i.type, coalesce(c.key, i.name) FROM pragma_table_xinfo(?1) i "
	"LEFT JOIN xt_columns c ON c.table_name = ?1 AND c.name = i.name ORDER BY i.cid";
static const char plain_columns_sql[] = "SELECT name, type, name FROM pragma_table_xinfo(?1) ORDER BY cid";

int handle_columns(struct cursor *c, const struct params_columns *p, struct result_columns *ret,
		   struct xt_err *err)
{
	struct span table = table_or_events(HAS_PARAM(p, columns, table), p->table);
	static const char *const keys[] = {"name", "type", "key"};
	sqlite3_stmt *st = NULL;
	char hint[HINT_SIZE];
	uint32_t n = 0;
	int rc = SQLITE_DONE;

	guard_enter(&c->db->guard, GUARD_READ, QUERY_TIMEOUT_MS, &c->cancelled);
	begin_array(&c->rows);
	int r = prepare(c, columns_sql, &st, err);
	if (r < 0)
		r = prepare(c, plain_columns_sql, &st, err);
	if (r == 0)
		store_bind(st, 1, table);
	for (; r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW; n++) {
		msgpack_packer pk = wire_packer(&c->rows);
		msgpack_pack_map(&pk, 3);
		for (int i = 0; i < 3; i++) {
			struct span text = store_text(st, i);
			pack_text(&pk, keys[i], strlen(keys[i]));
			pack_text(&pk, text.data, text.len);
		}
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = guard_fail(&c->db->guard, c->db->db, err);
	if (r == 0 && n == 0)
		r = xt_err_set(err, XT_E_no_such_table, "table", "there is no table '%.*s'%s",
			       (int)(table.len < 100 ? table.len : 100), (const char *)table.data,
			       hint_for_table(c->db->db, table, hint));
	sqlite3_finalize(st);
	guard_leave(&c->db->guard);
	end_array(&c->rows, n);
	ret->columns = buf_span(&c->rows);
	return r;
}
