#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "epoch.h"
#include "hint.h"
#include "rules.h"

#define MAX_TABLES 256
#define ALIAS	   UINT32_C(0x80000000) /* in by_key: an alias's index, not a column's */

/* ---- kinds ------------------------------------------------------------ */

static const char *const kind_names[] = {
	[KIND_UNDECIDED] = "", [KIND_ANY] = "",	     [KIND_INTEGER] = "INTEGER", [KIND_REAL] = "REAL",
	[KIND_TEXT] = "TEXT",  [KIND_BLOB] = "BLOB", [KIND_BOOLEAN] = "BOOLEAN", [KIND_NUMERIC] = "NUMERIC",
};

const char *kind_name(enum kind kind)
{
	return kind_names[kind];
}

/* By SQLite's rules of affinity (sqlite.org/datatype3.html, 3.1). */
static enum kind kind_of_declared(const char *type)
{
	if (!type[0])
		return KIND_ANY;
	if (strcasecmp(type, "BOOLEAN") == 0)
		return KIND_BOOLEAN;
	if (strcasestr(type, "INT"))
		return KIND_INTEGER;
	if (strcasestr(type, "CHAR") || strcasestr(type, "CLOB") || strcasestr(type, "TEXT"))
		return KIND_TEXT;
	if (strcasestr(type, "BLOB"))
		return KIND_BLOB;
	if (strcasestr(type, "REAL") || strcasestr(type, "FLOA") || strcasestr(type, "DOUB"))
		return KIND_REAL;
	return KIND_NUMERIC;
}

static enum kind kind_of_value(const struct token *v)
{
	switch (v->type) {
	case TOKEN_BOOL:
		return KIND_BOOLEAN;
	case TOKEN_INT:
	case TOKEN_UINT:
		return KIND_INTEGER;
	case TOKEN_REAL:
		return KIND_REAL;
	case TOKEN_BIN:
	case TOKEN_EXT:
		return KIND_BLOB;
	case TOKEN_NIL:
		return KIND_UNDECIDED;
	default:
		return KIND_TEXT; /* nested values become JSON text */
	}
}

/* Numeric affinity turns such text into a number. */
static bool looks_numeric(struct span s)
{
	size_t i = 0;

	while (i < s.len && (s.data[i] == ' ' || (s.data[i] >= '\t' && s.data[i] <= '\r')))
		i++;
	return i < s.len && strchr("0123456789+-.", s.data[i]);
}

enum kind kind_for(enum kind now, const struct token *v)
{
	enum kind kind = kind_of_value(v);

	if (kind == KIND_UNDECIDED || now == KIND_ANY || now == kind)
		return now;
	if (now == KIND_UNDECIDED)
		return kind;
	if (v->type == TOKEN_REAL && v->real != v->real)
		return now; /* NaN is stored as NULL */
	if (now == KIND_REAL && kind == KIND_INTEGER && v->integer >= -REAL_EXACT && v->integer <= REAL_EXACT)
		return now;
	if (now == KIND_INTEGER && kind == KIND_REAL)
		return KIND_REAL;
	if (now == KIND_NUMERIC && (kind == KIND_INTEGER || kind == KIND_BOOLEAN || kind == KIND_BLOB))
		return now;
	if (now == KIND_NUMERIC && v->type == TOKEN_STR && !looks_numeric(v->bytes))
		return now;
	return KIND_ANY;
}

/* ---- keys ------------------------------------------------------------- */

static uint64_t key_hash(uint64_t h, struct span key)
{
	for (size_t i = 0; i < key.len; i++)
		h = (h ^ key.data[i]) * UINT64_C(1099511628211);
	return (h ^ key.len) * UINT64_C(1099511628211);
}

uint64_t keys_hash(const struct span *keys, size_t n)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < n; i++)
		h = key_hash(h, keys[i]);
	return h;
}

long table_column(const struct table *t, struct span key)
{
	if (!t->by_key_cap)
		return -1;
	for (size_t i = keys_hash(&key, 1) & (t->by_key_cap - 1);; i = (i + 1) & (t->by_key_cap - 1)) {
		uint32_t e = t->by_key[i];
		if (!e)
			return -1;
		if (e & ALIAS) {
			if (span_eq(key, t->aliases[e & ~ALIAS].key))
				return (long)t->aliases[e & ~ALIAS].column;
		} else if (span_eq(key, t->columns[e - 1].key)) {
			return (long)e - 1;
		}
	}
}

long table_named(const struct table *t, const char *name)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (sqlite3_stricmp(t->columns[i].name, name) == 0)
			return (long)i;
	return -1;
}

static void index_key(struct table *t, struct span key, uint32_t entry)
{
	size_t i = keys_hash(&key, 1) & (t->by_key_cap - 1);

	while (t->by_key[i])
		i = (i + 1) & (t->by_key_cap - 1);
	t->by_key[i] = entry;
}

/* Room for one more column or alias, half of the index staying free. */
static int grow(struct table *t)
{
	if (t->n_columns == t->cap_columns) {
		size_t cap = t->cap_columns ? 2 * t->cap_columns : 16;
		struct column *columns = realloc(t->columns, cap * sizeof(*columns));
		if (!columns)
			return -1;
		t->columns = columns;
		t->cap_columns = cap;
	}
	if (2 * (t->n_columns + t->n_aliases + 1) <= t->by_key_cap)
		return 0;
	size_t cap = t->by_key_cap ? 2 * t->by_key_cap : 64;
	uint32_t *by_key = calloc(cap, sizeof(*by_key));
	if (!by_key)
		return -1;
	free(t->by_key);
	t->by_key = by_key;
	t->by_key_cap = cap;
	for (size_t i = 0; i < t->n_columns; i++)
		if (t->columns[i].key.data)
			index_key(t, t->columns[i].key, (uint32_t)i + 1);
	for (size_t i = 0; i < t->n_aliases; i++)
		index_key(t, t->aliases[i].key, (uint32_t)i | ALIAS);
	return 0;
}

static bool is_required(const struct table *t, const char *name)
{
	for (size_t i = 0; i < t->n_required; i++)
		if (sqlite3_stricmp(t->required[i], name) == 0)
			return true;
	return false;
}

int table_remember(struct table *t, const char *name, struct span key, enum kind kind, bool fixed,
		   struct xt_err *err)
{
	if (grow(t) < 0)
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	uint8_t *copy = key.data ? malloc(key.len + 1) : NULL;
	struct column c = {.name = strdup(name),
			   .key = span_of(copy, copy ? key.len : 0),
			   .kind = kind,
			   .fixed = fixed,
			   .required = is_required(t, name)};
	if (!c.name || (key.data && !copy)) {
		free(c.name);
		free(copy);
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	}
	if (copy)
		memcpy(copy, key.data, key.len);
	t->columns[t->n_columns++] = c;
	if (copy)
		index_key(t, c.key, (uint32_t)t->n_columns);
	return 0;
}

int table_alias(struct table *t, struct span key, size_t column, struct xt_err *err)
{
	if (table_column(t, key) >= 0)
		return 0;
	struct alias *more = realloc(t->aliases, (t->n_aliases + 1) * sizeof(*more));
	uint8_t *copy = malloc(key.len + 1);
	if (more)
		t->aliases = more;
	if (!more || !copy || grow(t) < 0) {
		free(copy);
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	}
	memcpy(copy, key.data, key.len);
	t->aliases[t->n_aliases] = (struct alias){span_of(copy, key.len), (uint32_t)column};
	index_key(t, t->aliases[t->n_aliases].key, (uint32_t)t->n_aliases | ALIAS);
	t->n_aliases++;
	return 0;
}

int table_require(struct table *t, struct span name, struct xt_err *err)
{
	char **more = realloc(t->required, (t->n_required + 1) * sizeof(*more));

	if (more)
		t->required = more;
	if (!more || !(more[t->n_required] = strndup((const char *)name.data, name.len)))
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	t->n_required++;
	return 0;
}

/* ---- loading ---------------------------------------------------------- */

static void table_free(struct table *t)
{
	shapes_drop(t);
	for (size_t i = 0; i < t->n_columns; i++) {
		free(t->columns[i].name);
		free((void *)(uintptr_t)t->columns[i].key.data);
	}
	for (size_t i = 0; i < t->n_aliases; i++)
		free((void *)(uintptr_t)t->aliases[i].key.data);
	for (size_t i = 0; i < t->n_required; i++)
		free(t->required[i]);
	if (t->nearest)
		nearest_done(t->nearest);
	free(t->nearest);
	free(t->aliases);
	free(t->required);
	free(t->shapes);
	free(t->columns);
	free(t->by_key);
	free(t->name);
	free(t);
}

int tables_names(struct store *s, struct buf *ret, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_TABLE_NAMES, err);
	int row;

	if (!st)
		return -1;
	while ((row = store_step(s, st, err)) > 0) {
		struct span name = store_text(st, 0);
		buf_add(ret, name.data, name.len);
		buf_add(ret, "", 1);
	}
	if (row < 0)
		return -1;
	return buf_failed(ret) ? xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again")
			       : 0;
}

int table_number(struct store *s, const char *table, char ret[TABLE_NUMBER], struct xt_err *err)
{
	static const char sql[] = "SELECT n FROM (SELECT '_rowid_' AS n UNION ALL SELECT 'rowid' UNION ALL "
				  "SELECT 'oid') WHERE n NOT IN "
				  "(SELECT lower(name) FROM pragma_table_xinfo(?1)) AND NOT (SELECT wr FROM "
				  "pragma_table_list WHERE "
				  "schema = 'db' AND name = ?1 COLLATE NOCASE) LIMIT 1";
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
		return store_fail(s, err);
	sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
	int row = store_step(s, st, err);
	if (row >= 0)
		snprintf(ret, TABLE_NUMBER, "%s", row > 0 ? (const char *)sqlite3_column_text(st, 0) : "");
	sqlite3_finalize(st);
	return row < 0 ? -1 : 0;
}

/* The highest number of its rows stays known. */
static void forget(struct store *s, struct table *t)
{
	if (t->top > 0)
		epoch_keep(s, t->name, t->top);
	table_free(t);
}

void tables_drop(struct store *s)
{
	for (size_t i = 0; i < s->n_tables; i++)
		forget(s, s->tables[i]);
	s->n_tables = 0;
}

bool table_is_system(const char *column)
{
	return strcasecmp(column, "track_id") == 0 || strcasecmp(column, "timestamp") == 0;
}

static int load_columns(struct store *s, struct table *t, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_TABLE_COLUMNS, err);
	int rc, r = 0;

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0);
		const char *type = (const char *)sqlite3_column_text(st, 1);
		struct span key = store_text(st, 2);
		enum kind kind =
			sqlite3_column_int(st, 3) ? KIND_UNDECIDED : kind_of_declared(type ? type : "");
		if (!name)
			continue;
		bool writable = sqlite3_column_int(st, 4) == 0; /* not generated */
		if (!key.data)
			key = span_str(name);
		if (table_is_system(name) || !writable)
			key = span_of(NULL, 0);
		r = table_remember(t, name, key, kind, sqlite3_column_int(st, 5) != 0, err);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = store_fail(s, err);
	sqlite3_reset(st);
	for (size_t i = 0, found = 0; i < t->n_columns && !t->ready; i++) {
		found += table_is_system(t->columns[i].name);
		t->ready = found == 2;
	}
	return r;
}

static int load_uniqueness(struct store *s, struct table *t, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_TABLE_UNIQUE, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
	int row = store_step(s, st, err);
	/* Such a table was made by the Python library, which writes local time. */
	t->unique_time = t->local_time = row > 0;
	sqlite3_reset(st);
	return row < 0 ? -1 : 0;
}

static struct table *load(struct store *s, const char *name, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_TABLE_FIND, err);
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		xt_err_set(err, XT_E_internal, NULL, "out of memory");
	if (!st || !t) {
		free(t);
		return NULL;
	}
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	int row = store_step(s, st, err), r = row < 0 ? -1 : 0;
	struct span found = row > 0 ? store_text(st, 0) : span_str(name);
	struct span type = row > 0 ? store_text(st, 1) : span_str("");
	bool view = span_is(type, "view");
	t->absent = row == 0;
	if (row > 0 && (!found.data || !type.data))
		r = store_fail(s, err);
	else
		t->name = strndup((const char *)found.data, found.len);
	sqlite3_reset(st);
	if (r == 0 && !t->name)
		r = xt_err_set(err, XT_E_internal, NULL, "out of memory");
	if (r == 0 && view)
		r = xt_err_set(err, XT_E_bad_name, "table", "'%s' is a view; log to a table", name);
	if (r == 0)
		r = rules_load_required(s, t, err);
	if (r == 0 && !t->absent)
		r = load_columns(s, t, err);
	if (r == 0 && !t->absent)
		r = rules_load(s, t, err);
	if (r == 0 && !t->absent)
		r = load_uniqueness(s, t, err);
	if (r == 0 && !t->absent)
		t->top = epoch_kept(s, t->name);
	if (r < 0) {
		table_free(t);
		return NULL;
	}
	return t;
}

struct table *table_find(struct store *s, struct span name, struct xt_err *err)
{
	char checked[IDENT_SIZE];

	if (s->n_tables > 0 && span_is(name, s->tables[0]->name))
		return s->tables[0];
	if (ident_table(name, checked, err) < 0)
		return NULL;
	for (size_t i = 0; i < s->n_tables; i++) {
		struct table *t = s->tables[i];
		if (sqlite3_stricmp(t->name, checked) != 0)
			continue;
		memmove(s->tables + 1, s->tables, i * sizeof(struct table *));
		s->tables[0] = t;
		return t;
	}
	if (!s->tables)
		s->tables = calloc(MAX_TABLES, sizeof(struct table *));
	struct table *t = s->tables ? load(s, checked, err) : NULL;
	if (!t)
		return NULL;
	if (s->n_tables == MAX_TABLES)
		forget(s, s->tables[--s->n_tables]);
	memmove(s->tables + 1, s->tables, s->n_tables * sizeof(struct table *));
	s->tables[0] = t;
	s->n_tables++;
	return t;
}

struct table *table_existing(struct store *s, struct span name, struct xt_err *err)
{
	struct table *t = table_find(s, name, err);
	char hint[HINT_SIZE];

	if (t && t->absent) {
		xt_err_set(err, XT_E_no_such_table, "table", "there is no table '%.100s'%s", t->name,
			   hint_for_table(s->db, span_str(t->name), hint));
		return NULL;
	}
	return t;
}
