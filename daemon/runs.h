/* What the writer remembers of runs, so that a row costs no look-up: whether its run is there, and
 * how many rows it gained since the last commit. */
#ifndef XT_RUNS_H
#define XT_RUNS_H

#include "clients.h"

struct run {
	char *track_id; /* owned */
	size_t len;	/* of the name that was looked up: behind a NUL it may go on, and is no other's */
	bool known;	/* has a row in xt_runs */
	bool deleted;	/* a tombstone: rows are refused */
	uint64_t rows, rejects; /* since the last commit */
	uint64_t gained, lost;	/* the same, by statements of users and deletions of runs */
	bool dirty;		/* in the dirty list */
	struct run *next;	/* in its hash bucket */
	struct run *next_dirty;
};

struct run_cache;

struct run_cache *runs_new(void);
void runs_free(struct run_cache *c);

/* Forgets everything, after a rollback; or when there are very many, between two batches. */
void runs_drop(struct run_cache *c);
void runs_trim(struct run_cache *c);

/* The run, looked up in xt_runs at the first time. NULL with the error set. */
struct run *runs_find(struct store *s, struct span track_id, struct xt_err *err);

/* The same; that there is none is an error too. */
struct run *runs_known(struct store *s, struct span track_id, struct xt_err *err);

/* What a new run's row says besides its name. */
struct run_start {
	int64_t time_us;		 /* when it started */
	const char *table;		 /* its rows' table */
	struct span params;		 /* JSON text, or empty */
	const struct client_key *client; /* who started it */
	pid_t pid;			 /* of that client; 0: unknown */
};

/* Adds a run that is not known. */
int runs_add(struct store *s, struct run *run, const struct run_start *start, struct xt_err *err)
	__attribute__((warn_unused_result));

/* A run that was not known has got its row in xt_runs: counts what rows it has already. */
int runs_appeared(struct store *s, struct run *run, struct xt_err *err) __attribute__((warn_unused_result));

/* Counts rows and rejects of a run, written at the commit. */
void runs_count(struct store *s, struct run *run, uint64_t rows, uint64_t rejects);

/* Counts rows that a run gained or lost otherwise than by being logged. */
void runs_change(struct store *s, struct run *run, uint64_t gained, uint64_t lost);

/* Part of store_commit(): writes the counts; what was written is committed. */
int runs_write(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));
void runs_committed(struct run_cache *c);

/* What becomes of a client's runs, and of its part in others'. */
struct runs_turn {
	const char *from, *to; /* statuses: those that have the one get the other */
	const char *cause;     /* of a crash, for people; NULL: none */
	bool end;	       /* with an end time */
};

int runs_of_client(struct store *s, const struct client_key *key, const struct runs_turn *turn,
		   struct xt_err *err) __attribute__((warn_unused_result));

/* A client takes part in a run that another one started. */
int runs_join(struct store *s, const struct run *run, const struct run_start *start, struct xt_err *err)
	__attribute__((warn_unused_result));

/* A client that has part in a run that is `running`. */
struct runs_client {
	struct client_key key;
	pid_t pid; /* of its process; 0: unknown */
};

/* All of them. The list is the caller's to free. */
int runs_running(struct store *s, struct runs_client **ret, size_t *ret_n, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Sets status and end of one run. */
int runs_end(struct store *s, struct span track_id, const char *status, int64_t time_us, struct xt_err *err)
	__attribute__((warn_unused_result));

#endif
