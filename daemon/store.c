#include "store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "asset.h"
#include "clients.h"
#include "crash.h"
#include "epoch.h"
#include "layout.h"
#include "numbers.h"
#include "rules.h"
#include "runs.h"
#include "table.h"

#define PAGE_SIZE     16384
#define CACHE_KIB     16384
#define BUSY_MS	      1000
#define START_BUSY_MS 8000		   /* below the 10 s that clients wait for a daemon to start */
#define WAL_LIMIT     (UINT64_C(64) << 20) /* bytes after which the WAL is put back between two batches */

static const char *const statements[] = {
#define STMT(name, sql) sql,
#include "statements.def"
};

static int64_t real_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- errors ----------------------------------------------------------- */

enum xt_code store_code(int sqlite_code)
{
	if (sqlite_code == SQLITE_IOERR_SHMSIZE) /* no room to let -shm grow */
		return XT_E_disk_full;
	switch (sqlite_code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return XT_E_ok;
	case SQLITE_FULL:
		return XT_E_disk_full;
	case SQLITE_IOERR:
	case SQLITE_PROTOCOL:
		return XT_E_io_error;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return XT_E_database_locked;
	case SQLITE_NOTADB:
		return XT_E_not_a_database;
	case SQLITE_CORRUPT:
		return XT_E_corrupt;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return XT_E_read_only;
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return XT_E_constraint;
	case SQLITE_TOOBIG:
		return XT_E_too_large;
	case SQLITE_AUTH:
		return XT_E_sql_denied;
	case SQLITE_INTERRUPT:
		return XT_E_cancelled;
	case SQLITE_CANTOPEN:
		return XT_E_io_error;
	case SQLITE_NOMEM:
		return XT_E_busy;
	case SQLITE_ERROR:
		return XT_E_sql_error;
	default:
		return XT_E_internal;
	}
}

/* What an error means for the transaction that was open when it came. */
static enum trouble trouble_of(sqlite3 *db, int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
	case SQLITE_NOMEM:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return TROUBLE_RETRY;
	case SQLITE_IOERR:
		/* The disk said no while it grew the file, not while it synced. */
		return code == SQLITE_IOERR_NOMEM || code == SQLITE_IOERR_SHMSIZE ? TROUBLE_RETRY
										  : TROUBLE_FATAL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
		return TROUBLE_FATAL;
	default:
		return sqlite3_get_autocommit(db) ? TROUBLE_CULPRIT : TROUBLE_NONE;
	}
}

int store_fail(struct store *s, struct xt_err *err)
{
	int code = sqlite3_extended_errcode(s->db);
	enum xt_code mine = store_code(code);

	xt_err_set(err, mine, NULL, "%s", sqlite3_errmsg(s->db));
	if (s->trouble == TROUBLE_NONE) {
		s->trouble = trouble_of(s->db, code);
		if (s->trouble != TROUBLE_NONE)
			xt_err_set(&s->why, mine, NULL, "%s (SQLite error %d)", sqlite3_errmsg(s->db), code);
	}
	return -1;
}

/* ---- statements ------------------------------------------------------- */

/* A fixed statement that SQLite calls wrong: somebody dropped or changed an internal table. The next start
 * makes it anew; rows must not be rejected for it. */
static void own_fail(struct store *s)
{
	if (s->trouble != TROUBLE_NONE || sqlite3_errcode(s->db) != SQLITE_ERROR)
		return;
	s->trouble = TROUBLE_FATAL;
	xt_err_set(&s->why, XT_E_internal, NULL, "an internal table was changed by another program: %s",
		   sqlite3_errmsg(s->db));
}

sqlite3_stmt *store_stmt(struct store *s, enum stmt_id id, struct xt_err *err)
{
	if (!s->stmts[id] && sqlite3_prepare_v3(s->db, statements[id], -1, SQLITE_PREPARE_PERSISTENT,
						&s->stmts[id], NULL) != SQLITE_OK) {
		store_fail(s, err);
		own_fail(s);
		return NULL;
	}
	sqlite3_reset(s->stmts[id]);
	sqlite3_clear_bindings(s->stmts[id]);
	return s->stmts[id];
}

int store_step(struct store *s, sqlite3_stmt *st, struct xt_err *err)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE) {
		store_fail(s, err);
		for (int i = 0; i < STMT_COUNT; i++)
			if (s->stmts[i] == st)
				own_fail(s);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

int store_run(struct store *s, sqlite3_stmt *st, struct xt_err *err)
{
	int r;

	while ((r = store_step(s, st, err)) > 0)
		;
	return r;
}

int store_exec(struct store *s, const char *sql, struct xt_err *err)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(s, err);
}

/* ---- open ------------------------------------------------------------- */

static int open_fail(struct store *s, struct xt_err *err)
{
	int code = sqlite3_extended_errcode(s->db);
	const char *why = sqlite3_errmsg(s->db);

	switch (code & 0xff) {
	case SQLITE_NOTADB:
		return xt_err_set(err, XT_E_not_a_database, "database", "'%.200s' is not a SQLite database",
				  s->path);
	case SQLITE_BUSY:
		return xt_err_set(err, XT_E_database_locked, "database",
				  "'%.200s' is locked by another program; close it and try again", s->path);
	case SQLITE_CORRUPT:
		return xt_err_set(err, XT_E_corrupt, "database",
				  "'%.200s' is damaged: %s; restore it from a copy", s->path, why);
	default:
		if (store_code(code) == XT_E_disk_full)
			why = "the disk is full";
		return xt_err_set(err, store_code(code), "database", "cannot open '%.200s': %s", s->path,
				  why);
	}
}

static int look_at_file(struct store *s, struct xt_err *err)
{
	struct stat st;

	if (stat(s->path, &st) < 0) {
		if (errno == ENOENT && !s->read_only)
			return 0;
		return xt_err_set(err, XT_E_io_error, "database", "cannot open '%.200s': %s", s->path,
				  strerror(errno));
	}
	if (!S_ISREG(st.st_mode))
		return xt_err_set(err, XT_E_not_a_database, "database", "'%.200s' is %s, not a file", s->path,
				  S_ISDIR(st.st_mode) ? "a directory" : "something special");
	return 0;
}

static int open_settings(struct store *s, enum durability d)
{
	static const char *const synchronous[] = {"FULL", "NORMAL", "OFF"};
	char sql[400];

	snprintf(sql, sizeof(sql),
		 "PRAGMA page_size = %d; PRAGMA synchronous = %s; PRAGMA cache_size = -%d; PRAGMA "
		 "secure_delete = OFF; "
		 "PRAGMA temp_store = FILE; PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = OFF; "
		 "PRAGMA trusted_schema = OFF; %s",
		 PAGE_SIZE, synchronous[d], CACHE_KIB,
		 s->read_only ? "PRAGMA query_only = ON" : "PRAGMA journal_mode = WAL");
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

static int read_settings(struct store *s, struct xt_err *err)
{
	for (int i = 0; i < CONFIG_COUNT; i++)
		s->config[i] = config_settings[i].preset;
	if (s->read_only)
		return 0;
	sqlite3_stmt *st = store_stmt(s, STMT_CONFIG_ALL, err);
	if (!st)
		return -1;
	int r;
	while ((r = store_step(s, st, err)) > 0) {
		enum config_id id = config_find(span_str((const char *)sqlite3_column_text(st, 0)));
		int64_t value = sqlite3_column_int64(st, 1);
		if (id < CONFIG_COUNT && value >= config_settings[id].min && value <= config_settings[id].max)
			s->config[id] = value;
	}
	return r;
}

/* In a directory that cannot be written SQLite cannot make its -shm file; a file that nobody can
 * change needs none. */
static bool immutable(const char *path)
{
	char text[4200];

	snprintf(text, sizeof(text), "%s", path);
	char *slash = strrchr(text, '/');
	if (slash)
		slash[slash == text] = '\0';
	if (access(text, W_OK) == 0)
		return false;
	snprintf(text, sizeof(text), "%s-wal", path);
	return access(text, F_OK) < 0 && access(path, W_OK) < 0;
}

int store_open_reader(const char *path, sqlite3 **ret_db)
{
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
	char *uri;
	int rc;

	if (!immutable(path))
		return sqlite3_open_v2(path, ret_db, flags, NULL);
	*ret_db = NULL;
	uri = sqlite3_mprintf("file:%s?immutable=1", path);
	/* Characters that mean something in a URI are rare in paths: such a file opens the plain way. */
	if (!uri || strpbrk(path, "?#%"))
		rc = sqlite3_open_v2(path, ret_db, flags, NULL);
	else
		rc = sqlite3_open_v2(uri, ret_db, flags | SQLITE_OPEN_URI, NULL);
	sqlite3_free(uri);
	return rc;
}

/* A commit has left so many frames in the WAL. The file's size would not do: it stays what it once was. */
static int on_wal(void *data, sqlite3 *db, const char *name, int frames)
{
	struct store *s = data;

	(void)db;
	(void)name;
	s->wal_frames = (uint64_t)frames;
	return SQLITE_OK;
}

static int read_page_size(struct store *s)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v3(s->db, "PRAGMA page_size", -1, 0, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		s->page_size = sqlite3_column_int(st, 0);
	return sqlite3_finalize(st);
}

static ino_t wal_inode(const struct store *s)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s-wal", s->path);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* Tables may have gone while no daemon ran. Damage is for those to be told who meet it, and a full disk keeps
 * nobody from reading: then it is done when the schema changes next. */
static int sweep_rules(struct store *s, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_SCHEMA_VERSION, err);

	if (!st || store_step(s, st, err) < 0)
		return -1;
	s->swept_version = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	bool failed = store_exec(s, "BEGIN IMMEDIATE", err) < 0 || rules_sweep(s, err) < 0 ||
		      store_exec(s, "COMMIT", err) < 0;
	bool broken = failed && (sqlite3_errcode(s->db) & 0xff) == SQLITE_IOERR;
	if (failed && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	s->trouble = TROUBLE_NONE;
	return broken ? -1 : 0;
}

int store_open(struct store *s, const struct store_options *o, struct xt_err *err)
{
	struct stat st;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int rc;

	*s = (struct store){.read_only = o->read_only, .now_us = o->now_us ? o->now_us : real_now_us};
	s->path = strdup(o->path);
	s->runs = runs_new();
	s->clients = clients_new();
	if (s->path)
		s->assets = assets_new(s->path);
	if (!s->path || !s->runs || !s->clients || !s->assets)
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	if (look_at_file(s, err) < 0)
		return -1;
	rc = s->read_only ? store_open_reader(s->path, &s->db)
			  : sqlite3_open_v2(s->path, &s->db, flags, NULL);
	if (rc != SQLITE_OK)
		return open_fail(s, err);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, START_BUSY_MS);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_MAINDBNAME, "db");
	guard_install(&s->guard, s->db);
	guard_limit(s->db, false);
	/* Look before anything is written: a file that is no database stays as it is. */
	if (sqlite3_exec(s->db, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL) != SQLITE_OK)
		return open_fail(s, err);
	if (layout_check(s, err) < 0)
		return -1;
	if (open_settings(s, o->durability) != SQLITE_OK || read_page_size(s) != SQLITE_OK)
		return open_fail(s, err);
	sqlite3_wal_hook(s->db, on_wal, s);
	if (layout_open(s, err) < 0 || read_settings(s, err) < 0) {
		if (sqlite3_errcode(s->db) != SQLITE_OK && sqlite3_errcode(s->db) != SQLITE_DONE)
			return open_fail(s, err);
		return -1;
	}
	if (stat(s->path, &st) < 0)
		return xt_err_set(err, XT_E_io_error, "database", "cannot look at '%.200s': %s", s->path,
				  strerror(errno));
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	s->wal_ino = wal_inode(s);
	s->schema_version = -1;
	s->unjudged = true;
	if (!s->read_only)
		epoch_keep_all(s);
	if (!s->read_only && sweep_rules(s, err) < 0)
		return -1;
	/* On a full disk these indexes stay: they cost nothing. */
	if (!s->read_only && numbers_release(s, err) < 0 && s->trouble == TROUBLE_FATAL)
		return -1;
	s->trouble = TROUBLE_NONE;
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (!s->read_only && store_checkpoint(s, true) < 0)
		return open_fail(s, err);
	return 0;
}

static void drop_caches(struct store *s)
{
	tables_drop(s);
	runs_drop(s->runs);
	clients_rolled_back(s->clients);
	s->schema_version = -1;
	s->data_version++; /* what others have done is noticed again */
	s->unjudged = true;
}

/* Another file lies where ours was, and our log, by its name, beside it: who opens that file would play the
 * log into it. What it holds goes into the file that it belongs to, wherever that is now. */
static void clear_log(struct store *s)
{
	char path[PATH_MAX];

	if (!s->db || s->read_only || !s->wal_ino || wal_inode(s) != s->wal_ino || store_is_in_place(s))
		return;
	if (store_empty_wal(s, BUSY_MS) == SQLITE_OK)
		return;
	snprintf(path, sizeof(path), "%s-wal", s->path);
	unlink(path);
	snprintf(path, sizeof(path), "%s-shm", s->path);
	unlink(path);
}

void store_done(struct store *s)
{
	if (!s)
		return;
	clear_log(s);
	tables_drop(s);
	epochs_done(s);
	runs_free(s->runs);
	clients_free(s->clients);
	assets_free(s->assets);
	for (int i = 0; i < STMT_COUNT; i++)
		sqlite3_finalize(s->stmts[i]);
	buf_done(&s->scratch);
	buf_done(&s->risen);
	sqlite3_close_v2(s->db); /* the last connection checkpoints and removes the WAL */
	guard_done(&s->guard);
	free(s->tables);
	free(s->path);
	*s = (struct store){0};
}

/* ---- transactions ----------------------------------------------------- */

/* Others may have changed the schema since the last batch. */
static int notice_schema(struct store *s, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_SCHEMA_VERSION, err);

	if (!st || store_step(s, st, err) < 0)
		return -1;
	int version = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	if (version != s->schema_version)
		tables_drop(s);
	s->schema_version = version;
	return version == s->swept_version ? 0 : rules_sweep(s, err);
}

int store_begin(struct store *s, struct xt_err *err)
{
	s->trouble = TROUBLE_NONE;
	s->batch++;
	s->all_risen = false;
	buf_clear(&s->risen);
	runs_trim(s->runs);
	sqlite3_stmt *st = store_stmt(s, STMT_BEGIN, err);
	if (!st || store_run(s, st, err) < 0)
		return -1;
	/* A table that others have altered was forgotten before it is asked about. */
	return notice_schema(s, err) < 0 ? -1 : epoch_notice(s, err);
}

int store_commit(struct store *s, struct xt_err *err)
{
	if (clients_write(s, err) < 0 || runs_write(s, err) < 0)
		return -1;
	/* Our own changes of the schema are no news at the next begin. */
	sqlite3_stmt *st = store_stmt(s, STMT_SCHEMA_VERSION, err);
	if (!st || store_step(s, st, err) < 0)
		return -1;
	int version = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	st = store_stmt(s, STMT_COMMIT, err);
	if (!st)
		return -1;
	if (store_run(s, st, err) < 0) {
		if (s->trouble == TROUBLE_NONE)
			s->trouble = TROUBLE_RETRY;
		return -1;
	}
	s->schema_version = s->swept_version = version;
	epoch_committed(s);
	clients_committed(s->clients);
	runs_committed(s->runs);
	return 0;
}

void store_rollback(struct store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	drop_caches(s);
}

bool store_is_in_place(const struct store *s)
{
	struct stat st;

	return stat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino;
}

/* ---- checkpoints ------------------------------------------------------ */

uint64_t store_wal_bytes(const struct store *s)
{
	char path[4200];
	struct stat st;

	snprintf(path, sizeof(path), "%s-wal", s->path);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* The database may want as much room for what the WAL holds as the WAL does. When others or the WAL itself
 * have taken that, it cannot be put back any more, and nothing else would make room. */
static bool is_cramped(const struct store *s, uint64_t wal_bytes)
{
	struct statvfs fs;

	return statvfs(s->path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < 2 * wal_bytes;
}

static int checkpoint(struct store *s, int mode, int wait_ms)
{
	crash_point("before a checkpoint");
	sqlite3_busy_timeout(s->db, wait_ms);
	int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, mode, NULL, NULL);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (rc == SQLITE_OK)
		s->wal_frames = 0;
	crash_point("after a checkpoint");
	return rc;
}

int store_checkpoint(struct store *s, bool always)
{
	uint64_t warn = (uint64_t)s->config[CONFIG_WAL_WARN] << 20;
	struct xt_err ignored; /* store_fail keeps it in `why` */

	always = always || is_cramped(s, store_wal_bytes(s));
	if (!always && store_wal_used(s) < (warn < WAL_LIMIT ? warn : WAL_LIMIT))
		return 0;
	/* Readers that hold old snapshots only make it stop early: no waiting for them. */
	int rc = checkpoint(s, always ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART, 0);
	/* A full disk or a lock: the rows are safe in the WAL, and the next checkpoint may go well. */
	if (rc == SQLITE_OK || trouble_of(s->db, rc) != TROUBLE_FATAL)
		return 0;
	return store_fail(s, &ignored);
}

int store_empty_wal(struct store *s, int wait_ms)
{
	return checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE, wait_ms);
}
