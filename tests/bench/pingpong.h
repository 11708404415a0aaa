/* The yardstick of what goes through the socket: two processes, one Unix socket, nothing else. */
#ifndef XT_BENCH_PINGPONG_H
#define XT_BENCH_PINGPONG_H

#include "calls.h"

/* n exchanges of as many bytes as the question for a cached value of that size has, and its answer. */
struct took pingpong(long value_size, long n);

#endif
