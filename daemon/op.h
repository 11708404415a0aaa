/*
 * One message on its way through the daemon: made by the loop, worked on by one thread at a time,
 * given back to the loop. It names its connection, never points to it: a connection that has gone
 * is looked up and not found.
 */
#ifndef XT_OP_H
#define XT_OP_H

#include "clients.h"
#include "wire.h"

struct block;
struct cursor;
struct share;

enum op_kind {
	OP_METHOD,  /* a client's message */
	OP_BARRIER, /* a reader's method that waits until `after` is committed */
	OP_GONE,    /* a client's connection has ended */
	OP_TIDY,    /* nobody is connected: put the WAL back */
	OP_JUDGE,   /* the grace time after the start is over; and daily */
	OP_SPOOL,   /* take in a piece of what clients left in spool files */
	OP_CLOSE,   /* a cursor is to be closed */
	OP_MARK,    /* nothing: all that came before it is done when it is back */
	OP_SETTLE,  /* files of assets go where their rows say */
	OP_LOOK,    /* nothing: other programs may have committed something */
	OP_CACHE,   /* the cache is damaged, and to be set aside */
};

/* cache_finish: what the loop, which keeps the leases, says of its token. */
enum op_lease {
	OP_LEASE_UNASKED, /* nothing: the message lay in a spool file */
	OP_LEASE_HELD,
	OP_LEASE_LOST,
};

/* And what the writer says when it is done. */
enum op_result {
	OP_RESULT_NONE,	   /* it was not applied, and comes again */
	OP_RESULT_GOOD,	   /* who waits may have the result */
	OP_RESULT_REFUSED, /* its row can never be stored, so the result is nobody's */
};

/* See lane.h. */
enum op_lane { LANE_NONE, LANE_PROMPT, LANE_BULK };

struct op {
	struct op *next; /* in whatever list it is */
	enum op_kind kind;
	enum op_lane lane;		  /* on its way to the writer and back */
	const struct method_desc *method; /* NULL for internal kinds */
	bool request;			  /* to be answered under msgid */
	bool greeting;	 /* nobody waits for it: a hello that is answered, the daemon's own */
	bool reader;	 /* who sends may only query */
	bool check_utf8; /* some text in it is not UTF-8 */
	uint32_t msgid;
	uint64_t conn;		  /* id of the connection; 0: none */
	struct client_key client; /* who sends */
	pid_t pid;		  /* of the sender; 0: unknown */
	struct share *share; /* a reference of the loop's: of the sender's process; threads only compare it */
	struct block *block; /* a reference: what the parameters' spans point into */
	size_t bytes;	     /* of the message, for the limits */
	uint64_t after;	     /* OP_BARRIER: number to wait for */
	unsigned turns;	     /* of the loop since a read of the flag VIEW came */
	uint64_t mark;	     /* OP_MARK: which; such a read: the one that it waits for … */
	uint64_t held_ms;    /* … since when, loop time */
	struct cursor *cursor; /* of reading methods; see reader.h */
	enum op_lease lease;   /* of cache_finish */
	struct buf extra;      /* fields that the loop adds to its rows: encoded keys and values */
	char cause[64];	       /* OP_GONE: what ended the client, "" when it closed by itself */

	/* Filled in by the thread that works on it. */
	struct buf out;			     /* encoded events and the response */
	uint64_t ack;			     /* mark to acknowledge; 0: none */
	bool close;			     /* the connection ends after `out` */
	bool more;			     /* a log whose last rows wait for the next batch */
	bool resumed;			     /* some of its rows are committed */
	size_t kept;			     /* bytes of `out` that tell of those */
	uint64_t stored, rejected;	     /* of them, and of those applied now */
	uint64_t kept_stored, kept_rejected; /* of them alone */
	bool refused;			     /* OP_BARRIER: answered already */
	enum op_result result;		     /* of cache_finish */
	bool again;   /* OP_SPOOL: there is more to take in; OP_JUDGE: look again before long */
	bool waiting; /* OP_SPOOL: files whose owners live were seen */

	_Alignas(16) unsigned char params[]; /* struct params_<method> */
};

/* A list in order of arrival. */
struct op_list {
	struct op *first, **last; /* last: where the next is hooked in; NULL when empty */
	size_t count;
};

static inline void op_push(struct op_list *l, struct op *op)
{
	op->next = NULL;
	if (!l->first)
		l->last = &l->first;
	*l->last = op;
	l->last = &op->next;
	l->count++;
}

static inline struct op *op_pop(struct op_list *l)
{
	struct op *op = l->first;

	if (op) {
		l->first = op->next;
		l->count--;
	}
	return op;
}

/* Moves all of `from` behind `to`. */
static inline void op_splice(struct op_list *to, struct op_list *from)
{
	if (!from->first)
		return;
	if (!to->first)
		to->last = &to->first;
	*to->last = from->first;
	to->last = from->last;
	to->count += from->count;
	*from = (struct op_list){0};
}

#endif
