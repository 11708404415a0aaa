/* A daemon that a benchmark starts, and what it costs. */
#ifndef XT_BENCH_SERVED_H
#define XT_BENCH_SERVED_H

#include <stdint.h>
#include <sys/types.h>

/* Starts the xetrackd that lies beside this program and waits until it is ready; and ends it. */
pid_t served_start(const char *db);
void served_stop(pid_t pid);

/* A line of /proc/PID/status such as "VmRSS", in KiB. */
long served_memory_kib(pid_t pid, const char *field);

/* What the process used of something since it started. */
struct served_use {
	double cpu_ms;	  /* of all threads, user and system */
	long switches;	  /* times that a thread went to sleep by itself, and so was woken */
	long descriptors; /* open now */
};

struct served_use served_use(pid_t pid);

#endif
