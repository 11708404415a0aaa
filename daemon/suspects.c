#include "suspects.h"

#include <stdlib.h>
#include <time.h>

#include "rules.h"
#include "similar.h"

#define BEST	     3	   /* old names that a new one is held against in the end */
#define MAX_PAIRS    24	   /* that one row gives rise to */
#define BUDGET	     20000 /* names that one row has compared: a row of many columns is no rename */
#define SAMPLE	     1000  /* rows at each end of a run that say what it logs … */
#define JUDGE_SAMPLE 10000 /* … when it has ended */
#define RECENT	     10000 /* rows among which the run before is looked for */
#define LOOK_NS	     INT64_C(300000000) /* for which rows are looked at, where no index leads to a run's */
#define JUDGED	     32			/* pairs that are judged in a turn */

/* A new column and one that it may be. */
struct pair {
	size_t name, old; /* columns */
	double similarity;
};

/* ---- looking at rows -------------------------------------------------- */

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

static void add_columns(struct buf *sql, const struct table *t, const size_t *columns, size_t n,
			const char *call)
{
	for (size_t i = 0; i < n; i++) {
		buf_printf(sql, "%s%s", i ? ", " : "", call);
		ident_quote(sql, t->columns[columns[i]].name);
		buf_add_str(sql, call[0] ? ")" : "");
	}
}

/* What some columns have in the first and last rows of a run. */
struct seen {
	int64_t rows; /* that were looked at; -1: it took too long */
	int64_t has[MAX_PAIRS];
};

/* The first and the last rows; of a table without rowids just some. */
static sqlite3_stmt *prepare_look(struct store *s, const struct table *t, const size_t *columns, size_t n,
				  int sample, bool ordered)
{
	static const char *const orders[] = {" ORDER BY rowid", " ORDER BY rowid DESC"};
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	buf_add_str(&sql, "SELECT count(*), ");
	add_columns(&sql, t, columns, n, "count(");
	buf_add_str(&sql, " FROM (");
	for (size_t i = 0; i < (ordered ? 2 : 1); i++) {
		buf_add_str(&sql, i ? " UNION ALL SELECT * FROM (SELECT " : "SELECT * FROM (SELECT ");
		add_columns(&sql, t, columns, n, "");
		buf_add_str(&sql, " FROM ");
		ident_quote(&sql, t->name);
		buf_printf(&sql, " WHERE \"track_id\" = ?1%s LIMIT %d)", ordered ? orders[i] : "", sample);
	}
	buf_add_str(&sql, ")");
	if (!buf_failed(&sql))
		sqlite3_prepare_v3(s->db, (const char *)sql.data, (int)sql.len, 0, &st, NULL);
	buf_done(&sql);
	return st;
}

static void look_at_run(struct store *s, const struct table *t, struct span track_id, const size_t *columns,
			size_t n, int sample, struct seen *ret)
{
	sqlite3_stmt *st = prepare_look(s, t, columns, n, sample, true);

	*ret = (struct seen){.rows = -1};
	if (!st)
		st = prepare_look(s, t, columns, n, sample, false);
	if (!st)
		return;
	store_bind(st, 1, track_id);
	if (look(s, st) == SQLITE_ROW) {
		ret->rows = sqlite3_column_int64(st, 0);
		for (size_t i = 0; i < n; i++)
			ret->has[i] = sqlite3_column_int64(st, (int)i + 1);
	}
	sqlite3_finalize(st);
}

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

/* The run whose rows lie before this one's; or, where this one has logged for long, the one that started last
 * of those that are known. "": there is none. */
static int last_run(struct store *s, const struct table *t, struct span track_id,
		    char ret[XT_MAX_TRACK_ID + 1], struct xt_err *err)
{
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	memset(ret, 0, XT_MAX_TRACK_ID + 1);
	buf_add_str(&sql, "SELECT \"track_id\" FROM (SELECT \"track_id\" FROM ");
	ident_quote(&sql, t->name);
	buf_printf(&sql, " ORDER BY rowid DESC LIMIT %d) WHERE \"track_id\" <> ?1 LIMIT 1", RECENT);
	if (!buf_failed(&sql) &&
	    sqlite3_prepare_v3(s->db, (const char *)sql.data, (int)sql.len, 0, &st, NULL) == SQLITE_OK) {
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

/* ---- noticing --------------------------------------------------------- */

/* What of the names must be known to find those that are alike. */
struct names {
	struct similar *all; /* owned: of each column */
	bool *out;	     /* owned: no candidates, since the row has them or nobody renames them */
};

/* Columns that libraries and the daemon fill by themselves: nobody renames them, and they are like each
 * other. */
static bool is_ours(const char *name)
{
	static const char *const ours[] = {
		"function_name", "function_time", "function_result", "args",
		"kwargs",	 "error",	  "error_type",	     "cache",
		"cpu",		 "cpu_percent",	  "ram_percent",     "memory_percent",
		"disk_percent",	 "bytes_sent",	  "bytes_recv",	     "p_memory_percent"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (sqlite3_stricmp(name, ours[i]) == 0)
			return true;
	return false;
}

static int names_of(const struct table *t, const struct span *keys, size_t n, struct names *ret)
{
	ret->all = calloc(t->n_columns, sizeof(*ret->all));
	ret->out = calloc(t->n_columns, sizeof(*ret->out));
	if (!ret->all || !ret->out)
		return -1;
	for (size_t i = 0; i < t->n_columns; i++) {
		similar_of(&ret->all[i], span_str(t->columns[i].name));
		ret->out[i] = !t->columns[i].key.data || is_ours(t->columns[i].name);
	}
	for (size_t i = 0; i < n; i++) {
		long column = table_column(t, keys[i]);
		if (column >= 0)
			ret->out[column] = true;
	}
	return 0;
}

/* The old columns most like a new one, the best first. How many. ret is zeroed. */
static size_t find_best(const struct table *t, const struct names *names, size_t first, size_t name,
			unsigned *budget, struct pair ret[BEST])
{
	size_t n = 0;

	for (size_t old = 0; old < first; old++) {
		size_t at = BEST;
		double alike =
			names->out[old] ? 0 : similar_names(&names->all[name], &names->all[old], budget);
		/* Of two that are as much alike, the one of the same kind. */
		if (alike > 0 && t->columns[name].kind == t->columns[old].kind)
			alike += 0.001;
		for (; at > 0 && alike > ret[at - 1].similarity; at--)
			if (at < BEST)
				ret[at] = ret[at - 1];
		if (at < BEST)
			ret[at] = (struct pair){name, old, alike};
	}
	while (n < BEST && ret[n].similarity > 0)
		n++;
	return n;
}

static int is_accepted(struct store *s, const struct table *t, const struct pair *p, bool *ret,
		       struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_SUSPECT_GET, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, t->columns[p->name].name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, t->columns[p->old].name, -1, SQLITE_STATIC);
	int r = store_step(s, st, err);
	*ret = r > 0 && span_is(store_text(st, 0), "accepted");
	sqlite3_reset(st);
	return r < 0 ? -1 : 0;
}

/* Pairs of new and old columns whose names are alike. */
static int find_pairs(struct row_source *src, size_t first, const struct span *keys, size_t n,
		      struct pair ret[MAX_PAIRS], size_t *ret_n, struct xt_err *err)
{
	const struct table *t = src->table;
	struct names names = {0};
	unsigned budget = BUDGET;
	int r = 0;

	*ret_n = 0;
	if (names_of(t, keys, n, &names) < 0)
		r = xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	for (size_t i = first; r == 0 && i < t->n_columns && budget > 0; i++) {
		struct pair best[BEST] = {{0}};
		bool named = t->columns[i].key.data && !is_ours(t->columns[i].name);
		size_t found = named ? find_best(t, &names, first, i, &budget, best) : 0;
		for (size_t k = 0; r == 0 && k < found && *ret_n < MAX_PAIRS; k++) {
			bool accepted = false;
			r = is_accepted(src->store, t, &best[k], &accepted, err);
			if (r == 0 && !accepted)
				ret[(*ret_n)++] = best[k];
		}
	}
	free(names.all);
	free(names.out);
	return r;
}

static int put(struct row_source *src, const struct pair *p, const char *state, struct xt_err *err)
{
	const struct table *t = src->table;
	sqlite3_stmt *st = rules_stmt(src->store, STMT_SUSPECT_PUT, t->name, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 2, t->columns[p->name].name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, t->columns[p->old].name, -1, SQLITE_STATIC);
	sqlite3_bind_double(st, 4, p->similarity < 1 ? p->similarity : 1);
	sqlite3_bind_text(st, 5, state, -1, SQLITE_STATIC);
	store_bind(st, 6, src->track_id);
	rules_bind_now(src->store, st, 7);
	return store_run(src->store, st, err);
}

static void warn(struct warnings *w, const struct table *t, const char *name, const char *old,
		 const char *why)
{
	bool named = sqlite3_stricmp(t->name, "events") != 0;
	const char *flag = named ? " --table " : "", *table = named ? t->name : "";

	table_warn(w, "similar_column", t, name,
		   "column '%s' is new in table '%s' and its name is like '%s', which %s; if it was renamed: "
		   "xtctl schema rename DB %s %s%s%s; if not: xtctl schema accept DB %s%s%s",
		   name, t->name, old, why, old, name, flag, table, name, flag, table);
}

int suspects_notice(struct row_source *src, size_t first, const struct span *keys, size_t n,
		    struct xt_err *err)
{
	const struct table *t = src->table;
	struct pair pairs[MAX_PAIRS];
	size_t n_pairs, columns[MAX_PAIRS], told = SIZE_MAX;
	char last[XT_MAX_TRACK_ID + 1];
	struct seen mine, before = {0};

	if (find_pairs(src, first, keys, n, pairs, &n_pairs, err) < 0)
		return -1;
	if (n_pairs == 0)
		return 0;
	for (size_t i = 0; i < n_pairs; i++)
		columns[i] = pairs[i].old;
	if (last_run(src->store, t, src->track_id, last, err) < 0)
		return -1;
	look_at_run(src->store, t, src->track_id, columns, n_pairs, SAMPLE, &mine);
	if (last[0])
		look_at_run(src->store, t, span_str(last), columns, n_pairs, SAMPLE, &before);
	for (size_t i = 0; i < n_pairs; i++) {
		const struct pair *p = &pairs[i];
		if (mine.has[i] > 0)
			continue; /* the run has both */
		if (strlen(t->columns[p->old].name) >= IDENT_SIZE)
			continue; /* of another program, and longer than any key becomes */
		bool early = before.rows > 0 && before.has[i] == before.rows && told != p->name;
		if (put(src, p, early ? "early" : "waiting", err) < 0)
			return -1;
		src->store->unjudged = true;
		if (!early)
			continue;
		told = p->name;
		warn(&src->warnings, t, t->columns[p->name].name, t->columns[p->old].name,
		     "the run before had in every row and this row lacks");
	}
	return 0;
}

/* ---- judging ---------------------------------------------------------- */

/* What was noticed, copied: judging it changes the table that it was read from. */
struct suspect {
	char table[IDENT_SIZE], name[IDENT_SIZE], old[IDENT_SIZE];
	char track_id[XT_MAX_TRACK_ID + 1];
	bool early; /* told at once */
};

static void copy_text(sqlite3_stmt *st, int i, char *ret, size_t size)
{
	struct span text = store_text(st, i);

	snprintf(ret, size, "%.*s", SPAN_ARG(text));
}

/* Those whose runs have ended. How many; -1. */
static int read_ended(struct store *s, struct suspect *list, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_SUSPECTS_ENDED, err);
	int row, n = 0;

	if (!st)
		return -1;
	sqlite3_bind_int(st, 1, JUDGED);
	while ((row = store_step(s, st, err)) > 0) {
		struct suspect *p = &list[n++];
		copy_text(st, 0, p->table, sizeof(p->table));
		copy_text(st, 1, p->name, sizeof(p->name));
		copy_text(st, 2, p->old, sizeof(p->old));
		p->early = span_is(store_text(st, 4), "early");
		copy_text(st, 5, p->track_id, sizeof(p->track_id));
	}
	return row < 0 ? -1 : n;
}

/* The run has ended and never logged the old column, though it is there. */
static bool stands(struct store *s, const struct table *t, const struct suspect *p)
{
	long name = table_named(t, p->name), old = table_named(t, p->old);
	struct seen seen;

	if (name < 0 || old < 0)
		return false;
	size_t column = (size_t)old;
	look_at_run(s, t, span_str(p->track_id), &column, 1, JUDGE_SAMPLE, &seen);
	return seen.rows != 0 && seen.has[0] == 0;
}

static int settle(struct store *s, const struct suspect *p, bool open, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, open ? STMT_SUSPECT_STATE : STMT_SUSPECT_DROP, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, p->table, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, p->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, p->old, -1, SQLITE_STATIC);
	if (open)
		sqlite3_bind_text(st, 4, "open", -1, SQLITE_STATIC);
	return store_run(s, st, err);
}

/* Of the old names that a new one may have had, the first that stands: they come in that order. */
static int judge(struct store *s, const struct suspect *p, const struct suspect **stood, struct warnings *w,
		 struct xt_err *err)
{
	bool again = *stood && strcmp((*stood)->table, p->table) == 0 && strcmp((*stood)->name, p->name) == 0;
	const struct table *t = again ? NULL : table_find(s, span_str(p->table), err);

	if (s->trouble != TROUBLE_NONE)
		return -1;
	bool open = t && !t->absent && stands(s, t, p);
	if (open)
		*stood = p;
	if (open && !p->early && w && w->out)
		warn(w, t, p->name, p->old, "this run never had");
	return settle(s, p, open, err);
}

int suspects_judge(struct store *s, struct warnings *w, struct xt_err *err)
{
	struct suspect *list;
	int n = JUDGED, r = 0;

	if (!s->unjudged || s->read_only)
		return 0;
	if (!(list = calloc(JUDGED, sizeof(*list))))
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	sqlite3_int64 before = -1;
	/* Until a round settles nothing: names that are cut cannot be. */
	while (r == 0 && n == JUDGED && sqlite3_total_changes64(s->db) != before) {
		const struct suspect *stood = NULL;
		before = sqlite3_total_changes64(s->db);
		n = read_ended(s, list, err);
		for (int i = 0; r == 0 && i < n; i++)
			r = judge(s, &list[i], &stood, w, err);
	}
	free(list);
	if (r < 0 || n < 0)
		return -1;
	sqlite3_stmt *st = store_stmt(s, STMT_SUSPECTS_UNJUDGED, err);
	int row = st ? store_step(s, st, err) : -1;
	if (row < 0)
		return -1;
	sqlite3_reset(st);
	s->unjudged = row > 0;
	return 0;
}
