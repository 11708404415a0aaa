/*
 * What a process and the machine cost at a moment, as the kernel counts it. Parsing is apart from reading,
 * and works on any bytes.
 */
#ifndef XT_SAMPLE_H
#define XT_SAMPLE_H

#include <sys/types.h>

#include "span.h"

/* A process. Counts go on from its start. */
struct sample_process {
	uint64_t start_ticks; /* when it started, since the machine did: tells it from an earlier one of its
				 number */
	uint64_t cpu_ticks;   /* that it and its threads computed */
	uint64_t rss_pages;   /* of memory that it uses */
};

struct sample_memory {
	uint64_t total_kib, available_kib; /* available: without that others have to give any up */
};

/* Of all processors together, since the machine's start. */
struct sample_cpu {
	uint64_t busy, idle; /* ticks */
};

/* Of all interfaces of a network namespace but the loopback. */
struct sample_network {
	uint64_t sent, received; /* bytes */
};

/* ---- parsing ---------------------------------------------------------- */

/* /proc/PID/stat, /proc/meminfo, /proc/stat, /proc/PID/net/dev. 0, or -1: it makes no sense, or is of a
 * process that has ended. */
int sample_parse_process(struct span text, struct sample_process *ret) __attribute__((warn_unused_result));
int sample_parse_memory(struct span text, struct sample_memory *ret) __attribute__((warn_unused_result));
int sample_parse_cpu(struct span text, struct sample_cpu *ret) __attribute__((warn_unused_result));
int sample_parse_network(struct span text, struct sample_network *ret) __attribute__((warn_unused_result));

/* ---- reading ---------------------------------------------------------- */

/* Where values come from, so that tests can say them. All return 0, or -1: there is none. */
struct sample_source {
	uint64_t (*now_ns)(void); /* of a monotonic clock */
	int (*process)(pid_t pid, struct sample_process *ret);
	int (*cpu_ns)(pid_t pid, uint64_t *ret); /* cpu_ticks, but exact */
	int (*memory)(struct sample_memory *ret);
	int (*disk)(double *ret_percent); /* of the root file system, used */
	int (*cpu)(struct sample_cpu *ret);
	int (*network)(pid_t pid, struct sample_network *ret);
	uint64_t page_bytes; /* of memory */
};

/* The kernel. The root file system is asked and not the process's own directory, for that may lie on another
 * machine which does not answer. */
struct sample_source sample_kernel(void);

#endif
