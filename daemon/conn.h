/*
 * One client's connection: bytes in, cut into frames and dispatched; answers gathered and written.
 * Lives on the loop. Messages that are under way name it by id, so it may go at any time.
 */
#ifndef XT_CONN_H
#define XT_CONN_H

#include <uv.h>

#include "await.h"
#include "buf.h"
#include "op.h"
#include "peer.h"
#include "sampler.h"
#include "share.h"
#include "watch.h"

/* Received bytes, shared by the messages that were cut from them. Counted on the loop only. */
struct block {
	unsigned refs;
	size_t cap, len; /* bytes of room, bytes received */
	uint8_t data[];
};

struct block *block_new(size_t cap);
void block_unref(struct block *b);

enum conn_state {
	CONN_OPEN,    /* reading */
	CONN_EOF,     /* nothing more comes; what is under way is answered, then it closes */
	CONN_CLOSING, /* only the close callback is to come */
};

struct server;

struct conn {
	uv_pipe_t pipe;
	struct server *server; /* borrowed */
	uint64_t id;	       /* of this connection, never used again */
	enum conn_state state;
	struct peer peer;
	struct share *share;		 /* a reference: of its process */
	struct client_key client;	 /* from hello */
	struct watch *watch;		 /* a reference: the peer's process; NULL: it cannot be watched */
	struct sampled_process *sampled; /* a reference: the same, once it is sampled; or NULL */
	struct sampler_since since;	 /* what samples of plain rows count from */
	bool peer_died;			 /* it has ended: what is in the socket is its last word */
	bool said_bye;			 /* it leaves in good order */
	bool greeted;			 /* hello was taken */
	bool welcomed;			 /* and is answered: before that nothing else may be said */
	bool direct;			 /* it may read the cache directly */
	bool reading;			 /* uv_read_start is in effect */
	uint64_t since_ms;		 /* loop time: when it began to be read */

	struct block *in; /* bytes not yet cut; NULL when there are none */
	size_t cut;	  /* of them, those that are cut */
	size_t read_size; /* room to offer for the next read */
	size_t need;	  /* bytes that the next frame takes in all, as far as known */
	size_t room; /* of them, counted as SHARE_ROOM: all of a large frame, so that it can be finished */
	uint64_t room_ms; /* loop time: since when */
	bool waits;	  /* for that room, and is not read meanwhile */

	struct buf out;	    /* encoded answers, to be written */
	struct buf writing; /* those that libuv writes */
	uv_write_t write;   /* in use while writing.len > 0 */
	size_t unread;	    /* bytes of both that are counted as SHARE_UNREAD */
	bool mute;	    /* a write failed: answers are dropped, reading goes on */
	uint64_t ack;	    /* mark to acknowledge; 0: none */
	uint64_t committed; /* highest mark that was acknowledged here */
	bool dirty;	    /* in the server's list of those to flush */

	size_t queued;		      /* bytes of its messages that are under way */
	unsigned ops, jobs;	      /* messages under way; those of them that read */
	struct await_owner row_waits; /* requests that wait for rows */

	struct conn *prev, *next; /* all connections */
	struct conn *next_dirty;  /* to flush */
	struct conn *next_same;	  /* in the bucket of its client id */
};

/* Takes over an accepted pipe and starts to read. */
void conn_start(struct conn *c);

/* Something was appended to out, or ack was raised: it is written at the end of this turn. */
void conn_touch(struct conn *c);

/* Writes what is due; closes the connection when it is at its end. */
void conn_flush(struct conn *c);

/* Appends an encoded answer, or takes over its memory. */
void conn_put(struct conn *c, struct buf *answer);

/* An error that belongs to no request. */
void conn_put_error(struct conn *c, const struct xt_err *err);

/* Reads no more; closes when everything is answered and written. */
void conn_finish(struct conn *c);

/* The peer's process has ended: reads what it sent and ends. */
void conn_peer_died(struct conn *c);

/* Ends a connection that is not read at the moment and whose peer has gone. */
void conn_look_gone(struct conn *c);

/* Closes now. */
void conn_close(struct conn *c);

/* Looks whether it has to end, or may go on, now that time has passed: it never said hello; it is sent in
 * part and others wait for the room. */
void conn_look_late(struct conn *c);

/* Gives up the receive buffer when nothing is in it or points into it: idle connections keep none. */
void conn_rest(struct conn *c);

/* Starts or stops reading, as the limits have it. */
void conn_regulate(struct conn *c);

#endif
