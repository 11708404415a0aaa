#include "numbers.h"

#include "crash.h"

/* ---- statements over names --------------------------------------------- */

/* All texts of a statement's first two columns, each with a NUL behind it. */
static int read_names(struct store *s, enum stmt_id id, struct buf *ret, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, id, err);
	int row;

	if (!st)
		return -1;
	while ((row = store_step(s, st, err)) > 0)
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			struct span name = store_text(st, i);
			buf_add(ret, name.data, name.len);
			buf_add(ret, "", 1);
		}
	if (row < 0)
		return -1;
	return buf_failed(ret) ? xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again")
			       : 0;
}

static const char *next_name(const struct buf *names, size_t *at)
{
	const char *name = (const char *)names->data + *at;

	*at += strlen(name) + 1;
	return name;
}

static int run(struct store *s, struct buf *sql, struct xt_err *err)
{
	buf_add(sql, "", 1);
	if (buf_failed(sql))
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	return store_exec(s, (const char *)sql->data, err);
}

/* ---- keeping ---------------------------------------------------------- */

/* Whether a table's rows have other numbers than 1, 2, 3 … */
static int would_change(struct store *s, const char *table, bool *ret, struct xt_err *err)
{
	struct buf *sql = &s->scratch;
	sqlite3_stmt *st = NULL;

	buf_clear(sql);
	buf_add_str(sql, "SELECT count(*), min(_rowid_), max(_rowid_) FROM ");
	ident_quote(sql, table);
	if (sqlite3_prepare_v3(s->db, (const char *)sql->data, (int)sql->len, 0, &st, NULL) != SQLITE_OK)
		return store_fail(s, err);
	int row = store_step(s, st, err);
	if (row > 0) {
		int64_t n = sqlite3_column_int64(st, 0);
		*ret = n > 0 && (sqlite3_column_int64(st, 1) != 1 || sqlite3_column_int64(st, 2) != n);
	}
	sqlite3_finalize(st);
	return row < 0 ? -1 : 0;
}

static int add_index(struct store *s, const char *table, const char *column, unsigned n, struct xt_err *err)
{
	struct buf *sql = &s->scratch;

	buf_clear(sql);
	buf_printf(sql, "CREATE INDEX \"xt_compact_%u\" ON ", n);
	ident_quote(sql, table);
	buf_add_str(sql, "(");
	ident_quote(sql, column);
	buf_add_str(sql, ") WHERE 0");
	return run(s, sql, err);
}

static int add_indexes(struct store *s, const struct buf *names, struct xt_err *err)
{
	unsigned n = 0;

	for (size_t at = 0; at < names->len;) {
		const char *table = next_name(names, &at), *column = next_name(names, &at);
		bool changes = false;
		if (would_change(s, table, &changes, err) < 0 ||
		    (changes && add_index(s, table, column, ++n, err) < 0))
			return -1;
	}
	return 0;
}

static int drop_indexes(struct store *s, const struct buf *names, struct xt_err *err)
{
	for (size_t at = 0; at < names->len;) {
		buf_clear(&s->scratch);
		buf_add_str(&s->scratch, "DROP INDEX ");
		ident_quote(&s->scratch, next_name(names, &at));
		if (run(s, &s->scratch, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- transactions ------------------------------------------------------ */

/* Does something to what a statement names, all of it or nothing. */
static int change(struct store *s, enum stmt_id id,
		  int (*step)(struct store *s, const struct buf *names, struct xt_err *err),
		  struct xt_err *err)
{
	struct buf names = {0};
	int r = read_names(s, id, &names, err);

	if (r == 0 && names.len > 0) {
		r = store_exec(s, "BEGIN IMMEDIATE", err);
		if (r == 0)
			r = step(s, &names, err);
		if (r == 0)
			r = store_exec(s, "COMMIT", err);
		if (r < 0 && sqlite3_errcode(s->db) == SQLITE_INTERRUPT)
			xt_err_set(err, XT_E_stopping, NULL, "the daemon is stopping; nothing was changed");
		if (!sqlite3_get_autocommit(s->db))
			sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	}
	buf_done(&names);
	return r;
}

int numbers_keep(struct store *s, struct xt_err *err)
{
	int r = change(s, STMT_UNINDEXED, add_indexes, err);

	crash_point("numbers of rows are kept");
	return r;
}

int numbers_release(struct store *s, struct xt_err *err)
{
	return change(s, STMT_KEPT_INDEXES, drop_indexes, err);
}
