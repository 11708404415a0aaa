/*
 * The query pool: threads that run reading statements on connections of their own. A cursor is one
 * open statement; the loop owns it, one thread at a time works on it, between two of the loop's
 * looks. Paging holds no more than one page in memory.
 */
#ifndef XT_READER_H
#define XT_READER_H

#include <pthread.h>

#include "guard.h"
#include "op.h"

#define READER_THREADS 8
#define READER_SPARES  4 /* pages' buffers that are kept */

struct store;

/* A connection of the pool. */
struct reader_db {
	sqlite3 *db;	    /* owned */
	struct guard guard; /* installed on db */
	struct reader_db *next;
};

struct cursor {
	/* The loop's. */
	uint64_t conn;		     /* connection that it belongs to */
	uint32_t msgid;		     /* its name there */
	bool busy;		     /* a thread works on it */
	bool closing;		     /* to be closed when it is no longer busy */
	bool asset;		     /* of an asset, which holds no snapshot */
	struct share *share;	     /* a reference: of the process that has it */
	uint64_t opened_ms, idle_ms; /* loop time: when it was opened, when it was last used */
	struct cursor *next;	     /* in the server's list */
	atomic_bool cancelled;	     /* set by the loop, seen by the thread */

	/* The thread's. */
	const char *path;		/* borrowed: of the database */
	struct reader_db *db;		/* while it is open */
	sqlite3_stmt *st;		/* owned; of a backup it holds the snapshot */
	struct backup *backup;		/* owned; NULL: a query, or of an asset: */
	struct assets *assets;		/* borrowed */
	struct asset_put *put;		/* owned: on its way in */
	struct asset_get *get;		/* owned: on its way out */
	bool pending;			/* st stands on a row that was not sent yet */
	bool at_end;			/* st has no more rows */
	bool finished;			/* nothing is open any more */
	uint64_t page_rows, timeout_ms; /* of each page */
	struct buf names, types, rows;	/* encoded parts of the answer */
};

struct reader_pool {
	char *path;		  /* owned */
	void (*wake)(void *data); /* called from the threads when there is something to take */
	void *data;		  /* for wake */
	atomic_bool leaving;	  /* set by the loop: what is cancelled now is because the daemon leaves */
	pthread_t threads[READER_THREADS];
	size_t n_threads;     /* started */
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t cond;  /* `queue` or `stopping` changed */
	struct op_list queue, done;
	const struct share *running[READER_THREADS]; /* whose message each thread is at; NULL: none's */
	size_t n_named;				     /* threads that have taken their place in `running` */
	bool stopping;
	struct reader_db *idle; /* connections that nobody uses, owned */
	size_t n_idle;
	struct buf spares[READER_SPARES]; /* n_spares of them */
	size_t n_spares;
};

/* Starts the threads. 0 or -errno. */
int reader_start(struct reader_pool *r, const char *path, void (*wake)(void *data), void *data)
	__attribute__((warn_unused_result));

/* Hands over messages whose `cursor` is set, and takes back those that are done. */
void reader_submit(struct reader_pool *r, struct op *op);
void reader_take(struct reader_pool *r, struct op_list *ret);

/* Takes a buffer that is no longer needed, for pages to come, or frees it: what is as large as a page costs
 * more to get from the system, and to give back, than the page costs to make. reader_forget() frees those
 * that are kept. */
void reader_keep(struct reader_pool *r, struct buf *b);
void reader_forget(struct reader_pool *r);

/* Ends the threads; cursors should have been cancelled. Unfinished messages are given back. False: a thread
 * is in a function of SQL that does not end; pool and cursors must be left as they are, and the process end.
 */
bool reader_stop(struct reader_pool *r);

/* A cursor for a request. NULL: out of memory. */
struct cursor *cursor_new(const struct store *s, uint64_t conn, uint32_t msgid);

/* Frees a finished cursor, or, after reader_stop(), any. */
void cursor_free(struct cursor *c);

#endif
