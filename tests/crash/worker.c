/*
 * xt-worker DB WORKER ROWS [OPTIONS]: logs rows {worker, i} to `predictions` under the run `run-WORKER` and
 * tells a witness file which of them were acknowledged, so that a test knows after any crash what must be
 * in the database.
 *
 *     --witness FILE   appends "<i>\n" whenever rows up to i are acknowledged
 *     --gates          after half of the rows, and after all, prints a line and waits for one on stdin
 *     --join           joins the run instead of starting it
 *     --batch N        logs N rows a call
 *     --window BYTES, --spool BYTES, --no-spool, --full-fails   options of the client
 *     --autostart      may start the daemon
 *     --pause-us N     between two calls
 *     --flush-ms N     how long to wait for everything at the end
 *     --fail           ends by xt_close_failed()
 *     --abandon        ends by _exit() without a word
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xetrack.h"

#define MAX_BATCH 1000

static struct {
	const char *db;
	long worker, rows, batch, pause_us, flush_ms;
	int witness; /* -1: none */
	bool gates, join, fail, abandon;
	xt_options options;
} set = {.batch = 1, .flush_ms = 120000, .witness = -1, .options = {.no_autostart = true}};

static int complain(xt_client *xt, const char *what, int status)
{
	fprintf(stderr, "xt-worker %ld: %s: %s: %s\n", set.worker, what, xt_status_name(status),
		xt ? xt_error(xt) : "");
	return 1;
}

/* Numbers before the first row: the start of the run, or joining it. */
static void tell(xt_client *xt, long *told)
{
	long acked = (long)xt_acked_seq(xt) - 2; /* i of the row with that number */
	char line[32];

	if (set.witness < 0 || acked <= *told)
		return;
	*told = acked;
	int n = snprintf(line, sizeof(line), "%ld\n", acked);
	if (write(set.witness, line, (size_t)n) != n)
		abort();
}

static void gate(const char *name)
{
	char line[64];

	if (!set.gates)
		return;
	printf("%s\n", name);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		_exit(3);
}

static int log_some(xt_run *run, long i, long n)
{
	static const char *const columns[] = {"worker", "i", "text"};
	xt_value values[MAX_BATCH * 3];

	if (n == 1)
		return xt_log(run, XT("worker", set.worker), XT("i", i), XT("text", "some text"));
	for (long k = 0; k < n; k++) {
		values[3 * k] = xt_int(set.worker);
		values[3 * k + 1] = xt_int(i + k);
		values[3 * k + 2] = xt_text("some text");
	}
	return xt_log_rows(run, columns, 3, values, (size_t)n);
}

static int work(xt_client *xt, xt_run *run)
{
	long told = -1;

	for (long i = 0; i < set.rows;) {
		long n = set.rows - i < set.batch ? set.rows - i : set.batch;
		int r = log_some(run, i, n);
		if (r != XT_OK)
			return complain(xt, "log", r);
		if (i < set.rows / 2 && i + n >= set.rows / 2)
			gate("half");
		i += n;
		if (i % 16 < n)
			tell(xt, &told);
		if (set.pause_us > 0)
			usleep((useconds_t)set.pause_us);
	}
	gate("all");
	if (set.abandon)
		_exit(0);
	int r = xt_flush(xt, (int)set.flush_ms);
	if (r != XT_OK && !set.gates)
		return complain(xt, "flush", r);
	tell(xt, &told);
	return 0;
}

static void parse(int argc, char **argv)
{
	enum {
		WITNESS = 256,
		GATES,
		JOIN,
		BATCH,
		WINDOW,
		SPOOL,
		NO_SPOOL,
		FULL_FAILS,
		AUTOSTART,
		PAUSE,
		FLUSH,
		FAIL,
		ABANDON
	};
	static const struct option options[] = {{"witness", required_argument, NULL, WITNESS},
						{"gates", no_argument, NULL, GATES},
						{"join", no_argument, NULL, JOIN},
						{"batch", required_argument, NULL, BATCH},
						{"window", required_argument, NULL, WINDOW},
						{"spool", required_argument, NULL, SPOOL},
						{"no-spool", no_argument, NULL, NO_SPOOL},
						{"full-fails", no_argument, NULL, FULL_FAILS},
						{"autostart", no_argument, NULL, AUTOSTART},
						{"pause-us", required_argument, NULL, PAUSE},
						{"flush-ms", required_argument, NULL, FLUSH},
						{"fail", no_argument, NULL, FAIL},
						{"abandon", no_argument, NULL, ABANDON},
						{0}};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		const char *value = optarg ? optarg : "";
		long n = atol(value);
		switch (o) {
		case WITNESS:
			set.witness = open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
			break;
		case GATES:
			set.gates = true;
			break;
		case JOIN:
			set.join = true;
			break;
		case BATCH:
			set.batch = n < MAX_BATCH ? n : MAX_BATCH;
			break;
		case WINDOW:
			set.options.window_bytes = (size_t)n;
			break;
		case SPOOL:
			set.options.spool_bytes = (size_t)n;
			break;
		case NO_SPOOL:
			set.options.no_spool = true;
			break;
		case FULL_FAILS:
			set.options.full_fails = true;
			break;
		case AUTOSTART:
			set.options.no_autostart = false;
			break;
		case PAUSE:
			set.pause_us = n;
			break;
		case FLUSH:
			set.flush_ms = n;
			break;
		case FAIL:
			set.fail = true;
			break;
		case ABANDON:
			set.abandon = true;
			break;
		default:
			exit(2);
		}
	}
	if (argc - optind != 3)
		exit(2);
	set.db = argv[optind];
	set.worker = atol(argv[optind + 1]);
	set.rows = atol(argv[optind + 2]);
}

int main(int argc, char **argv)
{
	char id[32], message[1000];
	xt_client *xt = NULL;
	xt_run *run = NULL;

	parse(argc, argv);
	int r = xt_open(&xt, set.db, &set.options);
	for (int tries = 4000; r == XT_ECONNECT && tries > 0; tries--) { /* the daemon was just killed */
		xt_close(xt);
		usleep(5000);
		r = xt_open(&xt, set.db, &set.options);
	}
	if (r != XT_OK)
		return complain(xt, "open", r);
	snprintf(id, sizeof(id), "run-%ld", set.join ? 0 : set.worker);
	xt_run_options o = {.table = "predictions", .track_id = id};
	r = set.join ? xt_run_join(&run, xt, id, &o) : xt_run_start(&run, xt, &o);
	if (r != XT_OK)
		return complain(xt, "start", r);
	if (work(xt, run) != 0)
		return 1;
	if (set.fail) {
		r = xt_close_failed(xt);
		return r == XT_OK ? 0 : complain(NULL, "close", r);
	}
	if (!set.join) {
		r = xt_run_finish(run, XT_FINISHED);
		if (r < 0)
			return complain(xt, "finish", r);
	}
	r = xt_close_message(xt, message, sizeof(message));
	if (r != XT_OK)
		fprintf(stderr, "xt-worker %ld: close: %s: %s\n", set.worker, xt_status_name(r), message);
	return r == XT_OK ? 0 : r == XT_SPOOLED ? 4 : 1;
}
