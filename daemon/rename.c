#include "rename.h"

#include <stdio.h>

#include "crash.h"
#include "disk.h"
#include "rules.h"

#define ROOM_FROM                                                                                \
	(UINT64_C(64) << 20) /* bytes of a database from which it is asked whether there is room \
			      */

/* Two columns that become one, and how that went. */
struct merge {
	char table[IDENT_SIZE], old[IDENT_SIZE], name[IDENT_SIZE]; /* as SQLite spells them */
	int64_t has_old, has_name, both,
		same; /* rows: with a value in the one, the other, both, the same twice */
};

/* ---- statements ------------------------------------------------------- */

/* Appends SQL text in which each '@' is the next of these names, quoted. */
static void put_sql(struct buf *out, const char *text, const char *const *names)
{
	for (; *text; text++) {
		if (*text == '@')
			ident_quote(out, *names++);
		else
			buf_add(out, text, 1);
	}
	buf_add(out, "", 1);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__})

static sqlite3_stmt *prepare(struct store *s, const char *text, const char *const *names, struct xt_err *err)
{
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	put_sql(&sql, text, names);
	if (buf_failed(&sql))
		xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	else if (sqlite3_prepare_v3(s->db, (const char *)sql.data, -1, 0, &st, NULL) != SQLITE_OK)
		store_fail(s, err);
	buf_done(&sql);
	return st;
}

static int run(struct store *s, const char *text, const char *const *names, struct xt_err *err)
{
	sqlite3_stmt *st = prepare(s, text, names, err);
	int r = st ? store_run(s, st, err) : -1;

	sqlite3_finalize(st);
	return r;
}

static bool broken(const struct store *s)
{
	return s->trouble != TROUBLE_NONE || sqlite3_get_autocommit(s->db);
}

/* Says what was to be done before what SQLite says of it. Returns -1. */
static int explain(struct store *s, const char *table, const char *old, const char *name, struct xt_err *err)
{
	struct xt_err why = *err;

	if (why.code == XT_E_cancelled)
		return xt_err_set(
			err, XT_E_timed_out, NULL,
			"renaming '%.64s' to '%.64s' took longer than ten minutes, or the daemon is "
			"stopping; nothing was changed",
			old, name);
	if (broken(s) || why.code == XT_E_value_conflict || why.code == XT_E_disk_full)
		return -1;
	return xt_err_set(err, why.code, NULL, "cannot rename '%.64s' to '%.64s' in table '%.64s': %.300s%s",
			  old, name, table, why.message,
			  why.code == XT_E_sql_error
				  ? "; drop the index, view or trigger that names the column, and make it "
				    "again afterwards"
				  : "");
}

/* ---- two become one --------------------------------------------------- */

static int count(struct store *s, struct merge *m, struct xt_err *err)
{
	sqlite3_stmt *st = prepare(
		s,
		"SELECT count(@), count(@), total(@ IS NOT NULL AND @ IS NOT NULL), "
		"total(@ = @ AND typeof(@) = typeof(@)) FROM @",
		NAMES(m->old, m->name, m->old, m->name, m->old, m->name, m->old, m->name, m->table), err);

	if (!st)
		return -1;
	int row = store_step(s, st, err);
	if (row > 0) {
		m->has_old = sqlite3_column_int64(st, 0);
		m->has_name = sqlite3_column_int64(st, 1);
		m->both = sqlite3_column_int64(st, 2);
		m->same = sqlite3_column_int64(st, 3);
	}
	sqlite3_finalize(st);
	return row > 0 ? 0 : -1;
}

/* A value would be lost: says how many, and shows one. */
static int refuse(struct store *s, const struct merge *m, struct xt_err *err)
{
	struct xt_err ignored;
	char example[400] = "";
	sqlite3_stmt *st = prepare(
		s,
		"SELECT track_id, timestamp, substr(iif(typeof(@) = 'real', CAST(@ AS TEXT), quote(@)), 1, "
		"40), substr(iif(typeof(@) = 'real', CAST(@ AS TEXT), quote(@)), 1, 40) "
		"FROM @ WHERE @ IS NOT NULL AND @ IS NOT NULL LIMIT 1",
		NAMES(m->old, m->old, m->old, m->name, m->name, m->name, m->table, m->old, m->name),
		&ignored);

	if (st && store_step(s, st, &ignored) > 0) {
		struct span id = store_text(st, 0), time = store_text(st, 1), a = store_text(st, 2),
			    b = store_text(st, 3);
		snprintf(example, sizeof(example),
			 ", such as that of run '%.64s' at %.32s: %.160s and %.160s",
			 id.data ? (const char *)id.data : "", time.data ? (const char *)time.data : "",
			 a.data ? (const char *)a.data : "", b.data ? (const char *)b.data : "");
	}
	sqlite3_finalize(st);
	return xt_err_set(
		err, XT_E_value_conflict, m->name,
		"cannot rename '%.64s' to '%.64s': %lld %s values in both%s; of these %lld are the same "
		"twice. Nothing was changed: set one of them to NULL first",
		m->old, m->name, (long long)m->both, m->both == 1 ? "row has" : "rows have", example,
		(long long)m->same);
}

/* All rows of the table are written anew: into the write-ahead log, twice at most. */
static int check_room(struct store *s, struct xt_err *err)
{
	sqlite3_stmt *st = prepare(s, "PRAGMA page_count", NULL, err);
	int row = st ? store_step(s, st, err) : -1;
	uint64_t bytes = row > 0 ? (uint64_t)sqlite3_column_int64(st, 0) * (uint64_t)s->page_size : 0;

	sqlite3_finalize(st);
	if (row < 0)
		return -1;
	if (bytes < ROOM_FROM || disk_free(s->path) >= 2 * bytes)
		return 0;
	return xt_err_set(
		err, XT_E_disk_full, NULL,
		"to make two columns one needs %llu MiB for a while where '%.200s' is, and %llu MiB are "
		"free",
		(unsigned long long)(2 * bytes >> 20) + 1, s->path,
		(unsigned long long)(disk_free(s->path) >> 20));
}

/* The kind that holds what both hold, as it came. */
static int common_kind(struct store *s, const struct table *t, const struct column *a, const struct column *b,
		       enum kind *ret, struct xt_err *err)
{
	enum kind x = a->kind, y = b->kind;
	bool large = false;

	*ret = x == y || y == KIND_UNDECIDED ? x : x == KIND_UNDECIDED ? y : KIND_ANY;
	if ((x == KIND_INTEGER && y == KIND_REAL) || (x == KIND_REAL && y == KIND_INTEGER)) {
		if (table_has_large(s, t, x == KIND_INTEGER ? a->name : b->name, &large, err) < 0)
			return -1;
		*ret = large ? KIND_ANY : KIND_REAL;
	}
	return 0;
}

/* No trigger runs: nothing in the rows is another than before. */
static int move_values(struct store *s, const struct merge *m, const char *keep, const char *drop,
		       uint64_t *ret_moved, struct xt_err *err)
{
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	int r = run(s, "UPDATE @ SET @ = @ WHERE @ IS NOT NULL", NAMES(m->table, keep, drop, drop), err);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
	if (r == 0)
		*ret_moved = (uint64_t)sqlite3_changes64(s->db);
	return r;
}

/* Keeps the one column, under the new name, and drops the other. */
static int merge_into(struct store *s, const struct merge *m, bool keep_old, struct warnings *w,
		      enum kind *ret_kind, uint64_t *ret_moved, struct xt_err *err)
{
	const char *keep = keep_old ? m->old : m->name, *drop = keep_old ? m->name : m->old;
	struct table *t = table_find(s, span_str(m->table), err);

	if (!t)
		return -1;
	size_t k = (size_t)table_named(t, keep), d = (size_t)table_named(t, drop);
	if (common_kind(s, t, &t->columns[k], &t->columns[d], ret_kind, err) < 0)
		return -1;
	if (*ret_kind != t->columns[k].kind && t->columns[k].fixed)
		return xt_err_set(err, XT_E_sql_error, NULL,
				  "the declaration of column '%s' can not be changed", keep);
	if (*ret_kind != t->columns[k].kind && table_widen(s, t, k, *ret_kind, w, err) < 0)
		return -1;
	crash_point("a column is being renamed");
	if (move_values(s, m, keep, drop, ret_moved, err) < 0)
		return -1;
	if (crash_defect("a rename in pieces") && store_exec(s, "COMMIT", err) < 0)
		return -1;
	crash_point("a column is being renamed");
	if (run(s, "ALTER TABLE @ DROP COLUMN @", NAMES(m->table, drop), err) < 0)
		return -1;
	crash_point("a column is being renamed");
	return keep_old ? run(s, "ALTER TABLE @ RENAME COLUMN @ TO @", NAMES(m->table, keep, m->name), err)
			: 0;
}

static int is_indexed(struct store *s, const char *table, const char *column, bool *ret, struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(s, STMT_TABLE_INDEXED, table, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 2, column, -1, SQLITE_STATIC);
	int row = store_step(s, st, err);
	sqlite3_reset(st);
	*ret = row > 0;
	return row < 0 ? -1 : 0;
}

/* The column with fewer values goes, for what it has is moved; but not one that an index looks at. Where a
 * view or trigger names it, the other one may go. */
static int merge(struct store *s, const struct merge *m, struct warnings *w, enum kind *ret_kind,
		 uint64_t *ret_moved, struct xt_err *err)
{
	bool keep_old = m->has_old >= m->has_name, old_indexed, name_indexed;
	struct xt_err second;

	if (is_indexed(s, m->table, m->old, &old_indexed, err) < 0 ||
	    is_indexed(s, m->table, m->name, &name_indexed, err) < 0)
		return -1;
	if (old_indexed != name_indexed)
		keep_old = old_indexed;
	size_t warned = w->out->len;
	if (store_exec(s, "SAVEPOINT merge", err) < 0)
		return -1;
	int r = merge_into(s, m, keep_old, w, ret_kind, ret_moved, err);
	if (r < 0 && broken(s))
		return -1;
	if (r < 0) {
		w->out->len = warned;
		if (store_exec(s, "ROLLBACK TO merge", &second) < 0)
			return -1;
		tables_drop(s);
		r = merge_into(s, m, !keep_old, w, ret_kind, ret_moved, &second);
	}
	if (r < 0)
		return -1;
	return store_exec(s, "RELEASE merge", err);
}

/* ---- what is written of it -------------------------------------------- */

static int note(struct store *s, enum stmt_id id, const char *table, const char *old, const char *name,
		struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(s, id, table, err);

	if (!st)
		return -1;
	if (old)
		sqlite3_bind_text(st, 2, old, -1, SQLITE_STATIC);
	if (name)
		sqlite3_bind_text(st, 3, name, -1, SQLITE_STATIC);
	return store_run(s, st, err);
}

/* `old` is what column `c` was called, and `key` its key then. */
static int note_all(struct store *s, const struct table *t, const char *old, struct span key,
		    const struct column *c, struct xt_err *err)
{
	crash_point("a column is being renamed");
	if (note(s, STMT_COLUMN_DROP, t->name, old, NULL, err) < 0 || table_put_column(s, t, c, err) < 0 ||
	    note(s, STMT_ALIASES_MOVE, t->name, old, c->name, err) < 0)
		return -1;
	if (!span_eq(key, c->key) && rules_put_alias(s, t->name, key, c->name, err) < 0)
		return -1;
	if (rules_put_alias(s, t->name, c->key, NULL, err) < 0 ||
	    note(s, STMT_REQUIRED_MOVE, t->name, old, c->name, err) < 0 ||
	    note(s, STMT_SUSPECTS_RENAME, t->name, old, c->name, err) < 0 ||
	    note(s, STMT_SUSPECTS_SELF, t->name, NULL, NULL, err) < 0)
		return -1;
	crash_point("a column is being renamed");
	return 0;
}

/* ---- both ways -------------------------------------------------------- */

static int join_columns(struct store *s, struct table *t, size_t from, size_t to, struct warnings *w,
			struct rename_report *ret, struct xt_err *err)
{
	struct merge m = {0};
	struct buf keys = {0}; /* of both columns: the table in memory may be dropped meanwhile */
	struct span old_key = t->columns[from].key, key = t->columns[to].key;
	size_t old_len = old_key.len;
	int r = -1;

	buf_add(&keys, old_key.data, old_key.len);
	buf_add(&keys, key.data, key.len);
	snprintf(m.table, sizeof(m.table), "%s", t->name);
	snprintf(m.old, sizeof(m.old), "%s", t->columns[from].name);
	snprintf(m.name, sizeof(m.name), "%s", t->columns[to].name);
	struct column joined = {.name = m.name, .key = span_of(keys.data + old_len, key.len)};
	if (strlen(t->columns[from].name) >= IDENT_SIZE || strlen(t->columns[to].name) >= IDENT_SIZE) {
		xt_err_set(err, XT_E_bad_name, NULL,
			   "a name is longer than %d characters; rename it by a statement", XT_MAX_NAME);
		goto out;
	}
	if (buf_failed(&keys)) {
		xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
		goto out;
	}
	if (count(s, &m, err) < 0)
		goto out;
	if (m.both > 0) {
		refuse(s, &m, err);
		goto out;
	}
	if (check_room(s, err) < 0)
		goto out;
	if (merge(s, &m, w, &joined.kind, &ret->moved, err) < 0) {
		explain(s, m.table, m.old, m.name, err);
		goto out;
	}
	struct table named = {.name = m.table};
	r = note_all(s, &named, m.old, span_of(keys.data, old_len), &joined, err);
	ret->merged = true;
	snprintf(ret->name, sizeof(ret->name), "%s", m.name);
out:
	buf_done(&keys);
	return r;
}

int rename_column(struct store *s, struct table *t, size_t from, long to, struct span key, struct warnings *w,
		  struct rename_report *ret, struct xt_err *err)
{
	const struct column *c = &t->columns[from];
	struct column renamed = {.name = ret->name, .key = key, .kind = c->kind};

	*ret = (struct rename_report){0};
	if (to >= 0 && (size_t)to != from)
		return join_columns(s, t, from, (size_t)to, w, ret, err);
	if (ident_column(key, ret->name, err) < 0)
		return -1;
	crash_point("a column is being renamed");
	if (strcmp(c->name, ret->name) != 0 &&
	    run(s, "ALTER TABLE @ RENAME COLUMN @ TO @", NAMES(t->name, c->name, ret->name), err) < 0)
		return explain(s, t->name, c->name, ret->name, err);
	return note_all(s, t, c->name, c->key, &renamed, err);
}
