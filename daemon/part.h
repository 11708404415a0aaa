/*
 * A file that appears under its name whole, or not at all: written as <path>.part, which is locked
 * (flock) as long as somebody works on it, then synced and renamed.
 */
#ifndef XT_PART_H
#define XT_PART_H

#include <limits.h>

#include "proto.h"

struct part {
	char final[PATH_MAX]; /* where it will be: its directory resolved */
	char path[PATH_MAX];  /* where it is; "" when it was not opened */
	int fd;		      /* of it, holding the lock */
	bool replace;	      /* a file that is at `final` may go */
};

/* Opens an empty file, or takes over one that a process left behind when it died. `path` is absolute.
 * Refused (file_error): what belongs to `database`, a file in the way, names that are no files. */
int part_open(struct part *p, struct span path, const char *database, bool replace, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Syncs the file and gives it its name and the permissions of `database`. */
int part_finish(struct part *p, const char *database, struct xt_err *err) __attribute__((warn_unused_result));

/* Removes what was not finished. Takes a zeroed part. */
void part_done(struct part *p);

#endif
