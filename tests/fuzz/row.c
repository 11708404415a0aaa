/*
 * Rows on their way into tables, as the parameters of a `log`: each is stored or refused, and then the
 * table holds exactly what was sent in the rows that were stored, whatever came after them. Tables that
 * others made are there as well; SQLite converts values for those, so only their integrity is checked.
 */
#include "fuzz.h"

#include <math.h>

#include "json.h"
#include "row.h"
#include "temp_store.h"

#define MOST_ROWS 64	/* of an input */
#define LIMIT_MS  60000 /* none that is met */

static const char foreign[] =
	"CREATE TABLE py(track_id TEXT, timestamp TEXT, loss REAL, PRIMARY KEY(track_id, timestamp));"
	"CREATE TABLE hard(track_id TEXT, timestamp TEXT, i INTEGER, r REAL, t TEXT, b BLOB, a ANY) STRICT;"
	"CREATE TABLE odd(track_id TEXT, n NUMERIC, v VARCHAR(10), d DATETIME, flag BOOLEAN,"
	" i INT CHECK(i < 1000), u TEXT UNIQUE, g INT GENERATED ALWAYS AS (i + 1));"
	"CREATE INDEX odd_n ON odd(n, v);"
	"CREATE TABLE keyed(track_id TEXT, timestamp TEXT, id INTEGER PRIMARY KEY, x);"
	"CREATE TABLE flat(track_id TEXT, timestamp TEXT, k TEXT PRIMARY KEY, x INTEGER) WITHOUT ROWID;"
	"CREATE VIEW view AS SELECT * FROM odd;"
	"CREATE TRIGGER guarded BEFORE INSERT ON keyed WHEN new.x = 7 BEGIN SELECT RAISE(ABORT, 'seven'); "
	"END;";

/* A row that was stored in a table of ours. */
struct stored {
	int64_t rowid;
	struct span row; /* as sent */
};

struct input {
	struct row_source src;
	struct span names[XT_MAX_COLUMNS + 1], keys[XT_MAX_COLUMNS + 1];
	struct buf events;
	bool ours; /* the table is not one of those above */
	struct stored stored[MOST_ROWS];
	size_t n;
	bool changed; /* some row was stored, in whatever table */
};

/* ---- what is stored --------------------------------------------------- */

static bool is_number(sqlite3_stmt *st, int i, double d)
{
	return sqlite3_column_type(st, i) == SQLITE_FLOAT && sqlite3_column_double(st, i) == d;
}

/* Integers may lie in a column that became REAL, where they keep their value. */
static bool is_integer(sqlite3_stmt *st, int i, int64_t value)
{
	if (sqlite3_column_type(st, i) == SQLITE_INTEGER)
		return sqlite3_column_int64(st, i) == value;
	return value >= -REAL_EXACT && value <= REAL_EXACT && is_number(st, i, (double)value);
}

static bool is_bytes(sqlite3_stmt *st, int i, int type, struct span s)
{
	return sqlite3_column_type(st, i) == type &&
	       span_eq(span_of(sqlite3_column_blob(st, i), (size_t)sqlite3_column_bytes(st, i)), s);
}

static bool is_json(sqlite3_stmt *st, int i, struct reader start)
{
	struct buf text = {0};

	json_put(&text, &start);
	bool same = is_bytes(st, i, SQLITE_TEXT, buf_span(&text));
	buf_done(&text);
	return same;
}

/* The value at r, which is stepped over, is what column i has. */
static bool is_stored(sqlite3_stmt *st, int i, struct reader *r)
{
	struct reader start = *r;
	struct token t;

	if (reader_next(r, &t) < 0)
		return false;
	switch (t.type) {
	case TOKEN_NIL:
		return sqlite3_column_type(st, i) == SQLITE_NULL;
	case TOKEN_BOOL:
		return sqlite3_column_type(st, i) == SQLITE_INTEGER && sqlite3_column_int(st, i) == t.boolean;
	case TOKEN_INT:
		return is_integer(st, i, t.integer);
	case TOKEN_REAL:
		return isnan(t.real) ? sqlite3_column_type(st, i) == SQLITE_NULL : is_number(st, i, t.real);
	case TOKEN_STR:
		return is_bytes(st, i, SQLITE_TEXT, t.bytes);
	case TOKEN_BIN:
		return is_bytes(st, i, SQLITE_BLOB, t.bytes);
	default:
		*r = start;
		reader_skip(r);
		return is_json(st, i, start);
	}
}

static void check_row(const struct input *in, sqlite3_stmt *st, struct span row)
{
	struct reader r = reader_of(row);
	struct token head = {0}, key = {0};
	bool same = reader_next(&r, &head) == 0;
	int values = 0;

	for (uint32_t i = 0; i < head.count && same; i++) {
		if (in->src.columns)
			key.bytes = in->names[i];
		else
			same = reader_next(&r, &key) == 0;
		long column = table_column(in->src.table, key.bytes);
		same = same && column >= 0 && is_stored(st, (int)column, &r);
	}
	assert(same);
	for (int i = 0; i < sqlite3_column_count(st); i++)
		values += sqlite3_column_type(st, i) != SQLITE_NULL;
	assert(values <= (int)head.count + 2); /* track_id and timestamp */
}

static void check_table(struct input *in)
{
	struct store *s = in->src.store;
	sqlite3_stmt *st = NULL;
	struct buf sql = {0};

	if (in->n == 0)
		return;
	buf_add_str(&sql, "SELECT * FROM ");
	ident_quote(&sql, in->src.table->name);
	buf_add_str(&sql, " WHERE rowid = ?");
	buf_add(&sql, "", 1);
	assert(sqlite3_prepare_v2(s->db, (const char *)sql.data, -1, &st, NULL) == SQLITE_OK);
	assert(sqlite3_column_count(st) == (int)in->src.table->n_columns);
	for (size_t i = 0; i < in->n; i++) {
		sqlite3_bind_int64(st, 1, in->stored[i].rowid);
		assert(sqlite3_step(st) == SQLITE_ROW);
		check_row(in, st, in->stored[i].row);
		sqlite3_reset(st);
	}
	sqlite3_finalize(st);
	buf_done(&sql);
}

/* ---- storing ---------------------------------------------------------- */

/* As handle_rows.c reads them. False: the message is refused. */
static bool read_names(struct input *in, struct span columns)
{
	struct reader r = reader_of(columns);
	struct token t = {0};

	if (reader_next(&r, &t) < 0 || t.count == 0 || t.count > XT_MAX_COLUMNS)
		return false;
	in->src.n_columns = t.count;
	in->src.columns = in->names;
	for (size_t i = 0; i < in->src.n_columns; i++) {
		if (reader_next(&r, &t) < 0 || t.type != TOKEN_STR)
			return false;
		in->names[i] = t.bytes;
	}
	return true;
}

static void check_refusal(const struct input *in, const struct xt_err *err)
{
	assert(err->code != XT_E_ok && err->code != XT_E_internal && err->message[0]);
	assert(in->src.store->trouble == TROUBLE_NONE && !sqlite3_get_autocommit(in->src.store->db));
	assert(utf8_valid(span_str(err->message)) && utf8_valid(span_str(err->field)));
}

/* A refused row leaves no row, no column and no warning. */
static void store_one(struct input *in, struct reader *r)
{
	struct store *s = in->src.store;
	struct reader next = *r;
	struct span row = reader_skip(&next);
	int64_t before = sqlite3_last_insert_rowid(s->db);
	int64_t objects = temp_store_value(s, "SELECT group_concat(sql) FROM sqlite_schema");
	size_t warned = in->events.len;
	struct xt_err err = {0};

	sqlite3_set_last_insert_rowid(s->db, 0);
	int status = row_store(&in->src, r, &err);
	assert(r->at == next.at && s->trouble == TROUBLE_NONE);
	if (status < 0) {
		check_refusal(in, &err);
		assert(in->events.len == warned);
		assert(temp_store_value(s, "SELECT group_concat(sql) FROM sqlite_schema") == objects);
		sqlite3_set_last_insert_rowid(s->db, before);
		return;
	}
	in->changed = true;
	if (in->ours)
		in->stored[in->n++] = (struct stored){sqlite3_last_insert_rowid(s->db), row};
}

/* Warnings are whole frames. */
static void check_events(const struct input *in)
{
	for (struct span left = buf_span(&in->events); left.len > 0;) {
		struct span body = {0};
		struct wire_msg m = {0};
		struct xt_err err;
		size_t size = 0;
		assert(frame_next(left, XT_MAX_FRAME, &body, &size) == FRAME_OK);
		assert(wire_open(body, &m, &err) == 0 && m.method && m.method->id == METHOD_warning);
		left = span_of(left.data + size, left.len - size);
	}
}

static void store_all(struct input *in, const struct params_log *p)
{
	struct reader rows = reader_of(p->rows);
	struct token head = {0};
	struct xt_err err = {0};
	uint32_t n = reader_next(&rows, &head) == 0 ? head.count : 0;

	if (HAS_PARAM(p, log, columns) && !read_names(in, p->columns))
		return;
	if (row_source_open(&in->src, &err) < 0) {
		check_refusal(in, &err);
		return;
	}
	in->ours = in->src.table->absent;
	for (uint32_t i = 0; i < n && i < MOST_ROWS; i++)
		store_one(in, &rows);
	check_table(in);
	if (in->changed)
		assert(temp_store_value(in->src.store,
					"SELECT integrity_check = 'ok' FROM pragma_integrity_check"));
	check_events(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct input in;
	struct span map = span_of(data, size);
	struct params_log p;
	struct xt_err err = {0};
	int scanned = wire_scan(map, &err);

	if (scanned < 0 && err.code != XT_E_bad_utf8)
		return 0;
	bool any_text = scanned < 0;
	if (wire_decode(&proto_method(METHOD_log)->params, map, &p, &err) < 0)
		return 0;
	memset(&in, 0, sizeof(in));
	in.src = (struct row_source){.store = temp_store(foreign),
				     .table_name = HAS_PARAM(&p, log, table) ? p.table : span_str("events"),
				     .track_id = p.track_id,
				     .time_us = HAS_PARAM(&p, log, time) ? p.time : 0,
				     .check_utf8 = any_text,
				     .warnings = {&in.events},
				     .keys = in.keys};
	if (any_text && (!utf8_valid(in.src.table_name) || !utf8_valid(p.track_id)))
		return 0; /* as handle_rows.c refuses it */
	temp_store_begin(in.src.store, LIMIT_MS);
	store_all(&in, &p);
	temp_store_undo(in.src.store);
	buf_done(&in.events);
	return 0;
}
