/*
 * The handlers: one function a method, handle_<method>(context, parameters, result, error), typed
 * by methods.def. Results borrow from the context until the answer is encoded. A method without a
 * handler does not link.
 */
#ifndef XT_HANDLE_H
#define XT_HANDLE_H

#include "lease.h"
#include "op.h"

struct cache;
struct extra;
struct intake;

/* What a handler on the writer thread works with. */
struct work {
	struct store *store;
	struct op *op;
	struct client *client;		       /* the sender */
	struct buf *events;		       /* encoded events for the sender, sent before the answer */
	struct buf text;		       /* for what results borrow */
	struct buf rows;		       /* those of a log, with what is added to them */
	struct span *names, *keys;	       /* scratch for a row's keys: XT_MAX_COLUMNS + 1 each */
	struct intake *intake;		       /* of spool files */
	struct cache *cache;		       /* of function results */
	const struct xt_err *cache_refusal;    /* why this batch puts nothing into it; NULL: it does */
	uint64_t stored, rejected, duplicates; /* rows of this batch */
	bool no_call_rows;	       /* rows of dead calls broke the transaction: they are left out */
	const struct culprit *culprit; /* known to break the transaction; NULL: none */
	bool met;		       /* it was met: the batch ends behind it */
};

/* What rolled a batch back, and how it is answered when the batch is replayed. */
struct culprit {
	struct client_key client;
	uint64_t seq;
	struct xt_err err;
};

/* The culprit, if the client's row or request of that number is it. */
const struct culprit *work_culprit(struct work *w, uint64_t seq);

/* Tells the sender, now and until it confirms, that a row is rejected. */
int work_reject(struct work *w, uint64_t seq, const struct xt_err *why, struct xt_err *err)
	__attribute__((warn_unused_result));

/* What `log` does, of rows that fields are added to. */
int rows_log(struct work *w, const struct params_log *p, const struct extra *add, struct result_log *ret,
	     struct xt_err *err) __attribute__((warn_unused_result));

/* The answer to `hello`, from what of the store does not change, the message, and the client's mark. What it
 * says of the cache lives until the thread's next answer. */
void hello_answer(const struct store *s, struct cache *cache, const struct op *op, uint64_t mark,
		  struct result_hello *ret);

/* Whether the client may read the cache directly: it is our own user, in the same PID namespace. */
bool hello_is_direct(const struct op *op);

struct server;
struct cursor;
struct entry;

#define CACHE_INLINE 65536 /* bytes of a value; a larger one is left to who reads the cache directly */

/* An answer to `cache_begin`: an entry, whose spans it borrows, and which is in the cache if `direct`; or
 * what became of the question. */
void cache_answer_hit(const struct entry *e, bool direct, struct result_cache_begin *ret);
void cache_answer_state(enum lease_answer how, uint64_t token, struct result_cache_begin *ret);

/* What a handler on the loop works with. */
struct loop_call {
	struct server *server;
	struct op *op;
	struct buf text; /* for what results borrow until they are encoded */
	bool reading;	 /* the same: the cache is being read */
};

#define HANDLER_LOOP(name)                                                                               \
	int handle_##name(struct loop_call *c, const struct params_##name *p, struct result_##name *ret, \
			  struct xt_err *err);
#define HANDLER_WRITER(name)                                                                        \
	int handle_##name(struct work *w, const struct params_##name *p, struct result_##name *ret, \
			  struct xt_err *err);
#define HANDLER_READER(name)                                                                          \
	int handle_##name(struct cursor *c, const struct params_##name *p, struct result_##name *ret, \
			  struct xt_err *err);
#define HANDLER_CLIENT(name)
#define METHOD(name, id, kind, thread, flags, doc) HANDLER_##thread(name)
#include "methods.def"

/* A handler on the loop has arranged that its request is answered later. */
#define HANDLE_LATER 1

/* Calls the method's handler; params and result are its structs, context what its thread has. 0, or -1
 * with the error; on the loop also HANDLE_LATER. */
int handle_call(const struct method_desc *m, void *context, const void *params, void *result,
		struct xt_err *err) __attribute__((warn_unused_result));

#endif
