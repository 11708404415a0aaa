/*
 * How a selection of rows gets into a file. Each way takes the open client, and writes to newfile_path(), or
 * its descriptor.
 */
#ifndef XTCTL_EXPORT_H
#define XTCTL_EXPORT_H

#include "newfile.h"
#include "progress.h"
#include "select.h"

#define SHOW_EVERY 1000 /* rows between looks at the clock */

/* Everything that a way of exporting needs. */
struct export_job {
	struct ctl *ctl;	    /* borrowed, as the rest */
	xt_client *client;	    /* open */
	const struct select *from;  /* the rows */
	const struct newfile *file; /* NULL: standard output */
	struct format_options how;  /* of text */
	bool summary;		    /* no rows, but a report on them */
	const char *by;		    /* columns that the summary groups by; NULL: not given */
	struct progress progress;   /* begun by the caller, hidden by it */
	uint64_t rows;		    /* written so far */
};

/* CTL_OK, or the failure is reported. */
int export_text(struct export_job *job) __attribute__((warn_unused_result));
int export_sqlite(struct export_job *job) __attribute__((warn_unused_result));
int export_parquet(struct export_job *job) __attribute__((warn_unused_result));

/* The Markdown summary of a table. */
int export_summary(struct export_job *job) __attribute__((warn_unused_result));

/* Says what a write to the file met: an errno; EPIPE and EINTR are what they are elsewhere. */
int export_failed(const struct export_job *job, int error);

#endif
