/*
 * What runs cost while they are sampled: for calls averages over their time, for plain rows the moment. Knows
 * no sockets and no clock of its own; the loop's alone. Processes are read at most once a tick, however many
 * calls they are in, and nobody is read while no call is sampled.
 */
#ifndef XT_SAMPLER_H
#define XT_SAMPLER_H

#include "buf.h"
#include "clients.h"
#include "sample.h"
#include "share.h"

#define SAMPLER_BUCKETS 256
#define SAMPLER_NEVER	UINT64_MAX

struct sampled_process;
struct sampled_call;

/* The machine, for all who ask within some milliseconds. */
struct sampled_machine {
	uint64_t read_ns;     /* when memory and disk were read; 0: never */
	uint64_t cpu_read_ns; /* and the CPU */
	bool has_memory, has_disk, has_cpu;
	struct sample_memory memory;
	double disk_percent; /* used */
	struct sample_cpu cpu;
};

struct sampler {
	struct sample_source source;
	struct sampled_machine machine;
	struct sampled_process *processes[SAMPLER_BUCKETS];
	struct sampled_call *calls[SAMPLER_BUCKETS];
	size_t n_calls;
	uint64_t rest_ms; /* until when no tick is due, after one that took long */
};

/* What plain rows of a connection count from: its beginning, then the last such row. */
struct sampler_since {
	bool has_cpu, has_percent, has_network;
	struct sample_cpu cpu;
	double cpu_percent; /* of the last row */
	struct sample_network network;
};

void sampler_init(struct sampler *s, const struct sample_source *source);

/* Forgets all calls. Processes must have been given back. */
void sampler_done(struct sampler *s);

/* ---- processes -------------------------------------------------------- */

/* The process of that number, one reference more: who keeps it spares the short calls of its clients some
 * reads. NULL: out of memory, or its number is not known (0). */
struct sampled_process *sampler_process(struct sampler *s, pid_t pid);
void sampled_unref(struct sampled_process *p); /* takes NULL */

/* ---- calls ------------------------------------------------------------ */

/* What a call wants. */
struct sampler_wish {
	uint64_t interval_ms; /* between samples of memory and disk, 10 at least; 0: neither they nor the CPU
			       */
	bool network;
};

/* A call begins, and its first sample is taken; one that is known goes on. Its share may refuse it
 * (SHARE_SAMPLED): then it is not sampled. Returns when sampler_tick() has to be called for it at the latest;
 * SAMPLER_NEVER: not. */
uint64_t sampler_begin(struct sampler *s, struct sampled_process *p, const struct client_key *client,
		       uint64_t call, const struct sampler_wish *wish, struct share *share, uint64_t now_ms);

/* And ends: appends its columns as encoded keys and values; none if it was not sampled. A process that has
 * ended is as it was seen last. */
void sampler_end(struct sampler *s, const struct client_key *client, uint64_t call, struct buf *out);

/* A client has gone, with its calls. */
void sampler_client_gone(struct sampler *s, const struct client_key *client);

/* Time has passed: samples those calls whose turn it is. Returns when it has to be called next; after a while
 * that is long beside what this took, so that many calls take no more of the time than few; SAMPLER_NEVER: no
 * call has to be sampled. */
uint64_t sampler_tick(struct sampler *s, uint64_t now_ms);

/* ---- plain rows ------------------------------------------------------- */

/* A connection begins. */
void sampler_connected(struct sampler *s, pid_t pid, struct sampler_since *ret);

/* Appends a row's columns, as of now. system: CPU, memory and disk. */
void sampler_row(struct sampler *s, struct sampled_process *p, struct sampler_since *since, bool system,
		 bool network, struct buf *out);

#endif
