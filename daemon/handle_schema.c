/* schema_rename, schema_alias, schema_accept, schema_freeze, schema_require: rules for a table's columns. */
#include <stdio.h>

#include "handle.h"
#include "rename.h"
#include "rules.h"
#include "suspects.h"

#define TABLE_OF(p, method) table_or_events(HAS_PARAM(p, method, table), (p)->table)
#define SHOWN(s)	    (int)((s).len < 100 ? (s).len : 100), (const char *)(s).data

/* The column of that name, or else of that key; -1. */
static long find(const struct table *t, struct span name)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (strlen(t->columns[i].name) == name.len &&
		    sqlite3_strnicmp(t->columns[i].name, (const char *)name.data, (int)name.len) == 0)
			return (long)i;
	for (size_t i = 0; i < t->n_columns; i++)
		if (t->columns[i].key.data && span_eq(t->columns[i].key, name))
			return (long)i;
	return -1;
}

static int no_column(const struct table *t, struct span name, const char *field, struct xt_err *err)
{
	long alias = table_column(t, name);
	const char *nearest = alias >= 0 ? NULL : rules_nearest(t, name);

	if (alias >= 0)
		return xt_err_set(err, XT_E_no_such_column, field,
				  "table '%.100s' has no column '%.*s' any more: it was renamed to '%s'",
				  t->name, SHOWN(name), t->columns[alias].name);
	return xt_err_set(err, XT_E_no_such_column, field, "table '%.100s' has no column '%.*s'%s%s%s",
			  t->name, SHOWN(name), nearest ? "; did you mean '" : "", nearest ? nearest : "",
			  nearest ? "'?" : "");
}

/* A column that users may rename, or point to. Its index, or -1. */
static long users_column(const struct table *t, struct span name, const char *field, struct xt_err *err)
{
	long column = find(t, name);

	if (column < 0)
		return no_column(t, name, field, err);
	if (!t->columns[column].key.data)
		return xt_err_set(err, XT_E_not_allowed, field,
				  "column '%s' is written by the daemon, or generated",
				  t->columns[column].name);
	return column;
}

/* What the answer says lives in w->text. */
static struct span keep_text(struct work *w, const char *text)
{
	buf_clear(&w->text);
	buf_add_str(&w->text, text);
	return buf_span(&w->text);
}

/* ---- schema_rename ---------------------------------------------------- */

/* The new name must be one, and nobody else's unless it is meant. */
static int check_new(const struct table *t, struct span key, long to, struct xt_err *err)
{
	char name[IDENT_SIZE];

	if (ident_column(key, name, err) < 0)
		return -1;
	if (table_is_system(name))
		return xt_err_set(err, XT_E_bad_name, "new", "'%s' is a column that the daemon writes", name);
	if (to < 0 && table_named(t, name) >= 0)
		return xt_err_set(
			err, XT_E_bad_name, "new",
			"'%.*s' would be column '%s', which another key has; say '%s' to make the two one",
			SHOWN(key), name, name);
	if (to >= 0 && !t->columns[to].key.data)
		return xt_err_set(err, XT_E_bad_name, "new", "column '%s' is generated", t->columns[to].name);
	return 0;
}

int handle_schema_rename(struct work *w, const struct params_schema_rename *p,
			 struct result_schema_rename *ret, struct xt_err *err)
{
	struct warnings warnings = {w->events};
	struct table *t = table_existing(w->store, TABLE_OF(p, schema_rename), err);
	struct rename_report report;

	if (!t)
		return -1;
	long from = users_column(t, p->old, "old", err), to = find(t, p->new);
	if (from < 0 || check_new(t, p->new, to, err) < 0)
		return -1;
	if (to == from && span_is(p->new, t->columns[from].name))
		return xt_err_set(err, XT_E_bad_name, "new", "'%s' is the column's name already",
				  t->columns[from].name);
	int r = rename_column(w->store, t, (size_t)from, to, p->new, &warnings, &report, err);
	tables_drop(w->store); /* statements and columns are others now */
	if (r < 0)
		return -1;
	ret->name = keep_text(w, report.name);
	ret->merged = report.merged;
	ret->moved = report.moved;
	return 0;
}

/* ---- schema_alias ----------------------------------------------------- */

int handle_schema_alias(struct work *w, const struct params_schema_alias *p, struct result_schema_alias *ret,
			struct xt_err *err)
{
	struct table *t = table_existing(w->store, TABLE_OF(p, schema_alias), err);
	bool add = HAS_PARAM(p, schema_alias, column);
	char name[IDENT_SIZE];

	if (!t || ident_column(p->key, name, err) < 0)
		return -1;
	long now = table_column(t, p->key), to = add ? users_column(t, p->column, "column", err) : -1;
	if (add && to < 0)
		return -1;
	if (now >= 0 && span_eq(t->columns[now].key, p->key))
		return xt_err_set(
			err, XT_E_bad_name, "key",
			"key '%.*s' has a column of its own, '%s'; to make it one with another: xtctl schema "
			"rename",
			SHOWN(p->key), t->columns[now].name);
	ret->changed = now != to;
	if ((ret->changed || !add) &&
	    rules_put_alias(w->store, t->name, p->key, add ? t->columns[to].name : NULL, err) < 0)
		return -1;
	tables_drop(w->store);
	return 0;
}

/* ---- schema_accept ---------------------------------------------------- */

static int accept_pair(struct work *w, const struct table *t, const char *column, const char *other,
		       uint64_t *ret, struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(w->store, STMT_SUSPECTS_ACCEPT, t->name, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 2, column, -1, SQLITE_STATIC);
	if (other)
		sqlite3_bind_text(st, 3, other, -1, SQLITE_STATIC);
	if (store_run(w->store, st, err) < 0)
		return -1;
	*ret = (uint64_t)sqlite3_changes64(w->store->db);
	return 0;
}

/* A pair that nobody noticed so far is accepted beforehand. */
static int accept_beforehand(struct work *w, const struct table *t, const char *column, const char *other,
			     struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(w->store, STMT_SUSPECT_PUT, t->name, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 2, column, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, other, -1, SQLITE_STATIC);
	sqlite3_bind_double(st, 4, 0);
	sqlite3_bind_text(st, 5, "accepted", -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 6, "", -1, SQLITE_STATIC);
	rules_bind_now(w->store, st, 7);
	return store_run(w->store, st, err);
}

int handle_schema_accept(struct work *w, const struct params_schema_accept *p,
			 struct result_schema_accept *ret, struct xt_err *err)
{
	struct table *t = table_existing(w->store, TABLE_OF(p, schema_accept), err);
	const char *other = NULL;

	if (!t)
		return -1;
	long column = users_column(t, p->column, "column", err), second = -1;
	if (column < 0)
		return -1;
	if (HAS_PARAM(p, schema_accept, other)) {
		if ((second = users_column(t, p->other, "other", err)) < 0)
			return -1;
		other = t->columns[second].name;
	}
	if (accept_pair(w, t, t->columns[column].name, other, &ret->accepted, err) < 0)
		return -1;
	if (ret->accepted > 0 || !other)
		return 0;
	return accept_beforehand(w, t, t->columns[column].name, other, err);
}

/* ---- schema_freeze ---------------------------------------------------- */

int handle_schema_freeze(struct work *w, const struct params_schema_freeze *p,
			 struct result_schema_freeze *ret, struct xt_err *err)
{
	bool thaw = HAS_PARAM(p, schema_freeze, thaw) && p->thaw;
	struct table *t = table_existing(w->store, TABLE_OF(p, schema_freeze), err);

	if (!t)
		return -1;
	sqlite3_stmt *st = rules_stmt(w->store, thaw ? STMT_FROZEN_DROP : STMT_FROZEN_PUT, t->name, err);
	if (!st)
		return -1;
	if (!thaw) {
		rules_bind_now(w->store, st, 2);
		sqlite3_bind_int64(st, 3, w->client->key.uid);
	}
	if (store_run(w->store, st, err) < 0)
		return -1;
	ret->changed = t->frozen == thaw;
	tables_drop(w->store);
	return 0;
}

/* ---- schema_require --------------------------------------------------- */

/* The column's name: of one that is there, or that the key will get. */
static int required_name(const struct table *t, struct span key, char ret[IDENT_SIZE], struct xt_err *err)
{
	long column = find(t, key);

	if (column < 0)
		column = table_column(t, key); /* its old name */
	if (column >= 0)
		snprintf(ret, IDENT_SIZE, "%s", t->columns[column].name);
	else if (!utf8_valid(key))
		return xt_err_set(err, XT_E_bad_utf8, "columns", "a name is not valid UTF-8");
	else if (ident_column(key, ret, err) < 0)
		return -1;
	if (table_is_system(ret))
		return xt_err_set(err, XT_E_bad_name, "columns", "every row has '%s'", ret);
	return 0;
}

static int put_required(struct work *w, const char *table, const char *name, bool drop, struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(w->store, drop ? STMT_REQUIRED_DROP : STMT_REQUIRED_PUT, table, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
	if (!drop)
		rules_bind_now(w->store, st, 3);
	return store_run(w->store, st, err);
}

static int check_count(struct work *w, const char *table, struct xt_err *err)
{
	int64_t n = 0;

	if (rules_count(w->store, STMT_REQUIRED_COUNT, table, &n, err) < 0)
		return -1;
	if (n <= XT_MAX_REQUIRED)
		return 0;
	return xt_err_set(err, XT_E_out_of_range, "columns",
			  "table '%.100s' would require %lld columns, %d at most; nothing was changed", table,
			  (long long)n, XT_MAX_REQUIRED);
}

int handle_schema_require(struct work *w, const struct params_schema_require *p,
			  struct result_schema_require *ret, struct xt_err *err)
{
	bool drop = HAS_PARAM(p, schema_require, drop) && p->drop;
	struct table *t = table_find(w->store, TABLE_OF(p, schema_require), err);
	struct reader r = reader_of(p->columns);
	struct token head = {0}, key;
	char name[IDENT_SIZE];

	if (!t)
		return -1;
	if (reader_next(&r, &head) < 0 || head.count == 0 || head.count > XT_MAX_COLUMNS)
		return xt_err_set(err, XT_E_out_of_range, "columns", "`columns` has 1 to %d names",
				  XT_MAX_COLUMNS);
	for (uint32_t i = 0; i < head.count; i++) {
		if (reader_next(&r, &key) < 0 || key.type != TOKEN_STR)
			return xt_err_set(err, XT_E_bad_type, "columns", "`columns` must be strings");
		if (required_name(t, key.bytes, name, err) < 0 ||
		    put_required(w, t->name, name, drop, err) < 0)
			return -1;
		ret->changed += (uint64_t)sqlite3_changes64(w->store->db);
	}
	if (!drop && check_count(w, t->name, err) < 0)
		return -1;
	tables_drop(w->store);
	return 0;
}
