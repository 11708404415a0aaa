/*
 * xt-bench-load: what one client notices of others: of thousands that are idle or log now and then, of one
 * that does not read, of a flood, of a scan. Each case on a new daemon and a database of the same rows, and
 * compared with the same client alone in the same repetition.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crowd.h"
#include "measure.h"
#include "row.h"
#include "served.h"
#include "setup.h"
#include "xetrack.h"

#define FILL_ROWS     50000 /* in the table before a case */
#define ROUND_LOGS    50    /* calls of the measured client in each of its rounds */
#define ROUND_FLUSHES 10
#define ROUND_QUERIES 5

static struct {
	double seconds;	     /* that each case is measured */
	double idle_seconds; /* that the daemon is watched doing nothing */
	long repeat;	     /* times that everything is done */
	long idle, live;     /* connections */
	const char *only;    /* part of the names of the cases to run; NULL: all */
	char dir[DIR_SIZE];  /* where databases are made and removed */
} set = {.seconds = 1.5, .idle_seconds = 3, .repeat = 3, .idle = 10000, .live = 1000};

/* ---- the measured client ---------------------------------------------- */

enum call { LOG, FLUSH, QUERY, CALLS };

static void took(struct samples *s, int64_t since)
{
	samples_add(s, (double)(now_ns() - since) / 1000);
}

static void small_query(xt_client *xt)
{
	const xt_value *row;
	xt_cursor *k;

	check(xt,
	      xt_query(&k, xt,
		       "SELECT loss FROM events WHERE track_id = 'measured' ORDER BY rowid DESC LIMIT 1",
		       NULL, 0, 0),
	      "query");
	check(xt, xt_cursor_next(k, &row), "read");
	xt_cursor_close(k);
}

static void measure_round(xt_client *xt, xt_run *run, long *i, struct samples s[CALLS])
{
	for (int k = 0; k < ROUND_LOGS; k++) {
		int64_t t = now_ns();
		check(xt, row_log(run, 0, (*i)++), "log");
		took(&s[LOG], t);
	}
	check(xt, xt_flush(xt, XT_FOREVER), "flush");
	for (int k = 0; k < ROUND_FLUSHES; k++) {
		int64_t t = now_ns();
		check(xt, row_log(run, 0, (*i)++), "log");
		check(xt, xt_flush(xt, XT_FOREVER), "flush");
		took(&s[FLUSH], t);
	}
	for (int k = 0; k < ROUND_QUERIES; k++) {
		int64_t t = now_ns();
		small_query(xt);
		took(&s[QUERY], t);
	}
}

static void measure_client(const char *db, struct samples s[CALLS])
{
	int64_t end = now_ns() + (int64_t)(set.seconds * 1e9);
	long i = 0;
	xt_client *xt;
	xt_run *run;

	check(NULL, xt_open(&xt, db, &(xt_options){.no_autostart = true}), "open");
	check(xt, xt_run_join(&run, xt, "measured", NULL), "join");
	check(xt, row_log(run, 0, i++), "log");
	check(xt, xt_flush(xt, XT_FOREVER), "flush"); /* the table is known from here on */
	do
		measure_round(xt, run, &i, s);
	while (now_ns() < end);
	check(xt, xt_close(xt), "close");
}

static void fill(const char *db)
{
	xt_client *xt;
	xt_run *run;

	check(NULL, xt_open(&xt, db, &(xt_options){.no_autostart = true}), "open");
	check(xt, xt_run_join(&run, xt, "before", NULL), "join");
	for (long i = 0; i < FILL_ROWS; i += 100)
		check(xt, row_log_batch(run, 0, i, 100), "log");
	check(xt, xt_close(xt), "close");
}

/* ---- cases ------------------------------------------------------------ */

struct load_case {
	const char *name;
	crowd_role *role; /* NULL: alone */
	int processes;
	long *count;		     /* connections of all; NULL: one a process */
	bool watch_idle;	     /* also see what the daemon does when nobody does anything */
	struct samples at[CALLS][3]; /* p50, p99, worst of each repetition */
	struct samples ratio[CALLS]; /* of its p50 to the p50 alone in the same repetition */
	struct samples rss, peak;    /* MiB */
	struct samples files;
	struct samples cpu, switches; /* a second, while idle */
};

static long few = 8;

static struct load_case cases[] = {
	{.name = "alone"},
	{.name = "idle connections",
	 .role = crowd_idle,
	 .processes = 10,
	 .count = &set.idle,
	 .watch_idle = true},
	{.name = "live clients, 1000 rows/s", .role = crowd_live, .processes = 4, .count = &set.live},
	{.name = "8 that never read answers", .role = crowd_slow_reader, .processes = 1, .count = &few},
	{.name = "scan all the time", .role = crowd_scan, .processes = 1},
	{.name = "3 that flush each row", .role = crowd_flood_flushes, .processes = 3},
	{.name = "flood of rows, 1 process", .role = crowd_flood, .processes = 1},
	{.name = "flood of rows, 4 processes", .role = crowd_flood, .processes = 4},
	{.name = "flood of 1 MiB rows, 2 processes", .role = crowd_flood_large, .processes = 2},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static void watch_idle(struct load_case *c, pid_t daemon)
{
	struct served_use before = served_use(daemon);

	nanosleep(&(struct timespec){.tv_sec = (time_t)set.idle_seconds}, NULL);
	struct served_use after = served_use(daemon);
	samples_add(&c->cpu, (after.cpu_ms - before.cpu_ms) / set.idle_seconds);
	samples_add(&c->switches, (double)(after.switches - before.switches) / set.idle_seconds);
}

static void note(struct load_case *c, struct samples s[CALLS])
{
	static const double q[] = {0.5, 0.99, 1};

	for (int k = 0; k < CALLS; k++) {
		for (int i = 0; i < 3; i++)
			samples_add(&c->at[k][i], samples_at(&s[k], q[i]));
		samples_add(&c->ratio[k],
			    samples_at(&s[k], 0.5) / cases[0].at[k][0].v[cases[0].at[k][0].n - 1]);
	}
}

static void run_case(struct load_case *c)
{
	struct samples s[CALLS] = {samples_new(100000), samples_new(10000), samples_new(10000)};
	struct crowd crowd = {0};
	char db[1100];

	snprintf(db, sizeof(db), "%s/load.db", set.dir);
	remove_database(db);
	pid_t daemon = served_start(db);
	fill(db);
	if (c->role)
		crowd = crowd_start(c->role, db, c->processes, c->count ? *c->count : c->processes);
	measure_client(db, s);
	samples_add(&c->files, (double)served_use(daemon).descriptors);
	if (c->watch_idle)
		watch_idle(c, daemon);
	samples_add(&c->rss, (double)served_memory_kib(daemon, "VmRSS") / 1024);
	samples_add(&c->peak, (double)served_memory_kib(daemon, "VmHWM") / 1024);
	crowd_end(&crowd);
	served_stop(daemon);
	remove_database(db);
	note(c, s);
	for (int k = 0; k < CALLS; k++)
		samples_free(&s[k]);
}

/* ---- report ----------------------------------------------------------- */

static void print_calls(const char *title, enum call k)
{
	printf("\n%-34s %9s %9s %9s   %s\n", title, "p50", "p99", "worst", "p50 to alone");
	for (size_t i = 0; i < N_CASES; i++) {
		struct load_case *c = &cases[i];
		if (c->rss.n == 0)
			continue;
		printf("%-34s %9.1f %9.1f %9.0f", c->name, samples_at(&c->at[k][0], 0.5),
		       samples_at(&c->at[k][1], 0.5), samples_at(&c->at[k][2], 1));
		if (i > 0)
			printf("   %6.2f  (%.2f–%.2f)", samples_at(&c->ratio[k], 0.5),
			       samples_at(&c->ratio[k], 0), samples_at(&c->ratio[k], 1));
		putchar('\n');
	}
}

static void print_daemon(void)
{
	printf("\n%-34s %9s %9s %9s\n", "the daemon", "MiB", "peak MiB", "files");
	for (size_t i = 0; i < N_CASES; i++)
		if (cases[i].rss.n > 0)
			printf("%-34s %9.1f %9.1f %9.0f\n", cases[i].name, samples_at(&cases[i].rss, 0.5),
			       samples_at(&cases[i].peak, 1), samples_at(&cases[i].files, 0.5));
	for (size_t i = 0; i < N_CASES; i++)
		if (cases[i].cpu.n > 0)
			printf("\nidle with %ld connections: %.2f ms of CPU and %.2f wake-ups a second (at "
			       "most %.2f)\n",
			       *cases[i].count, samples_at(&cases[i].cpu, 0.5),
			       samples_at(&cases[i].switches, 0.5), samples_at(&cases[i].switches, 1));
}

static void run_all(void)
{
	for (long r = 0; r < set.repeat; r++)
		for (size_t i = 0; i < N_CASES; i++) {
			if (i > 0 && set.only && !strstr(cases[i].name, set.only))
				continue;
			fprintf(stderr, "\r\033[Krun %ld of %ld: %s", r + 1, set.repeat, cases[i].name);
			run_case(&cases[i]);
		}
	fprintf(stderr, "\r\033[K");
	printf("one client beside others, %ld idle and %ld live ones; µs; medians of %ld runs "
	       "(lowest–highest), the "
	       "worst of all\n",
	       set.idle, set.live, set.repeat);
	print_calls("a row logged, not waited for", LOG);
	print_calls("a row logged and on disk", FLUSH);
	print_calls("a small query", QUERY);
	print_daemon();
}

static void prepare(const char *base)
{
	long most = crowd_most();

	if (set.idle > most || set.live > most) {
		fprintf(stderr, "%s: the limit of open files leaves room for %ld connections\n",
			program_invocation_short_name, most);
		set.idle = set.idle < most ? set.idle : most;
		set.live = set.live < most ? set.live : most;
	}
	setup_directory(base, set.dir);
	for (size_t i = 0; i < N_CASES; i++) {
		struct load_case *c = &cases[i];
		struct samples *all[] = {&c->rss, &c->peak, &c->files, &c->cpu, &c->switches};
		for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
			*all[k] = samples_new(MAX_REPEAT);
		for (int k = 0; k < CALLS; k++) {
			c->ratio[k] = samples_new(MAX_REPEAT);
			for (int q = 0; q < 3; q++)
				c->at[k][q] = samples_new(MAX_REPEAT);
		}
	}
}

int main(int argc, char **argv)
{
	const char *base = ".";
	const struct setting settings[] = {
		{"seconds", "N", .real = &set.seconds, .least = 0.001},
		{"repeat", "N", .whole = &set.repeat, .least = 1, .most = MAX_REPEAT},
		{"idle", "N", .whole = &set.idle},
		{"live", "N", .whole = &set.live},
		{"dir", "DIRECTORY", .text = &base},
		{"only", "CASE", .text = &set.only},
	};

	setup_options(argc, argv, settings, sizeof(settings) / sizeof(settings[0]));
	prepare(base);
	run_all();
	remove_directory(set.dir);
	return 0;
}
