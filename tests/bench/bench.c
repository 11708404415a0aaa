/*
 * xt-bench: what the daemon takes, beside what one bare SQLite process inserts of the same rows into
 * the same table with the same durability, in one run: medians and spread over repetitions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "gang.h"
#include "measure.h"
#include "row.h"
#include "served.h"
#include "setup.h"
#include "xetrack.h"

static struct {
	long rows;	    /* of one case */
	long flushes;	    /* of one case that waits for each row */
	long repeat;	    /* times that everything is done */
	const char *only;   /* part of the names of the cases to run; NULL: all */
	char dir[DIR_SIZE]; /* where databases are made and removed */
} set = {.rows = 400000, .flushes = 2000, .repeat = 5};

/* ---- workers ---------------------------------------------------------- */

enum style { ONE_BY_ONE, BATCHES, FLUSH_EACH };

/* What workers report, in shared memory. */
struct report {
	int64_t started_ns, ended_ns;  /* monotonic */
	double p50_us, p99_us, max_us; /* of one call: xt_log, or xt_log with xt_flush */
};

/* One case under way. */
struct job {
	const char *db;
	long rows; /* of each worker */
	enum style style;
	struct report *reports; /* shared, a worker each */
};

static void work(int worker, void *data)
{
	const struct job *job = data;
	struct report *rep = &job->reports[worker];
	long rows = job->rows;
	struct samples s = samples_new(job->style == BATCHES ? rows / 100 + 1 : rows);
	xt_client *xt;
	xt_run *run;
	char id[32];

	check(NULL, xt_open(&xt, job->db, &(xt_options){.no_autostart = true}), "open");
	snprintf(id, sizeof(id), "bench-%d", worker);
	check(xt, xt_run_join(&run, xt, id, NULL), "join");
	gang_ready();
	rep->started_ns = now_ns();
	for (long i = 0; i < rows;) {
		int64_t t = now_ns();
		if (job->style == BATCHES) {
			check(xt, row_log_batch(run, worker, i, 100), "log");
			i += 100;
		} else {
			check(xt, row_log(run, worker, i), "log");
			i++;
		}
		if (job->style == FLUSH_EACH)
			check(xt, xt_flush(xt, XT_FOREVER), "flush");
		samples_add(&s, (double)(now_ns() - t) / 1000);
	}
	check(xt, xt_flush(xt, XT_FOREVER), "flush");
	rep->ended_ns = now_ns();
	rep->p50_us = samples_at(&s, 0.5);
	rep->p99_us = samples_at(&s, 0.99);
	rep->max_us = samples_at(&s, 1);
	check(xt, xt_close(xt), "close");
}

/* One case: rows a second; the calls' latencies are the median of the workers', the worst the worst. */
static double run_workers(const char *db, int n, long rows, enum style style, struct report *ret)
{
	size_t size = sizeof(struct report) * (size_t)n;
	struct job job = {
		.db = db, .rows = rows / n / 100 * 100, .style = style, .reports = gang_share(size)};
	struct report *rep = job.reports;

	gang_run(n, work, &job);
	struct samples p50 = samples_new(n), p99 = samples_new(n), worst = samples_new(n);
	int64_t first = INT64_MAX, last = 0;
	for (int i = 0; i < n; i++) {
		first = rep[i].started_ns < first ? rep[i].started_ns : first;
		last = rep[i].ended_ns > last ? rep[i].ended_ns : last;
		samples_add(&p50, rep[i].p50_us);
		samples_add(&p99, rep[i].p99_us);
		samples_add(&worst, rep[i].max_us);
	}
	*ret = (struct report){.p50_us = samples_at(&p50, 0.5),
			       .p99_us = samples_at(&p99, 0.5),
			       .max_us = samples_at(&worst, 1)};
	samples_free(&p50);
	samples_free(&p99);
	samples_free(&worst);
	gang_unshare(rep, size);
	return (double)job.rows * n * 1e9 / (double)(last - first); /* whole batches of each worker */
}

/* ---- cases ------------------------------------------------------------ */

struct bench_case {
	const char *name;
	int workers;
	enum style style;
	struct samples rate, p50, p99, worst; /* over the repetitions */
};

static struct bench_case cases[] = {
	{.name = "1 worker, row by row", .workers = 1, .style = ONE_BY_ONE},
	{.name = "4 workers, row by row", .workers = 4, .style = ONE_BY_ONE},
	{.name = "16 workers, row by row", .workers = 16, .style = ONE_BY_ONE},
	{.name = "64 workers, row by row", .workers = 64, .style = ONE_BY_ONE},
	{.name = "4 workers, batches of 100", .workers = 4, .style = BATCHES},
	{.name = "1 worker, flush after each row", .workers = 1, .style = FLUSH_EACH},
	{.name = "4 workers, flush after each row", .workers = 4, .style = FLUSH_EACH},
	{.name = "16 workers, flush after each row", .workers = 16, .style = FLUSH_EACH},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static void database_path(char *ret, size_t size)
{
	snprintf(ret, size, "%s/bench.db", set.dir);
	remove_database(ret);
}

static void run_case(struct bench_case *c, struct samples *idle_mib, struct samples *peak_mib)
{
	char db[1100];
	struct report rep;

	database_path(db, sizeof(db));
	pid_t pid = served_start(db);
	samples_add(idle_mib, (double)served_memory_kib(pid, "VmRSS") / 1024);
	long rows = c->style == FLUSH_EACH ? set.flushes * (c->workers > 1 ? 4 : 1) : set.rows;
	samples_add(&c->rate, run_workers(db, c->workers, rows, c->style, &rep));
	samples_add(&c->p50, rep.p50_us);
	samples_add(&c->p99, rep.p99_us);
	samples_add(&c->worst, rep.max_us);
	samples_add(peak_mib, (double)served_memory_kib(pid, "VmHWM") / 1024);
	served_stop(pid);
	if (count_rows(db) != rows / c->workers / 100 * 100 * c->workers)
		die("rows were lost or doubled", c->name);
	remove_database(db);
}

static void print_line(const char *name, struct samples *s, double unit, const char *of)
{
	printf("%-36s %10.0f rows/s  (%.0f–%.0f)", name, samples_at(s, 0.5), samples_at(s, 0),
	       samples_at(s, 1));
	if (unit > 0)
		printf("  %.2f %s", samples_at(s, 0.5) / unit, of);
	putchar('\n');
}

static void print_results(struct samples *small, struct samples *large, struct samples *commits,
			  struct samples *commit_us, struct samples *idle, struct samples *peak)
{
	double s = samples_at(large, 0.5) > samples_at(small, 0.5) ? samples_at(large, 0.5)
								   : samples_at(small, 0.5);
	double single = samples_at(commits, 0.5);

	printf("rows of 12 columns; medians of %ld runs (lowest–highest); S is the faster bare SQLite\n\n",
	       set.repeat);
	print_line("bare SQLite, 4 KiB pages", small, 0, "");
	print_line("bare SQLite, 16 KiB pages", large, 0, "");
	print_line("bare SQLite, one row a commit", commits, 0, "");
	for (size_t i = 0; i < N_CASES; i++)
		if (cases[i].rate.n > 0)
			print_line(cases[i].name, &cases[i].rate, cases[i].style == FLUSH_EACH ? single : s,
				   cases[i].style == FLUSH_EACH ? "of one row a commit" : "S");
	printf("\none call, µs                               p50        p99      worst\n");
	printf("%-36s %10.1f %10.1f %10.0f\n", "bare SQLite, one row a commit", samples_at(commit_us, 0.5),
	       samples_at(commit_us, 0.99), samples_at(commit_us, 1));
	for (size_t i = 0; i < N_CASES; i++)
		if (cases[i].rate.n > 0)
			printf("%-36s %10.1f %10.1f %10.0f\n", cases[i].name, samples_at(&cases[i].p50, 0.5),
			       samples_at(&cases[i].p99, 0.5), samples_at(&cases[i].worst, 1));
	printf("\ndaemon's memory: %.1f MiB after the start, at most %.1f MiB under load\n",
	       samples_at(idle, 0.5), samples_at(peak, 1));
}

static void run_all(void)
{
	struct samples small = samples_new(MAX_REPEAT), large = samples_new(MAX_REPEAT),
		       commits = samples_new(MAX_REPEAT);
	struct samples commit_us = samples_new(MAX_REPEAT * set.flushes);
	struct samples idle = samples_new(MAX_REPEAT * N_CASES), peak = samples_new(MAX_REPEAT * N_CASES);
	char db[1100];

	for (size_t i = 0; i < N_CASES; i++) {
		cases[i].rate = samples_new(MAX_REPEAT);
		cases[i].p50 = samples_new(MAX_REPEAT);
		cases[i].p99 = samples_new(MAX_REPEAT);
		cases[i].worst = samples_new(MAX_REPEAT);
	}
	for (long r = 0; r < set.repeat; r++) {
		fprintf(stderr, "\rrun %ld of %ld", r + 1, set.repeat);
		database_path(db, sizeof(db));
		samples_add(&small, bare_insert(db, set.rows, 1000, 4096, NULL));
		remove_database(db);
		samples_add(&large, bare_insert(db, set.rows, 1000, 16384, NULL));
		remove_database(db);
		samples_add(&commits, bare_insert(db, set.flushes, 1, 4096, &commit_us));
		remove_database(db);
		for (size_t i = 0; i < N_CASES; i++)
			if (!set.only || strstr(cases[i].name, set.only))
				run_case(&cases[i], &idle, &peak);
	}
	fprintf(stderr, "\r\033[K");
	print_results(&small, &large, &commits, &commit_us, &idle, &peak);
}

int main(int argc, char **argv)
{
	const char *base = ".";
	const struct setting settings[] = {
		{"rows", "N", .whole = &set.rows, .least = 6400},
		{"flushes", "N", .whole = &set.flushes, .least = 1600},
		{"repeat", "N", .whole = &set.repeat, .least = 1, .most = MAX_REPEAT},
		{"dir", "DIRECTORY", .text = &base},
		{"only", "CASE", .text = &set.only},
	};

	setup_options(argc, argv, settings, sizeof(settings) / sizeof(settings[0]));
	setup_directory(base, set.dir);
	run_all();
	remove_directory(set.dir);
	return 0;
}
