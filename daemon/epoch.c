#include "epoch.h"

#include <stdlib.h>
#include <strings.h>

#include "table.h"

int epoch_top(struct store *s, const char *table, int64_t *ret, struct xt_err *err)
{
	struct buf sql = {0};
	sqlite3_stmt *st = NULL;

	buf_add_str(&sql, "SELECT max(_rowid_) FROM ");
	ident_quote(&sql, table);
	int rc = sqlite3_prepare_v3(s->db, (const char *)sql.data, (int)sql.len, 0, &st, NULL);
	buf_done(&sql);
	if (rc != SQLITE_OK) {
		*ret = EPOCH_NO_TOP; /* WITHOUT ROWID, or there is no such table any more */
		return 0;
	}
	int r = store_step(s, st, err);
	if (r > 0)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return r > 0 ? 0 : -1;
}

int epoch_begin(struct store *s, const char *table, int64_t top, struct xt_err *err)
{
	static const enum stmt_id steps[] = {STMT_EPOCH_ADD, STMT_EPOCH_PRUNE};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		sqlite3_stmt *st = store_stmt(s, steps[i], err);
		if (!st)
			return -1;
		sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 2, top);
		if (store_run(s, st, err) < 0)
			return -1;
	}
	return 0;
}

int epoch_look(struct store *s, const char *table, int64_t top, struct xt_err *err)
{
	int64_t now;

	if (top <= 0)
		return 0;
	if (epoch_top(s, table, &now, err) < 0)
		return -1;
	return now < top && now != EPOCH_NO_TOP ? epoch_begin(s, table, now, err) : 0;
}

/* ---- what is known -------------------------------------------------------- */

struct top {
	char *table; /* owned */
	int64_t top;
};

static struct top *find_top(const struct store *s, const char *table)
{
	for (size_t i = 0; i < s->n_tops; i++)
		if (strcasecmp(s->tops[i].table, table) == 0)
			return &s->tops[i];
	return NULL;
}

void epoch_keep(struct store *s, const char *table, int64_t top)
{
	struct top *known = find_top(s, table);

	if (known) {
		known->top = top;
		return;
	}
	struct top *more = reallocarray(s->tops, s->n_tops + 1, sizeof(*more));
	char *name = strdup(table);
	if (more)
		s->tops = more;
	if (!more || !name) {
		free(name); /* out of memory: it is as if nothing were known */
		return;
	}
	more[s->n_tops].table = name;
	more[s->n_tops++].top = top;
}

int64_t epoch_kept(const struct store *s, const char *table)
{
	const struct top *known = find_top(s, table);

	return known ? known->top : 0;
}

void epochs_done(struct store *s)
{
	for (size_t i = 0; i < s->n_tops; i++)
		free(s->tops[i].table);
	free(s->tops);
	s->tops = NULL;
	s->n_tops = 0;
}

void epoch_keep_all(struct store *s)
{
	struct buf names = {0};
	struct xt_err ignored;
	int64_t top;
	int r = tables_names(s, &names, &ignored);

	for (size_t at = 0; r == 0 && at < names.len;) {
		const char *name = (const char *)names.data + at;
		at += strlen(name) + 1;
		if (epoch_top(s, name, &top, &ignored) == 0 && top > 0)
			epoch_keep(s, name, top);
	}
	buf_done(&names);
}

/* ---- other programs ---------------------------------------------------- */

/* Changes with every commit, whoever makes it. */
static unsigned data_version(const struct store *s)
{
	unsigned version = 0;

	sqlite3_file_control(s->db, NULL, SQLITE_FCNTL_DATA_VERSION, &version);
	return version;
}

void epoch_committed(struct store *s)
{
	s->data_version = data_version(s);
}

int epoch_notice(struct store *s, struct xt_err *err)
{
	unsigned version = data_version(s);
	int r = 0;

	if (version == s->data_version)
		return 0;
	s->data_version = version;
	s->all_risen = true;
	for (size_t i = 0; i < s->n_tables; i++)
		if (s->tables[i]->top > 0)
			epoch_keep(s, s->tables[i]->name, s->tables[i]->top);
	for (size_t i = 0; r == 0 && i < s->n_tops; i++) {
		struct top *known = &s->tops[i];
		int64_t now = 0;
		r = epoch_look(s, known->table, known->top, err);
		if (r == 0)
			r = epoch_top(s, known->table, &now, err);
		if (r == 0 && now != EPOCH_NO_TOP) /* a table that is gone may come back, from number 1 on */
			known->top = now;
	}
	for (size_t i = 0; r == 0 && i < s->n_tables; i++)
		s->tables[i]->top = epoch_kept(s, s->tables[i]->name);
	return r;
}

void epoch_notice_only(struct store *s)
{
	struct xt_err ignored;
	sqlite3_stmt *st = store_stmt(s, STMT_SCHEMA_VERSION, &ignored); /* looks at the file */

	if (st)
		(void)!store_run(s, st, &ignored);
	unsigned version = data_version(s);
	s->all_risen = version != s->data_version;
	s->data_version = version;
}
