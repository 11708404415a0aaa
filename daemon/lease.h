/*
 * Who computes what, and who waits for it: at most one live execution a key. Pure data: no sockets, no
 * clock, no cache; what is to be told is told by callbacks. Lives on the loop.
 *
 * A lease has a token, which grows with each one given, over restarts too: its upper half is the daemon's
 * epoch. It belongs to a client, not to a connection, and is checked by token and user, since a client may
 * have to draw a new id. Leases end by a result, by an abort, or with their client; then whoever waits
 * longest gets the next one. Leases of an earlier daemon are claimed by `hello` and, for a while after the
 * start, none is given before their holders have had time to come (the grace time).
 */
#ifndef XT_LEASE_H
#define XT_LEASE_H

#include "clients.h"
#include "entry.h"

#define LEASE_NEVER  UINT64_MAX /* a time that does not come */
#define LEASE_WITHIN 16		/* leases that one waiting call may hold */

/* How a question is answered. */
enum lease_answer {
	LEASE_GIVEN,  /* compute: the token */
	LEASE_RESULT, /* it is there now: the entry, or NULL: look into the cache */
	LEASE_HELD,   /* another one computes it, and the time to wait is over */
	LEASE_CYCLE,  /* the one who computes it waits, in the end, for the one who asks */
	LEASE_NONE,   /* none can be given: there is no epoch */
};

/* A question. Borrowed for the call. */
struct lease_ask {
	const uint8_t *key;
	struct client_key client;
	uint64_t conn; /* id of the connection to answer, and the request's msgid */
	uint32_t msgid;
	uint64_t until_ms; /* wait no longer than to this time; LEASE_NEVER: for ever */
	bool force;	   /* no result will do */
	bool direct;	   /* handed through to the answer */
	bool within_all;   /* all leases of the client wait for the answer; else those: */
	uint64_t within[LEASE_WITHIN];
	size_t n_within;
};

struct leases_options {
	/* Answers a question that waited. entry: of LEASE_RESULT. */
	void (*answer)(void *data, const struct lease_ask *ask, const uint8_t *key, enum lease_answer answer,
		       uint64_t token, const struct entry *entry);
	/* Is there a result by now? Asked before a lease is passed on. */
	bool (*has)(void *data, const uint8_t *key);
	/* The epoch of this daemon, when the first lease is to be given; 0: it cannot be had. */
	uint64_t (*epoch)(void *data);
	void *data;
};

struct lease_stats {
	uint64_t leases, waiters;	  /* now */
	uint64_t passed_on, lost, cycles; /* since the start */
	uint64_t grace_ms;		  /* left of the grace time */
};

struct leases;

struct leases *leases_new(const struct leases_options *o);
void leases_free(struct leases *l);

/* No lease is given until all of these clients have come or gone, or until that time. Copies. */
int leases_expect(struct leases *l, const struct client_key *clients, size_t n, uint64_t until_ms)
	__attribute__((warn_unused_result));

/* Asks for a lease. 0: *ret is the answer, with *ret_token; 1: it waits, and is answered later; -1: too many
 * wait. */
int lease_ask(struct leases *l, const struct lease_ask *ask, uint64_t now_ms, enum lease_answer *ret,
	      uint64_t *ret_token, struct xt_err *err) __attribute__((warn_unused_result));

/* A result came in, and goes to the writer: the lease stays, whatever becomes of its client. False: it is
 * lost. */
bool lease_finishing(struct leases *l, const uint8_t *key, uint64_t token, uint32_t uid);

/* The writer is done with it: if it was applied, those who wait are answered, with the entry, or NULL: from
 * the cache. Else it comes again. */
void lease_finished(struct leases *l, const uint8_t *key, uint64_t token, bool applied,
		    const struct entry *entry);

/* Gives a lease back without a result. False: it was lost already. */
bool lease_abort(struct leases *l, const uint8_t *key, uint64_t token, uint32_t uid);

/* A client that has come again holds these leases, and no others: an answer may have been lost. */
void lease_keep(struct leases *l, const struct client_key *client, const uint64_t *tokens, size_t n);

/* A client says that it holds a lease from before. stored: token of the entry that is there, or 0. */
void lease_claim(struct leases *l, const uint8_t *key, uint64_t token, const struct client_key *client,
		 uint64_t stored);

/* A client has come, or gone for good; a connection has ended, and nobody waits there any more. */
void lease_client_came(struct leases *l, const struct client_key *client);
void lease_client_gone(struct leases *l, const struct client_key *client);
void lease_conn_gone(struct leases *l, uint64_t conn);

/* A question is taken back: it is answered at once by LEASE_HELD. False: it does not wait. */
bool lease_cancel(struct leases *l, uint64_t conn, uint32_t msgid);

/* Time has passed. Returns when it has to be called next; LEASE_NEVER: not. */
uint64_t leases_tick(struct leases *l, uint64_t now_ms);

struct lease_stats leases_stats(const struct leases *l, uint64_t now_ms);

#endif
