/* backup, backup_step: a copy of the database, on a thread of the query pool. */
#include "backup.h"
#include "handle.h"
#include "reader.h"

#define STEP_PAGES 256

static int sql_fail(struct cursor *c, struct xt_err *err)
{
	return guard_fail(&c->db->guard, c->db->db, err);
}

/* A read transaction lives as long as a statement that has read something. */
static int hold_snapshot(struct cursor *c, struct xt_err *err)
{
	if (sqlite3_prepare_v3(c->db->db, "SELECT count(*) FROM sqlite_schema", -1, 0, &c->st, NULL) !=
		    SQLITE_OK ||
	    sqlite3_step(c->st) != SQLITE_ROW)
		return sql_fail(c, err);
	return 0;
}

static int read_number(struct cursor *c, const char *sql, uint64_t *ret, struct xt_err *err)
{
	sqlite3_stmt *st = NULL;

	int rc = sqlite3_prepare_v3(c->db->db, sql, -1, 0, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : sql_fail(c, err);
}

int handle_backup(struct cursor *c, const struct params_backup *p, struct result_backup *ret,
		  struct xt_err *err)
{
	bool compact = HAS_PARAM(p, backup, compact) && p->compact;
	bool replace = HAS_PARAM(p, backup, replace) && p->replace;
	uint64_t unused = 0;

	if (hold_snapshot(c, err) < 0 || read_number(c, "PRAGMA page_count", &ret->total, err) < 0 ||
	    read_number(c, "PRAGMA page_size", &ret->page_size, err) < 0 ||
	    read_number(c, "PRAGMA freelist_count", &unused, err) < 0)
		return -1;
	if (compact)
		ret->total -= unused;
	c->backup = backup_new(c->db->db, c->path, p->path, compact, replace, err);
	return c->backup ? 0 : -1;
}

int handle_backup_step(struct cursor *c, const struct params_backup_step *p, struct result_backup_step *ret,
		       struct xt_err *err)
{
	int pages = HAS_PARAM(p, backup_step, pages) ? (int)p->pages : STEP_PAGES;

	if (!c->backup)
		return xt_err_set(err, XT_E_bad_type, "cursor", "%u is %s, not a backup", (unsigned)p->cursor,
				  c->st ? "a query" : "a transfer of an asset");
	if (backup_step(c->backup, pages, &c->cancelled, &ret->remaining, &ret->bytes, err) < 0)
		return -1;
	ret->done = ret->bytes > 0;
	if (ret->done) {
		sqlite3_finalize(c->st);
		c->st = NULL; /* which closes the cursor */
	}
	return 0;
}
