/*
 * A worker that calls one function for each of many keys, for tests/integration/test_calls.py:
 *
 *     xt-call DB RUN WITNESS KEYS [OPTION]…
 *
 * It joins the run and calls f(x) for x from 0 to KEYS - 1, beginning at --from, with the cache. An execution
 * appends a line to WITNESS, "begin x pid" and, when the result is there, "end x pid". Options:
 *
 *     --from N       the first key
 *     --micros N     what an execution takes
 *     --fail N       executions of multiples of N fail
 *     --suicide N    the N-th execution ends the process by SIGKILL in its middle
 *     --socket       do not read the cache directly
 *     --force        compute anew
 *     --no-cache     without the cache
 *     --pairs        execute key x + 1 within the execution of x
 *     --fork         go on in a child of fork, which calls again
 *     --sample N     sample at that interval, ms
 *     --network      and the network's bytes
 *     --spin         an execution computes for its time, instead of waiting
 *     --own          results have columns that samples have too
 *     --rows N       log as many plain rows first, every other one as a batch
 *     --hang         after the first execution has begun: wait for a signal
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xetrack.h>

struct worker {
	xt_client *xt;
	xt_run *run;
	int witness;
	long keys, from, micros, fail_each, suicide_at, rows, executed, hits, timeouts;
	bool pairs, hang, spin, own;
	xt_run_options run_options;
	xt_call_options options;
};

static void testify(const struct worker *w, const char *what, long x)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "%s %ld %d\n", what, x, (int)getpid());

	if (write(w->witness, line, (size_t)n) != n) /* whole: it is opened to append */
		abort();
}

static int complain(const struct worker *w, const char *what, int r)
{
	fprintf(stderr, "xt-call: %s: %s: %s\n", what, xt_status_name(r), xt_error(w->xt));
	return 1;
}

static int call(struct worker *w, long x, int depth);

/* What an execution takes: of the clock, or of this process's CPU time. */
static void take_time(const struct worker *w)
{
	struct timespec t;
	int64_t now, until;

	if (!w->spin) {
		nanosleep(&(struct timespec){.tv_nsec = w->micros * 1000}, NULL);
		return;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	until = t.tv_sec * INT64_C(1000000000) + t.tv_nsec + w->micros * 1000;
	do {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
		now = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
	} while (now < until);
}

static int execute(struct worker *w, xt_call *handle, long x, int depth)
{
	testify(w, "begin", x);
	w->executed++;
	if (w->hang)
		pause();
	if (w->executed == w->suicide_at)
		kill(getpid(), SIGKILL);
	if (w->pairs && depth == 0 && call(w, (x + 1) % w->keys, 1) != 0)
		return 1;
	if (w->micros > 0)
		take_time(w);
	if (w->fail_each && x % w->fail_each == 0) {
		xt_call_fail(handle, "ValueError", "a multiple");
		return 0;
	}
	int r = xt_call_result(handle, XT("y", x * x), XT("text", "a result"));
	if (w->own && r == XT_OK) {
		const xt_field own[] = {XT("cpu", 7), XT("bytes_sent", "many")};
		r = xt_call_result_fields(handle, own, 2);
	}
	testify(w, "end", x); // cppcheck-suppress constStatement
	return r == XT_OK ? 0 : complain(w, "result", r);
}

static int call(struct worker *w, long x, int depth)
{
	const xt_field args[] = {XT("x", x), XT("config", XT_MAP(XT("lr", 0.1), XT("layers", 3)))};
	xt_call *handle;
	xt_value y;

	int r = xt_call_begin(&handle, w->run, "f", args, 2, &w->options);
	if (r == XT_ETIMEOUT) {
		w->timeouts++;
		return 0;
	}
	if (r < 0)
		return complain(w, "begin", r);
	if (r == XT_HIT)
		w->hits++;
	if (r == XT_OK && execute(w, handle, x, depth) != 0)
		return 1;
	if (r == XT_HIT && (xt_call_get(handle, "y", &y) != XT_OK || y.as.integer != x * x))
		return complain(w, "a wrong result", r);
	r = xt_call_end(handle);
	return r < 0 ? complain(w, "end", r) : 0;
}

static int work(struct worker *w)
{
	for (long i = 0; i < w->keys; i++)
		if (call(w, (w->from + i) % w->keys, 0) != 0)
			return 1;
	return 0;
}

static int log_rows(const struct worker *w)
{
	static const char *const columns[] = {"n"};
	int r = XT_OK;

	for (long i = 0; i < w->rows / 2 && r == XT_OK; i++) {
		const xt_value value = xt_int(i);
		r = xt_log(w->run, XT("n", i));
		if (r == XT_OK)
			r = xt_log_rows(w->run, columns, 1, &value, 1);
	}
	return r == XT_OK ? 0 : complain(w, "rows", r);
}

static int parse(struct worker *w, xt_options *o, bool *ret_fork, int argc, char **argv)
{
	static const struct option options[] = {{"from", required_argument, NULL, 'f'},
						{"micros", required_argument, NULL, 'm'},
						{"fail", required_argument, NULL, 'e'},
						{"suicide", required_argument, NULL, 's'},
						{"socket", no_argument, NULL, 'S'},
						{"force", no_argument, NULL, 'F'},
						{"no-cache", no_argument, NULL, 'n'},
						{"pairs", no_argument, NULL, 'p'},
						{"fork", no_argument, NULL, 'k'},
						{"hang", no_argument, NULL, 'h'},
						{"wait", required_argument, NULL, 'w'},
						{"sample", required_argument, NULL, 'a'},
						{"network", no_argument, NULL, 'N'},
						{"spin", no_argument, NULL, 'P'},
						{"own", no_argument, NULL, 'o'},
						{"rows", required_argument, NULL, 'r'},
						{0}};
	int c;

	w->options.cache = true;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'f')
			w->from = atol(optarg);
		else if (c == 'm')
			w->micros = atol(optarg);
		else if (c == 'e')
			w->fail_each = atol(optarg);
		else if (c == 's')
			w->suicide_at = atol(optarg);
		else if (c == 'S')
			o->no_direct_cache = true;
		else if (c == 'F')
			w->options.force = true;
		else if (c == 'n')
			w->options.cache = false;
		else if (c == 'p')
			w->pairs = true;
		else if (c == 'k')
			*ret_fork = true;
		else if (c == 'h')
			w->hang = true;
		else if (c == 'a')
			w->run_options.sample_ms = atoi(optarg);
		else if (c == 'N')
			w->run_options.sample_network = true;
		else if (c == 'P')
			w->spin = true;
		else if (c == 'o')
			w->own = true;
		else if (c == 'r')
			w->rows = atol(optarg);
		else if (c == 'w')
			w->options.wait_ms = atoi(optarg);
		else
			return 2;
	}
	if (argc - optind != 4)
		return 2;
	w->keys = atol(argv[optind + 3]);
	return 0;
}

int main(int argc, char **argv)
{
	static const xt_field model[] = {{"model", {XT_T_TEXT, {.text = "m"}, 1}}};
	struct worker w = {.run_options = {.params = model, .n_params = 1}};
	xt_options o = {0};
	char message[400];
	bool forks = false;

	if (parse(&w, &o, &forks, argc, argv) != 0)
		return 2;
	w.witness = open(argv[optind + 2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	int r = xt_open(&w.xt, argv[optind], &o);
	for (int i = 0; i < 1200 && r == XT_ECONNECT; i++) { /* a test may have killed the daemon just now */
		xt_close(w.xt);
		poll(NULL, 0, 50);
		r = xt_open(&w.xt, argv[optind], &o);
	}
	if (r == XT_OK)
		r = xt_run_join(&w.run, w.xt, argv[optind + 1], &w.run_options);
	if (r != XT_OK || w.witness < 0) {
		r = complain(&w, "open", r);
		xt_close(w.xt);
		return r;
	}
	int failed = log_rows(&w) || work(&w);
	if (forks && xt_flush(w.xt, XT_FOREVER) != XT_OK)
		return complain(&w, "flush", r);
	pid_t child = forks ? fork() : -1;
	if (child == 0)
		failed = work(&w);
	else if (child > 0 && (waitpid(child, &r, 0) != child || r != 0))
		failed = 1;
	printf("%ld executed, %ld hits, %ld timeouts\n", w.executed, w.hits, w.timeouts);
	r = xt_close_message(w.xt, message, sizeof(message));
	if (r < 0)
		fprintf(stderr, "xt-call: close: %s\n", message);
	return failed || r < 0;
}
