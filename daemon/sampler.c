#include "sampler.h"

#include <stdlib.h>

#include "wire.h"

#define FRESH_MS	 10u /* for so long what was read of memory, disk and the machine's CPU is good */
#define FRESH_NS	 (FRESH_MS * 1000000u)
#define FRESH_NETWORK_NS 1000000u /* and the counts of a network namespace */
#define OTHERS		 19	  /* times what a tick took are left to everything else */

/* The latest that is known of a process. */
struct sampled_process {
	struct sampler *sampler; /* borrowed */
	struct sampled_process *next;
	unsigned refs;
	pid_t pid;
	bool known;		  /* it was read */
	bool gone;		  /* it has ended, its number may be another's; or it may not be read */
	uint64_t read_ns;	  /* when it was */
	struct sample_process at; /* what was read then */
	bool has_cpu;
	uint64_t cpu_ns, cpu_at_ns; /* that it computed; when that was read */
	bool has_network;
	struct sample_network network;
	uint64_t network_at_ns;
};

/* Of values that were there. */
struct average {
	double sum;
	unsigned n;
};

struct sampled_call {
	struct sampled_call *next; /* in its bucket */
	struct client_key client;
	uint64_t number;
	struct share *share;		 /* a reference: where it counts */
	struct sampled_process *process; /* a reference */
	struct sampler_wish wish;
	uint64_t interval_ms; /* between its samples */
	uint64_t due_ms;      /* when its next sample is taken; SAMPLER_NEVER: only at its end */
	bool has_cpu, has_network;
	uint64_t cpu_ns, cpu_at_ns;    /* at its beginning */
	struct sample_network network; /* the same */
	struct average memory, process_memory, disk;
};

void sampler_init(struct sampler *s, const struct sample_source *source)
{
	*s = (struct sampler){.source = *source};
}

/* ---- processes -------------------------------------------------------- */

struct sampled_process *sampler_process(struct sampler *s, pid_t pid)
{
	struct sampled_process **bucket = &s->processes[(unsigned)pid % SAMPLER_BUCKETS];

	if (pid <= 0)
		return NULL;
	for (struct sampled_process *p = *bucket; p; p = p->next)
		if (p->pid == pid && !p->gone) {
			p->refs++;
			return p;
		}
	struct sampled_process *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct sampled_process){.sampler = s, .next = *bucket, .refs = 1, .pid = pid};
	*bucket = p;
	return p;
}

void sampled_unref(struct sampled_process *p)
{
	if (!p || --p->refs > 0)
		return;
	struct sampled_process **at = &p->sampler->processes[(unsigned)p->pid % SAMPLER_BUCKETS];
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free(p);
}

/* Its CPU time as it is now, the rest as it was a moment ago. */
static void look_at_process(struct sampled_process *p)
{
	const struct sample_source *from = &p->sampler->source;
	struct sample_process at;
	uint64_t cpu_ns, now = from->now_ns();

	if (p->gone)
		return;
	if (!p->known || now - p->read_ns >= FRESH_NS) {
		if (from->process(p->pid, &at) < 0 || (p->known && at.start_ticks != p->at.start_ticks)) {
			p->gone = true;
			return;
		}
		p->at = at;
		p->known = true;
		p->read_ns = now;
	}
	if (from->cpu_ns(p->pid, &cpu_ns) < 0)
		return;
	p->cpu_ns = cpu_ns;
	p->cpu_at_ns = from->now_ns();
	p->has_cpu = true;
}

static void look_at_network(struct sampled_process *p)
{
	const struct sample_source *from = &p->sampler->source;
	uint64_t now = from->now_ns();

	if (p->gone || (p->has_network && now - p->network_at_ns < FRESH_NETWORK_NS))
		return;
	if (from->network(p->pid, &p->network) < 0)
		return;
	p->has_network = true;
	p->network_at_ns = now;
}

static void look_at_machine(struct sampler *s)
{
	struct sampled_machine *m = &s->machine;
	uint64_t now = s->source.now_ns();

	if (m->read_ns && now - m->read_ns < FRESH_NS)
		return;
	m->read_ns = now;
	m->has_memory = s->source.memory(&m->memory) == 0;
	m->has_disk = s->source.disk(&m->disk_percent) == 0;
}

static void look_at_cpu(struct sampler *s)
{
	struct sampled_machine *m = &s->machine;
	uint64_t now = s->source.now_ns();

	if (m->cpu_read_ns && now - m->cpu_read_ns < FRESH_NS)
		return;
	m->cpu_read_ns = now;
	m->has_cpu = s->source.cpu(&m->cpu) == 0;
}

static double memory_percent(const struct sampler *s)
{
	const struct sample_memory *m = &s->machine.memory;

	return 100 * (double)(m->total_kib - m->available_kib) / (double)m->total_kib;
}

static double process_memory_percent(const struct sampled_process *p)
{
	const struct sampler *s = p->sampler;

	return 100 * (double)p->at.rss_pages * (double)s->source.page_bytes /
	       (1024 * (double)s->machine.memory.total_kib);
}

/* ---- columns ---------------------------------------------------------- */

static msgpack_packer put_key(struct buf *out, const char *key)
{
	msgpack_packer pk = wire_packer(out);

	msgpack_pack_str(&pk, strlen(key));
	msgpack_pack_str_body(&pk, key, strlen(key));
	return pk;
}

static void put_real(struct buf *out, const char *key, double value)
{
	msgpack_packer pk = put_key(out, key);

	msgpack_pack_double(&pk, value);
}

/* A counter of the kernel's goes down when an interface goes. */
static void put_bytes(struct buf *out, const char *key, uint64_t from, uint64_t to)
{
	msgpack_packer pk = put_key(out, key);

	msgpack_pack_int64(&pk, to > from && to - from <= INT64_MAX ? (int64_t)(to - from) : 0);
}

static void put_network(struct buf *out, const struct sample_network *from, const struct sample_network *to)
{
	put_bytes(out, "bytes_sent", from->sent, to->sent);
	put_bytes(out, "bytes_recv", from->received, to->received);
}

static void put_average(struct buf *out, const char *key, const struct average *a)
{
	if (a->n > 0)
		put_real(out, key, a->sum / a->n);
}

static void count(struct average *a, double value)
{
	a->sum += value;
	a->n++;
}

/* ---- calls ------------------------------------------------------------ */

static struct sampled_call **bucket_of(struct sampler *s, const struct client_key *client, uint64_t number)
{
	return &s->calls[(client->id[0] + 31 * number) % SAMPLER_BUCKETS];
}

static bool same(const struct client_key *a, const struct client_key *b)
{
	return a->uid == b->uid && memcmp(a->id, b->id, XT_CLIENT_ID) == 0;
}

static struct sampled_call **find(struct sampler *s, const struct client_key *client, uint64_t number)
{
	struct sampled_call **at = bucket_of(s, client, number);

	while (*at && !((*at)->number == number && same(&(*at)->client, client)))
		at = &(*at)->next;
	return at;
}

static void drop(struct sampler *s, struct sampled_call **at)
{
	struct sampled_call *c = *at;

	*at = c->next;
	s->n_calls--;
	share_give(c->share, SHARE_SAMPLED, 1);
	share_unref(c->share);
	sampled_unref(c->process);
	free(c);
}

/* What is averaged. */
static void sample(struct sampler *s, struct sampled_call *c)
{
	const struct sampled_process *p = c->process;

	look_at_machine(s);
	look_at_process(c->process);
	if (s->machine.has_memory)
		count(&c->memory, memory_percent(s));
	if (s->machine.has_disk)
		count(&c->disk, s->machine.disk_percent);
	if (s->machine.has_memory && p->known && !p->gone)
		count(&c->process_memory, process_memory_percent(p));
}

static void take_first(struct sampler *s, struct sampled_call *c)
{
	const struct sampled_process *p = c->process;

	if (c->wish.interval_ms)
		sample(s, c);
	if (c->wish.network)
		look_at_network(c->process);
	c->has_cpu = p->has_cpu;
	c->cpu_ns = p->cpu_ns;
	c->cpu_at_ns = p->cpu_at_ns;
	c->has_network = p->has_network;
	c->network = p->network;
}

/* The next tick, when one is due at that time. */
static uint64_t not_before(const struct sampler *s, uint64_t due_ms)
{
	return due_ms < s->rest_ms ? s->rest_ms : due_ms;
}

uint64_t sampler_begin(struct sampler *s, struct sampled_process *p, const struct client_key *client,
		       uint64_t call, const struct sampler_wish *wish, struct share *share, uint64_t now_ms)
{
	if (!p || *find(s, client, call) || !share_allows(share, SHARE_SAMPLED, 1))
		return SAMPLER_NEVER;
	struct sampled_call *c = calloc(1, sizeof(*c)), **bucket = bucket_of(s, client, call);
	if (!c)
		return SAMPLER_NEVER;
	p->refs++;
	share_take(share, SHARE_SAMPLED, 1);
	uint64_t interval = wish->interval_ms > FRESH_MS ? wish->interval_ms : FRESH_MS;
	*c = (struct sampled_call){.next = *bucket,
				   .client = *client,
				   .number = call,
				   .share = share_ref(share),
				   .process = p,
				   .wish = *wish,
				   .interval_ms = interval,
				   .due_ms = wish->interval_ms ? now_ms + interval : SAMPLER_NEVER};
	*bucket = c;
	s->n_calls++;
	take_first(s, c);
	return not_before(s, c->due_ms);
}

void sampler_end(struct sampler *s, const struct client_key *client, uint64_t call, struct buf *out)
{
	struct sampled_call **at = find(s, client, call), *c = *at;

	if (!c)
		return;
	const struct sampled_process *p = c->process;
	if (c->wish.interval_ms) {
		sample(s, c);
		if (c->has_cpu && p->cpu_at_ns > c->cpu_at_ns && p->cpu_ns >= c->cpu_ns)
			put_real(out, "cpu",
				 100 * (double)(p->cpu_ns - c->cpu_ns) /
					 (double)(p->cpu_at_ns - c->cpu_at_ns));
		put_average(out, "memory_percent", &c->memory);
		put_average(out, "p_memory_percent", &c->process_memory);
		put_average(out, "disk_percent", &c->disk);
	}
	if (c->wish.network)
		look_at_network(c->process);
	if (c->wish.network && c->has_network)
		put_network(out, &c->network, &p->network);
	drop(s, at);
}

void sampler_client_gone(struct sampler *s, const struct client_key *client)
{
	for (size_t i = 0; i < SAMPLER_BUCKETS && s->n_calls > 0; i++)
		for (struct sampled_call **at = &s->calls[i]; *at;)
			if (same(&(*at)->client, client))
				drop(s, at);
			else
				at = &(*at)->next;
}

void sampler_done(struct sampler *s)
{
	for (size_t i = 0; i < SAMPLER_BUCKETS; i++)
		while (s->calls[i])
			drop(s, &s->calls[i]);
}

uint64_t sampler_tick(struct sampler *s, uint64_t now_ms)
{
	uint64_t next = SAMPLER_NEVER, start = s->source.now_ns();

	for (size_t i = 0; i < SAMPLER_BUCKETS && s->n_calls > 0; i++)
		for (struct sampled_call *c = s->calls[i]; c; c = c->next) {
			if (c->due_ms <= now_ms) {
				sample(s, c);
				c->due_ms = now_ms + c->interval_ms;
			}
			next = c->due_ms < next ? c->due_ms : next;
		}
	s->rest_ms = now_ms + (s->source.now_ns() - start) * OTHERS / 1000000;
	return not_before(s, next);
}

/* ---- plain rows ------------------------------------------------------- */

void sampler_connected(struct sampler *s, pid_t pid, struct sampler_since *ret)
{
	*ret = (struct sampler_since){0};
	if (pid <= 0)
		return;
	look_at_cpu(s);
	ret->has_cpu = s->machine.has_cpu;
	ret->cpu = s->machine.cpu;
	ret->has_network = s->source.network(pid, &ret->network) == 0;
}

/* Ticks are coarse: while none has passed the share is what it was. */
static void put_machine_cpu(const struct sampler *s, struct sampler_since *since, struct buf *out)
{
	const struct sample_cpu now = s->machine.cpu;
	uint64_t busy = now.busy - since->cpu.busy, all = busy + now.idle - since->cpu.idle;

	if (!s->machine.has_cpu)
		return;
	bool forward =
		now.busy >= since->cpu.busy && now.idle >= since->cpu.idle; /* idle may go down a little */
	if (since->has_cpu && forward && all > 0) {
		since->cpu_percent = 100 * (double)busy / (double)all;
		since->has_percent = true;
	}
	if (!since->has_cpu || !forward || all > 0)
		since->cpu = now;
	since->has_cpu = true;
	if (since->has_percent)
		put_real(out, "cpu_percent", since->cpu_percent);
}

static void put_network_since(struct sampled_process *p, struct sampler_since *since, struct buf *out)
{
	look_at_network(p);
	if (!p->has_network)
		return;
	if (since->has_network)
		put_network(out, &since->network, &p->network);
	since->network = p->network;
	since->has_network = true;
}

void sampler_row(struct sampler *s, struct sampled_process *p, struct sampler_since *since, bool system,
		 bool network, struct buf *out)
{
	if (!p)
		return;
	if (system) {
		look_at_machine(s);
		look_at_cpu(s);
		look_at_process(p);
		put_machine_cpu(s, since, out);
		if (s->machine.has_memory)
			put_real(out, "ram_percent", memory_percent(s));
		if (s->machine.has_memory && p->known && !p->gone)
			put_real(out, "p_memory_percent", process_memory_percent(p));
		if (s->machine.has_disk)
			put_real(out, "disk_percent", s->machine.disk_percent);
	}
	if (network)
		put_network_since(p, since, out);
}
