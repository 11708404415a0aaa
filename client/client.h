/*
 * Inside libxetrack. Everything here is called with the client's mutex held, unless said otherwise.
 *
 * Every byte that goes out passes through the window: numbered frames stay in it until they are
 * acknowledged, others until they are sent. Only the thread that holds `reading`, or any thread
 * while nobody holds it, reads the socket, closes it or connects a new one.
 */
#ifndef XT_CLIENT_H
#define XT_CLIENT_H

#include <pthread.h>
#include <sys/types.h>

#include "direct.h"
#include "place.h"
#include "put.h"
#include "spill.h"
#include "wire.h"
#include "xetrack.h"

#ifndef XT_VERSION
#define XT_VERSION "0.1.0"
#endif
#ifndef XT_BINDIR
#define XT_BINDIR "/usr/local/bin"
#endif

#define CONNECT_TIMEOUT_MS 10000
#define CLOSE_TIMEOUT_MS   30000
#define RETRY_MS	   100		     /* least time between two tries to connect */
#define WINDOW_BYTES	   (8u << 20)	     /* default of options.window_bytes */
#define SPOOL_BYTES	   ((size_t)1 << 30) /* default of options.spool_bytes */
/* The longest nap: another thread may have put bytes in the window meanwhile. */
#define SLICE_MS 200

#define NEVER INT64_MAX /* a deadline that does not come */

/* A frame in the window. */
struct frame {
	uint64_t seq;	  /* of its first row, or of the request; 0: not numbered, dropped once sent */
	uint32_t rows;	  /* how many numbers it takes */
	uint32_t size;	  /* bytes with the length */
	uint32_t seq_off; /* where in the frame the 8 bytes of the number are */
};

struct window {
	struct buf bytes;     /* frames end to end; those before `head` are done with */
	size_t head;	      /* first byte of the oldest frame */
	size_t sent;	      /* first byte that was not given to the kernel */
	struct frame *frames; /* owned; the live ones are [first, end) */
	size_t first, end;    /* indices */
	size_t cap;	      /* allocated */
};

/* A request that somebody waits for. */
struct call {
	uint32_t msgid;	    /* of the request */
	uint64_t seq;	    /* 0: not numbered, lost with its connection */
	const uint8_t *key; /* borrowed: it asks for a lease of this key; else NULL */
	bool done;	    /* answered or lost */
	bool lost;	    /* the answer will never come */
	bool failed;	    /* answered by an error, in err */
	struct xt_err err;  /* the daemon's error */
	struct buf result;  /* owned copy of the encoded result */
	struct call *next;  /* in client->calls */
};

/* A lease that this client holds, from its answer until its result is acknowledged. */
struct held {
	uint8_t key[XT_CACHE_KEY];
	uint64_t token;
	uint64_t seq;	  /* of the cache_finish that ends it; 0: it is being computed */
	pthread_t thread; /* that computes … */
	bool apart;	  /* … unless it is of no thread */
	struct held *next;
};

struct xt_client {
	pthread_mutex_t lock; /* guards everything */
	pthread_cond_t cond;  /* something was read, or nobody reads any more */
	bool reading;	      /* a thread waits for bytes, or reads them, without the mutex */
	bool waits;	      /* recv() waits for bytes, for SLICE_MS */
	int64_t asked_at;     /* when options.interrupted was asked last, ms */
	uint8_t *alive;	      /* a page that fork wipes; NULL: compare `pid` */
	bool trace;	      /* XETRACK_TRACE=proto: messages are printed on stderr */
	pid_t pid;	      /* process that the state belongs to */

	char *database; /* owned: as given */
	char *name;	/* owned */
	xt_options opt; /* copied, with defaults filled in; its name is not used */

	int fd;				   /* -1: not connected */
	bool mute;			   /* writing failed: read what is left, then connect again */
	bool stale;			   /* the id was changed since: what is left is not for us */
	unsigned epoch;			   /* counts connections, so that cursors know theirs */
	unsigned failed_tries;		   /* to connect, in a row */
	unsigned ended_starts;		   /* daemons we started that ended without a word */
	int64_t retry_at;		   /* when the next try to connect is due, ms */
	struct buf in;			   /* received, not yet parsed */
	struct xt_err stream;		   /* why the daemon closed the connection, when it said so */
	uint8_t id[XT_CLIENT_ID];	   /* drawn at random */
	uint8_t database_id[XT_CLIENT_ID]; /* of the last hello */
	bool knows_database;		   /* database_id is set */
	bool read_only;			   /* the last hello said that nothing can be written */

	struct window window;
	struct spill spill;	     /* where rows go while the daemon is away */
	char trouble[500];	     /* why the daemon does not store at the moment; "" when it does */
	char trouble_code[64];	     /* its code for it */
	bool failed_runs;	     /* the goodbye says that our runs failed */
	bool closing;		     /* xt_close() waits */
	unsigned unread;	     /* rows logged since acks were last looked for */
	uint64_t last_seq, acked;    /* last number given out, highest acknowledged */
	uint64_t confirm, confirmed; /* answers seen, answers confirmed */
	uint64_t reject_seq;	     /* last rejection seen */
	uint64_t rejected, flushed_rejected; /* rows rejected: in all, before the last flush */
	char reason[600];		     /* the first of them since the last flush: "code: message" */
	char first_reason[600];		     /* the first of all */
	bool restored;			     /* the next flush says XT_ERESTORED */

	struct direct direct;	/* the cache, as far as it may be read directly */
	uint64_t cache_ttl_us;	/* age from which its entries are not to be taken; 0: none is too old */
	struct held *held;	/* owned: leases */
	uint64_t last_call;	/* number of the last call_begin */
	char cache_warning[64]; /* code of the last warning about the cache: each is told once */
	int64_t alone_until;	/* cached calls do not wait for a daemon before that, ms */
	struct buf cached;	/* owned: what xt_cache_get() or xt_cache_parts() gave last */

	uint32_t msgid;	     /* last one used */
	struct call *calls;  /* those waited for */
	struct xt_run *runs; /* owned */

	char error[1200]; /* last failure's sentence */
	char code[64];	  /* and the daemon's code for it */
};

/* ---- client.c --------------------------------------------------------- */

/* Locks; a child of fork gets a state of its own first. To be called without the mutex. */
void client_enter(struct xt_client *c);

/* Unlocks and hands `status` through. */
int client_leave(struct xt_client *c, int status);

/* Sets the error's sentence and returns `status`. */
int client_fail(struct xt_client *c, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same from an error of the daemon or of proto/. */
int client_fail_err(struct xt_client *c, int status, const struct xt_err *err);

/* XT_EREQUEST with the code read_only when the daemon takes no changes. */
int client_writable(struct xt_client *c) __attribute__((warn_unused_result));

/* Draws a new client id. 0 or a status with the error set. */
int client_new_id(struct xt_client *c) __attribute__((warn_unused_result));

/* How long a call may wait for room, by the options: a deadline. */
int64_t client_full_deadline(const struct xt_client *c);

/* Waits until that number is acknowledged. */
int client_await(struct xt_client *c, uint64_t seq, int64_t deadline) __attribute__((warn_unused_result));

/* CLOCK_MONOTONIC in milliseconds; a deadline from a timeout, XT_FOREVER being NEVER; and back, for poll. */
int64_t now_ms(void);
int64_t deadline_in(int timeout_ms);
int poll_timeout(int64_t deadline, int most);

/* Wall clock in microseconds since 1970. */
int64_t wall_us(void);

/* ---- window.c --------------------------------------------------------- */

void window_done(struct window *w);

/* Bytes in it. */
static inline size_t window_size(const struct window *w)
{
	return w->bytes.len - w->head;
}

/* Allocates room for `size` bytes and a frame. */
int window_reserve(struct xt_client *c, size_t size) __attribute__((warn_unused_result));

/* Makes room for `size` bytes, waiting for acknowledgements as the options say; then allocates. */
int window_room(struct xt_client *c, size_t size) __attribute__((warn_unused_result));

/* Takes the `size` bytes after bytes.len, written by the caller after window_room(), as a frame of
 * `rows` numbers, which it allots and writes at seq_off. Cannot fail. rows 0: not numbered. */
void window_commit(struct xt_client *c, size_t size, size_t rows, size_t seq_off);

/* Appends a request or notification made from a struct params_x. Never waits. What the daemon would
 * refuse to decode is XT_EINVAL here, so that it takes no number. */
int window_put(struct xt_client *c, const struct method_desc *m, uint32_t msgid, const void *params,
	       uint64_t *ret_seq) __attribute__((warn_unused_result));

/* Sends what the kernel takes at once. */
void window_send(struct xt_client *c);

/* Drops what is acknowledged or no longer needed. */
void window_trim(struct xt_client *c);

/* After a connection was lost: only numbered frames above `acked` remain, all of them unsent; none while
 * the spool file is read, for it has them. */
void window_rewind(struct xt_client *c);

/* Gives every frame a new number, from 1; but leaves those that are in the spool file to the daemon. */
void window_renumber(struct xt_client *c);

/* ---- link.c, start.c -------------------------------------------------- */

/* Connects, starting the daemon where allowed, and says hello. patient: one that was there before, and that
 * others must start, is waited for. */
int link_open(struct xt_client *c, int timeout_ms, bool patient) __attribute__((warn_unused_result));

/* Forgets the connection; calls that were not numbered are lost. */
void link_drop(struct xt_client *c);

/* Connected already, or one try if one is due. The error is set, but nothing waits for long. */
bool link_try(struct xt_client *c);

/* Starts a daemon and waits for it to be ready. XT_OK: try to connect (again). */
int start_daemon(struct xt_client *c, const struct place *p, int64_t deadline)
	__attribute__((warn_unused_result));

/* Connects a socket and checks who listens: the descriptor, or -errno; -EPERM: the wrong peer, in *ret_uid.
 */
int link_dial(const struct place *p, uid_t *ret_uid) __attribute__((warn_unused_result));

/* ---- pump.c ----------------------------------------------------------- */

/* Reads and handles what has arrived. Does nothing while another thread reads. */
void pump_read(struct xt_client *c);

/* Waits until something arrives or can be sent, or the deadline. Releases the mutex meanwhile. May
 * return early. XT_OK, XT_EINTR, or XT_ETIMEOUT when the deadline has passed. */
int pump_wait(struct xt_client *c, int64_t deadline) __attribute__((warn_unused_result));

/* Handles the whole frames that were received. -1: the bytes make no sense. */
int pump_parse(struct xt_client *c) __attribute__((warn_unused_result));

/* Handles one frame. -1: it makes no sense; why is in `stream`. */
int pump_frame(struct xt_client *c, struct span body) __attribute__((warn_unused_result));

/* ---- call.c ----------------------------------------------------------- */

/* Sends a request and waits for its answer; `params` is its struct, whose seq is filled in here. Decodes
 * into *ret (struct result_x), whose spans live in call->result: call_done() it, also on failure. */
int call_run(struct xt_client *c, enum method_id method, void *params, struct call *call, void *ret,
	     int64_t deadline) __attribute__((warn_unused_result));

/* Connects where that is needed, waiting no longer than the options allow. */
int call_ready(struct xt_client *c) __attribute__((warn_unused_result));

/* Its halves: after call_send() the call is listed, until call_wait() returns anything but XT_EINTR
 * or XT_ETIMEOUT, or call_forget(). */
int call_send(struct xt_client *c, enum method_id method, void *params, struct call *call)
	__attribute__((warn_unused_result));
int call_wait(struct xt_client *c, struct call *call, int64_t deadline) __attribute__((warn_unused_result));
void call_forget(struct xt_client *c, struct call *call);
void call_done(struct call *call);

/* Answers a call: error and result as encoded. */
void call_answer(struct call *call, struct span error, struct span result);

/* ---- pack.c ----------------------------------------------------------- */

/* Adds the most bytes and the items a value takes; NULL, or what is wrong with it. depth: arrays and
 * maps that it may have inside each other. */
const char *pack_measure(const xt_value *v, unsigned depth, size_t *bytes, size_t *items);

/* Depth left for a value in a row: a message has five containers around it. */
#define ROW_DEPTH (XT_MAX_DEPTH - 5)

/* Most items in one value or row, so that a message stays below XT_MAX_ITEMS. */
#define ROW_ITEMS 65000

/* Writes at p, where room is, and returns the end. */
uint8_t *pack_value(uint8_t *p, const xt_value *v);

/* Encodes values into a buffer: an array of them, or one. A status with the error set. */
int pack_to(struct xt_client *c, struct buf *out, const char *what, const xt_value *v)
	__attribute__((warn_unused_result));

/* Sends the window's frames, the last of which was just committed; or puts it behind others in the spool
 * file. Now and then looks for acknowledgements. On failure the frame is gone. */
int row_push(struct xt_client *c) __attribute__((warn_unused_result));

/* ---- flight.c --------------------------------------------------------- */

/* The result of a call, where and how it may be had. */
enum flight {
	FLIGHT_HIT,	/* it is there: the entry */
	FLIGHT_LEASE,	/* compute, and keep it */
	FLIGHT_COMPUTE, /* compute, and keep nothing: no lease could be had */
};

/* The cache lies in that directory, and may be read directly; empty: it may not. ttl_ms: age from which
 * entries are not to be taken; 0: none is too old. */
void flight_cache_at(struct xt_client *c, struct span path, uint64_t ttl_ms);

/* Looks a key up: in the map, else by the daemon, where `ret` borrows from `call`. XT_OK, XT_DONE: it is not
 * there, or an error. */
int flight_look(struct xt_client *c, const uint8_t *key, struct entry *ret, struct call *call)
	__attribute__((warn_unused_result));

/* Asks for a result or a lease, and waits as the options say. call_done() the call in any case. */
int flight_begin(struct xt_client *c, const uint8_t *key, const xt_call_options *o, enum flight *ret,
		 struct entry *ret_entry, struct held **ret_held, struct call *call)
	__attribute__((warn_unused_result));

/* Gives a lease back. Never waits. */
void flight_abort(struct xt_client *c, struct held *held);

/* Forgets leases whose results are acknowledged; appends those that are held as hello's `leases`, and returns
 * how many there are. */
size_t flight_tell(struct xt_client *c, struct buf *out);

/* After hello, which named them: leases whose results turn out to be known are given back, for the daemon
 * took them for live. */
void flight_settle(struct xt_client *c);

/* Leaves all leases alone: a child's, or at the end. */
void flight_forget(struct xt_client *c);

/* ---- cache.c ---------------------------------------------------------- */

/* Copies an entry into an empty buffer; *ret points there. -1: out of memory. */
int cache_copy(struct buf *b, const struct entry *e, xt_cached *ret) __attribute__((warn_unused_result));

/* ---- row.c, run.c ----------------------------------------------------- */

struct param {
	const char *key; /* in xt_run.params, not NUL-terminated */
	size_t len;	 /* bytes of it */
	size_t at, end;	 /* key and value in xt_run.params */
	size_t value;	 /* the value alone */
	size_t items;	 /* values in it */
};

struct xt_run {
	struct xt_client *client; /* borrowed */
	struct xt_run *next;	  /* in client->runs */
	int sample_ms;		  /* between samples of its calls; 0: neither they nor its rows have any */
	bool sample_network;	  /* calls and rows have its bytes */
	uint64_t joined;	  /* number of its run_join; 0: it was started, or joined before */
	pid_t pid;	 /* process that made the handle: a child's part in the run is one of its own */
	char *id;	 /* owned: track_id */
	char *table;	 /* owned; NULL: events */
	uint8_t *head;	 /* owned: a `log` frame up to its time */
	size_t head_len; /* bytes */
	size_t map_off, seq_off; /* in head: number of fields; sequence number */
	struct buf params;	 /* encoded keys and values */
	struct param *param;	 /* owned: n_params of them */
	size_t n_params;
	size_t items;	/* in params, keys counted */
	uint64_t bloom; /* of the keys */
};

/* A bit for a key: two keys with different bits differ. */
static inline uint64_t key_bit(const char *key, size_t len)
{
	uint64_t first = len ? (uint8_t)key[0] : 0, last = len ? (uint8_t)key[len - 1] : 0;

	return UINT64_C(1) << ((first * 7 + last * 13 + len * 5) & 63);
}

/* Checks fields, measures them and finds their lengths and bloom. */
int row_check(struct xt_client *c, const xt_field *fields, size_t n, size_t *lens, size_t *bytes,
	      size_t *items, uint64_t *ret_bloom) __attribute__((warn_unused_result));

#endif
