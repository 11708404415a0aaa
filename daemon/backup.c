#include "backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guard.h"
#include "store.h"

#define CACHE_KIB 2048 /* of the copy's connection: what it may hold back */
#define BUSY_MS	  5000
#define PIECE	  256 /* pages between two looks whether it is cancelled */

static int fail(const struct backup *b, sqlite3 *db, int rc, struct xt_err *err)
{
	const char *why = db && sqlite3_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
	enum xt_code code = store_code(rc);

	if (code != XT_E_corrupt && code != XT_E_not_a_database && code != XT_E_cancelled)
		code = XT_E_file_error;
	return xt_err_set(err, code, NULL, "cannot copy the database to '%.400s': %s", b->part.final, why);
}

/* ---- page by page ----------------------------------------------------- */

/* Nobody else sees the part, so its connection needs neither journal nor syncs: who dies starts anew. */
static int open_copy(struct backup *b, sqlite3 *from, struct xt_err *err)
{
	char sql[120];

	snprintf(sql, sizeof(sql),
		 "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -%d", CACHE_KIB);
	int rc = sqlite3_open_v2(b->part.path, &b->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(b->to, sql, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return fail(b, b->to, rc, err);
	b->pages = sqlite3_backup_init(b->to, "main", from, "main");
	return b->pages ? 0 : fail(b, b->to, sqlite3_errcode(b->to), err);
}

static int end_copy(struct backup *b, struct xt_err *err)
{
	int rc = sqlite3_backup_finish(b->pages);

	b->pages = NULL;
	if (rc != SQLITE_OK)
		return fail(b, b->to, rc, err);
	rc = sqlite3_close(b->to);
	if (rc != SQLITE_OK)
		return fail(b, b->to, rc, err);
	b->to = NULL;
	return 1;
}

/* 1: all are copied, 0: more are to come. */
static int copy_pages(struct backup *b, int pages, const atomic_bool *cancelled, uint64_t *ret_remaining,
		      struct xt_err *err)
{
	int rc = SQLITE_OK;

	for (; rc == SQLITE_OK && pages > 0; pages -= PIECE) {
		if (atomic_load(cancelled))
			return xt_err_set(err, XT_E_cancelled, NULL, "the backup was cancelled");
		rc = sqlite3_backup_step(b->pages, pages < PIECE ? pages : PIECE);
		/* Out to the disk as they come: at the end there is little to wait for, and no writer's sync
		 * has to wait for all of it. */
		sync_file_range(b->part.fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE);
	}
	if (rc != SQLITE_OK && rc != SQLITE_DONE)
		return fail(b, b->to, rc, err);
	*ret_remaining = (uint64_t)sqlite3_backup_remaining(b->pages);
	return rc == SQLITE_DONE ? end_copy(b, err) : 0;
}

/* ---- written anew ----------------------------------------------------- */

/* On a connection of its own: those of the pool cannot attach, and VACUUM refuses to run beside another
 * statement. */
static int write_anew(const struct backup *b, atomic_bool *cancelled, struct xt_err *err)
{
	struct guard guard = {0};
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;

	int rc = store_open_reader(b->database, &db);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(db, BUSY_MS);
		guard_install(&guard, db);
		guard_enter(&guard, GUARD_OURS, 0, cancelled);
		rc = sqlite3_prepare_v3(db, "VACUUM INTO ?1", -1, 0, &st, NULL);
	}
	if (rc == SQLITE_OK) {
		sqlite3_bind_text(st, 1, b->part.path, -1, SQLITE_STATIC);
		rc = sqlite3_step(st);
	}
	int r = rc == SQLITE_DONE ? 1 : fail(b, db, rc, err);
	sqlite3_finalize(st);
	sqlite3_close_v2(db);
	return r;
}

/* ---- both ------------------------------------------------------------- */

struct backup *backup_new(sqlite3 *from, const char *database, struct span path, bool compact, bool replace,
			  struct xt_err *err)
{
	struct backup *b = calloc(1, sizeof(*b));

	if (!b) {
		xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
		return NULL;
	}
	b->database = database;
	b->compact = compact;
	if (part_open(&b->part, path, database, replace, err) < 0 ||
	    (!compact && open_copy(b, from, err) < 0)) {
		backup_free(b);
		return NULL;
	}
	return b;
}

/* Read and write version 1: a file without a -wal, which also opens where nothing can be written beside it.
 * The daemon that serves it makes it WAL again. */
static int finish(struct backup *b, uint64_t *ret_bytes, struct xt_err *err)
{
	struct stat st;

	if (pwrite(b->part.fd, "\1\1", 2, 18) != 2 || fstat(b->part.fd, &st) < 0)
		return xt_err_set(err, XT_E_file_error, NULL, "cannot write '%.400s': %s", b->part.final,
				  strerror(errno));
	*ret_bytes = (uint64_t)st.st_size;
	return part_finish(&b->part, b->database, err);
}

int backup_step(struct backup *b, int pages, atomic_bool *cancelled, uint64_t *ret_remaining,
		uint64_t *ret_bytes, struct xt_err *err)
{
	int r = b->compact ? write_anew(b, cancelled, err)
			   : copy_pages(b, pages, cancelled, ret_remaining, err);

	return r == 1 ? finish(b, ret_bytes, err) : r;
}

void backup_free(struct backup *b)
{
	if (!b)
		return;
	if (b->pages)
		sqlite3_backup_finish(b->pages);
	sqlite3_close_v2(b->to);
	part_done(&b->part);
	free(b);
}
