/*
 * Named moments at which the crash tests end the process, and defects that they put in to see that they
 * would notice them. In the daemon that is installed there is nothing of it: only `xetrackd-crash`, which
 * tests/crash runs, is built with XT_CRASH_POINTS.
 */
#ifndef XT_CRASH_H
#define XT_CRASH_H

#include <stdbool.h>

#ifdef XT_CRASH_POINTS
/* Ends the process by SIGKILL when XETRACK_CRASH is "<name>:<n>" and this is the n-th time. */
void crash_point(const char *name);
/* True when XETRACK_DEFECT names this defect. */
bool crash_defect(const char *name);
#else
static inline void crash_point(const char *name)
{
	(void)name;
}
static inline bool crash_defect(const char *name)
{
	(void)name;
	return false;
}
#endif

#endif
