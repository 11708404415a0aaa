/*
 * How rows get out of a file. Each way gives them to import_row().
 */
#ifndef XTCTL_IMPORT_H
#define XTCTL_IMPORT_H

#include "feed.h"

struct import_job {
	struct ctl *ctl;  /* borrowed, as the rest */
	const char *path; /* NULL: standard input */
	int fd;		  /* of it */
	char delimiter;	  /* of csv */
	struct feed feed;
	xt_field *fields; /* owned: room for fields_cap of a row */
	size_t fields_cap;
};

/* Logs a row of the file. Its track_id, where it is a text and --track-id is not given, is its run, and its
 * timestamp its time. CTL_OK, or the failure is reported. */
int import_row(struct import_job *job, uint64_t line, const xt_field *fields, size_t n)
	__attribute__((warn_unused_result));

/* All rows. CTL_OK, or the failure is reported. */
int import_csv(struct import_job *job) __attribute__((warn_unused_result));
int import_jsonl(struct import_job *job) __attribute__((warn_unused_result));
int import_json(struct import_job *job) __attribute__((warn_unused_result));
int import_parquet(struct import_job *job) __attribute__((warn_unused_result));

/* Makes room for a row of n fields. CTL_OK, or the failure is reported. */
int import_room(struct import_job *job, size_t n) __attribute__((warn_unused_result));

/* Reports what reading the file met, a negative errno; `most` is what a row may have of bytes. Returns the
 * exit status. */
int import_failed(const struct import_job *job, int error, uint64_t line, size_t most);

#endif
