/*
 * The database: opened once, by one connection that writes. Used by one thread at a time (the
 * writer's, once it runs). Errors for clients come as struct xt_err; what breaks the transaction
 * is kept in `trouble`, which the writer looks at after each operation.
 */
#ifndef XT_STORE_H
#define XT_STORE_H

#include <sqlite3.h>
#include <sys/types.h>

#include "config.h"
#include "guard.h"
#include "ident.h"
#include "stamp.h"

enum durability { DURABILITY_FULL, DURABILITY_NORMAL, DURABILITY_OFF };

/* Names of the tables that rows are logged to. */
#define TABLE_NAMES_SQL                                                                                   \
	"SELECT name FROM main.sqlite_schema AS t WHERE type = 'table' AND lower(substr(name, 1, 3)) <> " \
	"'xt_' "                                                                                          \
	"AND lower(substr(name, 1, 7)) <> 'sqlite_' AND EXISTS "                                          \
	"(SELECT 1 FROM pragma_table_info(t.name) WHERE name = 'track_id' COLLATE NOCASE) ORDER BY name"

/* Names of all tables there are. */
#define TABLES_SQL "(SELECT name FROM main.sqlite_schema WHERE type = 'table')"

/* Bytes of the largest value that a user's statement may make. */
#define STORE_USER_LENGTH (32 << 20)

/* The same in the writer's own statements: more than any message holds. */
#define STORE_LENGTH (128 << 20)

/* Opens a connection on the database for reading. A SQLite code; *ret_db is set whenever memory allowed. */
int store_open_reader(const char *path, sqlite3 **ret_db);

enum stmt_id {
#define STMT(name, sql) STMT_##name,
#include "statements.def"
	STMT_COUNT
};

/* What became of the open transaction. */
enum trouble {
	TROUBLE_NONE,
	TROUBLE_CULPRIT, /* rolled back because of one statement: replay the batch without it */
	TROUBLE_RETRY,	 /* rolled back, may go well later: disk full, out of memory, locked by others */
	TROUBLE_FATAL,	 /* the file cannot be trusted: answer errors, leave */
};

struct assets;
struct table;
struct run_cache;
struct client_cache;

struct store {
	sqlite3 *db;			   /* owned */
	char *path;			   /* owned: real path */
	bool read_only;			   /* nothing can be written */
	dev_t dev;			   /* of the file that is open */
	ino_t ino;			   /* the same */
	ino_t wal_ino;			   /* of its log; 0: there was none at the start */
	uint8_t database_id[XT_CLIENT_ID]; /* from xt_meta; zero in a read-only file without one */
	int64_t adopted;		   /* other programs' rows may lie under names of runs */
	int64_t config[CONFIG_COUNT];	   /* settings in force */
	sqlite3_stmt *stmts[STMT_COUNT];   /* owned, prepared lazily */
	struct guard guard;		   /* what statements may do */
	enum trouble trouble;		   /* of the open transaction */
	struct xt_err why;		   /* its reason */
	int schema_version;		   /* that the caches were read at */
	int swept_version;		   /* at which no rules of tables that are gone were left */
	unsigned data_version;		   /* changes with commits of other programs too */
	uint64_t batch;			   /* number of the transaction */
	struct buf risen;		   /* names of the tables that it put rows into, each with a NUL */
	bool all_risen;			   /* it, or another program before it, may have put some into any */
	uint64_t wal_frames;		   /* pages that were written to the WAL since it was last put back */
	int page_size;			   /* bytes */
	struct table **tables;		   /* owned: n_tables, most recently used first */
	size_t n_tables;		   /* tables known */
	struct top *tops;		   /* owned: n_tops; see epoch_keep() */
	size_t n_tops;
	bool unjudged;		      /* there may be columns that are to be judged, see suspects.h */
	struct run_cache *runs;	      /* owned */
	struct client_cache *clients; /* owned */
	struct assets *assets;	      /* owned; shared by all threads, see asset.h */
	struct buf scratch;	      /* for SQL and JSON text, emptied by each user */
	int64_t (*now_us)(void);      /* wall clock, microseconds since 1970 */
};

struct store_options {
	const char *path;	    /* real path */
	bool read_only;		    /* open so, and create nothing */
	enum durability durability; /* synchronous = FULL, NORMAL, OFF */
	int64_t (*now_us)(void);    /* the clock; NULL: the real one */
};

/* Opens or creates the database and its internal tables. */
int store_open(struct store *s, const struct store_options *o, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Checkpoints, when it can, and closes. Takes a zeroed or half-opened store. */
void store_done(struct store *s);

/* BEGIN IMMEDIATE; notices a schema that others changed. -1 with trouble set. */
int store_begin(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

/* COMMIT, after the dirty marks and run counters were written. -1 with trouble set, rolled back. */
int store_commit(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

/* Undoes the open transaction, if any, and drops every cache: they may show what was undone. */
void store_rollback(struct store *s);

/* True when the path still names the open file. */
bool store_is_in_place(const struct store *s);

/* Puts the WAL back into the database, as far as it can now, once it is large or the disk small; always:
 * in any case, and empties the file. -1 with trouble set when the disk failed: what it shows is not to be
 * trusted any more. */
int store_checkpoint(struct store *s, bool always) __attribute__((warn_unused_result));

/* Bytes of the WAL that are in use, as of the last commit. */
static inline uint64_t store_wal_used(const struct store *s)
{
	return s->wal_frames * (uint64_t)s->page_size;
}

/* Puts the WAL back and empties it, waiting so long for others who read or write. SQLite's code. */
int store_empty_wal(struct store *s, int wait_ms);

/* Bytes of the -wal file, from its size in the directory. */
uint64_t store_wal_bytes(const struct store *s);

/* A fixed statement, reset, without bindings of earlier uses. NULL with the error set. */
sqlite3_stmt *store_stmt(struct store *s, enum stmt_id id, struct xt_err *err);

/* Steps a statement to its next row. 1: there is one; 0: there is none, and it is reset; -1: it failed, and
 * is reset. */
int store_step(struct store *s, sqlite3_stmt *st, struct xt_err *err) __attribute__((warn_unused_result));

/* Steps a statement that returns no rows and resets it. */
int store_run(struct store *s, sqlite3_stmt *st, struct xt_err *err) __attribute__((warn_unused_result));

/* Runs SQL text of ours. */
int store_exec(struct store *s, const char *sql, struct xt_err *err) __attribute__((warn_unused_result));

/* Fills err from SQLite's last error on the connection, and sets trouble where that broke the
 * transaction. Returns -1. */
int store_fail(struct store *s, struct xt_err *err);

/* The one map from SQLite's codes to ours. */
enum xt_code store_code(int sqlite_code);

/* A column's text, valid until the next step. Without data: NULL, or there was no memory for it, which the
 * next step says. */
static inline struct span store_text(sqlite3_stmt *st, int i)
{
	const unsigned char *text = sqlite3_column_text(st, i);

	return span_of(text, text ? (size_t)sqlite3_column_bytes(st, i) : 0);
}

static inline void store_bind(sqlite3_stmt *st, int i, struct span text)
{
	sqlite3_bind_text64(st, i, text.data ? (const char *)text.data : "", text.len, SQLITE_STATIC,
			    SQLITE_UTF8);
}

#endif
