/* Reads that see what anybody had sent before them: a script that reads when its pool of workers has answered
 * misses no row of theirs. Part of server.h. */
#include "server.h"

#define TURNS	   2	/* of the loop, in which all that lay in sockets when a read came is read itself */
#define LONGEST_MS 1000 /* that a read waits: a statement of somebody else's may take for ever */

static void on_spin(uv_idle_t *i)
{
	(void)i; /* being active keeps the loop from waiting */
}

/* Its own `after` is committed by now, as a rule. */
static void start(struct server *s, struct op *op)
{
	struct conn *c = server_conn(s, op->conn);

	op->kind = c && op->after > c->committed ? OP_BARRIER : OP_METHOD;
	server_to_threads(s, op, 0);
}

static void start_all(struct server *s, struct op_list *reads)
{
	struct op *op;

	while ((op = op_pop(reads)))
		start(s, op);
}

/* Those that have waited for the writer as long as any may. */
static void on_settle_timer(uv_timer_t *t)
{
	struct server *s = t->data;
	uint64_t now = uv_now(&s->loop);

	while (s->settling_reads.first && s->settling_reads.first->held_ms + LONGEST_MS <= now)
		start(s, op_pop(&s->settling_reads));
	if (s->settling_reads.first)
		uv_timer_start(t, on_settle_timer, s->settling_reads.first->held_ms + LONGEST_MS - now, 0);
}

void server_hold_read(struct server *s, struct op *op)
{
	if (s->draining || s->told == WRITER_DEGRADED || s->told == WRITER_FAILED) {
		start(s, op);
		return;
	}
	op->turns = 0;
	op_push(&s->young_reads, op);
	uv_idle_start(&s->settle_spin, on_spin);
}

/* Behind all that waits for the writer: the bulk lane is looked at when all before it is done. */
static bool mark(struct server *s)
{
	struct op *op = server_queue_internal(s, OP_MARK, NULL, NULL);

	if (op)
		op->mark = ++s->marks;
	return op;
}

void server_look_at_reads(struct server *s)
{
	struct op_list ripe = {0};

	if (s->draining) {
		start_all(s, &s->young_reads);
		start_all(s, &s->settling_reads);
	}
	for (struct op *op = s->young_reads.first; op; op = op->next)
		op->turns++;
	while (s->young_reads.first && s->young_reads.first->turns >= TURNS)
		op_push(&ripe, op_pop(&s->young_reads));
	if (!s->young_reads.first)
		uv_idle_stop(&s->settle_spin);
	if (!ripe.first)
		return;
	if (s->keeper.under_way == 0 || !mark(s)) {
		start_all(s, &ripe);
		return;
	}
	for (struct op *op = ripe.first; op; op = op->next) {
		op->mark = s->marks;
		op->held_ms = uv_now(&s->loop);
	}
	if (!s->settling_reads.first)
		uv_timer_start(&s->settle_timer, on_settle_timer, LONGEST_MS, 0);
	op_splice(&s->settling_reads, &ripe);
}

void server_marked(struct server *s, uint64_t passed)
{
	while (s->settling_reads.first && s->settling_reads.first->mark <= passed)
		start(s, op_pop(&s->settling_reads));
	if (!s->settling_reads.first)
		uv_timer_stop(&s->settle_timer);
}
