#include "rules.h"

#include <stdlib.h>

#include "similar.h"

#define NEAREST_BUDGET 1000 /* names of a table that a mistyped one is held against */

/* ---- loading ---------------------------------------------------------- */

sqlite3_stmt *rules_stmt(struct store *s, enum stmt_id id, const char *table, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, id, err);

	if (st)
		sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
	return st;
}

void rules_bind_now(struct store *s, sqlite3_stmt *st, int i)
{
	char stamp[STAMP_SIZE] = "";

	if (stamp_write(s->now_us(), false, stamp) == 0)
		sqlite3_bind_text(st, i, stamp, -1, SQLITE_TRANSIENT);
}

int rules_load_required(struct store *s, struct table *t, struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(s, STMT_REQUIRED_OF, t->name, err);
	int r = st ? 0 : -1, row = 0;

	while (r == 0 && (row = store_step(s, st, err)) > 0)
		r = table_require(t, store_text(st, 0), err);
	if (st)
		sqlite3_reset(st);
	return r < 0 || row < 0 ? -1 : 0;
}

static int load_aliases(struct store *s, struct table *t, struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(s, STMT_ALIASES_OF, t->name, err);
	int r = st ? 0 : -1, row = 0;

	while (r == 0 && (row = store_step(s, st, err)) > 0) {
		const char *name = (const char *)sqlite3_column_text(st, 1);
		long column = name ? table_named(t, name) : -1; /* dropped since by somebody's statement */
		if (column >= 0)
			r = table_alias(t, store_text(st, 0), (size_t)column, err);
	}
	if (st)
		sqlite3_reset(st);
	return r < 0 || row < 0 ? -1 : 0;
}

int rules_load(struct store *s, struct table *t, struct xt_err *err)
{
	if (load_aliases(s, t, err) < 0)
		return -1;
	sqlite3_stmt *st = rules_stmt(s, STMT_FROZEN_GET, t->name, err);
	int row = st ? store_step(s, st, err) : -1;
	if (row < 0)
		return -1;
	t->frozen = row > 0;
	sqlite3_reset(st);
	return 0;
}

int rules_sweep(struct store *s, struct xt_err *err)
{
	static const enum stmt_id all[] = {STMT_ALIASES_SWEEP, STMT_FROZEN_SWEEP, STMT_SUSPECTS_SWEEP};
	sqlite3_stmt *st = store_stmt(s, STMT_RULES_STALE, err);
	int stale = st ? store_step(s, st, err) : -1;

	if (stale <= 0)
		return stale;
	sqlite3_reset(st);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		st = store_stmt(s, all[i], err);
		if (!st || store_run(s, st, err) < 0)
			return -1;
	}
	return 0;
}

int rules_count(struct store *s, enum stmt_id id, const char *table, int64_t *ret, struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(s, id, table, err);
	int row = st ? store_step(s, st, err) : -1;

	if (row < 0)
		return -1;
	*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return 0;
}

int rules_put_alias(struct store *s, const char *table, struct span key, const char *name, struct xt_err *err)
{
	sqlite3_stmt *st = rules_stmt(s, name ? STMT_ALIAS_PUT : STMT_ALIAS_DROP, table, err);

	if (!st)
		return -1;
	store_bind(st, 2, key);
	if (name) {
		sqlite3_bind_text(st, 3, name, -1, SQLITE_STATIC);
		rules_bind_now(s, st, 4);
	}
	int64_t n = 0;
	if (store_run(s, st, err) < 0 || (name && rules_count(s, STMT_ALIASES_COUNT, table, &n, err) < 0))
		return -1;
	if (n > XT_MAX_ALIASES)
		return xt_err_set(
			err, XT_E_out_of_range, NULL,
			"table '%.100s' has %d aliases, as many as a table may; drop some that nobody logs "
			"any more: xtctl schema alias --drop",
			table, XT_MAX_ALIASES);
	return 0;
}

/* ---- keeping to them -------------------------------------------------- */

/* Keeps the column if what leads to it is most like the name so far. */
static void try_name(const struct similar *wanted, struct span name, const char *column, unsigned *budget,
		     double *most, const char **best)
{
	struct similar other;

	similar_of(&other, name);
	double alike = similar_names(wanted, &other, budget);
	if (alike <= *most)
		return;
	*most = alike;
	*best = column;
}

const char *rules_nearest(const struct table *t, struct span name)
{
	unsigned budget = NEAREST_BUDGET;
	const char *best = NULL;
	struct similar wanted;
	double most = 0;

	similar_of(&wanted, name);
	for (size_t i = 0; i < t->n_columns; i++)
		try_name(&wanted, span_str(t->columns[i].name), t->columns[i].name, &budget, &most, &best);
	for (size_t i = 0; i < t->n_aliases; i++)
		try_name(&wanted, t->aliases[i].key, t->columns[t->aliases[i].column].name, &budget, &most,
			 &best);
	return best;
}

/* A frozen table's columns and aliases stay as they are, as long as it is not forgotten with all of this. */
static const char *remembered_nearest(struct table *t, struct span key)
{
	long column;

	if (!t->nearest && !(t->nearest = calloc(1, sizeof(*t->nearest))))
		return rules_nearest(t, key);
	if (nearest_get(t->nearest, key, &column))
		return column >= 0 ? t->columns[column].name : NULL;
	const char *name = rules_nearest(t, key);
	nearest_put(t->nearest, key, name ? table_named(t, name) : -1);
	return name;
}

int rules_may_add(struct table *t, struct span key, struct xt_err *err)
{
	if (!t->frozen)
		return 0;
	const char *nearest = remembered_nearest(t, key);
	return xt_err_set(
		err, XT_E_frozen_schema, NULL,
		"table '%.100s' is frozen and has no column '%.*s'%s%.64s%s; to let new columns in: "
		"xtctl schema thaw",
		t->name, (int)(key.len < 100 ? key.len : 100), (const char *)key.data,
		nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'" : "");
}

/* What is in no column yet will be in one of that name. */
static bool brings(const struct table *t, const char *required, struct span key)
{
	long column = table_column(t, key);
	char name[IDENT_SIZE];
	struct xt_err ignored;

	if (column >= 0)
		return sqlite3_stricmp(t->columns[column].name, required) == 0;
	return ident_column(key, name, &ignored) == 0 && sqlite3_stricmp(name, required) == 0;
}

static int refuse(const struct table *t, const char *column, const char *why, struct xt_err *err)
{
	return xt_err_set(err, XT_E_missing_column, column,
			  "the row %s '%s', which table '%.100s' requires; to do without: xtctl schema "
			  "require --drop",
			  why, column, t->name);
}

int rules_has_required(const struct table *t, const struct span *keys, size_t n, struct xt_err *err)
{
	for (size_t i = 0; i < t->n_required; i++) {
		size_t k = 0;
		while (k < n && !brings(t, t->required[i], keys[k]))
			k++;
		if (k == n)
			return refuse(t, t->required[i], "lacks column", err);
	}
	return 0;
}

int rules_refuse_null(const struct table *t, const struct column *c, struct xt_err *err)
{
	return refuse(t, c->name, "has no value for column", err);
}
