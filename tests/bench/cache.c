/*
 * xt-bench-cache: what a cached result costs: read directly, through the socket beside a bare socket, as a
 * tracked call; what a storm on one call comes to; what many entries do to the daemon. And beside them, where
 * they are installed, Redis and diskcache. All in one run, medians and spread over repetitions.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "calls.h"
#include "others.h"
#include "pingpong.h"
#include "served.h"
#include "setup.h"

#define SMALL	  200 /* bytes of a value */
#define LARGE	  4096
#define HOT	  1000 /* entries that the calls of a repetition meet */
#define WORKERS	  8    /* that fill */
#define STORM	  64   /* workers */
#define RATE_MS	  500
#define PROCESSES 4

static struct {
	long repeat;	    /* times that everything but the filling is done */
	long calls;	    /* of one case of one repetition */
	long durable;	    /* the same where each waits for the disk */
	long entries;	    /* that the cache is filled with */
	char dir[DIR_SIZE]; /* where everything is made and removed */
} set = {.repeat = 5, .calls = 20000, .durable = 500, .entries = 1000000};

/* Who asks and who answers take turns, and whether the kernel lets them do so on one core or on two makes
 * more of a difference than anything that is compared here. So both, and what we start, run on the first of
 * our cores; or, in the end, where they want. The daemon's loop is its main thread. */
static void pin(pid_t daemon, bool one_core)
{
	static cpu_set_t all;
	cpu_set_t one;
	size_t first = 0;

	if (CPU_COUNT(&all) == 0 && sched_getaffinity(0, sizeof(all), &all) < 0)
		die("cannot see the cores", strerror(errno));
	while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &all))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	if (sched_setaffinity(0, sizeof(one), one_core ? &one : &all) < 0 ||
	    sched_setaffinity(daemon, sizeof(one), one_core ? &one : &all) < 0)
		die("cannot choose a core", strerror(errno));
}

/* ---- repetitions ------------------------------------------------------ */

enum line_id {
	DIRECT,
	DIRECT_LARGE,
	SOCKET,
	SOCKET_LARGE,
	PINGPONG,
	PINGPONG_LARGE,
	REDIS_GET,
	REDIS_GET_LARGE,
	DISKCACHE_GET,
	DISKCACHE_GET_LARGE,
	HIT,
	DURABLE,
	REDIS_SET,
	DISKCACHE_SET,
	LINES,
};

static struct line {
	const char *name;
	struct samples p50, p99; /* of the repetitions */
} lines[LINES] = {
	[DIRECT] = {.name = "hit, read directly, 200 bytes"},
	[DIRECT_LARGE] = {.name = "hit, read directly, 4 KiB"},
	[SOCKET] = {.name = "hit, through the socket, 200 bytes"},
	[SOCKET_LARGE] = {.name = "hit, through the socket, 4 KiB"},
	[PINGPONG] = {.name = "bare socket, 200 bytes"},
	[PINGPONG_LARGE] = {.name = "bare socket, 4 KiB"},
	[REDIS_GET] = {.name = "Redis GET, Unix socket, 200 bytes"},
	[REDIS_GET_LARGE] = {.name = "Redis GET, Unix socket, 4 KiB"},
	[DISKCACHE_GET] = {.name = "diskcache get (Python), 200 bytes"},
	[DISKCACHE_GET_LARGE] = {.name = "diskcache get (Python), 4 KiB"},
	[HIT] = {.name = "tracked call that is a hit, row logged"},
	[DURABLE] = {.name = "call computed, row and result on disk"},
	[REDIS_SET] = {.name = "Redis SET, appendfsync always"},
	[DISKCACHE_SET] = {.name = "diskcache set (Python), not synced"},
};

static struct samples socket_ratio, socket_ratio_large, one_process, all_processes, storm_ms, single_ms,
	storm_ratio, storm_executions;
static bool has_redis = true, has_diskcache = true;

static void note(enum line_id id, struct took t)
{
	samples_add(&lines[id].p50, t.p50);
	samples_add(&lines[id].p99, t.p99);
}

/* Through the socket, beside the bare socket just after it. */
static void measure_socket(const struct calls *c, enum line_id ours, enum line_id bare, struct samples *ratio)
{
	struct took a = calls_get(c, false, set.calls, NULL), b = pingpong(c->size, set.calls);

	note(ours, a);
	note(bare, b);
	samples_add(ratio, a.p50 / b.p50);
}

static void measure_others(void)
{
	struct took get, put;

	if (has_redis && (has_redis = redis_measure(set.dir, SMALL, set.calls, set.durable, &get, &put))) {
		note(REDIS_GET, get);
		note(REDIS_SET, put);
		if (redis_measure(set.dir, LARGE, set.calls, 1, &get, &put))
			note(REDIS_GET_LARGE, get);
	}
	if (has_diskcache &&
	    (has_diskcache = diskcache_measure(set.dir, SMALL, set.calls, set.durable, &get, &put))) {
		note(DISKCACHE_GET, get);
		note(DISKCACHE_SET, put);
		if (diskcache_measure(set.dir, LARGE, set.calls, 1, &get, &put))
			note(DISKCACHE_GET_LARGE, get);
	}
}

static void measure_storm(const char *db, long round)
{
	struct storm s = calls_storm(db, STORM, round);

	samples_add(&storm_ms, s.all_ms);
	samples_add(&single_ms, s.single_ms);
	samples_add(&storm_ratio, s.all_ms / s.single_ms);
	samples_add(&storm_executions, (double)s.executions);
}

static void repeat(const char *db, pid_t daemon)
{
	struct calls small = {.db = db, .size = SMALL, .count = HOT},
		     large = {.db = db, .size = LARGE, .count = HOT};

	calls_fill(&small, 1);
	calls_fill(&large, 1);
	for (long r = 0; r < set.repeat; r++) {
		struct calls fresh = {
			.db = db, .size = SMALL, .first = HOT + r * set.durable, .count = set.durable};
		fprintf(stderr, "\r\033[Krun %ld of %ld", r + 1, set.repeat);
		note(DIRECT, calls_get(&small, true, set.calls, NULL));
		note(DIRECT_LARGE, calls_get(&large, true, set.calls, NULL));
		pin(daemon, true);
		measure_socket(&small, SOCKET, PINGPONG, &socket_ratio);
		measure_socket(&large, SOCKET_LARGE, PINGPONG_LARGE, &socket_ratio_large);
		measure_others();
		pin(daemon, false);
		samples_add(&one_process, calls_rate(&small, 1, RATE_MS));
		samples_add(&all_processes, calls_rate(&small, PROCESSES, RATE_MS));
		note(HIT, calls_hit(&small, set.calls));
		note(DURABLE, calls_durable(&fresh));
		measure_storm(db, r);
	}
}

/* ---- many entries ----------------------------------------------------- */

#define POINTS 3

/* What it is like when there are so many. */
static struct point {
	long entries;
	double rate; /* entries a second since the point before */
	double anon_mib, file_mib, rss_mib, disk_mib;
	struct took direct, direct_first, socket;
} points[POINTS];

static double file_mib(const char *db)
{
	char path[DIR_SIZE + 100];
	struct stat st;

	snprintf(path, sizeof(path), "%s.cache/g1/data.mdb", db);
	return stat(path, &st) == 0 ? (double)st.st_size / 1048576 : 0;
}

static struct took median(const struct calls *c, bool direct, struct took *ret_first)
{
	struct samples p50 = samples_new(set.repeat), p99 = samples_new(set.repeat),
		       first = samples_new(set.repeat), first99 = samples_new(set.repeat);

	for (long i = 0; i < set.repeat; i++) {
		struct took f, t = calls_get(c, direct, set.calls, &f);
		samples_add(&p50, t.p50);
		samples_add(&p99, t.p99);
		samples_add(&first, f.p50);
		samples_add(&first99, f.p99);
	}
	struct took t = {samples_at(&p50, 0.5), samples_at(&p99, 0.5)};
	*ret_first = (struct took){samples_at(&first, 0.5), samples_at(&first99, 0.5)};
	samples_free(&p50);
	samples_free(&p99);
	samples_free(&first);
	samples_free(&first99);
	return t;
}

static void fill_to(struct point *p, const char *db, pid_t daemon, long from)
{
	struct calls added = {.db = db, .size = SMALL, .first = from, .count = p->entries - from},
		     all = {.db = db, .size = SMALL, .count = p->entries};
	struct took ignored;

	fprintf(stderr, "\r\033[Kfilling up to %ld entries", p->entries);
	p->rate = calls_fill(&added, WORKERS);
	p->anon_mib = (double)served_memory_kib(daemon, "RssAnon") / 1024;
	p->file_mib = (double)served_memory_kib(daemon, "RssFile") / 1024;
	p->rss_mib = (double)served_memory_kib(daemon, "VmRSS") / 1024;
	p->disk_mib = file_mib(db);
	p->direct = median(&all, true, &p->direct_first);
	pin(daemon, true);
	p->socket = median(&all, false, &ignored);
	pin(daemon, false);
}

static void fill_all(const char *db, pid_t daemon)
{
	const long most[POINTS] = {HOT, set.entries / 10, set.entries};

	for (int i = 0; i < POINTS; i++) {
		points[i].entries = most[i];
		fill_to(&points[i], db, daemon, i > 0 ? most[i - 1] : 0);
	}
}

/* ---- report ----------------------------------------------------------- */

/* A median and what lies around it. */
static void print_spread(const char *name, struct samples *s, double unit, int digits, const char *of)
{
	printf("%-42s %9.*f%s  (%.*f–%.*f)\n", name, digits, samples_at(s, 0.5) / unit, of, digits,
	       samples_at(s, 0) / unit, digits, samples_at(s, 1) / unit);
}

static void print_repetitions(void)
{
	printf("one after the other, µs; medians of %ld runs (lowest–highest); both ends of a socket on one "
	       "core\n\n%-42s %9s %19s %9s\n",
	       set.repeat, "", "p50", "", "p99");
	for (int i = 0; i < LINES; i++) {
		struct line *l = &lines[i];
		char range[40];
		if (l->p50.n == 0)
			continue;
		snprintf(range, sizeof(range), "(%.2f–%.2f)", samples_at(&l->p50, 0), samples_at(&l->p50, 1));
		printf("%-42s %9.2f  %-18s %9.1f\n", l->name, samples_at(&l->p50, 0.5), range,
		       samples_at(&l->p99, 0.5));
	}
	if (!has_redis)
		printf("Redis was not measured: apt-get install redis-server\n");
	if (!has_diskcache)
		printf("diskcache was not measured: apt-get install python3-diskcache\n");
	putchar('\n');
	print_spread("socket to bare socket, 200 bytes", &socket_ratio, 1, 2, "×");
	print_spread("socket to bare socket, 4 KiB", &socket_ratio_large, 1, 2, "×");
	print_spread("direct hits of 1 process, million/s", &one_process, 1e6, 2, "");
	print_spread("direct hits of 4 processes, million/s", &all_processes, 1e6, 2, "");
	printf("\n%d workers ask for one cold result, which takes %d ms\n", STORM, STORM_MS);
	print_spread("executions", &storm_executions, 1, 0, "");
	print_spread("one worker alone, ms", &single_ms, 1, 1, "");
	print_spread("until all have it, ms", &storm_ms, 1, 1, "");
	print_spread("which is of one alone", &storm_ratio, 1, 2, "×");
}

static void print_row(const char *name, const double values[POINTS], int digits)
{
	printf("%-42s", name);
	for (int i = 0; i < POINTS; i++)
		printf(" %11.*f", digits, values[i]);
	putchar('\n');
}

static void print_points(void)
{
	double v[10][POINTS];

	for (int i = 0; i < POINTS; i++) {
		const struct point *p = &points[i];
		const double all[] = {(double)p->entries,  p->rate,	 p->anon_mib,	p->file_mib,
				      p->rss_mib,	   p->disk_mib,	 p->direct.p50, p->direct.p99,
				      p->direct_first.p50, p->socket.p50};
		for (int k = 0; k < 10; k++)
			v[k][i] = all[k];
	}
	putchar('\n');
	print_row("entries of 200 bytes", v[0], 0);
	print_row("computed, logged and stored a second", v[1], 0);
	print_row("daemon's own memory (RssAnon), MiB", v[2], 1);
	print_row("pages of files it has mapped, MiB", v[3], 1);
	print_row("together (RSS), MiB", v[4], 1);
	print_row("cache on disk, MiB", v[5], 1);
	print_row("hit, read directly, p50, µs", v[6], 2);
	print_row("the same, p99", v[7], 2);
	print_row("the same, met the first time, p50", v[8], 2);
	print_row("hit, through the socket, p50, µs", v[9], 2);
}

/* ---- everything ------------------------------------------------------- */

static void with_daemon(const char *name, void (*f)(const char *db, pid_t daemon))
{
	char db[DIR_SIZE + 20];

	snprintf(db, sizeof(db), "%s/%s.db", set.dir, name);
	pid_t daemon = served_start(db);
	f(db, daemon);
	served_stop(daemon);
}

static void prepare(void)
{
	struct samples *all[] = {&socket_ratio, &socket_ratio_large, &one_process, &all_processes,
				 &storm_ms,	&single_ms,	     &storm_ratio, &storm_executions};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		*all[i] = samples_new(MAX_REPEAT);
	for (int i = 0; i < LINES; i++) {
		lines[i].p50 = samples_new(MAX_REPEAT);
		lines[i].p99 = samples_new(MAX_REPEAT);
	}
}

int main(int argc, char **argv)
{
	const char *base = ".";
	const struct setting settings[] = {
		{"repeat", "N", .whole = &set.repeat, .least = 1, .most = MAX_REPEAT},
		{"calls", "N", .whole = &set.calls, .least = 100},
		{"durable", "N", .whole = &set.durable, .least = 10},
		{"entries", "N", .whole = &set.entries, .least = 20 * HOT},
		{"dir", "DIRECTORY", .text = &base},
	};

	setup_options(argc, argv, settings, sizeof(settings) / sizeof(settings[0]));
	setup_directory(base, set.dir);
	prepare();
	with_daemon("hits", repeat);
	with_daemon("many", fill_all);
	fprintf(stderr, "\r\033[K");
	print_repetitions();
	print_points();
	remove_directory(set.dir);
	return 0;
}
