/*
 * Which of zlib, zstd, lz4, bzip2 and xz, at which level, is best on which kind of file?
 *
 * A pool of worker processes compresses real files of this machine and logs one row for each
 * (file, codec, level) to the table `predictions`; the parent then logs one row for each
 * (codec, level) to `metrics`. Both tables belong to one run.
 *
 * Each measurement is a cached call of `compress`, keyed by the file's content, codec and level: a second
 * run takes all of them from the cache. The measurement of a worker that dies is made by another.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xetrack.h>

#include "compress_codecs.h"
#include "compress_inputs.h"

#define READ_BYTES  (1u << 20) /* most of a file that is looked at */
#define MAX_WORKERS 256
#define BAR_WIDTH   40

/* What the processes share. */
struct shared {
	atomic_size_t done; /* tasks whose row was logged */
	atomic_size_t hits; /* of them, those whose result came from the cache */
	atomic_bool stop;   /* take no more tasks */
	atomic_int task[];  /* TASK_FREE, TASK_DONE, or the process that is at it */
};

enum { TASK_DONE = -1, TASK_FREE = 0 };

struct bench {
	const char *db, *source;      /* options */
	size_t workers, files;	      /* options */
	bool quick;		      /* option */
	struct inputs inputs;	      /* owned */
	const struct trial *list[32]; /* what each file is tried with */
	size_t n_trials;
	size_t n_tasks;	       /* inputs × trials */
	struct shared *shared; /* in memory that fork shares, with n_tasks tasks */
	const char *run_id;    /* borrowed from the run */
	pid_t parent;
	double start; /* seconds */
};

static volatile sig_atomic_t interrupted; /* by SIGINT or SIGTERM */

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- a worker --------------------------------------------------------------- */

/* A worker's memory. */
struct desk {
	uint8_t *data, *packed, *back; /* owned: the file, compressed, and decompressed again */
	size_t cap;		       /* of packed */
	size_t input;		       /* which file is in data; SIZE_MAX: none */
	long size;		       /* bytes of it; -1: it could not be read */
	char error[160];	       /* then why */
	char truth[17];		       /* hash of data */
};

static void load(struct desk *d, const struct bench *b, size_t input)
{
	if (d->input == input)
		return;
	d->input = input;
	d->size = input_read(b->inputs.items[input].path, d->data, READ_BYTES, d->error, sizeof(d->error));
	if (d->size > 0)
		content_hash(d->data, (size_t)d->size, d->truth);
}

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "compress-bench: %s: %s\n", what, why);
	return 1;
}

static int make_desk(struct desk *d)
{
	d->cap = codec_bound(READ_BYTES);
	d->data = malloc(READ_BYTES);
	d->packed = malloc(d->cap);
	d->back = malloc(READ_BYTES);
	d->input = SIZE_MAX;
	return d->data && d->packed && d->back ? 0 : -1;
}

static int compress(xt_call *call, const struct trial *t, struct desk *d)
{
	struct outcome o = trial_run(t, d->data, (size_t)d->size, d->packed, d->cap, d->back);
	bool ok = !o.error && strcmp(o.prediction, d->truth) == 0;

	int r = xt_call_result(call, XT("size", d->size), XT("ground_truth", d->truth),
			       XT("ok", xt_bool(ok)));
	if (r == XT_OK && o.packed)
		r = xt_call_result(call, XT("compressed_size", o.packed),
				   XT("ratio", (double)d->size / (double)o.packed),
				   XT("compress_mb_s", o.compress_mb_s),
				   XT("decompress_mb_s", o.decompress_mb_s), XT("prediction", o.prediction));
	if (o.error)
		xt_call_fail(call, "CodecError", o.error);
	return r;
}

/* One measurement: from the cache, from another worker that is at it, or computed. */
static int run_task(xt_run *run, const struct bench *b, struct desk *d, size_t task)
{
	size_t input = task / b->n_trials;
	const struct trial *t = b->list[task % b->n_trials];
	const struct input *in = &b->inputs.items[input];
	const xt_field labels[] = {XT("input_id", input), XT("file", in->path),
				   XT("kind", kind_name(in->kind))};

	load(d, b, input);
	bool there = d->size > 0; /* else there is nothing to be cached */
	const xt_field args[] = {XT("codec", t->codec->name), XT("level", t->level),
				 XT("content", there ? d->truth : "")};
	xt_call *call;
	int r = xt_call_begin(&call, run, "compress", args, 3,
			      &(xt_call_options){.cache = there, .labels = labels, .n_labels = 3});
	if (r < 0)
		return r;
	if (r == XT_HIT)
		atomic_fetch_add(&b->shared->hits, 1);
	else if (there)
		r = compress(call, t, d);
	else
		xt_call_fail(call, "FileError", d->error);
	int ended = xt_call_end(call);
	return r < 0 ? r : ended;
}

/* A task that nobody is at; SIZE_MAX: there is none. */
static size_t take_task(const struct bench *b, size_t from, bool *ret_all_done)
{
	*ret_all_done = true;
	for (size_t i = 0; i < b->n_tasks; i++) {
		size_t task = (from + i) % b->n_tasks;
		int free_task = TASK_FREE, state = atomic_load(&b->shared->task[task]);
		*ret_all_done = *ret_all_done && state == TASK_DONE;
		if (state == TASK_FREE &&
		    atomic_compare_exchange_strong(&b->shared->task[task], &free_task, (int)getpid()))
			return task;
	}
	return SIZE_MAX;
}

/* Takes tasks until all are done, or the parent is gone. While others are at the last ones it waits: theirs
 * are its own if they die. */
static int run_tasks(xt_run *run, const struct bench *b, struct desk *d)
{
	const struct timespec nap = {.tv_nsec = 10000000};
	struct shared *s = b->shared;
	bool all_done = false;
	size_t task = 0;
	int r = XT_OK;

	while (r >= XT_OK && !all_done && !atomic_load(&s->stop) && getppid() == b->parent) {
		size_t next = take_task(b, task, &all_done);
		if (next == SIZE_MAX) {
			nanosleep(&nap, NULL);
			continue;
		}
		all_done = false;
		task = next;
		r = run_task(run, b, d, task);
		atomic_store(&s->task[task], r >= XT_OK ? TASK_DONE : TASK_FREE);
		atomic_fetch_add(&s->done, r >= XT_OK);
	}
	return r;
}

/* Returns the process's exit status. */
static int work(const struct bench *b)
{
	xt_client *xt = NULL;
	xt_run *run = NULL;
	struct desk desk = {0};
	char message[400];

	if (make_desk(&desk) < 0)
		return complain("worker", "out of memory");
	int r = xt_open(&xt, b->db, NULL);
	if (r == XT_OK)
		r = xt_run_join(&run, xt, b->run_id, &(xt_run_options){.table = "predictions"});
	if (r == XT_OK)
		r = run_tasks(run, b, &desk);
	if (r < XT_OK)
		complain("worker", xt_error(xt));
	int closed = xt_close_message(xt, message, sizeof(message)); /* returns when the rows are on disk */
	if (closed != XT_OK && r >= XT_OK)
		complain("worker", message);
	free(desk.data);
	free(desk.packed);
	free(desk.back);
	return r >= XT_OK && closed == XT_OK ? 0 : 1;
}

/* ---- the pool --------------------------------------------------------------- */

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

/* The first Ctrl-C ends the run in good order, a second one at once. */
static void catch_signals(void)
{
	struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
}

static void show_progress(const struct bench *b)
{
	char bar[BAR_WIDTH + 1] = {0};
	size_t done = atomic_load(&b->shared->done);

	if (!isatty(STDERR_FILENO))
		return;
	for (size_t i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < done * BAR_WIDTH / b->n_tasks ? '#' : '.';
	fprintf(stderr, "\r[%s] %zu/%zu, %zu from the cache, %.0f s ", bar, done, b->n_tasks,
		atomic_load(&b->shared->hits), seconds(CLOCK_MONOTONIC) - b->start);
}

static int start_workers(const struct bench *b, pid_t *pids)
{
	for (size_t i = 0; i < b->workers; i++) {
		pids[i] = fork();
		if (pids[i] < 0) {
			atomic_store(&b->shared->stop, true);
			return complain("cannot start a worker", strerror(errno));
		}
		if (pids[i] == 0) {
			signal(SIGINT, SIG_IGN); /* a terminal sends it to all; the parent tells us to stop */
			signal(SIGTERM, SIG_DFL);
			_exit(work(b));
		}
	}
	return 0;
}

/* What a dead worker was at is free again. */
static void free_tasks(const struct bench *b, pid_t pid)
{
	for (size_t i = 0; i < b->n_tasks; i++) {
		int its = (int)pid;
		atomic_compare_exchange_strong(&b->shared->task[i], &its, TASK_FREE);
	}
}

/* 0 when the worker ended well, or others can make up for it. */
static int judge(const struct bench *b, pid_t pid, int status, size_t alive)
{
	free_tasks(b, pid);
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status) != 0;
	fprintf(stderr, "%scompress-bench: worker %d was killed by signal %d (%s); %s\n",
		isatty(STDERR_FILENO) ? "\n" : "", (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)),
		alive > 0 ? "what it was at goes to another" : "it was the last one");
	return alive == 0;
}

/* Waits for all workers. 0 when all ended well. */
static int wait_workers(const struct bench *b, pid_t *pids)
{
	const struct timespec nap = {.tv_nsec = 100000000};
	size_t alive = 0;
	int failed = 0;

	for (size_t i = 0; i < b->workers; i++)
		alive += pids[i] > 0;
	while (alive > 0) {
		for (size_t i = 0; i < b->workers; i++) {
			int status;
			if (pids[i] <= 0 || waitpid(pids[i], &status, WNOHANG) == 0)
				continue;
			alive--;
			failed |= judge(b, pids[i], status, alive);
			pids[i] = 0;
		}
		if (interrupted)
			atomic_store(&b->shared->stop, true);
		show_progress(b);
		if (alive > 0)
			nanosleep(&nap, NULL);
	}
	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
	return failed;
}

static int run_pool(const struct bench *b)
{
	pid_t pids[MAX_WORKERS] = {0};
	int failed = start_workers(b, pids);

	return wait_workers(b, pids) | failed;
}

/* ---- the second table --------------------------------------------------------- */

/* The names of the columns are the keys of `metrics`. */
static const char metrics_sql[] =
	"SELECT codec, level, count(*) AS files, sum(size) AS size, sum(compressed_size) AS compressed_size,"
	" sum(size) * 1.0 / sum(compressed_size) AS ratio,"
	" sum(size) / sum(size / compress_mb_s) AS compress_mb_s,"
	" sum(size) / sum(size / decompress_mb_s) AS decompress_mb_s,"
	" avg(ok) AS accuracy, count(error) AS errors"
	" FROM predictions WHERE track_id = ? AND error_type IS NOT 'WorkerDied'"
	" GROUP BY codec, level ORDER BY codec, level";

static int log_metrics(xt_client *xt, xt_run *metrics, size_t *ret_rows)
{
	const xt_value id = xt_text(xt_run_id(metrics)), *row;
	xt_field fields[16];
	xt_cursor *cursor;
	int r = xt_query(&cursor, xt, metrics_sql, &id, 1, 0);

	while (r == XT_OK && (r = xt_cursor_next(cursor, &row)) == XT_OK) {
		size_t n = xt_cursor_columns(cursor);
		for (size_t i = 0; i < n; i++)
			fields[i] = xt_field_of(xt_cursor_name(cursor, i), row[i]);
		r = xt_log_fields(metrics, fields, n);
		*ret_rows += r == XT_OK;
	}
	xt_cursor_close(cursor);
	return r == XT_DONE ? xt_flush(xt, XT_FOREVER) : r;
}

/* Rows of the run in `predictions`, and those of them with an error. */
static int count_rows(xt_client *xt, const char *run_id, int64_t *ret_rows, int64_t *ret_errors)
{
	const xt_value id = xt_text(run_id), *row;
	xt_cursor *cursor;
	int r = xt_query(&cursor, xt, "SELECT count(*), count(error) FROM predictions WHERE track_id = ?",
			 &id, 1, 0);

	if (r == XT_OK)
		r = xt_cursor_next(cursor, &row);
	if (r == XT_OK) {
		*ret_rows = row[0].as.integer;
		*ret_errors = row[1].as.integer;
	}
	xt_cursor_close(cursor);
	return r;
}

/* ---- the run ------------------------------------------------------------------ */

static int report(const struct bench *b, xt_client *xt, xt_run *run)
{
	int64_t rows = 0, errors = 0;
	size_t metrics_rows = 0;
	xt_run *metrics = NULL;

	int r = xt_run_join(&metrics, xt, xt_run_id(run), &(xt_run_options){.table = "metrics"});
	if (r == XT_OK)
		r = log_metrics(xt, metrics, &metrics_rows);
	if (r == XT_OK)
		r = count_rows(xt, xt_run_id(run), &rows, &errors);
	if (r != XT_OK)
		return complain("metrics", xt_error(xt));
	size_t hits = atomic_load(&b->shared->hits);
	printf("run %s\n%" PRId64 " rows in predictions (%zu files, %zu codecs and levels, %" PRId64
	       " errors), %zu rows in metrics, %.1f s\n%zu measurements made, %zu from the cache (%.0f %%)\n",
	       xt_run_id(run), rows, b->inputs.n, b->n_trials, errors, metrics_rows,
	       seconds(CLOCK_MONOTONIC) - b->start, b->n_tasks - hits, hits,
	       100.0 * (double)hits / (double)b->n_tasks);
	return 0;
}

static int run_bench(struct bench *b, xt_client *xt)
{
	const xt_run_options options = {.table = "predictions",
					XT_PARAMS(XT("workers", b->workers), XT("files", b->inputs.n),
						  XT("quick", b->quick), XT("read_bytes", READ_BYTES))};
	xt_run *run = NULL;

	if (xt_run_start(&run, xt, &options) != XT_OK)
		return complain("cannot start a run", xt_error(xt));
	b->run_id = xt_run_id(run);
	int failed = run_pool(b);
	if (!interrupted)
		failed |= report(b, xt, run);
	else
		fprintf(stderr,
			"compress-bench: interrupted; run %s is marked as failed, its %zu rows are kept\n",
			xt_run_id(run), atomic_load(&b->shared->done));
	bool good = !failed && !interrupted;
	if (xt_run_finish(run, good ? XT_FINISHED : XT_FAILED) != XT_OK)
		failed = complain("cannot finish the run", xt_error(xt));
	return interrupted ? 130 : failed;
}

/* ---- options ------------------------------------------------------------------ */

static const char help[] = "usage: compress-bench [OPTION]... [FILE]...\n"
			   "Compresses real files with several codecs and logs what came out to a database.\n"
			   "\n"
			   "  --db FILE      the database (benchmark.db)\n"
			   "  --workers N    worker processes (twice the processors)\n"
			   "  --files N      files of this machine to take (320)\n"
			   "  --source DIR   where sources of its own are (the current directory)\n"
			   "  --quick        one or two levels of each codec\n"
			   "  --help         this text\n"
			   "FILEs are taken as well, whatever they are.\n";

static int usage(const char *why, const char *what)
{
	fprintf(stderr, "compress-bench: %s '%s'; --help tells more\n", why, what);
	return 2;
}

/* A decimal number of at most `most`. 0, or -1. */
static int parse_number(const char *text, size_t least, size_t most, size_t *ret)
{
	char *end;

	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || n < least || n > most)
		return -1;
	*ret = (size_t)n;
	return 0;
}

static size_t default_workers(void)
{
	cpu_set_t set;
	size_t n = sched_getaffinity(0, sizeof(set), &set) == 0 ? 2 * (size_t)CPU_COUNT(&set) : 4;

	return n > MAX_WORKERS ? MAX_WORKERS : n;
}

/* 0, an exit status above 0, or -1: help was printed. */
static int parse_options(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {{"db", required_argument, NULL, 'd'},
						{"workers", required_argument, NULL, 'w'},
						{"files", required_argument, NULL, 'f'},
						{"source", required_argument, NULL, 's'},
						{"quick", no_argument, NULL, 'q'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd')
			b->db = optarg;
		else if (c == 's')
			b->source = optarg;
		else if (c == 'q')
			b->quick = true;
		else if (c == 'h')
			return fputs(help, stdout) < 0 ? 1 : -1;
		else if (c == 'w' && parse_number(optarg, 1, MAX_WORKERS, &b->workers) < 0)
			return usage("workers are 1 to 256, not", optarg);
		else if (c == 'f' && parse_number(optarg, 0, 100000, &b->files) < 0)
			return usage("files are 0 to 100000, not", optarg);
		else if (c == '?')
			return 2; /* getopt has said why */
	}
	return 0;
}

/* Files, trials, shared memory. */
static int prepare(struct bench *b, char **extra)
{
	if (b->files > 0 && inputs_find(&b->inputs, b->source, b->files) < 0)
		return complain(b->source, strerror(errno));
	if (b->inputs.n < b->files)
		fprintf(stderr, "compress-bench: this machine has only %zu files to offer\n", b->inputs.n);
	for (; *extra; extra++)
		if (inputs_add(&b->inputs, *extra) < 0)
			return complain(*extra, "out of memory");
	for (size_t i = 0; i < n_trials && b->n_trials < sizeof(b->list) / sizeof(b->list[0]); i++)
		if (trials[i].quick || !b->quick)
			b->list[b->n_trials++] = &trials[i];
	b->n_tasks = b->inputs.n * b->n_trials;
	if (b->n_tasks == 0)
		return complain("nothing to do", "no files");
	b->shared = mmap(NULL, sizeof(*b->shared) + b->n_tasks * sizeof(b->shared->task[0]),
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return b->shared == MAP_FAILED ? complain("cannot share memory", strerror(errno)) : 0;
}

int main(int argc, char **argv)
{
	struct bench b = {.db = "benchmark.db", .source = ".", .files = 320, .workers = default_workers()};
	xt_client *xt = NULL;
	char message[400];

	int r = parse_options(&b, argc, argv);
	if (r != 0)
		return r < 0 ? 0 : r;
	b.parent = getpid();
	b.start = seconds(CLOCK_MONOTONIC);
	catch_signals();
	r = prepare(&b, argv + optind);
	if (r == 0 && xt_open(&xt, b.db, NULL) != XT_OK)
		r = complain(b.db, xt_error(xt));
	if (r == 0)
		r = run_bench(&b, xt);
	if (xt_close_message(xt, message, sizeof(message)) != XT_OK && r == 0)
		r = complain(b.db, message);
	inputs_done(&b.inputs);
	return r;
}
