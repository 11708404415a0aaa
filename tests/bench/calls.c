#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gang.h"
#include "setup.h"

#define MAX_SIZE 65536

static const uint8_t content[MAX_SIZE];

/* The bytes of a blob that make the map of it, under the name "y", so large. */
static size_t blob_size(long size)
{
	size_t head = 1 + 2 + 2; /* map, name, and the blob's with one byte of length */

	return (size_t)size - head - (size > 255 + (long)head);
}

static const xt_call_options cached = {.cache = true};

static int begin(xt_call **ret, xt_run *run, const char *function, long size, long i)
{
	const xt_field args[] = {XT("i", i), XT("size", size), XT("codec", "zstd")};

	return xt_call_begin(ret, run, function, args, sizeof(args) / sizeof(args[0]), &cached);
}

static void key_of(xt_client *xt, long size, long i, uint8_t ret[XT_KEY_BYTES])
{
	const xt_field args[] = {XT("i", i), XT("size", size), XT("codec", "zstd")};

	check(xt, xt_cache_key(xt, "compress", args, sizeof(args) / sizeof(args[0]), &cached, ret), "key");
}

xt_client *calls_open(const char *db, bool direct)
{
	xt_options o = {.no_autostart = true, .no_direct_cache = !direct};
	xt_client *xt;

	check(NULL, xt_open(&xt, db, &o), "open");
	return xt;
}

/* A worker that takes part in a run which is known to the database. */
static xt_run *enter(const char *db, xt_client **ret)
{
	xt_run *run;

	*ret = calls_open(db, true);
	check(*ret, xt_run_join(&run, *ret, "bench", NULL), "join");
	check(*ret, xt_flush(*ret, XT_FOREVER), "flush");
	return run;
}

static void compute(xt_client *xt, xt_run *run, long size, long i)
{
	xt_call *call;

	check(xt, begin(&call, run, "compress", size, i), "begin");
	check(xt, xt_call_result(call, XT("y", xt_blob(content, blob_size(size)))), "result");
	check(xt, xt_call_end(call), "end");
}

static struct took took(struct samples *s)
{
	struct took t = {.p50 = samples_at(s, 0.5), .p99 = samples_at(s, 0.99)};

	samples_free(s);
	return t;
}

/* A number below n, by a generator that is the same in each run. */
static long draw(uint64_t *state, long n)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (long)((*state >> 33) % (uint64_t)n);
}

/* Keys of n of the calls; to be freed. */
static uint8_t *draw_keys(xt_client *xt, const struct calls *c, long n, uint64_t seed)
{
	uint8_t *keys = malloc((size_t)n * XT_KEY_BYTES);

	if (!keys)
		die("out of memory", "");
	for (long k = 0; k < n; k++)
		key_of(xt, c->size, c->first + draw(&seed, c->count), keys + k * XT_KEY_BYTES);
	return keys;
}

static void get(xt_client *xt, const uint8_t *key, long size)
{
	xt_cached v;

	check(xt, xt_cache_get(xt, key, &v), "get");
	if (v.size != (size_t)size)
		die("a value has another size", "");
}

/* ---- filling ---------------------------------------------------------- */

struct fill {
	const struct calls *calls;
	int workers;
	int64_t *started_ns; /* shared */
};

static void fill(int worker, void *data)
{
	const struct fill *f = data;
	const struct calls *c = f->calls;
	xt_client *xt;
	xt_run *run = enter(c->db, &xt);

	gang_ready();
	f->started_ns[worker] = now_ns();
	for (long i = worker; i < c->count; i += f->workers)
		compute(xt, run, c->size, c->first + i);
	check(xt, xt_close(xt), "close"); /* which waits for the disk */
}

double calls_fill(const struct calls *c, int workers)
{
	size_t size = sizeof(int64_t) * (size_t)workers;
	struct fill f = {.calls = c, .workers = workers, .started_ns = gang_share(size)};

	gang_run(workers, fill, &f);
	int64_t end = now_ns(), start = end;
	for (int i = 0; i < workers; i++)
		start = f.started_ns[i] < start ? f.started_ns[i] : start;
	gang_unshare(f.started_ns, size);
	return (double)c->count * 1e9 / (double)(end - start);
}

/* ---- hits ------------------------------------------------------------- */

static struct took get_all(xt_client *xt, const uint8_t *keys, long n, long size)
{
	struct samples s = samples_new(n);

	for (long k = 0; k < n; k++) {
		int64_t t = now_ns();
		get(xt, keys + k * XT_KEY_BYTES, size);
		samples_add(&s, (double)(now_ns() - t) / 1000);
	}
	return took(&s);
}

struct took calls_get(const struct calls *c, bool direct, long n, struct took *ret_first)
{
	xt_client *xt = calls_open(c->db, direct);
	uint8_t *keys = draw_keys(xt, c, n, 1);
	struct took first = get_all(xt, keys, n, c->size), again = get_all(xt, keys, n, c->size);

	if (ret_first)
		*ret_first = first;
	free(keys);
	check(xt, xt_close(xt), "close");
	return again;
}

struct rate {
	const struct calls *calls;
	int ms;
	double *rates; /* shared, a process each */
};

static void hit_all_the_time(int worker, void *data)
{
	const struct rate *r = data;
	xt_client *xt = calls_open(r->calls->db, true);
	uint8_t *keys = draw_keys(xt, r->calls, 1024, (uint64_t)worker);
	long n = 0;

	gang_ready();
	int64_t start = now_ns(), now = start;
	while (now - start < r->ms * INT64_C(1000000)) {
		for (long k = 0; k < 1024; k++)
			get(xt, keys + k * XT_KEY_BYTES, r->calls->size);
		n += 1024;
		now = now_ns();
	}
	r->rates[worker] = (double)n * 1e9 / (double)(now - start);
	free(keys);
	check(xt, xt_close(xt), "close");
}

double calls_rate(const struct calls *c, int processes, int ms)
{
	size_t size = sizeof(double) * (size_t)processes;
	struct rate r = {.calls = c, .ms = ms, .rates = gang_share(size)};
	double sum = 0;

	gang_run(processes, hit_all_the_time, &r);
	for (int i = 0; i < processes; i++)
		sum += r.rates[i];
	gang_unshare(r.rates, size);
	return sum;
}

struct took calls_hit(const struct calls *c, long n)
{
	struct samples s = samples_new(n);
	uint64_t seed = 1;
	xt_client *xt;
	xt_run *run = enter(c->db, &xt);

	for (long k = 0; k < n; k++) {
		long i = c->first + draw(&seed, c->count);
		xt_call *call;
		int64_t t = now_ns();
		if (begin(&call, run, "compress", c->size, i) != XT_HIT)
			die("a call is no hit", xt_error(xt));
		check(xt, xt_call_end(call), "end");
		samples_add(&s, (double)(now_ns() - t) / 1000);
	}
	check(xt, xt_close(xt), "close");
	return took(&s);
}

struct took calls_durable(const struct calls *c)
{
	struct samples s = samples_new(c->count);
	xt_client *xt;
	xt_run *run = enter(c->db, &xt);

	for (long i = 0; i < c->count; i++) {
		int64_t t = now_ns();
		compute(xt, run, c->size, c->first + i);
		check(xt, xt_flush(xt, XT_FOREVER), "flush");
		samples_add(&s, (double)(now_ns() - t) / 1000);
	}
	check(xt, xt_close(xt), "close");
	return took(&s);
}

/* ---- storms ----------------------------------------------------------- */

struct storm_worker {
	int64_t started_ns, ended_ns;
};

struct storm_job {
	const char *db;
	long call;
	long *executions; /* shared, as the workers */
	struct storm_worker *workers;
};

static void storm_worker(int worker, void *data)
{
	const struct storm_job *job = data;
	xt_call *call;
	xt_client *xt;
	xt_run *run = enter(job->db, &xt);

	gang_ready();
	job->workers[worker].started_ns = now_ns();
	int r = begin(&call, run, "storm", 200, job->call);
	if (r != XT_HIT) {
		check(xt, r, "begin");
		__atomic_add_fetch(job->executions, 1, __ATOMIC_RELAXED);
		nanosleep(&(struct timespec){.tv_nsec = STORM_MS * 1000000L}, NULL);
		check(xt, xt_call_result(call, XT("y", xt_blob(content, blob_size(200)))), "result");
	}
	check(xt, xt_call_end(call), "end");
	job->workers[worker].ended_ns = now_ns();
	check(xt, xt_close(xt), "close");
}

/* Milliseconds from the first start to the last end. */
static double run_storm(const char *db, int workers, long call, long *ret_executions)
{
	struct storm_worker w[GANG_MAX] = {0};
	size_t size = sizeof(long) + sizeof(w);
	uint8_t *shared = gang_share(size);
	struct storm_job job = {.db = db,
				.call = call,
				.executions = (long *)(void *)shared,
				.workers = (struct storm_worker *)(void *)(shared + sizeof(long))};
	int64_t first = INT64_MAX, last = 0;

	gang_run(workers, storm_worker, &job);
	memcpy(w, job.workers, sizeof(w));
	*ret_executions = *job.executions;
	gang_unshare(shared, size);
	for (int i = 0; i < workers; i++) {
		first = w[i].started_ns < first ? w[i].started_ns : first;
		last = w[i].ended_ns > last ? w[i].ended_ns : last;
	}
	return (double)(last - first) / 1e6;
}

struct storm calls_storm(const char *db, int workers, long call)
{
	struct storm s;
	long one;

	s.single_ms = run_storm(db, 1, 2 * call, &one);
	s.all_ms = run_storm(db, workers, 2 * call + 1, &s.executions);
	return s;
}
