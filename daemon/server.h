/*
 * The loop: listens, owns the connections and the open queries, hands messages to the threads and
 * takes them back. Everything here runs on the loop's thread.
 */
#ifndef XT_SERVER_H
#define XT_SERVER_H

#include <uv.h>

#include "cache.h"
#include "conn.h"
#include "log.h"
#include "loop.h"
#include "reader.h"
#include "sampler.h"
#include "share.h"
#include "watch.h"
#include "writer.h"

#define SERVER_BUCKETS 1024
#define DAY_MS	       86400000 /* between two looks at what may be forgotten */

struct server_options {
	const char *socket;	   /* its path, for `status` */
	int listen_fd;		   /* a bound socket; the server's from here on */
	const char *durability;	   /* its name, for `status` */
	const char *log_file;	   /* for `status`; may be NULL */
	uint64_t idle_exit_ms;	   /* leave after so long without a client; 0: never */
	uint64_t grace_ms;	   /* clients' time to return after a start */
	struct peer_access access; /* who is served besides our own user */
};

struct server {
	uv_loop_t loop;
	uv_pipe_t listener;
	uv_async_t async;	/* the threads have something done */
	uv_prepare_t prepare;	/* before the loop waits: hand over, flush */
	uv_idle_t spin;		/* while draining: do not wait */
	uv_timer_t idle_timer;	/* nobody is connected */
	uv_timer_t watch_timer; /* while there is something to watch: open queries, who says no hello … */
	uv_timer_t judge_timer; /* the grace time of clients after a start; then daily */
	uv_timer_t spool_timer; /* when to look for spool files again */
	uv_timer_t departed_timer; /* clients may come back */
	uv_timer_t lease_timer;	   /* somebody has waited long enough for a lease */
	uv_timer_t sample_timer;   /* a call is to be sampled; not active while none is */
	uv_timer_t settle_timer;   /* a read has waited long enough for what came before it */
	uv_idle_t settle_spin;	   /* while there are young_reads: do not wait */
	uv_timer_t wait_timer;	   /* a wait for rows is over, or others' commits are to be looked for */
	uv_fs_event_t wal_event;   /* while there are such waits: somebody wrote to the database */
	uv_timer_t calm_timer;	   /* what has become better is told when it stays so */
	uv_timer_t drain_timer;	   /* the latest moment to leave */
	uv_signal_t sigterm, sigint;

	struct server_options opt;
	struct store *store;   /* borrowed; its constant fields only, the rest is the writer's */
	struct cache *cache;   /* borrowed; read here, written by the writer */
	unsigned told_cache;   /* its generation that clients were told */
	uint64_t told_ttl_us;  /* and its age limit */
	bool mending;	       /* the writer was told that it is damaged */
	struct leases *leases; /* owned */
	struct absent *absent; /* owned: holders of leases that have not come back since the start */
	uint64_t lease_due;    /* loop time at which lease_timer fires; LEASE_NEVER: it does not */
	struct writer writer;
	struct reader_pool readers;
	struct lanes to_writer;	   /* gathered in this turn of the loop */
	struct lane_keeper keeper; /* of what is under way there */

	struct conn *conns;		   /* all of them, also closing ones */
	struct conn **slots;		   /* owned: connection of an id's low bits, or NULL */
	size_t n_slots, n_conns;	   /* n_conns: those that are not closing */
	uint64_t serial;		   /* of the last connection */
	struct conn *same[SERVER_BUCKETS]; /* greeted connections by client id */
	struct conn *dirty;		   /* to be flushed */
	struct watch_list watches;	   /* the peers' processes */
	struct sampler sampler;		   /* what they cost */
	uint64_t sample_due;		   /* loop time at which sample_timer fires, while it is active */
	struct departed *departed;	   /* clients that may come back */
	bool spooling;			   /* a look for spool files is under way */
	bool settling;			   /* files of assets are being put where they belong */

	struct op_list young_reads;    /* came in this turn of the loop, or the one before */
	struct op_list settling_reads; /* wait until what came before them is stored */
	uint64_t marks;		       /* the last that went to the writer for them */

	struct wait_list *waits; /* owned: for rows of tables */

	struct cursor *cursors; /* open queries */
	size_t n_cursors;
	size_t queued_ops;	/* messages under way */
	size_t unasked_ops;	/* of them, those that nobody waits for: greetings and our own */
	struct shares shares;	/* who holds what of that which is bounded */
	bool full;		/* too much waits for the writer: nobody is read */
	bool squeezed;		/* or somebody is not, who holds more than its share */
	size_t n_strangers;	/* connections that have not said hello */
	size_t n_waiting;	/* those that wait for the room of a large message */
	struct log_limit blame; /* of lines about clients */

	bool trace;		/* messages are printed */
	bool draining;		/* accepts no more and leaves when all is quiet */
	bool leaving;		/* drained: connections are being closed */
	bool hold;		/* nobody starts the daemon again until `up` */
	enum writer_state told; /* the writer's state that clients and the log were told */
	enum xt_code told_code; /* its reason */
	uint64_t told_ms;	/* loop time */
	bool failed;		/* the writer cannot go on */
	size_t read_bytes;	/* received, since the start */
	size_t quiet_at;	/* read_bytes at the last look while draining */
	unsigned quiet_turns;	/* turns of the loop in which nothing came */
	uint64_t started_ms;	/* loop time */
	uint64_t complained_ms; /* loop time of the last complaint about accept */
};

/* Prepares the loop and starts the threads; the socket listens when this returns. */
int server_init(struct server *s, struct store *store, struct cache *cache, const struct server_options *o,
		struct xt_err *err) __attribute__((warn_unused_result));

/* Serves until drained. 0; or -1 when the writer failed. */
int server_run(struct server *s);

void server_done(struct server *s);

/* ---- for conn.c and dispatch.c ---------------------------------------- */

/* Whether a connection may be read, as far as the queue to the writer is concerned. */
bool server_reads(struct server *s, const struct conn *c);

/* Room for large messages was given back: those that wait for it try again. */
void server_room(struct server *s);

/* Looks after what takes time (see on_watch), until there is nothing to look after. */
void server_watch(struct server *s);

/* To be flushed before the loop waits. */
void server_touch(struct server *s, struct conn *c);

/* A connection's hello was taken: an older one of the same client ends. */
void server_greeted(struct server *s, struct conn *c);

/* A connection begins to close; and is closed. */
void server_lost(struct server *s, struct conn *c);
void server_forget(struct server *s, struct conn *c);

/* Nothing more may be stored: drains, and the process ends as failed. */
void server_fail(struct server *s, const char *why);

/* Hands a message to the writer or the readers, by its method and kind. */
void server_queue(struct server *s, struct conn *c, struct op *op);

/* Puts a message into the hands of its thread; queued: bytes that the sender has under way. */
void server_to_threads(struct server *s, struct op *op, size_t queued);

/* A message of the daemon's own. NULL: out of memory. */
struct op *server_queue_internal(struct server *s, enum op_kind kind, const struct client_key *client,
				 struct cursor *cursor);

/* Frees a message and its hold on the bytes. */
void server_op_free(struct op *op);

/* Opens the cursor of a reading message. */
int server_cursor_open(struct server *s, const struct conn *c, struct op *op, struct xt_err *err)
	__attribute__((warn_unused_result));
struct cursor *server_cursor_find(struct server *s, uint64_t conn, uint32_t msgid);

/* The connection of that id, if it is still there. */
struct conn *server_conn(struct server *s, uint64_t id);

/* ---- traffic.c -------------------------------------------------------- */

/* Takes back what the threads have done, and delivers it. */
void server_take_back(struct server *s);

/* Ends the queries of a connection; 0: of all. */
void server_end_cursors(struct server *s, uint64_t conn);

/* Tells a client how the writer fares, if there is something to tell. */
void server_tell_state(struct server *s, struct conn *c);

/* Looks for spool files that nobody owns any more, unless it does so already. */
void server_look_for_spools(struct server *s);

/* Messages of the daemon's own to the writer: a client has gone, whether it could only query, and why; nobody
 * is connected; clients' time to return is over. */
void server_tell_gone(struct server *s, const struct client_key *client, bool reader, const char *cause);
void server_tidy(struct server *s);
void server_judge(struct server *s);

/* The writer is to set the damaged cache aside. */
void server_mend_cache(struct server *s);

/* ---- flight.c --------------------------------------------------------- */

/* Prepares the leases: after a start holders of earlier ones have time to come. */
int flight_init(struct server *s, struct xt_err *err) __attribute__((warn_unused_result));

/* Forgets who is absent. */
void flight_done(struct server *s);

/* A client that comes again holds these leases: key, token, key, token … */
void server_claim_leases(struct server *s, const struct conn *c, struct span leases);

/* A cache_finish goes to the writer, and comes back. */
void server_finishing(struct server *s, struct op *op);
void server_finished(struct server *s, const struct op *op);

/* Tells a client that may read it directly where the cache is. */
void server_tell_cache(struct server *s, struct conn *c);

/* Looks after the cache when the writer has done something: damage, a new place. */
void server_look_at_cache(struct server *s);

/* ---- settled.c -------------------------------------------------------- */

/* A read that is to see what anybody had sent before it came: it starts when that is stored, or a second
 * later. */
void server_hold_read(struct server *s, struct op *op);

/* Before the loop waits. */
void server_look_at_reads(struct server *s);

/* What went to the writer before this mark is stored. */
void server_marked(struct server *s, uint64_t passed);

/* ---- waits.c ---------------------------------------------------------- */

/* Prepares the waits for rows of tables; ends them all. */
int server_waits_init(struct server *s, struct xt_err *err) __attribute__((warn_unused_result));
void server_waits_done(struct server *s);

/* Rows were stored: who waits for them is answered. */
void server_look_at_waits(struct server *s);

/* The writer has looked for what other programs have committed. */
void server_looked(struct server *s);

/* A connection's waits end with it. */
void server_end_waits(struct server *s, struct conn *c);

/* ---- sampling.c ------------------------------------------------------- */

void server_sampling_init(struct server *s);

/* A connection was greeted: what its rows are to say of costs counts from here. */
void server_sampling_greeted(struct server *s, struct conn *c);

/* A call begins, or a row that is to have samples has come, which the message gets as fields of its rows. */
void server_sample(struct server *s, struct conn *c, struct op *op);

/* A client has gone, with its calls. */
void server_sampling_gone(struct server *s, const struct client_key *client);

/* ---- departed.c ------------------------------------------------------- */

/* A client's last connection has ended; it has come again. */
void server_departed(struct server *s, const struct conn *c);
void server_returned(struct server *s, const struct client_key *client);
void server_forget_departed(struct server *s);

/* Of watch_list: a peer's process has ended. */
void server_on_death(struct watch *w, void *data);

#endif
