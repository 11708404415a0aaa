/* What else keeps results: a Redis that the benchmark starts, and diskcache of Python. */
#ifndef XT_BENCH_OTHERS_H
#define XT_BENCH_OTHERS_H

#include "calls.h"

#define OTHERS_ENTRIES 1000 /* in each of them */

/* Values of that size over a Unix socket, one after the other: n GETs of a Redis that writes nothing to the
 * disk, sets SETs of one that syncs each. False: there is no redis-server. */
bool redis_measure(const char *dir, long size, long n, long sets, struct took *ret_get, struct took *ret_set);

/* n gets and `sets` sets of diskcache.Cache with its defaults. False: Python does not have it. */
bool diskcache_measure(const char *dir, long size, long n, long sets, struct took *ret_get,
		       struct took *ret_set);

#endif
