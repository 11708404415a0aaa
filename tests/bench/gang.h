/* Processes that begin to do something at the same moment. */
#ifndef XT_BENCH_GANG_H
#define XT_BENCH_GANG_H

#include <stddef.h>

#define GANG_MAX 64 /* processes */

/* What each does: prepares, calls gang_ready(), which returns when all have, does it and returns. */
typedef void gang_work(int worker, void *data);

/* Starts n processes and waits for their end. Exits when one of them fails. */
void gang_run(int n, gang_work *work, void *data);
void gang_ready(void);

/* Zeroed memory that this process and its children share. */
void *gang_share(size_t size);
void gang_unshare(void *memory, size_t size);

#endif
