/*
 * Runs: which one is meant, and the list of them.
 */
#ifndef XTCTL_RUNS_H
#define XTCTL_RUNS_H

#include "xtctl.h"

/*
 * Finds the run that a word means: its track_id, the beginning of one that no other run has, or `last` for
 * the one that began last. *ret is owned by the caller. CTL_OK, or the failure is reported.
 */
int runs_find(const struct ctl *ctl, xt_client *client, const char *word, char **ret)
	__attribute__((warn_unused_result));

/* Which runs are listed, and how. Zeroed: all but those that were deleted, as they began. */
struct runs_filter {
	const char *status; /* only these; NULL: all but `deleted` */
	const struct option_list
		*where;	  /* only with parameters for which these hold (where.h); may be NULL */
	int64_t since_s;  /* only those that began so many seconds ago or later; 0: all */
	int64_t last;	  /* only so many, the last of the order; -1: all. 0 is none */
	const char *sort; /* a column of the list; NULL: start */
	bool reverse;	  /* the last of the order first */
};

/* Prints the list: of all recorded runs, or with --table of those that have rows in it. The exit status. */
int runs_list(struct ctl *ctl, xt_client *client, const struct runs_filter *filter);

/* How a statement begins that reads xt_runs, xt_clients, xt_workers, xt_calls or xt_asset_refs: a file that
 * is only read may lack them, and then each is empty. *ret is a constant. CTL_OK, or the failure is reported.
 */
int runs_prefix(const struct ctl *ctl, xt_client *client, const char **ret)
	__attribute__((warn_unused_result));

#define RUNS_COLUMNS "track_id|status|start|duration|table|rows|rejects|crashed_workers"

/*
 * What people call a crash of a worker: true of a row w of xt_workers. A pool ends its workers by SIGTERM or
 * without exit handlers once all is done, so a worker that was ended so, or nobody knows how, has crashed
 * only if it was in a call. Nothing in the record tells those apart but the call that it left.
 */
#define RUNS_WORKER_CRASHED                                                                                 \
	"(w.status = 'crashed' AND (coalesce(w.cause, '') NOT IN ('', 'killed by signal 15 (SIGTERM)', "    \
	"'exited with status 0', 'its process has ended', 'its connection ended without a goodbye', 'gone " \
	"while the daemon was away') OR EXISTS (SELECT 1 FROM xt_calls k WHERE k.uid = w.uid AND k.client " \
	"= w.client AND k.track_id = w.track_id)))"

#endif
