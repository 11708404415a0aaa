#include "glance.h"

#include <time.h>

#define LOOK_NS INT64_C(100000000) /* for which rows are looked at, few as they are: a row can be large */

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Steps a statement that may look for so long only. SQLite's code; what failed is no trouble: not to know is
 * an answer here. */
static int look(struct store *s, sqlite3_stmt *st)
{
	int64_t deadline = s->guard.deadline_ns, mine = now_ns() + LOOK_NS;

	s->guard.deadline_ns = deadline && deadline < mine ? deadline : mine;
	int rc = sqlite3_step(st);
	s->guard.deadline_ns = deadline;
	s->guard.timed_out = false;
	return rc;
}

/* ---- a run's rows ------------------------------------------------------ */

/* By what the rows of one run come in order, fast. */
enum order {
	ORDER_NONE,   /* no index leads to them */
	ORDER_NUMBER, /* their numbers: the index has nothing else */
	ORDER_COLUMN, /* the index's second column */
	ORDER_ANY,    /* the table has no numbers */
};

/* Whether there is a value: that does not read it. */
static void add_columns(struct buf *sql, const struct table *t, const size_t *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_add_str(sql, ", ");
		ident_quote(sql, t->columns[columns[i]].name);
		buf_printf(sql, " IS NOT NULL AS xt_has_%zu", i);
	}
}

static void add_sums(struct buf *sql, const char *when, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(sql, ", total(%sxt_has_%zu)", when, i);
}

/* The first and the last rows of the run, as an index has them. */
static void put_ends(struct buf *sql, const struct table *t, const size_t *columns, size_t n, int sample,
		     enum order order, const char *column)
{
	buf_add_str(sql, "SELECT count(*), 0");
	add_sums(sql, "", n);
	buf_add_str(sql, " FROM (");
	for (int last = 0; last < (order == ORDER_ANY ? 1 : 2); last++) {
		buf_add_str(sql, last ? " UNION ALL SELECT * FROM (SELECT 1" : "SELECT * FROM (SELECT 1");
		add_columns(sql, t, columns, n);
		buf_add_str(sql, " FROM ");
		ident_quote(sql, t->name);
		buf_add_str(sql, " WHERE \"track_id\" = ?1");
		if (order == ORDER_NUMBER)
			buf_add_str(sql, " ORDER BY rowid");
		if (order == ORDER_COLUMN) {
			buf_add_str(sql, " ORDER BY ");
			ident_quote(sql, column);
		}
		buf_printf(sql, "%s LIMIT %d)", last ? " DESC" : "", sample);
	}
	buf_add_str(sql, ")");
}

/* The run's among the last rows of the table; of one without numbers among some. */
static void put_window(struct buf *sql, const struct table *t, const size_t *columns, size_t n, bool numbered)
{
	buf_add_str(sql, "SELECT total(xt_mine), count(*)");
	add_sums(sql, "xt_mine AND ", n);
	buf_add_str(sql, " FROM (SELECT \"track_id\" = ?1 AS xt_mine");
	add_columns(sql, t, columns, n);
	buf_add_str(sql, " FROM ");
	ident_quote(sql, t->name);
	buf_printf(sql, "%s LIMIT %d)", numbered ? " ORDER BY rowid DESC" : "", GLANCE_WINDOW);
}

static sqlite3_stmt *prepare(struct store *s, const struct buf *sql)
{
	sqlite3_stmt *st = NULL;

	if (!buf_failed(sql))
		sqlite3_prepare_v3(s->db, (const char *)sql->data, (int)sql->len, 0, &st, NULL);
	return st;
}

static enum order order_of(struct store *s, const struct table *t, char column[IDENT_SIZE])
{
	struct xt_err ignored;
	sqlite3_stmt *st = store_stmt(s, STMT_TABLE_BY_RUN, &ignored);
	enum order order = ORDER_NONE;

	if (!st)
		return ORDER_NONE;
	sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
	if (look(s, st) == SQLITE_ROW) {
		struct span second = store_text(st, 0);
		order = second.data ? ORDER_COLUMN : ORDER_NUMBER;
		if (second.len >= IDENT_SIZE)
			order = ORDER_NONE;
		else
			snprintf(column, IDENT_SIZE, "%.*s", SPAN_ARG(second));
	}
	sqlite3_reset(st);
	return order;
}

/* Tables without rowids are known by what SQLite says of them. */
static sqlite3_stmt *prepare_look(struct store *s, const struct table *t, const size_t *columns, size_t n,
				  int sample, bool *ret_window)
{
	char column[IDENT_SIZE] = "";
	enum order order = order_of(s, t, column);
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	*ret_window = order == ORDER_NONE;
	for (int numbered = 1; numbered >= 0 && !st; numbered--) {
		buf_clear(&sql);
		if (order == ORDER_NONE)
			put_window(&sql, t, columns, n, numbered);
		else
			put_ends(&sql, t, columns, n, sample,
				 numbered || order == ORDER_COLUMN ? order : ORDER_ANY, column);
		st = prepare(s, &sql);
	}
	buf_done(&sql);
	return st;
}

void glance_at_run(struct store *s, const struct table *t, struct span track_id, const size_t *columns,
		   size_t n, int sample, struct glance *ret)
{
	bool window;
	sqlite3_stmt *st = prepare_look(s, t, columns, n, sample, &window);

	*ret = (struct glance){0};
	if (!st)
		return;
	store_bind(st, 1, track_id);
	if (look(s, st) == SQLITE_ROW) {
		ret->rows = sqlite3_column_int64(st, 0);
		ret->ends = !window || sqlite3_column_int64(st, 1) < GLANCE_WINDOW;
		for (size_t i = 0; i < n; i++)
			ret->has[i] = sqlite3_column_int64(st, (int)i + 2);
	}
	sqlite3_finalize(st);
}

/* ---- the run before ---------------------------------------------------- */

/* Copies a statement's text, NUL-terminated; empty: it has none. */
static void take_id(struct store *s, sqlite3_stmt *st, char ret[XT_MAX_TRACK_ID + 1])
{
	if (look(s, st) == SQLITE_ROW) {
		struct span id = store_text(st, 0);
		if (id.len <= XT_MAX_TRACK_ID && id.data)
			memcpy(ret, id.data, id.len);
	}
	sqlite3_reset(st);
}

int glance_run_before(struct store *s, const struct table *t, struct span track_id,
		      char ret[XT_MAX_TRACK_ID + 1], struct xt_err *err)
{
	struct buf sql = {0};

	memset(ret, 0, XT_MAX_TRACK_ID + 1);
	buf_add_str(&sql, "SELECT \"track_id\" FROM (SELECT \"track_id\" FROM ");
	ident_quote(&sql, t->name);
	buf_printf(&sql, " ORDER BY rowid DESC LIMIT %d) WHERE \"track_id\" <> ?1 LIMIT 1", GLANCE_WINDOW);
	sqlite3_stmt *st = prepare(s, &sql);
	if (st) {
		store_bind(st, 1, track_id);
		take_id(s, st, ret);
	}
	sqlite3_finalize(st);
	buf_done(&sql);
	if (ret[0])
		return 0;
	if (!(st = store_stmt(s, STMT_RUN_LAST_OF, err)))
		return -1;
	sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
	store_bind(st, 2, track_id);
	take_id(s, st, ret);
	return 0;
}
