#include "tally.h"

#include <stdlib.h>

#include "epoch.h"
#include "layout.h"
#include "preupdate.h"
#include "table.h"

#define BUCKETS 1024

struct entry {
	char *track_id;		    /* owned */
	uint64_t inserted, deleted; /* rows */
	struct entry *next;	    /* in its bucket */
};

/* Where a table of rows has its track_id, and what becomes of its numbers. */
struct place_of_id {
	char *table;	      /* owned */
	int declared, stored; /* the column's number in the table, and among those that are stored */
	int64_t before;	      /* the highest number when the tally began */
	int64_t top;	      /* the highest that there was since */
	int64_t deleted;      /* the lowest that was deleted */
	int64_t low;	      /* numbers above it were used again */
	bool dropped;	      /* as a whole */
};

struct tally {
	struct store *store; /* borrowed */
	struct entry *buckets[BUCKETS];
	struct place_of_id *places; /* owned: n_places of them */
	size_t n_places;
	struct preupdate preupdate; /* known once any table has two such numbers */
	bool failed;		    /* out of memory inside the hook, which can tell nobody */
};

static struct entry *find(struct tally *t, struct span track_id)
{
	struct entry **head = &t->buckets[span_hash(track_id) % BUCKETS];

	for (struct entry *e = *head; e; e = e->next)
		if (span_is(track_id, e->track_id))
			return e;
	struct entry *e = calloc(1, sizeof(*e));
	if (e)
		e->track_id = strndup((const char *)track_id.data, track_id.len);
	if (!e || !e->track_id) {
		free(e);
		t->failed = true;
		return NULL;
	}
	e->next = *head;
	*head = e;
	return e;
}

static void count(struct tally *t, sqlite3_value *v, uint64_t inserted, uint64_t deleted)
{
	if (!v || sqlite3_value_type(v) != SQLITE_TEXT)
		return; /* of no run */
	const void *text = sqlite3_value_text(v);
	struct span track_id = span_of(text, (size_t)sqlite3_value_bytes(v));
	if (track_id.len > 0 && memchr(track_id.data, 0, track_id.len))
		return; /* nor is this: a log refuses such names */
	struct entry *e = find(t, track_id);
	if (!e)
		return;
	e->inserted += inserted;
	e->deleted += deleted;
}

/* A row that goes and one that comes, for a change of its number. */
static void note_number(struct place_of_id *p, bool goes, int64_t old_id, bool comes, int64_t new_id)
{
	if (p->before == EPOCH_NO_TOP)
		return;
	if (goes && old_id < p->deleted)
		p->deleted = old_id;
	if (comes && new_id <= p->top && new_id >= p->deleted && new_id <= p->low)
		p->low = new_id - 1;
	if (comes && new_id > p->top)
		p->top = new_id;
}

static int index_of(const struct tally *t, const struct place_of_id *p, enum preupdate_value v)
{
	return preupdate_index(&t->preupdate, p->before == EPOCH_NO_TOP, v, p->declared, p->stored);
}

static void on_change(void *data, sqlite3 *db, int op, const char *database, const char *table,
		      sqlite3_int64 old_id, sqlite3_int64 new_id)
{
	struct tally *t = data;
	sqlite3_value *old_value = NULL, *new_value = NULL;
	size_t i = 0;

	(void)database;
	while (i < t->n_places && strcmp(t->places[i].table, table) != 0)
		i++;
	if (i == t->n_places)
		return;
	const struct place_of_id *p = &t->places[i];
	if (op != SQLITE_UPDATE || old_id != new_id)
		note_number(&t->places[i], op != SQLITE_INSERT, old_id, op != SQLITE_DELETE, new_id);
	if (op != SQLITE_INSERT)
		sqlite3_preupdate_old(db, index_of(t, p, PREUPDATE_OLD), &old_value);
	if (op != SQLITE_DELETE)
		sqlite3_preupdate_new(
			db, index_of(t, p, op == SQLITE_INSERT ? PREUPDATE_INSERTED : PREUPDATE_UPDATED),
			&new_value);
	count(t, old_value, 0, 1);
	count(t, new_value, 1, 0);
}

static int find_places(struct tally *t, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(t->store, STMT_TRACK_ID_COLUMNS, err);
	bool virtuals = false;
	int row;

	if (!st)
		return -1;
	while ((row = store_step(t->store, st, err)) > 0) {
		int64_t top = EPOCH_NO_TOP;
		struct place_of_id *more = realloc(t->places, (t->n_places + 1) * sizeof(*more));
		char *name = strdup((const char *)sqlite3_column_text(st, 0));
		if (more)
			t->places = more;
		if (!more || !name) {
			free(name);
			sqlite3_reset(st);
			return xt_err_set(err, XT_E_internal, NULL, "out of memory");
		}
		t->places[t->n_places++] =
			(struct place_of_id){.table = name, .declared = sqlite3_column_int(st, 1)};
		t->places[t->n_places - 1].stored = sqlite3_column_int(st, 1) - sqlite3_column_int(st, 2);
		virtuals = virtuals || sqlite3_column_int(st, 2) > 0;
		if (epoch_top(t->store, name, &top, err) < 0) {
			sqlite3_reset(st);
			return -1;
		}
		struct place_of_id *p = &t->places[t->n_places - 1];
		p->before = p->top = top;
		p->deleted = p->low = INT64_MAX;
	}
	return row == 0 && virtuals ? preupdate_learn(&t->preupdate, err) : row;
}

static void tally_free(struct tally *t)
{
	sqlite3_preupdate_hook(t->store->db, NULL, NULL);
	for (size_t i = 0; i < BUCKETS; i++)
		while (t->buckets[i]) {
			struct entry *e = t->buckets[i];
			t->buckets[i] = e->next;
			free(e->track_id);
			free(e);
		}
	for (size_t i = 0; i < t->n_places; i++)
		free(t->places[i].table);
	free(t->places);
	free(t);
}

struct tally *tally_begin(struct store *s, struct xt_err *err)
{
	struct tally *t = calloc(1, sizeof(*t));

	if (!t) {
		xt_err_set(err, XT_E_internal, NULL, "out of memory");
		return NULL;
	}
	t->store = s;
	if (find_places(t, err) < 0) {
		tally_free(t);
		return NULL;
	}
	sqlite3_preupdate_hook(s->db, on_change, t);
	return t;
}

/* Rows of a whole table, by run. */
static int count_table(struct tally *t, const char *table, bool created, struct xt_err *err)
{
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;
	int rc;

	buf_add_str(&sql, "SELECT track_id, count(*) FROM ");
	ident_quote(&sql, table);
	buf_add_str(&sql, " GROUP BY 1");
	rc = sqlite3_prepare_v3(t->store->db, (const char *)sql.data, (int)sql.len, 0, &st, NULL);
	buf_done(&sql);
	if (rc != SQLITE_OK)
		return 0; /* it has no runs: there is no such column */
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t n = (uint64_t)sqlite3_column_int64(st, 1);
		count(t, sqlite3_column_value(st, 0), created ? n : 0, created ? 0 : n);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : store_fail(t->store, err);
}

/* There was such a table, with runs in it, when the tally began. */
static struct place_of_id *place_of(const struct tally *t, const char *table)
{
	for (size_t i = 0; i < t->n_places; i++)
		if (sqlite3_stricmp(t->places[i].table, table) == 0)
			return &t->places[i];
	return NULL;
}

int tally_dropped(struct tally *t, const char *table, struct xt_err *err)
{
	struct place_of_id *p = place_of(t, table);

	if (!p)
		return 0;
	p->dropped = true;
	return count_table(t, table, false, err);
}

int tally_created(struct tally *t, const char *table, struct xt_err *err)
{
	return place_of(t, table) ? 0 : count_table(t, table, true, err); /* IF NOT EXISTS makes none */
}

/* Tables that numbers are used again in, or will be. */
static int begin_epochs(struct tally *t, struct xt_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n_places; i++) {
		const struct place_of_id *p = &t->places[i];
		int64_t now = 0;
		if (!p->dropped && p->top != EPOCH_NO_TOP)
			epoch_keep(t->store, p->table, p->top);
		if (p->deleted == INT64_MAX && !p->dropped)
			continue;
		if (!p->dropped)
			r = epoch_top(t->store, p->table, &now, err);
		if (r == 0 && now != EPOCH_NO_TOP && (p->low < INT64_MAX || now < p->before))
			r = epoch_begin(t->store, p->table, p->low < now ? p->low : now, err);
	}
	return r;
}

/* Rows of runs that nobody started are there from now on: they are counted when one of them starts. */
static int note_foreign(struct store *s, struct xt_err *err)
{
	s->adopted = 1;
	return layout_set(s, "adopted", 1, err);
}

static int hand_over(struct tally *t, struct xt_err *err)
{
	bool foreign = false;

	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct entry *e = t->buckets[i]; e; e = e->next) {
			struct run *run = runs_find(t->store, span_str(e->track_id), err);
			if (!run)
				return -1;
			if (run->known)
				runs_change(t->store, run, e->inserted, e->deleted);
			foreign = foreign || (!run->known && e->inserted > 0);
		}
	return foreign ? note_foreign(t->store, err) : 0;
}

int tally_end(struct tally *t, bool keep, struct xt_err *err)
{
	if (!t)
		return 0;
	sqlite3_preupdate_hook(t->store->db, NULL, NULL);
	int r = keep ? hand_over(t, err) : 0;
	if (r == 0 && keep)
		r = begin_epochs(t, err);
	if (r == 0 && keep && t->failed)
		r = xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	tally_free(t);
	return r;
}
