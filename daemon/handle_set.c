/* set: one column over rows that are stored. declare: one that is to hold a value. */
#include <math.h>
#include <stdio.h>

#include "bind.h"
#include "handle.h"
#include "rules.h"
#include "runs.h"

/* The column to set, which a new key adds and another type widens. Its index, or -1. */
static long column_to_set(struct work *w, struct table *t, struct span key, struct span with,
			  struct xt_err *err)
{
	struct warnings warnings = {w->events};
	struct reader r = reader_of(with);
	struct token value;
	char plain[IDENT_SIZE];

	if (reader_next(&r, &value) < 0)
		return xt_err_set(err, XT_E_bad_message, "value", "a value is cut short");
	if (bind_check(&value, "value", err) < 0)
		return -1;
	if (ident_column(key, plain, err) < 0)
		return -1;
	if (table_is_system(plain))
		return xt_err_set(err, XT_E_not_allowed, "key",
				  "'%s' is written by the daemon and cannot be set", plain);
	long column = table_column(t, key);
	if (column < 0) {
		struct new_column add = {.key = key, .kind = kind_for(KIND_UNDECIDED, &value)};
		if (t->n_columns >= XT_MAX_COLUMNS)
			return xt_err_set(err, XT_E_too_many_columns, "key",
					  "table '%.100s' has %d columns already", t->name, XT_MAX_COLUMNS);
		if (rules_may_add(t, key, err) < 0 ||
		    table_add_columns(w->store, t, &add, 1, &warnings, err) < 0)
			return -1;
		return table_column(t, key);
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

/* ---- rows ------------------------------------------------------------- */

/* Which rows are meant. */
struct rows {
	const struct params_set *p;
	const struct table *t;
	const char *where;	   /* the column that is looked at; NULL: none is */
	char number[TABLE_NUMBER]; /* by which the rows of a piece are known; "": all are meant at once */
	int64_t from, upto, top;   /* numbers: of the piece, and the highest there was at the first */
	bool indexed;		   /* an index leads to those of `where`, by their numbers */
};

/* Any other index would lead to all rows that `where` means, in each piece again. */
static void put_table(struct buf *sql, const struct rows *rows)
{
	ident_quote(sql, rows->t->name);
	if (rows->number[0] && !rows->indexed)
		buf_add_str(sql, " NOT INDEXED");
}

static void put_conditions(struct buf *sql, const struct rows *rows, bool where)
{
	buf_add_str(sql, " WHERE 1");
	if (HAS_PARAM(rows->p, set, track_id))
		buf_add_str(sql, " AND \"track_id\" = ?2");
	if (where) {
		buf_add_str(sql, " AND ");
		ident_quote(sql, rows->where);
		buf_add_str(sql, " IS ?3");
	}
	if (rows->number[0])
		buf_printf(sql, " AND %s BETWEEN ?4 AND ?5", rows->number);
}

/* Frees the text. NULL with the error set. */
static sqlite3_stmt *prepare(struct store *s, struct buf *sql, const struct rows *rows, bool where,
			     struct xt_err *err)
{
	sqlite3_stmt *st = NULL;

	if (buf_failed(sql))
		xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	else if (sqlite3_prepare_v3(s->db, (const char *)sql->data, (int)sql->len, 0, &st, NULL) != SQLITE_OK)
		store_fail(s, err);
	buf_done(sql);
	if (!st)
		return NULL;
	if (HAS_PARAM(rows->p, set, track_id))
		store_bind(st, 2, rows->p->track_id);
	if (rows->number[0]) {
		sqlite3_bind_int64(st, 4, rows->from);
		sqlite3_bind_int64(st, 5, rows->upto);
	}
	if (where && bind_for_set(s, st, 3, rows->p->where_value, "where_value", err) < 0) {
		sqlite3_finalize(st);
		return NULL;
	}
	return st;
}

static int is_indexed(struct store *s, const struct rows *rows, bool *ret, struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(s, STMT_COLUMN_INDEX, rows->t->name, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 2, rows->where, -1, SQLITE_STATIC);
	int row = store_step(s, st, err);
	sqlite3_reset(st);
	*ret = row > 0;
	return row < 0 ? -1 : 0;
}

/* Finds the piece, of the rows from rows->from to rows->upto: so many of them, or so many that `where` means
 * where these are found without a look at others. 1: there is none. */
static int find_piece(struct store *s, struct rows *rows, struct xt_err *err)
{
	bool where = rows->where && rows->indexed;
	struct buf sql = {0};

	buf_printf(&sql, "SELECT max(n), (SELECT max(%s) FROM ", rows->number);
	ident_quote(&sql, rows->t->name);
	buf_printf(&sql, ") FROM (SELECT %s AS n FROM ", rows->number);
	put_table(&sql, rows);
	put_conditions(&sql, rows, where);
	buf_printf(&sql, " ORDER BY %s LIMIT ?6)", rows->number);
	sqlite3_stmt *st = prepare(s, &sql, rows, where, err);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 6, (int64_t)rows->p->limit);
	int row = store_step(s, st, err);
	bool none = row > 0 && sqlite3_column_type(st, 0) == SQLITE_NULL;
	if (row > 0 && !none) {
		if (!HAS_PARAM(rows->p, set, upto))
			rows->top = sqlite3_column_int64(st, 1);
		rows->upto = sqlite3_column_int64(st, 0);
	}
	sqlite3_finalize(st);
	return row < 0 ? -1 : none;
}

/* All at once, or a piece. 1: the pieces are at their end. */
static int choose_rows(struct store *s, struct rows *rows, struct xt_err *err)
{
	const struct params_set *p = rows->p;

	if (!HAS_PARAM(p, set, limit) || HAS_PARAM(p, set, track_id))
		return 0;
	if (table_number(s, rows->t->name, rows->number, err) < 0)
		return -1;
	if (!rows->number[0])
		return 0;
	if (rows->where && is_indexed(s, rows, &rows->indexed, err) < 0)
		return -1;
	if (HAS_PARAM(p, set, after) && p->after == INT64_MAX)
		return 1;
	rows->from = HAS_PARAM(p, set, after) ? p->after + 1 : INT64_MIN;
	rows->upto = rows->top = HAS_PARAM(p, set, upto) ? p->upto : INT64_MAX;
	return find_piece(s, rows, err);
}

/* ---- setting ---------------------------------------------------------- */

/* A name mistyped must not leave a column behind: is there any row to set? 1, 0 or -1. */
static int any_row(struct store *s, const struct rows *rows, struct xt_err *err)
{
	struct buf sql = {0};

	buf_add_str(&sql, "SELECT 1 FROM ");
	put_table(&sql, rows);
	put_conditions(&sql, rows, rows->where);
	sqlite3_stmt *st = prepare(s, &sql, rows, rows->where, err);
	if (!st)
		return -1;
	int row = store_step(s, st, err);
	sqlite3_finalize(st);
	return row;
}

static int set_column(struct store *s, const struct rows *rows, const char *column, uint64_t *ret_changed,
		      struct xt_err *err)
{
	struct buf sql = {0};

	buf_add_str(&sql, "UPDATE ");
	put_table(&sql, rows);
	buf_add_str(&sql, " SET ");
	ident_quote(&sql, column);
	buf_add_str(&sql, " = ?1");
	put_conditions(&sql, rows, rows->where);
	sqlite3_stmt *st = prepare(s, &sql, rows, rows->where, err);
	if (!st)
		return -1;
	int r = bind_for_set(s, st, 1, rows->p->value, "value", err);
	if (r == 0)
		r = store_run(s, st, err);
	if (r == 0)
		*ret_changed = (uint64_t)sqlite3_changes64(s->db);
	sqlite3_finalize(st);
	return r;
}

static void say_more(const struct rows *rows, struct result_set *ret)
{
	if (!rows->number[0] || rows->upto >= rows->top)
		return;
	ret->more = true;
	ret->next = rows->upto;
	ret->top = rows->top;
	ret->has |= RESULT_BIT(set, more) | RESULT_BIT(set, next) | RESULT_BIT(set, top);
}

int handle_set(struct work *w, const struct params_set *p, struct result_set *ret, struct xt_err *err)
{
	struct store *s = w->store;
	char where[IDENT_SIZE];
	const char *found = NULL;

	struct table *t = table_existing(w->store, table_or_events(HAS_PARAM(p, set, table), p->table), err);
	if (!t)
		return -1;
	if (HAS_PARAM(p, set, where_key) != HAS_PARAM(p, set, where_value))
		return xt_err_set(err, XT_E_missing_field, "where_value",
				  "where_key and where_value belong together");
	if (HAS_PARAM(p, set, where_key)) {
		if (!(found = where_column(t, p->where_key, err)))
			return -1;
		snprintf(where, sizeof(where), "%s", found); /* columns move when one is added */
		found = where;
	}
	struct rows rows = {.p = p, .t = t, .where = found};
	int r = choose_rows(s, &rows, err);
	if (r != 0)
		return r < 0 ? -1 : 0;
	say_more(&rows, ret);
	int any = any_row(s, &rows, err);
	if (any < 0)
		return -1;
	if (any == 0)
		return HAS_PARAM(p, set, track_id) && !runs_known(w->store, p->track_id, err) ? -1 : 0;
	long column = column_to_set(w, t, p->key, p->value, err);
	if (column < 0)
		return -1;
	return set_column(s, &rows, t->columns[column].name, &ret->changed, err);
}

int handle_declare(struct work *w, const struct params_declare *p, struct result_declare *ret,
		   struct xt_err *err)
{
	struct table *t =
		table_existing(w->store, table_or_events(HAS_PARAM(p, declare, table), p->table), err);

	if (!t)
		return -1;
	ret->added = table_column(t, p->key) < 0;
	return column_to_set(w, t, p->key, p->value, err) < 0 ? -1 : 0;
}
