#include "batch.h"

#include <time.h>

#include "entries.h"
#include "intake.h"

#define BATCH_US     5000  /* what a batch may take, so that acknowledgements do not wait long */
#define MAX_BATCH_US 20000 /* the same on a slow disk, whose commits cost more than rows */
#define COMMIT_SHARE 8	   /* a batch takes this many times its commit, within these bounds */
#define MIN_ROWS     64	   /* of a batch */
#define MAX_ROWS     20000

int64_t batch_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

bool batch_outside(const struct op *op)
{
	if (op->kind == OP_CACHE || op->kind == OP_SETTLE)
		return true;
	return op->kind == OP_METHOD &&
	       (op->method->id == METHOD_compact || op->method->id == METHOD_cache_gc ||
		op->method->id == METHOD_cache_reset || op->method->id == METHOD_asset_orphans);
}

bool batch_alone(const struct op *op)
{
	return batch_outside(op) || (op->kind == OP_METHOD && (op->method->id == METHOD_exec ||
							       op->method->id == METHOD_schema_rename));
}

struct op_list *batch_next_lane(const struct batch *b, struct lanes *queue)
{
	bool bulk_first = b->bulk_turn && !b->ops.first;

	return queue->bulk.first && (!queue->prompt.first || bulk_first) ? &queue->bulk : &queue->prompt;
}

bool batch_has_room(struct batch *b)
{
	if (b->work.stored + b->work.rejected >= b->row_limit)
		return false;
	if (!b->bulk_us)
		b->bulk_us = batch_now_us();
	return !b->prompted || batch_now_us() - b->bulk_us <= b->commit_us;
}

void batch_take_back(struct batch *b, struct lanes *queue)
{
	for (struct op *op = b->ops.first; op; op = op->next) {
		if (op->kept > 0)
			op->out.len = op->kept;
		else
			buf_done(&op->out);
		op->out.failed = false;
		op->ack = 0;
		op->close = op->refused = op->more = false;
		op->result = OP_RESULT_NONE;
	}
	lanes_restore(queue, &b->ops);
	b->bulk_us = 0;
	b->prompted = false;
	intake_rolled_back(b->work.intake);
	entries_rolled_back(b->work.cache);
	b->work.stored = b->work.rejected = b->work.duplicates = 0;
	b->work.met = false;
	b->work.op = NULL;
	b->work.client = NULL;
}

void batch_resume_last(struct batch *b, struct lanes *queue)
{
	struct op_list done = {0}, first = {0};
	struct op *op, *last = b->work.op;

	if (!last || !last->more)
		return;
	last->more = false;
	last->resumed = true;
	last->kept = last->out.len;
	last->kept_stored = last->stored;
	last->kept_rejected = last->rejected;
	while ((op = op_pop(&b->ops)) != last)
		op_push(&done, op);
	b->ops = done;
	op_push(&first, last);
	lanes_restore(queue, &first);
}

bool batch_note_culprit(struct batch *b, const struct xt_err *err)
{
	struct work *w = &b->work;

	if (!w->client || !w->op || !w->op->method || !(w->op->method->flags & METHOD_SEQ))
		return false;
	b->culprit = (struct culprit){.client = w->client->key, .seq = w->client->mark + 1, .err = *err};
	w->culprit = &b->culprit;
	return true;
}

void batch_adapt(struct batch *b, int64_t took_us)
{
	uint64_t rows = b->work.stored + b->work.rejected;
	int64_t may_take = COMMIT_SHARE * b->commit_us;

	if (rows < MIN_ROWS || took_us <= 0)
		return;
	may_take = may_take < BATCH_US ? BATCH_US : may_take > MAX_BATCH_US ? MAX_BATCH_US : may_take;
	uint64_t limit = (3 * b->row_limit + rows * (uint64_t)may_take / (uint64_t)took_us) / 4;
	b->row_limit = limit < MIN_ROWS ? MIN_ROWS : limit > MAX_ROWS ? MAX_ROWS : limit;
}
