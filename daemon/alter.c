#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "crash.h"
#include "epoch.h"
#include "schema_edit.h"
#include "table.h"

/* ---- changing --------------------------------------------------------- */

void table_warn(struct warnings *w, const char *code, const struct table *t, const char *column,
		const char *fmt, ...)
{
	char message[2048];
	struct params_warning p = {
		.code = span_str(code), .table = span_str(t->name), .column = span_str(column)};
	va_list ap;

	va_start(ap, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it loses track of it in this file. */
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	size_t len = strlen(message);
	while (len > 0 && !utf8_valid(span_of(message, len)))
		len--; /* cut inside a character */
	p.message = span_of(message, len);
	p.has = PARAM_BIT(warning, table) | PARAM_BIT(warning, column);
	wire_put_notify(w->out, METHOD_warning, &p);
}

static bool name_taken(const struct table *t, const char *name)
{
	return table_is_system(name) || table_named(t, name) >= 0;
}

/* The column name of a key: of its own, whatever others are called. */
static int choose_name(const struct table *t, struct span key, char ret[IDENT_SIZE], struct warnings *w,
		       struct xt_err *err)
{
	char plain[IDENT_SIZE];

	if (ident_column(key, plain, err) < 0)
		return -1;
	memcpy(ret, plain, IDENT_SIZE);
	for (unsigned n = 2; name_taken(t, ret); n++)
		ident_suffix(plain, n, ret);
	if (strcmp(ret, plain) != 0) {
		char shown[256];
		snprintf(shown, sizeof(shown), "%.*s", SPAN_ARG(key));
		table_warn(w, "renamed_key", t, ret,
			   "key '%.200s' is stored in column '%s', since '%s' is taken", shown, ret, plain);
	}
	return 0;
}

int table_put_column(struct store *s, const struct table *t, const struct column *c, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_COLUMN_PUT, err);

	crash_point("a column is being added");
	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, c->name, -1, SQLITE_STATIC);
	store_bind(st, 3, c->key);
	if (c->kind != KIND_UNDECIDED)
		sqlite3_bind_text(st, 4, kind_name(c->kind), -1, SQLITE_STATIC);
	return store_run(s, st, err);
}

static void put_definition(struct buf *sql, const struct column *c)
{
	ident_quote(sql, c->name);
	if (kind_name(c->kind)[0])
		buf_printf(sql, " %s", kind_name(c->kind));
}

static int run_text(struct store *s, struct buf *sql, struct xt_err *err)
{
	buf_add(sql, "", 1);
	if (buf_failed(sql))
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	return store_exec(s, (const char *)sql->data, err);
}

/* A table that was renamed keeps its index, by the old name. */
static int free_index_name(struct store *s, const char *table, char ret[IDENT_SIZE + 32], struct xt_err *err)
{
	for (unsigned n = 1; n < 10000; n++) {
		sqlite3_stmt *st = store_stmt(s, STMT_NAME_TAKEN, err);
		if (!st)
			return -1;
		if (n == 1)
			snprintf(ret, IDENT_SIZE + 32, "xt_index_%s", table);
		else
			snprintf(ret, IDENT_SIZE + 32, "xt_index_%s_%u", table, n);
		sqlite3_bind_text(st, 1, ret, -1, SQLITE_STATIC);
		int rc = sqlite3_step(st);
		sqlite3_reset(st);
		if (rc == SQLITE_DONE)
			return 0;
		if (rc != SQLITE_ROW)
			return store_fail(s, err);
	}
	return xt_err_set(err, XT_E_internal, NULL, "no free name for the index of table '%.100s'", table);
}

/* CREATE TABLE with the columns from `first` on, and its index. */
static int create(struct store *s, struct table *t, size_t first, struct xt_err *err)
{
	struct buf *sql = &s->scratch;
	char index[IDENT_SIZE + 32];

	buf_clear(sql);
	buf_add_str(sql, "CREATE TABLE ");
	ident_quote(sql, t->name);
	buf_add_str(sql, "(\"track_id\" TEXT, \"timestamp\" TEXT");
	for (size_t i = first; i < t->n_columns; i++) {
		buf_add_str(sql, ", ");
		put_definition(sql, &t->columns[i]);
	}
	buf_add_str(sql, ")");
	if (run_text(s, sql, err) < 0)
		return -1;
	if (free_index_name(s, t->name, index, err) < 0)
		return -1;
	buf_clear(sql);
	buf_add_str(sql, "CREATE INDEX ");
	ident_quote(sql, index);
	buf_add_str(sql, " ON ");
	ident_quote(sql, t->name);
	buf_add_str(sql, "(\"track_id\")");
	return run_text(s, sql, err);
}

static int alter(struct store *s, const struct table *t, const struct column *c, struct xt_err *err)
{
	struct buf *sql = &s->scratch;

	buf_clear(sql);
	buf_add_str(sql, "ALTER TABLE ");
	ident_quote(sql, t->name);
	buf_add_str(sql, " ADD COLUMN ");
	put_definition(sql, c);
	return run_text(s, sql, err);
}

/* A table of others may lack what every row has. */
static int add_system_columns(struct store *s, struct table *t, struct xt_err *err)
{
	static const char *const names[] = {"track_id", "timestamp"};

	for (int k = 0; k < 2; k++) {
		bool there = false;
		for (size_t i = 0; i < t->n_columns && !there; i++)
			there = strcasecmp(t->columns[i].name, names[k]) == 0;
		if (there)
			continue;
		struct column c = {.name = (char *)(uintptr_t)names[k], .kind = KIND_TEXT};
		if (!t->absent && alter(s, t, &c, err) < 0)
			return -1;
		if (table_remember(t, names[k], span_of(NULL, 0), KIND_TEXT, false, err) < 0)
			return -1;
	}
	return 0;
}

int table_add_columns(struct store *s, struct table *t, const struct new_column *add, size_t n,
		      struct warnings *w, struct xt_err *err)
{
	char name[IDENT_SIZE];

	if (add_system_columns(s, t, err) < 0)
		return -1;
	size_t first = t->n_columns;
	for (size_t i = 0; i < n; i++) {
		if (choose_name(t, add[i].key, name, w, err) < 0)
			return -1;
		if (table_remember(t, name, add[i].key, add[i].kind, false, err) < 0)
			return -1;
	}
	if (t->absent && create(s, t, first, err) < 0)
		return -1;
	if (t->absent && epoch_kept(s, t->name) > 0) { /* its rows are numbered from 1 again */
		if (epoch_begin(s, t->name, 0, err) < 0)
			return -1;
		epoch_keep(s, t->name, 0);
	}
	for (size_t i = first; i < t->n_columns; i++) {
		if (!t->absent && alter(s, t, &t->columns[i], err) < 0)
			return -1;
		if (table_put_column(s, t, &t->columns[i], err) < 0)
			return -1;
	}
	t->absent = false;
	t->ready = true;
	return 0;
}

/* ---- widening --------------------------------------------------------- */

int table_has_large(struct store *s, const struct table *t, const char *column, bool *ret, struct xt_err *err)
{
	struct buf *sql = &s->scratch;
	sqlite3_stmt *st = NULL;

	buf_clear(sql);
	buf_add_str(sql, "SELECT 1 FROM ");
	ident_quote(sql, t->name);
	buf_add_str(sql, " WHERE ");
	ident_quote(sql, column);
	buf_printf(sql, " NOT BETWEEN -%lld AND %lld LIMIT 1", (long long)REAL_EXACT, (long long)REAL_EXACT);
	if (sqlite3_prepare_v3(s->db, (const char *)sql->data, (int)sql->len, 0, &st, NULL) != SQLITE_OK)
		return store_fail(s, err);
	int rc = sqlite3_step(st);
	*ret = rc == SQLITE_ROW;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		store_fail(s, err);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

/* Edits the table's text in sqlite_schema (sqlite.org/lang_altertable.html, "Making Other Kinds Of
 * Table Schema Changes") and has SQLite read it again. */
static int edit_schema(struct store *s, const struct table *t, const char *column, enum kind to,
		       struct xt_err *err)
{
	struct buf sql = {0};
	sqlite3_stmt *st = store_stmt(s, STMT_TABLE_FIND, err);
	struct xt_err undo;
	char bump[64];

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
	int r = store_step(s, st, err);
	const char *text = r > 0 ? (const char *)sqlite3_column_text(st, 2) : NULL;
	if (r < 0 || (r > 0 && !text)) { /* no memory for the text */
		r = r < 0 ? -1 : store_fail(s, err);
		sqlite3_reset(st);
		return r;
	}
	r = text ? schema_retype(&sql, text, column, kind_name(to)) : -1;
	sqlite3_reset(st);
	if (r < 0) {
		xt_err_set(err, XT_E_internal, column, "cannot find column '%s' in the schema of table '%s'",
			   column, t->name);
		goto out;
	}
	r = -1;
	if (store_exec(s, "PRAGMA writable_schema = ON", err) < 0)
		goto out;
	st = store_stmt(s, STMT_SCHEMA_SET, err);
	if (!st)
		goto out;
	sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, (const char *)sql.data, -1, SQLITE_STATIC);
	if (store_run(s, st, err) < 0)
		goto out;
	st = store_stmt(s, STMT_SCHEMA_VERSION, err);
	if (!st || store_step(s, st, err) < 0)
		goto out;
	int version = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	snprintf(bump, sizeof(bump), "PRAGMA schema_version = %d", version + 1);
	r = store_exec(s, bump, err);
out:
	if (store_exec(s, "PRAGMA writable_schema = RESET", r == 0 ? err : &undo) < 0) {
		sqlite3_db_config(s->db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0, NULL);
		r = -1;
	}
	buf_done(&sql);
	return r;
}

/* An index that looks at the column holds its values as they were compared before. */
static int mend_indexes(struct store *s, const struct table *t, const char *column, struct xt_err *err)
{
	struct buf *sql = &s->scratch;
	sqlite3_stmt *st = store_stmt(s, STMT_TABLE_INDEXED, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, column, -1, SQLITE_STATIC);
	int indexed = store_step(s, st, err);
	sqlite3_reset(st);
	if (indexed <= 0)
		return indexed;
	buf_clear(sql);
	buf_add_str(sql, "REINDEX ");
	ident_quote(sql, t->name);
	return run_text(s, sql, err);
}

/* SQLite keeps whole reals of a REAL column as integers; without the type they would be that. */
static int keep_reals(struct store *s, const struct table *t, const char *column, struct xt_err *err)
{
	struct buf *sql = &s->scratch;

	buf_clear(sql);
	buf_add_str(sql, "UPDATE ");
	ident_quote(sql, t->name);
	buf_add_str(sql, " SET ");
	ident_quote(sql, column);
	buf_add_str(sql, " = CAST(");
	ident_quote(sql, column);
	buf_add_str(sql, " AS REAL) WHERE typeof(");
	ident_quote(sql, column);
	buf_add_str(sql, ") = 'integer'");
	return run_text(s, sql, err);
}

int table_widen(struct store *s, struct table *t, size_t column, enum kind to, struct warnings *w,
		struct xt_err *err)
{
	struct column *c = &t->columns[column];
	enum kind from = c->kind;
	bool large = false;

	if (from == KIND_INTEGER && to == KIND_REAL && table_has_large(s, t, c->name, &large, err) < 0)
		return -1;
	if (large)
		to = KIND_ANY;
	shapes_drop(t); /* their statements were compiled for the old type */
	if (edit_schema(s, t, c->name, to, err) < 0)
		return -1;
	if (from == KIND_REAL && to == KIND_ANY && keep_reals(s, t, c->name, err) < 0)
		return -1;
	if (mend_indexes(s, t, c->name, err) < 0)
		return -1;
	c->kind = to;
	if (to == KIND_ANY)
		table_warn(
			w, "widened_column", t, c->name,
			"column '%s' was declared %s and now has no type, since a value of another type came "
			"(table '%s')",
			c->name, kind_name(from), t->name);
	return table_put_column(s, t, c, err);
}
