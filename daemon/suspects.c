#include "suspects.h"

#include <stdlib.h>

#include "glance.h"
#include "rules.h"
#include "shell.h"
#include "similar.h"

#define BEST	     3		    /* old names that a new one is held against in the end */
#define MAX_PAIRS    GLANCE_COLUMNS /* that one row gives rise to */
#define BUDGET	     20000	    /* names that one row has compared: a row of many columns is no rename */
#define SAMPLE	     1000	    /* rows at each end of a run that say what it logs … */
#define JUDGE_SAMPLE 10000	    /* … when it has ended */
#define JUDGED	     32		    /* pairs that are judged in a turn */
#define MOST_PATH    300	    /* bytes of the database's path that a warning repeats */

/* A new column and one that it may be. */
struct pair {
	size_t name, old; /* columns */
	double similarity;
};

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

static void warn(const struct store *s, struct warnings *w, const struct table *t, const char *name,
		 const char *old, const char *why)
{
	char word[SHELL_BYTES(MOST_PATH)];
	/* Two that are longer would leave no room for the rest. */
	const char *db = shell_word(word, sizeof(word), s->path) == 0 ? word : "DB";
	bool named = sqlite3_stricmp(t->name, "events") != 0;
	const char *flag = named ? " --table " : "", *table = named ? t->name : "";

	table_warn(w, "similar_column", t, name,
		   "column '%s' is new in table '%s' and its name is like '%s', which %s; if it was renamed: "
		   "xtctl schema rename %s %s %s%s%s; if not: xtctl schema accept %s %s%s%s",
		   name, t->name, old, why, db, old, name, flag, table, db, name, flag, table);
}

int suspects_notice(struct row_source *src, size_t first, const struct span *keys, size_t n,
		    struct xt_err *err)
{
	const struct table *t = src->table;
	struct pair pairs[MAX_PAIRS];
	size_t n_pairs, columns[MAX_PAIRS], told = SIZE_MAX;
	char last[XT_MAX_TRACK_ID + 1];
	struct glance mine, before = {0};

	if (find_pairs(src, first, keys, n, pairs, &n_pairs, err) < 0)
		return -1;
	if (n_pairs == 0)
		return 0;
	for (size_t i = 0; i < n_pairs; i++)
		columns[i] = pairs[i].old;
	if (glance_run_before(src->store, t, src->track_id, last, err) < 0)
		return -1;
	glance_at_run(src->store, t, src->track_id, columns, n_pairs, SAMPLE, &mine);
	if (last[0])
		glance_at_run(src->store, t, span_str(last), columns, n_pairs, SAMPLE, &before);
	for (size_t i = 0; i < n_pairs; i++) {
		const struct pair *p = &pairs[i];
		if (mine.has[i] > 0)
			continue; /* the run has both */
		if (strlen(t->columns[p->old].name) >= IDENT_SIZE)
			continue; /* of another program, and longer than any key becomes */
		/* A run that was not seen may have both: that is judged at the end. */
		bool early = (mine.rows > 0 || mine.ends) && before.rows > 0 &&
			     before.has[i] == before.rows && told != p->name;
		if (put(src, p, early ? "early" : "waiting", err) < 0)
			return -1;
		src->store->unjudged = true;
		if (!early)
			continue;
		told = p->name;
		warn(src->store, &src->warnings, t, t->columns[p->name].name, t->columns[p->old].name,
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

/* Those of the list, from one on, that a single look tells of. */
struct looked {
	int from, to;
	struct glance seen;
};

static void look_at(struct store *s, const struct table *t, const struct suspect *list, int n, int i,
		    struct looked *ret)
{
	size_t columns[GLANCE_COLUMNS] = {0};
	const struct suspect *p = &list[i];
	int to = i;

	while (to < n && to - i < GLANCE_COLUMNS && strcmp(list[to].table, p->table) == 0 &&
	       strcmp(list[to].track_id, p->track_id) == 0) {
		long old = table_named(t, list[to].old);
		columns[to++ - i] = old < 0 ? 0 : (size_t)old;
	}
	ret->from = i;
	ret->to = to;
	glance_at_run(s, t, span_str(p->track_id), columns, (size_t)(to - i), JUDGE_SAMPLE, &ret->seen);
}

static int is_deleted(struct store *s, const char *track_id, bool *ret, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_RUN_GET, err);

	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, track_id, -1, SQLITE_STATIC);
	int row = store_step(s, st, err);
	*ret = row > 0 && span_is(store_text(st, 0), "deleted");
	sqlite3_reset(st);
	return row < 0 ? -1 : 0;
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

/* Whether the run, which has ended, never logged the old column, though it is there. One whose rows lie where
 * nobody looks counts as such: people will judge. */
static int stands(struct store *s, const struct table *t, const struct suspect *p, const struct glance *seen,
		  int64_t has, bool *ret, struct xt_err *err)
{
	bool deleted = false;

	*ret = table_named(t, p->name) >= 0 && table_named(t, p->old) >= 0 && has == 0 &&
	       (seen->rows > 0 || !seen->ends);
	if (*ret && seen->rows == 0 && is_deleted(s, p->track_id, &deleted, err) < 0)
		return -1;
	*ret = *ret && !deleted;
	return 0;
}

/* Of the old names that a new one may have had, the first that stands: they come in that order. */
static int judge(struct store *s, const struct suspect *list, int n, int i, struct looked *looked,
		 const struct suspect **stood, struct warnings *w, struct xt_err *err)
{
	const struct suspect *p = &list[i];
	bool again = *stood && strcmp((*stood)->table, p->table) == 0 && strcmp((*stood)->name, p->name) == 0;
	const struct table *t = again ? NULL : table_find(s, span_str(p->table), err);
	const struct glance *seen = &looked->seen;
	bool open = false;

	if (s->trouble != TROUBLE_NONE)
		return -1;
	if (t && !t->absent && i >= looked->to)
		look_at(s, t, list, n, i, looked);
	if (t && !t->absent && stands(s, t, p, seen, seen->has[i - looked->from], &open, err) < 0)
		return -1;
	if (open)
		*stood = p;
	if (open && seen->rows > 0 && !p->early && w && w->out)
		warn(s, w, t, p->name, p->old,
		     seen->ends ? "this run never had" : "the last rows of this run do not have");
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
		struct looked looked = {0};
		before = sqlite3_total_changes64(s->db);
		n = read_ended(s, list, err);
		for (int i = 0; r == 0 && i < n; i++)
			r = judge(s, list, n, i, &looked, &stood, w, err);
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
