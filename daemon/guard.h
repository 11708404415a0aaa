/*
 * What a statement may do, and for how long: SQLite's authorizer and progress handler of one
 * connection. Statements of ours run in GUARD_OURS; users' between guard_enter and guard_leave.
 */
#ifndef XT_GUARD_H
#define XT_GUARD_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "ident.h"

enum guard_mode {
	GUARD_OURS,  /* everything, but triggers of users do not reach internal tables */
	GUARD_READ,  /* reading statements only */
	GUARD_WRITE, /* writing, but no internal tables, ATTACH, transactions or dangerous pragmas */
};

struct guard {
	enum guard_mode mode;
	enum xt_code denied;	/* XT_E_sql_writes or XT_E_sql_denied, of the last refusal */
	int64_t deadline_ns;	/* CLOCK_MONOTONIC; 0: none */
	atomic_bool *cancelled; /* borrowed; NULL: cannot be cancelled */
	atomic_bool *abandon; /* borrowed: stops whatever runs, for the process leaves; NULL: nothing does */
	bool timed_out;	      /* the deadline stopped a statement */
	char created[IDENT_SIZE],
		dropped[IDENT_SIZE]; /* table that the statement makes, drops; "" for none */
	unsigned account;	     /* what users' statements allocate is counted there (mem.h) */
};

/* Installs the handlers on a connection; the guard must outlive it, and be done after it. */
void guard_install(struct guard *g, sqlite3 *db);
void guard_done(struct guard *g);

/* Bounds what a statement may be and make, or takes the bounds away. */
void guard_limit(sqlite3 *db, bool on);

/* A user's statement begins; timeout_ms 0: none. */
void guard_enter(struct guard *g, enum guard_mode mode, uint64_t timeout_ms, atomic_bool *cancelled);
void guard_leave(struct guard *g);

/* Prepares exactly one statement of a user and binds its arguments (an encoded array or map, or
 * empty), which are copied. */
int guard_prepare(struct guard *g, sqlite3 *db, struct span sql, struct span args, sqlite3_stmt **ret,
		  struct xt_err *err) __attribute__((warn_unused_result));

/* Fills err from the connection's last error, as a user's statement caused it. Returns -1. */
int guard_fail(struct guard *g, sqlite3 *db, struct xt_err *err);

/* The same of a statement that cannot be compiled, at once or when it is stepped and the schema has changed:
 * with the name that may be meant by one that there is not. */
int guard_refuse(struct guard *g, sqlite3 *db, struct xt_err *err);

#endif
