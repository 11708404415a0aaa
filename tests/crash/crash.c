/* The other half of daemon/crash.h, in xetrackd-crash only. */
#include "crash.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 200 /* for what a defect let out too early to reach its reader */

static bool named(const char *variable, const char *name)
{
	const char *value = getenv(variable);

	return value && strcmp(value, name) == 0;
}

bool crash_defect(const char *name)
{
	return named("XETRACK_DEFECT", name);
}

void crash_point(const char *name)
{
	static atomic_long seen; /* only one point is named in a process */
	const char *count = getenv("XETRACK_CRASH_AT");

	if (!named("XETRACK_CRASH", name) || atomic_fetch_add(&seen, 1) + 1 != (count ? atol(count) : 1))
		return;
	if (getenv("XETRACK_DEFECT"))
		nanosleep(&(struct timespec){.tv_nsec = GRACE_MS * 1000000L}, NULL);
	kill(getpid(), SIGKILL);
	pause(); /* until it has arrived */
}
