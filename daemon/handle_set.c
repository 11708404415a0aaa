/* set: one column over rows that are stored. */
#include <math.h>
#include <stdio.h>

#include "bind.h"
#include "handle.h"
#include "rules.h"
#include "runs.h"

/* The column to set, which a new key adds and another type widens. Its index, or -1. */
static long column_to_set(struct work *w, struct table *t, const struct params_set *p, struct xt_err *err)
{
	struct warnings warnings = {w->events};
	struct reader r = reader_of(p->value);
	struct token value;
	char plain[IDENT_SIZE];

	if (reader_next(&r, &value) < 0)
		return xt_err_set(err, XT_E_bad_message, "value", "a value is cut short");
	if (bind_check(&value, "value", err) < 0)
		return -1;
	if (ident_column(p->key, plain, err) < 0)
		return -1;
	if (table_is_system(plain))
		return xt_err_set(err, XT_E_not_allowed, "key",
				  "'%s' is written by the daemon and cannot be set", plain);
	long column = table_column(t, p->key);
	if (column < 0) {
		struct new_column add = {.key = p->key, .kind = kind_for(KIND_UNDECIDED, &value)};
		if (t->n_columns >= XT_MAX_COLUMNS)
			return xt_err_set(err, XT_E_too_many_columns, "key",
					  "table '%.100s' has %d columns already", t->name, XT_MAX_COLUMNS);
		if (rules_may_add(t, p->key, err) < 0 ||
		    table_add_columns(w->store, t, &add, 1, &warnings, err) < 0)
			return -1;
		return table_column(t, p->key);
	}
	if (t->columns[column].required &&
	    (value.type == TOKEN_NIL || (value.type == TOKEN_REAL && isnan(value.real))))
		return rules_refuse_null(t, &t->columns[column], err);
	enum kind need = kind_for(t->columns[column].kind, &value);
	if (need != t->columns[column].kind && !t->columns[column].fixed &&
	    table_widen(w->store, t, (size_t)column, need, &warnings, err) < 0)
		return -1;
	return column;
}

/* The column that `where` looks at, by key or by name. */
static const char *where_column(const struct table *t, struct span key, struct xt_err *err)
{
	long column = table_column(t, key);

	if (column >= 0)
		return t->columns[column].name;
	for (size_t i = 0; i < t->n_columns; i++)
		if (span_is(key, t->columns[i].name))
			return t->columns[i].name;
	xt_err_set(err, XT_E_no_such_column, "where_key", "table '%.100s' has no column '%.*s'", t->name,
		   (int)(key.len < 100 ? key.len : 100), (const char *)key.data);
	return NULL;
}

/* Without memory for the value the change is tried again, not refused. */
static int bind_for_set(struct store *s, sqlite3_stmt *st, int i, struct span value, const char *field,
			struct xt_err *err)
{
	struct reader r = reader_of(value);

	if (bind_value(st, i, &r, field, err) == 0)
		return 0;
	return sqlite3_errcode(s->db) == SQLITE_NOMEM ? store_fail(s, err) : -1;
}

/* A statement over the rows that `set` means: `head` and the conditions, ?2 and ?3 bound. */
static sqlite3_stmt *prepare_over_rows(struct store *s, const struct params_set *p, const char *where,
				       struct buf *head, struct xt_err *err)
{
	sqlite3_stmt *st = NULL;

	buf_add_str(head, " WHERE 1");
	if (HAS_PARAM(p, set, track_id))
		buf_add_str(head, " AND \"track_id\" = ?2");
	if (where) {
		buf_add_str(head, " AND ");
		ident_quote(head, where);
		buf_add_str(head, " IS ?3");
	}
	if (sqlite3_prepare_v3(s->db, (const char *)head->data, (int)head->len, 0, &st, NULL) != SQLITE_OK) {
		store_fail(s, err);
		return NULL;
	}
	if (HAS_PARAM(p, set, track_id))
		store_bind(st, 2, p->track_id);
	if (where && bind_for_set(s, st, 3, p->where_value, "where_value", err) < 0) {
		sqlite3_finalize(st);
		return NULL;
	}
	return st;
}

/* A name mistyped must not leave a column behind: is there any row to set? 1, 0 or -1. */
static int any_row(struct store *s, const struct params_set *p, const struct table *t, const char *where,
		   struct xt_err *err)
{
	struct buf sql = {0};

	buf_add_str(&sql, "SELECT 1 FROM ");
	ident_quote(&sql, t->name);
	sqlite3_stmt *st = prepare_over_rows(s, p, where, &sql, err);
	buf_done(&sql);
	if (!st)
		return -1;
	int rc = sqlite3_step(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		store_fail(s, err);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

static int set_column(struct store *s, const struct params_set *p, const struct table *t, size_t column,
		      const char *where, uint64_t *ret_changed, struct xt_err *err)
{
	struct buf sql = {0};

	buf_add_str(&sql, "UPDATE ");
	ident_quote(&sql, t->name);
	buf_add_str(&sql, " SET ");
	ident_quote(&sql, t->columns[column].name);
	buf_add_str(&sql, " = ?1");
	sqlite3_stmt *st = prepare_over_rows(s, p, where, &sql, err);
	buf_done(&sql);
	if (!st)
		return -1;
	int r = bind_for_set(s, st, 1, p->value, "value", err);
	if (r == 0)
		r = store_run(s, st, err);
	if (r == 0)
		*ret_changed = (uint64_t)sqlite3_changes64(s->db);
	sqlite3_finalize(st);
	return r;
}

int handle_set(struct work *w, const struct params_set *p, struct result_set *ret, struct xt_err *err)
{
	struct store *s = w->store;
	char where[IDENT_SIZE];
	const char *found = NULL;

	struct table *t = table_existing(w->store, table_or_events(HAS_PARAM(p, set, table), p->table), err);
	if (!t)
		return -1;
	if (HAS_PARAM(p, set, declare) && p->declare)
		return column_to_set(w, t, p, err) < 0 ? -1 : 0;
	if (HAS_PARAM(p, set, where_key) != HAS_PARAM(p, set, where_value))
		return xt_err_set(err, XT_E_missing_field, "where_value",
				  "where_key and where_value belong together");
	if (HAS_PARAM(p, set, where_key)) {
		if (!(found = where_column(t, p->where_key, err)))
			return -1;
		snprintf(where, sizeof(where), "%s", found); /* columns move when one is added */
		found = where;
	}
	int any = any_row(s, p, t, found, err);
	if (any < 0)
		return -1;
	if (any == 0)
		return HAS_PARAM(p, set, track_id) && !runs_known(w->store, p->track_id, err) ? -1 : 0;
	long column = column_to_set(w, t, p, err);
	if (column < 0)
		return -1;
	return set_column(s, p, t, (size_t)column, found, &ret->changed, err);
}
