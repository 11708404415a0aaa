/*
 * One message applied inside the open transaction: sequence numbers, the handler, the answer and its copy
 * in the outbox. Everything here may be undone and done again when the batch is replayed.
 */
#ifndef XT_APPLY_H
#define XT_APPLY_H

#include "handle.h"

/* Applies the message and puts its answer in op->out. -1: it cannot be stored; err says why, and unless
 * the store has trouble the message is the culprit. */
int work_apply(struct work *w, struct op *op, struct xt_err *err) __attribute__((warn_unused_result));

/* The same while nothing can be stored: answers what needs nothing new, as of the last commit. True: done. */
bool work_apply_held(struct work *w, struct op *op);

/* Carries out a message that no transaction may be around, and puts its answer in op->out. Unless the store
 * has trouble that is fatal nothing is the matter when it fails. */
void work_outside(struct work *w, struct op *op);

/* True when the transaction is lost. */
bool work_broken(const struct store *s);

#endif
