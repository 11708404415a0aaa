/*
 * Function calls that have begun and not ended: xt_calls. A call's row is given when it begins; when its
 * client dies it is stored with what became of the client, and taken back should the call end after all.
 */
#ifndef XT_CALLS_H
#define XT_CALLS_H

#include "handle.h"

/* A call of the sender's begins. */
int calls_begin(struct work *w, const struct params_call_begin *p, struct xt_err *err)
	__attribute__((warn_unused_result));

/* A call that has begun under a lease, as far as is known. */
struct call_held {
	struct client_key client;
	pid_t pid; /* of its process */
	uint8_t key[XT_CACHE_KEY];
	uint64_t token;
};

/* At the start: those that have not ended. */
int calls_held(struct store *s, void (*each)(void *data, const struct call_held *held), void *data,
	       struct xt_err *err) __attribute__((warn_unused_result));

/* And ends: the row it had been given is deleted. One that never began is no matter. */
int calls_end(struct work *w, uint64_t call, struct xt_err *err) __attribute__((warn_unused_result));

/* A client will not end the calls it is in: each becomes a row with these errors. */
int calls_abandon(struct work *w, const struct client_key *client, const char *error_type, const char *error,
		  struct xt_err *err) __attribute__((warn_unused_result));

/* A run is deleted, and what is kept of its calls. */
int calls_forget_run(struct store *s, struct span track_id, struct xt_err *err)
	__attribute__((warn_unused_result));

#endif
