/* Logs a run of ten rows: cc quickstart.c -lxetrack && ./a.out benchmark.db */
#include <stdio.h>
#include <xetrack.h>

static int fail(xt_client *xt, const char *what)
{
	fprintf(stderr, "quickstart: cannot %s: %s\n", what, xt_error(xt));
	xt_close(xt);
	return 1;
}

int main(int argc, char **argv)
{
	xt_client *xt; /* connects to the database's daemon, or starts one */
	if (xt_open(&xt, argc > 1 ? argv[1] : "benchmark.db", NULL) != XT_OK)
		return fail(xt, "open the database");

	xt_run *run; /* its parameters are added to each of its rows */
	if (xt_run_start(&run, xt, &(xt_run_options){XT_PARAMS(XT("model", "line"), XT("lr", 0.1))}) != XT_OK)
		return fail(xt, "start a run");
	printf("run %s\n", xt_run_id(run));

	for (int epoch = 1; epoch <= 10; epoch++) /* does not wait for the disk */
		if (xt_log(run, XT("epoch", epoch), XT("loss", 1.0 / epoch), XT("ok", true)) != XT_OK)
			return fail(xt, "log a row");

	if (xt_flush(xt, XT_FOREVER) != XT_OK) /* now it is all on disk */
		return fail(xt, "flush");
	if (xt_run_finish(run, XT_FINISHED) != XT_OK)
		return fail(xt, "finish the run");
	return xt_close(xt) >= XT_OK ? 0 : 1; /* XT_SPOOLED is not lost either */
}
