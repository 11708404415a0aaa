/* A selection of rows as Parquet, which DuckDB writes. */
#include "export.h"

#include <stdlib.h>

#include "duck_rows.h"
#include "sql.h"

/* Rows are collected in groups of this size, in columns, then written and forgotten: that is what it takes of
 * memory. The file is one that is renamed already. */
#define HOW "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30720, USE_TMP_FILE false"

/* The rows come one after another: a second thread of DuckDB's would do nothing but take memory. */
#define ALONE "SET threads = 1"

static int fail_reading(const struct export_job *job, const struct duck_rows *rows, const char *why)
{
	const xt_client *client;
	int r = duck_rows_status(rows, &client);

	if (ctl_interrupted())
		return CTL_INTERRUPTED;
	if (r == XT_ENOMEM)
		return ctl_no_memory(job->ctl);
	return r != XT_OK ? ctl_fail(job->ctl, client, r)
			  : ctl_error(job->ctl, "cannot write '%s': %s", job->file->path, why);
}

static int copy(const struct export_job *job, struct duck *duck, const struct duck_rows *rows)
{
	char *sql = sql_format("COPY (FROM xt_rows(0)) TO %t (" HOW ")", newfile_path(job->file));
	struct duck_result result = {0};
	duck_handle prepared = NULL;

	if (!sql)
		return ctl_no_memory(job->ctl);
	int r = duck_run(duck, ALONE);
	if (r == 0)
		r = duck_prepare(duck, sql, &prepared);
	if (r == 0)
		r = duck_execute(duck, prepared, &result);
	duck->api.destroy_result(&result);
	duck->api.destroy_prepare(&prepared);
	free(sql);
	return r == 0 ? CTL_OK : fail_reading(job, rows, duck->error);
}

static void note_hex(const struct export_job *job, const struct duck_source *s)
{
	if (s->hex > 0)
		ctl_note(job->ctl, "column '%s' has blobs among its texts; they are hexadecimal digits now",
			 s->columns[s->hex - 1].name);
}

int export_parquet(struct export_job *job)
{
	const struct select *from = job->from;
	struct duck_source source = {.client = job->client,
				     .sql = from->sql,
				     .timeout_ms = (int)job->ctl->options.timeout_s * 1000,
				     .leaving = &job->ctl->leaving,
				     .progress = &job->progress};
	struct duck duck;
	struct duck_rows rows = {&duck, &source, 1};

	if (!job->file->part)
		return ctl_error(job->ctl, "'%s' is no file that Parquet can be written to", job->file->path);
	if (duck_open(&duck, ctl_stop_flag()) < 0)
		return ctl_error(job->ctl, "%s", duck.error);
	int r = duck_source_describe(&source);
	int status = r == XT_OK	      ? CTL_OK
		     : r == XT_ENOMEM ? ctl_no_memory(job->ctl)
				      : ctl_fail(job->ctl, job->client, r);
	if (status == CTL_OK && duck_rows_register(&rows) < 0)
		status = ctl_error(job->ctl, "%s", duck.error);
	if (status == CTL_OK)
		status = copy(job, &duck, &rows);
	if (status == CTL_OK)
		note_hex(job, &source);
	job->rows = source.rows;
	duck_close(&duck);
	duck_source_done(&source);
	return status;
}
