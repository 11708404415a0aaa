/* Parquet into the database, by DuckDB. */
#include "import.h"

#include <stdlib.h>

#include "duck_answer.h"
#include "sql.h"

static int read_all(struct import_job *job, struct duck *duck, struct duck_answer *a)
{
	const xt_value *row;
	uint64_t number = 0;
	int r = 1, status = import_room(job, a->n);

	while (status == CTL_OK && (r = duck_answer_next(a, &row)) > 0) {
		for (size_t i = 0; i < a->n; i++)
			job->fields[i] = (xt_field){a->names[i], row[i]};
		status = import_row(job, ++number, job->fields, a->n);
		progress_show(&job->feed.progress, job->feed.rows, 0);
	}
	if (status == CTL_OK && r < 0)
		status = ctl_interrupted() ? CTL_INTERRUPTED : ctl_error(job->ctl, "%s", duck->error);
	return status;
}

int import_parquet(struct import_job *job)
{
	struct duck_answer a = {0};
	struct duck duck;

	if (duck_open(&duck, ctl_stop_flag()) < 0)
		return ctl_error(job->ctl, "%s", duck.error);
	progress_begin(&job->feed.progress, -1);
	char *sql = sql_format("FROM read_parquet(%t)", job->path);
	int status = sql ? CTL_OK : ctl_no_memory(job->ctl);
	if (sql && duck_answer_open(&a, &duck, sql, NULL, 0) < 0)
		status = ctl_error(job->ctl, "cannot read '%s': %s", job->path, duck.error);
	if (status == CTL_OK)
		status = read_all(job, &duck, &a);
	duck_answer_done(&a);
	duck_close(&duck);
	free(sql);
	return status;
}
