/*
 * Who has sent what: one mark per (uid, client id), the last sequence number that is applied, and
 * the outbox of answers that clients have not confirmed. Marks move in memory while a batch is
 * applied, are written with it, and move back when it is rolled back.
 */
#ifndef XT_CLIENTS_H
#define XT_CLIENTS_H

#include "store.h"

struct client_key {
	uint32_t uid;		  /* of the peer, from its socket */
	uint8_t id[XT_CLIENT_ID]; /* from `hello` */
};

/* Rows of one run that its row in xt_runs does not count yet. They are kept in the client's row, which
 * each commit writes anyway: one page less to sync. */
struct uncounted {
	char run[XT_MAX_TRACK_ID + 1]; /* its track_id; "" when there are none */
	uint64_t rows, rejects;
};

struct client {
	struct client_key key;
	uint64_t mark;		   /* last number applied, perhaps not committed */
	uint64_t committed;	   /* last number committed */
	uint64_t stored, rejected; /* rows since the last commit */
	uint64_t requests;	   /* other changes since then */
	uint64_t told;		   /* highest number that the client said it has assigned */
	bool said_bye;		   /* it left in good order, and was not back since */
	uint64_t told_committed;   /* the same two, as committed */
	bool bye_committed;
	struct uncounted uncounted, uncounted_committed; /* as applied; as committed */
	int64_t counted_us;				 /* when they last went to xt_runs */
	uint64_t untold;     /* first number whose kept events wait to be sent; 0: none do */
	bool dirty;	     /* in the cache's dirty list */
	bool connected;	     /* between hello and the connection's end */
	bool returned;	     /* it was greeted while nothing could be stored: its runs are not told yet */
	struct client *next; /* in its hash bucket */
	struct client *next_dirty;
};

struct client_cache;
struct run;

struct client_cache *clients_new(void);
void clients_free(struct client_cache *c);

/* The client, read from the database when it is not in memory. NULL with the error set. */
struct client *clients_find(struct store *s, const struct client_key *key, struct xt_err *err);

/* Counts rows of a run that the client logged: in its own row, and from time to time in xt_runs. */
int clients_count(struct store *s, struct client *c, struct run *run, uint64_t rows, uint64_t rejects,
		  struct xt_err *err) __attribute__((warn_unused_result));

/* Hands what is uncounted to xt_runs: a client's; and those of all clients for a run. */
int clients_settle(struct store *s, struct client *c, struct xt_err *err) __attribute__((warn_unused_result));
int clients_settle_run(struct store *s, const struct run *run, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Moves the mark. */
void clients_advance(struct store *s, struct client *c, uint64_t mark);

/* The client says which number it has assigned last; `bye`: and that it leaves. Of a client that has
 * changed nothing yet nothing is kept. */
void clients_told(struct store *s, struct client *c, uint64_t last_seq, bool bye);

/* Forgets clients that were not seen for as long as the settings say, with their marks and outboxes, but
 * none that is connected or has a spool file. */
int clients_forget_old(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

/* Has it a spool file, that is still to be taken in? */
bool clients_spool(const struct store *s, const struct client_key *key);

/* Forgets a client that is not connected and has nothing to write. */
void clients_drop(struct store *s, struct client *c);

/* Writes the dirty marks; part of store_commit(). */
int clients_write(struct store *s, struct xt_err *err) __attribute__((warn_unused_result));

/* What was written is now committed, or undone. */
void clients_committed(struct client_cache *c);
void clients_rolled_back(struct client_cache *c);

/* Keeps an encoded event for a client until it confirms it. kind: "answer" or "reject". */
int outbox_put(struct store *s, const struct client_key *key, uint64_t seq, const char *kind,
	       struct span answer, struct xt_err *err) __attribute__((warn_unused_result));

/* Appends the kept events of a client that it was not told yet on this connection, from c->untold on, as
 * many as make a fair piece; the next piece follows the client's confirmation. */
int outbox_tell(struct store *s, struct client *c, struct buf *out, struct xt_err *err)
	__attribute__((warn_unused_result));
/* Appends the answer to one request. 0: found, 1: not. */
int outbox_get(struct store *s, const struct client_key *key, uint64_t seq, struct buf *out,
	       struct xt_err *err) __attribute__((warn_unused_result));

/* Drops what is confirmed, as far as it was told. */
int outbox_confirm(struct store *s, struct client *c, uint64_t seq, struct xt_err *err)
	__attribute__((warn_unused_result));

#endif
