#include "layout.h"

#include <errno.h>
#include <sys/random.h>

#include "schema_2_sql.h"
#include "schema_sql.h"

#define LAYOUT_VERSION 3 /* 3: rules of the schema, which an older daemon would not keep */

static sqlite3_stmt *get_stmt(struct store *s, const char *key, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_META_GET, err);

	if (st)
		sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	return st;
}

int layout_get(struct store *s, const char *key, int64_t absent, int64_t *ret, struct xt_err *err)
{
	sqlite3_stmt *st = get_stmt(s, key, err);

	if (!st)
		return -1;
	int row = store_step(s, st, err);
	if (row < 0)
		return -1;
	*ret = row ? sqlite3_column_int64(st, 0) : absent;
	sqlite3_reset(st);
	return 0;
}

int layout_set(struct store *s, const char *key, int64_t value, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_META_SET, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, value);
	return store_run(s, st, err);
}

/* False in a foreign file that nothing was made in yet. */
static bool has_meta(struct store *s)
{
	return sqlite3_table_column_metadata(s->db, "main", "xt_meta", NULL, NULL, NULL, NULL, NULL, NULL) ==
	       SQLITE_OK;
}

int layout_check(struct store *s, struct xt_err *err)
{
	int64_t version;

	if (!has_meta(s))
		return 0;
	if (layout_get(s, "version", LAYOUT_VERSION, &version, err) < 0)
		return -1;
	if (version > LAYOUT_VERSION)
		return xt_err_set(err, XT_E_protocol_version, "database",
				  "'%.200s' was written by a newer xetrackd (layout %lld, this one knows "
				  "%d); upgrade xetrackd",
				  s->path, (long long)version, LAYOUT_VERSION);
	return 0;
}

static int read_identity(struct store *s, bool *ret_known, struct xt_err *err)
{
	sqlite3_stmt *st = get_stmt(s, "database_id", err);

	if (!st)
		return -1;
	int row = store_step(s, st, err);
	if (row < 0)
		return -1; /* not to be taken for a database without an id */
	*ret_known = row && sqlite3_column_bytes(st, 0) == XT_CLIENT_ID;
	if (*ret_known)
		memcpy(s->database_id, sqlite3_column_blob(st, 0), XT_CLIENT_ID);
	sqlite3_reset(st);
	return 0;
}

static int draw_identity(struct store *s, struct xt_err *err)
{
	if (getrandom(s->database_id, XT_CLIENT_ID, 0) != XT_CLIENT_ID)
		return xt_err_set(err, XT_E_internal, NULL, "cannot draw a database id: %s", strerror(errno));
	/* A version 4 UUID (RFC 9562), so that other programs know what they see. */
	s->database_id[6] = (uint8_t)((s->database_id[6] & 0x0f) | 0x40);
	s->database_id[8] = (uint8_t)((s->database_id[8] & 0x3f) | 0x80);
	sqlite3_stmt *st = store_stmt(s, STMT_META_SET, err);
	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, "database_id", -1, SQLITE_STATIC);
	sqlite3_bind_blob(st, 2, s->database_id, XT_CLIENT_ID, SQLITE_STATIC);
	return store_run(s, st, err);
}

/* Are there tables of rows already? Other programs made them, and the audit has to know. */
static int count_foreign(struct store *s, int64_t *ret, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_TABLE_NAMES, err);

	if (!st)
		return -1;
	int row = store_step(s, st, err);
	*ret = row > 0;
	sqlite3_reset(st);
	return row < 0 ? -1 : 0;
}

static int update(struct store *s, struct xt_err *err)
{
	bool was_there = has_meta(s), known;
	int64_t version = LAYOUT_VERSION;

	if (was_there && layout_get(s, "version", LAYOUT_VERSION, &version, err) < 0)
		return -1;
	if (version < 2 && store_exec(s, schema_2_sql, err) < 0)
		return -1;
	if (store_exec(s, schema_sql, err) < 0 || read_identity(s, &known, err) < 0)
		return -1;
	if (!known && draw_identity(s, err) < 0)
		return -1;
	if (!known || version < 2) {
		int64_t adopted = 1;
		if (!was_there && count_foreign(s, &adopted, err) < 0)
			return -1;
		if (layout_set(s, "adopted", adopted, err) < 0)
			return -1;
	}
	if ((!known || version < LAYOUT_VERSION) && layout_set(s, "version", LAYOUT_VERSION, err) < 0)
		return -1;
	return layout_get(s, "adopted", 1, &s->adopted, err);
}

int layout_open(struct store *s, struct xt_err *err)
{
	bool known;

	if (s->read_only)
		return has_meta(s) ? read_identity(s, &known, err) : 0;
	if (store_exec(s, "BEGIN IMMEDIATE", err) < 0)
		return -1;
	return update(s, err) < 0 ? -1 : store_exec(s, "COMMIT", err);
}
