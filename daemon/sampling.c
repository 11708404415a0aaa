/* Samples of what calls and rows cost, wired to connections and messages. Part of server.h. */
#include "server.h"

void server_sampling_init(struct server *s)
{
	struct sample_source kernel = sample_kernel();

	sampler_init(&s->sampler, &kernel);
}

void server_sampling_greeted(struct server *s, struct conn *c)
{
	if (c->peer.role == ROLE_WRITER)
		sampler_connected(&s->sampler, c->peer.pid, &c->since);
}

/* ---- time ------------------------------------------------------------- */

static void on_sample_timer(uv_timer_t *t);

/* Wakes up at that time or before; SAMPLER_NEVER: not at all. */
static void set_timer(struct server *s, uint64_t due_ms)
{
	uv_timer_t *t = &s->sample_timer;
	uint64_t now = uv_now(&s->loop);

	if (uv_is_closing((uv_handle_t *)t))
		return;
	s->sample_due = due_ms;
	if (due_ms == SAMPLER_NEVER)
		uv_timer_stop(t);
	else
		uv_timer_start(t, on_sample_timer, due_ms > now ? due_ms - now : 0, 0);
}

static void on_sample_timer(uv_timer_t *t)
{
	struct server *s = t->data;

	set_timer(s, sampler_tick(&s->sampler, uv_now(&s->loop)));
}

/* Nobody wakes up for calls that have ended. */
static void rest(struct server *s)
{
	if (s->sampler.n_calls == 0 && uv_is_active((uv_handle_t *)&s->sample_timer))
		set_timer(s, SAMPLER_NEVER);
}

void server_sampling_gone(struct server *s, const struct client_key *client)
{
	sampler_client_gone(&s->sampler, client);
	rest(s);
}

/* ---- messages --------------------------------------------------------- */

/* The sender's process; NULL: it has ended, or cannot be seen from here. */
static struct sampled_process *process_of(struct server *s, struct conn *c)
{
	if (c->watch && c->watch->died)
		return NULL;
	if (!c->sampled)
		c->sampled = sampler_process(&s->sampler, c->peer.pid);
	return c->sampled;
}

static void begin(struct server *s, struct conn *c, const struct params_call_begin *p)
{
	struct sampler_wish wish = {.interval_ms = HAS_PARAM(p, call_begin, sample_ms) ? p->sample_ms : 0,
				    .network = HAS_PARAM(p, call_begin, sample_network) && p->sample_network};

	if (!wish.interval_ms && !wish.network)
		return;
	uint64_t due = sampler_begin(&s->sampler, process_of(s, c), &c->client, p->call, &wish, c->share,
				     uv_now(&s->loop));
	bool active = uv_is_active((uv_handle_t *)&s->sample_timer);
	if (due != SAMPLER_NEVER && (!active || due < s->sample_due))
		set_timer(s, due);
}

static void end(struct server *s, struct op *op, uint64_t call)
{
	if (s->sampler.n_calls == 0)
		return;
	sampler_end(&s->sampler, &op->client, call, &op->extra);
	rest(s);
}

static void add_to_row(struct server *s, struct conn *c, struct op *op, const struct params_log *p)
{
	bool system = HAS_PARAM(p, log, sample) && p->sample;
	bool network = HAS_PARAM(p, log, sample_network) && p->sample_network;

	if (HAS_PARAM(p, log, call))
		end(s, op, p->call);
	if (op->extra.len == 0 && (system || network))
		sampler_row(&s->sampler, process_of(s, c), &c->since, system, network, &op->extra);
}

void server_sample(struct server *s, struct conn *c, struct op *op)
{
	const struct params_cache_finish *finish = (const struct params_cache_finish *)op->params;

	if (op->method->id == METHOD_call_begin)
		begin(s, c, (const struct params_call_begin *)op->params);
	else if (op->method->id == METHOD_log)
		add_to_row(s, c, op, (const struct params_log *)op->params);
	else if (op->method->id == METHOD_cache_finish && HAS_PARAM(finish, cache_finish, call))
		end(s, op, finish->call);
	if (buf_failed(&op->extra))
		buf_done(&op->extra); /* the row is worth more */
}
