/*
 * The handlers: one function a method, handle_<method>(context, parameters, result, error), typed
 * by methods.def. Results borrow from the context until the answer is encoded. A method without a
 * handler does not link.
 */
#ifndef XT_HANDLE_H
#define XT_HANDLE_H

#include "op.h"

struct intake;

/* What a handler on the writer thread works with. */
struct work {
	struct store *store;
	struct op *op;
	struct client *client;		       /* the sender */
	struct buf *events;		       /* encoded events for the sender, sent before the answer */
	struct buf text;		       /* for what results borrow */
	struct span *names, *keys;	       /* scratch for a row's keys: XT_MAX_COLUMNS + 1 each */
	struct intake *intake;		       /* of spool files */
	uint64_t stored, rejected, duplicates; /* rows of this batch */
	const struct culprit *culprit;	       /* known to break the transaction; NULL: none */
	bool met;			       /* it was met: the batch ends behind it */
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

/* The answer to `hello`, from what of the store does not change, the client's mark and its role. */
void hello_answer(const struct store *s, const struct params_hello *p, uint64_t mark, bool reader,
		  struct result_hello *ret);

struct server;
struct cursor;

/* What a handler on the loop works with. */
struct loop_call {
	struct server *server;
	struct op *op;
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

/* Calls the method's handler; params and result are its structs, context what its thread has. 0, or -1
 * with the error. */
int handle_call(const struct method_desc *m, void *context, const void *params, void *result,
		struct xt_err *err) __attribute__((warn_unused_result));

#endif
