/* Neighbours of the client that is measured: processes that do one thing until they are ended. */
#ifndef XT_BENCH_CROWD_H
#define XT_BENCH_CROWD_H

#include <sys/types.h>

#define CROWD_MAX 32 /* processes */

/* What one process does, with `count` connections where it has several. Calls crowd_ready() once it is set
 * up, and never returns. */
typedef void crowd_role(const char *db, int process, long count);

crowd_role crowd_idle;		/* connections that said hello and nothing more */
crowd_role crowd_live;		/* clients that log a row now and then, a second for all */
crowd_role crowd_slow_reader;	/* connections that ask for much and never read */
crowd_role crowd_flood;		/* one client that logs rows as fast as it can */
crowd_role crowd_flood_large;	/* the same with rows of 1 MiB */
crowd_role crowd_flood_flushes; /* the same, waiting for each row to be on disk */
crowd_role crowd_scan;		/* one client that reads all of the table again and again */

struct crowd {
	pid_t pids[CROWD_MAX];
	int n; /* processes */
};

/* Starts processes that share `count` connections, and returns when all are set up. */
struct crowd crowd_start(crowd_role *role, const char *db, int processes, long count);
void crowd_end(struct crowd *c);

/* Called by a role. */
void crowd_ready(void);

/* Raises this process's limit of open files as far as it goes; connections that a daemon with the same limit
 * takes. */
long crowd_most(void);

#endif
