/* Cached calls of a function whose result is one blob, and what is measured of them. */
#ifndef XT_BENCH_CALLS_H
#define XT_BENCH_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "measure.h"
#include "xetrack.h"

#define STORM_MS 100 /* what the function of a storm takes */

/* Calls of the same function, whose first arguments count up. */
struct calls {
	const char *db;
	long size;  /* bytes of the cached value: one field, and its name */
	long first; /* argument of the first */
	long count;
};

/* What calls took, in µs. */
struct took {
	double p50, p99;
};

/* Opens a client: the direct reader of the cache, or one that asks through the socket. */
xt_client *calls_open(const char *db, bool direct);

/* Computes and stores all of them by several workers; returns when it is on disk. Entries a second. */
double calls_fill(const struct calls *c, int workers);

/* xt_cache_get() of n of them, in no order, by a client that asked for the same before; each must be there.
 * ret_first, which may be NULL: what it took the first time. */
struct took calls_get(const struct calls *c, bool direct, long n, struct took *ret_first);

/* The same by several processes for some milliseconds: hits a second. */
double calls_rate(const struct calls *c, int processes, int ms);

/* xt_call_begin() to xt_call_end() of n of them that are hits. Not waited for. */
struct took calls_hit(const struct calls *c, long n);

/* Each of them computed, and waited for until row and result are on disk. */
struct took calls_durable(const struct calls *c);

/* What a storm on one cold call came to. */
struct storm {
	double all_ms;	  /* until the last worker had the answer */
	double single_ms; /* the same of one worker on another cold call */
	long executions;  /* of the storm's call */
};

struct storm calls_storm(const char *db, int workers, long call);

#endif
