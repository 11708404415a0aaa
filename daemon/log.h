/*
 * The daemon's log: one line an event, on stderr: `message key=value …`. With a priority prefix
 * (sd-daemon(3)) when stderr is the journal, else with the time. Written once, where an error stops.
 */
#ifndef XT_LOG_H
#define XT_LOG_H

#include "proto.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Looks at stderr and at XETRACK_LOG (error, warning, info, debug). */
void log_init(void);

/* Sends the log to a file beside the database, which is renamed to <path>.1 when it has grown to 1 MiB.
 * -1 with the error, as own_open() has it. */
int log_to_file(const char *path, const char *database, struct xt_err *err)
	__attribute__((warn_unused_result));

/* For lines that a client can cause: ten in ten seconds of a sort, the rest is counted. The caller's, zeroed.
 */
struct log_limit {
	int64_t since_ns;  /* CLOCK_MONOTONIC: when the ten seconds began */
	unsigned lines;	   /* written in them */
	unsigned left_out; /* not written */
};

/* May another line of this sort be written? Says first how many were left out before. */
bool log_allows(struct log_limit *l);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
