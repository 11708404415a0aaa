/* xt-fork DB CHILDREN ROWS: children go on with the client of their parent, for the tests. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xetrack.h"

static int log_rows(xt_client *xt, xt_run *run, long worker, long rows)
{
	int r = XT_OK;

	for (long i = 0; i < rows && r == XT_OK; i++)
		r = xt_log(run, XT("worker", worker), XT("i", i));
	if (r == XT_OK)
		r = xt_flush(xt, 120000);
	if (r != XT_OK)
		fprintf(stderr, "xt-fork %ld: %s: %s\n", worker, xt_status_name(r), xt_error(xt));
	return r == XT_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
	xt_client *xt = NULL;
	xt_run *run = NULL;

	if (argc != 4)
		return 2;
	long children = atol(argv[2]), rows = atol(argv[3]);
	if (xt_open(&xt, argv[1], NULL) != XT_OK ||
	    xt_run_start(&run, xt, &(xt_run_options){.table = "predictions"}) != XT_OK) {
		fprintf(stderr, "xt-fork: %s\n", xt ? xt_error(xt) : "no memory");
		return 1;
	}
	int r = XT_OK; /* rows in flight at the time of the fork: the parent's, never the child's */
	for (long i = 0; i < rows && r == XT_OK; i++)
		r = xt_log(run, XT("worker", 0), XT("i", i));
	for (long c = 1; c <= children; c++) {
		pid_t pid = fork();
		if (pid < 0)
			return 1;
		if (pid == 0) {
			int failed = log_rows(xt, run, c, rows);
			failed |= xt_close(xt) != XT_OK;
			_exit(failed);
		}
	}
	int failed = r != XT_OK, status;
	while (wait(&status) > 0)
		failed |= status != 0;
	failed |= xt_flush(xt, 120000) != XT_OK;
	failed |= xt_run_finish(run, XT_FINISHED) != XT_OK;
	failed |= xt_close(xt) != XT_OK;
	return failed;
}
