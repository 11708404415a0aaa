/* xt-load DB WORKER ROWS [--batch N]: logs rows {worker, i, text} to `predictions`, for the tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xetrack.h"

static int fail(xt_client *xt, const char *what, int status)
{
	fprintf(stderr, "xt-load: %s: %s: %s\n", what, xt_status_name(status), xt ? xt_error(xt) : "");
	return 1;
}

static int log_batches(xt_run *run, long worker, long rows, long batch)
{
	const char *columns[] = {"worker", "i", "text"};
	xt_value *values = calloc((size_t)batch * 3, sizeof(*values));
	int r = values ? XT_OK : XT_ENOMEM;

	for (long i = 0; i < rows && r == XT_OK; i += batch) {
		long n = rows - i < batch ? rows - i : batch;
		for (long k = 0; k < n; k++) {
			values[3 * k] = xt_int(worker);
			values[3 * k + 1] = xt_int(i + k);
			values[3 * k + 2] = xt_text("text");
		}
		r = xt_log_rows(run, columns, 3, values, (size_t)n);
	}
	free(values);
	return r;
}

int main(int argc, char **argv)
{
	xt_client *xt = NULL;
	xt_run *run = NULL;

	if (argc != 4 && !(argc == 6 && strcmp(argv[4], "--batch") == 0)) {
		fprintf(stderr, "usage: xt-load DB WORKER ROWS [--batch N]\n");
		return 2;
	}
	long worker = atol(argv[2]), rows = atol(argv[3]), batch = argc == 6 ? atol(argv[5]) : 0;
	int r = xt_open(&xt, argv[1], NULL);
	if (r != XT_OK)
		return fail(xt, "open", r);
	r = xt_run_start(&run, xt, &(xt_run_options){.table = "predictions"});
	if (r != XT_OK)
		return fail(xt, "run_start", r);
	if (batch > 0)
		r = log_batches(run, worker, rows, batch);
	else
		for (long i = 0; i < rows && r == XT_OK; i++)
			r = xt_log(run, XT("worker", worker), XT("i", i), XT("text", "text"));
	if (r != XT_OK)
		return fail(xt, "log", r);
	r = xt_flush(xt, 120000);
	if (r != XT_OK)
		return fail(xt, "flush", r);
	r = xt_run_finish(run, XT_FINISHED);
	if (r != XT_OK)
		return fail(xt, "finish", r);
	r = xt_close(xt);
	return r == XT_OK ? 0 : fail(NULL, "close", r);
}
