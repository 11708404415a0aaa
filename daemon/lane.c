#include "lane.h"

#define PROMPT_CLIENT (64u << 10)  /* bytes that a client may have under way in the prompt lane, about */
#define PROMPT_ALL    (256u << 10) /* and all clients: what the writer does in a few milliseconds */

void lanes_push(struct lanes *l, struct op *op)
{
	op_push(op->lane == LANE_PROMPT ? &l->prompt : &l->bulk, op);
}

void lanes_splice(struct lanes *to, struct lanes *from)
{
	op_splice(&to->prompt, &from->prompt);
	op_splice(&to->bulk, &from->bulk);
}

void lanes_restore(struct lanes *l, struct op_list *ops)
{
	struct lanes front = {0};
	struct op *op;

	while ((op = op_pop(ops)))
		lanes_push(&front, op);
	lanes_splice(&front, l);
	*l = front;
}

/* Touches nothing but what its own client writes, and so may overtake others. */
static bool own(const struct op *op)
{
	if (op->kind == OP_BARRIER)
		return true;
	if (op->kind != OP_METHOD)
		return false;
	switch (op->method->id) {
	case METHOD_hello:
	case METHOD_bye:
	case METHOD_log:
	case METHOD_confirm:
	case METHOD_run_start:
	case METHOD_run_join:
		return true;
	default:
		return false;
	}
}

static size_t bucket_of(const struct op *op)
{
	return (op->client.id[0] | (size_t)op->client.id[1] << 8) % LANE_BUCKETS;
}

void lane_choose(struct lane_keeper *k, struct op *op, size_t queued)
{
	/* Behind a bulk message of its client it may not go first. */
	bool prompt = own(op) && k->bulk[bucket_of(op)] == 0 && queued <= PROMPT_CLIENT &&
		      k->prompt_bytes + op->bytes <= PROMPT_ALL;

	op->lane = prompt ? LANE_PROMPT : LANE_BULK;
	k->under_way++;
	if (prompt)
		k->prompt_bytes += op->bytes;
	else
		k->bulk[bucket_of(op)]++;
}

void lane_leave(struct lane_keeper *k, struct op *op)
{
	if (op->lane == LANE_PROMPT)
		k->prompt_bytes -= op->bytes;
	else if (op->lane == LANE_BULK)
		k->bulk[bucket_of(op)]--;
	k->under_way -= op->lane != LANE_NONE;
	op->lane = LANE_NONE;
}
