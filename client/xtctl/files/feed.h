/*
 * Rows on their way into the database, as a worker logs them: `log` and `import`. Rejections are told by the
 * line that a row came from.
 */
#ifndef XTCTL_FEED_H
#define XTCTL_FEED_H

#include "progress.h"
#include "xtctl.h"

#define FEED_NOW INT64_MIN /* the time of a row that says none */

/* Lines from `line` on became rows from sequence number `seq` on, one in every `step` lines; 0: all in one.
 */
struct stretch {
	uint64_t seq, line, step;
};

/* A run that rows go to. */
struct feed_run {
	char *id;    /* owned: by which it was asked for; NULL: the one of all rows that name none */
	xt_run *run; /* the client's, until it ends */
	bool joined; /* it was there before: it is not ours to end */
	int64_t start, first, last; /* times: as it was started, of its rows; FEED_NOW: rows say none */
};

/* Zeroed but for what feed_open() and the comments say. */
struct feed {
	struct ctl *ctl;	/* borrowed */
	const char *place;	/* borrowed: what a line is called in messages: "line", "row" */
	const xt_field *params; /* borrowed: n_params of them, of the runs; NULL: none */
	size_t n_params;
	bool new_runs; /* set by the caller: a row's own run must not be there before */
	xt_client *client;
	struct feed_run **runs; /* owned: n_runs of them, sorted by id */
	size_t n_runs;
	struct feed_run *last; /* that of the last row */
	struct progress progress;
	uint64_t rows;		   /* logged */
	uint64_t seq;		   /* of the last one, or of what came before the first */
	uint64_t bad;		   /* lines that could not be read and were skipped */
	uint64_t rejected, warned; /* rows the daemon refused; warnings */
	struct stretch *stretches; /* owned: n of them, by seq; only kept for lines */
	size_t n, cap;
};

/* Opens the client, which creates the database. CTL_OK, or the failure is reported. feed_end() is due after
 * success. */
int feed_open(struct feed *f, struct ctl *ctl, const char *place) __attribute__((warn_unused_result));

/*
 * Logs a row from a line, or 0, to the run `track_id`; NULL: that of --track-id, else one of its own that all
 * such rows have. time_us: microseconds since 1970, or FEED_NOW. CTL_OK, also for a line that is skipped; or
 * the failure is reported.
 */
int feed_row(struct feed *f, uint64_t line, const char *track_id, int64_t time_us, const xt_field *fields,
	     size_t n) __attribute__((warn_unused_result));

/* Tells that a line is no row. CTL_OK: with --skip-bad, go on. */
int feed_bad(struct feed *f, uint64_t line, const char *why) __attribute__((warn_unused_result));

/* Waits for the disk, ends the runs, says what became of the rows, prints the run of those that named none,
 * and closes. `status` is handed on unless it is CTL_OK and the end fails. */
int feed_end(struct feed *f, int status) __attribute__((warn_unused_result));

#endif
