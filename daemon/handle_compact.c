/* compact: VACUUM, on the writer thread, between two batches. */
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "handle.h"
#include "numbers.h"

#define READERS_MS 2000 /* that short queries are waited for; writers wait too */

/* ---- room ------------------------------------------------------------- */

/* Where SQLite puts the file that it sorts the database into; "." is not ours to fill. */
static const char *temp_dir(void)
{
	const char *const dirs[] = {getenv("SQLITE_TMPDIR"), getenv("TMPDIR"), "/var/tmp", "/usr/tmp",
				    "/tmp"};
	struct stat st;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (dirs[i] && stat(dirs[i], &st) == 0 && S_ISDIR(st.st_mode) &&
		    access(dirs[i], W_OK | X_OK) == 0)
			return dirs[i];
	return ".";
}

static int check_room(const char *where, uint64_t need, struct xt_err *err)
{
	struct statvfs fs;

	if (statvfs(where, &fs) < 0)
		return 0; /* SQLite will say */
	uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room >= need)
		return 0;
	return xt_err_set(err, XT_E_disk_full, NULL,
			  "compacting needs %llu MiB for a while where '%.200s' is, and %llu MiB are free",
			  (unsigned long long)(need >> 20) + 1, where, (unsigned long long)(room >> 20));
}

/* Twice what is used: once in a temporary file, once in the write-ahead log. */
static int check_rooms(const struct store *s, uint64_t used, struct xt_err *err)
{
	const char *temp = temp_dir();
	struct stat a, b;
	bool same = stat(s->path, &a) == 0 && stat(temp, &b) == 0 && a.st_dev == b.st_dev;

	if (check_room(s->path, same ? 2 * used : used, err) < 0)
		return -1;
	return same ? 0 : check_room(temp, used, err);
}

/* ---- the method ------------------------------------------------------- */

static int read_number(struct store *s, const char *sql, uint64_t *ret, struct xt_err *err)
{
	sqlite3_stmt *st = NULL;

	int rc = sqlite3_prepare_v3(s->db, sql, -1, 0, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : store_fail(s, err);
}

static int put_wal_back(struct store *s, struct xt_err *err)
{
	int rc = store_empty_wal(s, READERS_MS);

	if (rc == SQLITE_BUSY)
		return xt_err_set(err, XT_E_busy, NULL,
				  "a query, a backup or another program still reads an older state of the "
				  "database, which could not become smaller; try again when it has ended");
	return rc == SQLITE_OK ? 0 : store_fail(s, err);
}

static int vacuum(struct store *s, struct xt_err *err)
{
	if (sqlite3_exec(s->db, "VACUUM", NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	if (sqlite3_errcode(s->db) == SQLITE_INTERRUPT)
		return xt_err_set(err, XT_E_stopping, NULL, "the daemon is stopping; nothing was changed");
	return store_fail(s, err);
}

/* What fails when the indexes are dropped is no failure of what was done before: the next start drops them.
 * But a disk that failed is. */
static int release(struct store *s, int r, struct xt_err *err)
{
	enum trouble before = s->trouble;
	struct xt_err second;

	s->trouble = TROUBLE_NONE;
	int released = numbers_release(s, &second);
	if (s->trouble != TROUBLE_FATAL) {
		s->trouble = before;
		return r;
	}
	if (r == 0)
		*err = second;
	return released;
}

static int vacuum_numbered(struct store *s, struct xt_err *err)
{
	int r = numbers_keep(s, err);

	if (r == 0)
		r = vacuum(s, err);
	return s->trouble == TROUBLE_FATAL ? -1 : release(s, r, err);
}

int handle_compact(struct work *w, const struct params_compact *p, struct result_compact *ret,
		   struct xt_err *err)
{
	struct store *s = w->store;
	uint64_t page = 0, pages = 0, unused = 0;

	(void)p;
	if (put_wal_back(s, err) < 0 || read_number(s, "PRAGMA page_size", &page, err) < 0 ||
	    read_number(s, "PRAGMA page_count", &pages, err) < 0 ||
	    read_number(s, "PRAGMA freelist_count", &unused, err) < 0)
		return -1;
	ret->before = pages * page;
	if (check_rooms(s, (pages - unused) * page, err) < 0 || vacuum_numbered(s, err) < 0)
		return -1;
	/* Who began to read meanwhile, or a full disk, only delays it. A disk that failed is fatal. */
	if (put_wal_back(s, err) < 0 && s->trouble == TROUBLE_FATAL)
		return -1;
	if (read_number(s, "PRAGMA page_count", &pages, err) < 0)
		return -1;
	ret->after = pages * page;
	return 0;
}
