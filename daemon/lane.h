/*
 * Two lanes to the writer, so that who sends a little does not wait behind who floods: messages of clients
 * that have little under way, and those of the others. What one client sends stays in its order, and so does
 * everything that changes what others wrote.
 */
#ifndef XT_LANE_H
#define XT_LANE_H

#include "op.h"

#define LANE_BUCKETS 1024

/* Messages in the order of arrival; of two lanes the prompt one goes first. A bulk message is looked at
 * when the prompt lane is empty: then all is done that came before it. */
struct lanes {
	struct op_list prompt, bulk;
};

static inline bool lanes_empty(const struct lanes *l)
{
	return !l->prompt.first && !l->bulk.first;
}

static inline size_t lanes_count(const struct lanes *l)
{
	return l->prompt.count + l->bulk.count;
}

void lanes_push(struct lanes *l, struct op *op);

/* Moves all of `from` behind `to`. */
void lanes_splice(struct lanes *to, struct lanes *from);

/* Puts messages back before the others, each into its lane. */
void lanes_restore(struct lanes *l, struct op_list *ops);

/* What decides on the lane; the loop's. */
struct lane_keeper {
	size_t bulk[LANE_BUCKETS]; /* bulk messages under way, by client */
	size_t prompt_bytes;	   /* of prompt messages under way */
	size_t under_way;	   /* messages at the writer, or on their way to it and back */
};

/* Chooses the lane of a message; queued: bytes that its connection has under way. */
void lane_choose(struct lane_keeper *k, struct op *op, size_t queued);

/* The message is back. */
void lane_leave(struct lane_keeper *k, struct op *op);

#endif
