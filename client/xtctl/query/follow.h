/*
 * The rows of a table as they come: each once, in the order of the commits, until Ctrl-C, or until the daemon
 * is gone for good. docs/storage.md says how a table is followed.
 */
#ifndef XTCTL_FOLLOW_H
#define XTCTL_FOLLOW_H

#include "xtctl.h"

struct follow_options {
	int64_t last;	     /* rows that are there already, to begin with */
	const char *columns; /* a list of those to show; NULL: all */
};

/* Opens the database and prints rows, of --table, --track-id and --where, as the options say. The exit
 * status. */
int follow_run(struct ctl *ctl, const struct follow_options *o);

#endif
