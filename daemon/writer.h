/*
 * The writer thread: takes what the loop has gathered, applies it in batches of one transaction
 * each, and gives the messages back, with their answers, after the commit that holds their effect.
 * While one batch commits, the next gathers: that is the group. Only senders that wait for each other's
 * commits by turns are given a moment to come together.
 */
#ifndef XT_WRITER_H
#define XT_WRITER_H

#include <pthread.h>
#include <stdatomic.h>

#include "disk.h"
#include "intake.h"
#include "lane.h"
#include "tide.h"

/* Counted since the start; read from any thread. */
struct writer_stats {
	atomic_uint_fast64_t rows, rejects, duplicates; /* rows stored, rejected, dropped as known */
	atomic_uint_fast64_t batches;			/* commits */
	atomic_uint_fast64_t batch_us, batch_max_us;	/* time of the last and the longest batch, µs */
};

enum writer_state {
	WRITER_OK,
	WRITER_WARNED,	 /* rows are stored, but not for long if nothing is done */
	WRITER_SLOW,	 /* rows are stored slowly, for there is little room left */
	WRITER_DEGRADED, /* a batch cannot be stored for now; it is kept and tried again */
	WRITER_FAILED,	 /* nothing more is stored: the daemon has to leave */
};

struct cache;

struct writer {
	struct store *store;	  /* borrowed; belongs to the thread while it runs */
	struct cache *cache;	  /* borrowed; written by the thread */
	void (*wake)(void *data); /* called from the thread when there is something to take */
	void *data;		  /* for wake */
	struct writer_stats stats;
	struct tide tide;	/* of the tables, as committed */
	struct intake intake;	/* of spool files; the thread's */
	struct reserve reserve; /* the thread's */

	atomic_bool abandon; /* what runs is to stop: the process leaves */
	pthread_t thread;
	bool running;	      /* the thread was started and not joined */
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t cond;  /* `queue` has what is wanted, or `stopping` changed */
	struct lanes queue;   /* to be applied */
	atomic_bool news;     /* there are prompt ones in it; read without the lock */
	size_t wanted;	      /* messages that the thread waits for, if it waits; 0 is as good as 1 */
	struct op_list done;  /* to be taken back */
	bool stopping;	      /* finish the queue and end */
	enum writer_state state;
	struct xt_err why; /* of a state that is not WRITER_OK */
};

/* Starts the thread. 0 or -errno. */
int writer_start(struct writer *w, struct store *store, struct cache *cache, void (*wake)(void *data),
		 void *data) __attribute__((warn_unused_result));

/* Hands over messages, which belong to the writer until they are taken back. */
void writer_submit(struct writer *w, struct lanes *ops);

/* Takes back those that are done. */
void writer_take(struct writer *w, struct op_list *ret);

/* The state, and why. */
enum writer_state writer_state(struct writer *w, struct xt_err *ret_why);

/* Applies what is queued, as far as it can be stored now, and joins the thread; what could not be
 * stored is given back unanswered. */
void writer_stop(struct writer *w);

#endif
