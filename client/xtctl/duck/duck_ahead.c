#include "duck_ahead.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "xtctl.h"

/* One batch is DuckDB's, the others wait for it or are filled: so many that it finds some whenever it has
 * written a group of rows. */
#define BATCHES 8

/* Of a batch, without long texts: tables of very many columns have fewer rows in one … */
#define BATCH_BYTES 393216

#define LEAST_ROWS 64 /* … but no fewer than these */

struct duck_ahead {
	struct duck_reading reading;
	size_t batch_rows; /* that each can have */
	uint64_t rows;	   /* the thread's: read so far */
	pthread_t thread;
	pthread_mutex_t lock;		     /* guards what follows */
	pthread_cond_t cond;		     /* some of it changed */
	struct duck_batch *batches[BATCHES]; /* owned; a ring: [taken, filled) are ready */
	size_t taken, filled;		     /* how many were, counted from the start */
	bool held;			     /* the last that was taken is still looked at */
	bool ended;			     /* the thread fills no more */
	int status;			     /* why: XT_DONE, or the failure */
	char why[DUCK_WHY_BYTES];	     /* the sentence for it */
	atomic_bool stop;		     /* nobody waits for rows any more */
};

/* ---- filling ---------------------------------------------------------- */

static const char *name_of_type(enum duck_type type)
{
	static const struct {
		enum duck_type type;
		const char *name;
	} names[] = {{DUCK_BIGINT, "whole numbers"},
		     {DUCK_DOUBLE, "reals"},
		     {DUCK_VARCHAR, "texts"},
		     {DUCK_BLOB, "blobs"},
		     {DUCK_BOOLEAN, "true and false"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].type == type)
			return names[i].name;
	return "";
}

static int misfit(struct duck_ahead *a, size_t i)
{
	const char *name = a->reading.names[i];

	snprintf(a->why, sizeof(a->why),
		 "column '%.100s' is one of %s, and row %" PRIu64
		 " has another value in it; --sql with CAST(%.100s AS TEXT) takes all of them",
		 name, name_of_type(a->reading.types[i]), a->rows + 1, name);
	return XT_EINVAL;
}

static int fail(struct duck_ahead *a, int status)
{
	snprintf(a->why, sizeof(a->why), "%s",
		 status == XT_EINTR    ? "interrupted"
		 : status == XT_ENOMEM ? "out of memory"
				       : xt_error(a->reading.client));
	return status;
}

static int next_row(struct duck_ahead *a, const xt_value **ret_row)
{
	int r;

	do
		r = ctl_interrupted() || atomic_load_explicit(&a->stop, memory_order_relaxed)
			    ? XT_EINTR
			    : xt_cursor_next(a->reading.cursor, ret_row);
	while (r == XT_EINTR && !ctl_interrupted() && !atomic_load(&a->stop));
	return r;
}

/* Rows until the batch is full. XT_OK: there may be more; else how it ended, with `why` set. */
static int fill(struct duck_ahead *a, struct duck_batch *b)
{
	const xt_value *row;
	size_t column = 0;

	duck_batch_clear(b);
	while (!duck_batch_full(b)) {
		int r = next_row(a, &row);
		if (r != XT_OK)
			return r < 0 ? fail(a, r) : r;
		r = duck_batch_put(b, row, a->reading.places, &column);
		if (r != 0)
			return r < 0 ? fail(a, XT_ENOMEM) : misfit(a, column);
		a->rows++;
	}
	return XT_OK;
}

/* ---- the thread ------------------------------------------------------- */

/* How many batches may be in use: one more with each that was taken, for who asks for the first rows only may
 * want no more than those. */
static size_t most_batches(const struct duck_ahead *a)
{
	return a->taken + 1 < BATCHES ? a->taken + 1 : BATCHES;
}

static bool is_full(const struct duck_ahead *a)
{
	return a->filled - a->taken + a->held >= most_batches(a);
}

/* Where the next rows go; NULL: nobody waits for them, or memory ran out, which `status` tells. */
static struct duck_batch *wait_for_room(struct duck_ahead *a)
{
	pthread_mutex_lock(&a->lock);
	while (is_full(a) && !atomic_load(&a->stop))
		pthread_cond_wait(&a->cond, &a->lock);
	struct duck_batch **b = &a->batches[a->filled % BATCHES];
	pthread_mutex_unlock(&a->lock);
	if (atomic_load(&a->stop))
		return NULL;
	if (!*b)
		*b = duck_batch_new(a->reading.api, a->reading.types, a->reading.n, a->batch_rows);
	return *b;
}

static void *read_all(void *data)
{
	struct duck_ahead *a = data;
	int r = XT_OK;

	while (r == XT_OK) {
		struct duck_batch *b = wait_for_room(a);
		r = b ? fill(a, b) : fail(a, atomic_load(&a->stop) ? XT_EINTR : XT_ENOMEM);
		pthread_mutex_lock(&a->lock);
		a->filled += b && r >= 0 && duck_batch_rows(b) > 0;
		a->ended = r != XT_OK;
		a->status = r;
		pthread_cond_broadcast(&a->cond);
		pthread_mutex_unlock(&a->lock);
	}
	return NULL;
}

/* ---- from outside ----------------------------------------------------- */

static size_t rows_of_batch(const struct duck_reading *r)
{
	size_t width = 1, most = r->api->vector_size();

	for (size_t i = 0; i < r->n; i++)
		width += r->types[i] == DUCK_SQLNULL ? 0 : duck_batch_width(r->types[i]);
	size_t rows = BATCH_BYTES / width;
	if (rows < LEAST_ROWS)
		rows = LEAST_ROWS;
	return rows < most ? rows : most;
}

static void ahead_free(struct duck_ahead *a)
{
	for (size_t i = 0; i < BATCHES; i++)
		duck_batch_free(a->batches[i]);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->cond);
	free(a);
}

struct duck_ahead *duck_ahead_start(const struct duck_reading *reading)
{
	struct duck_ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->reading = *reading;
	a->batch_rows = rows_of_batch(reading);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, NULL);
	if (pthread_create(&a->thread, NULL, read_all, a) == 0)
		return a;
	ahead_free(a);
	return NULL;
}

void duck_ahead_stop(struct duck_ahead *a)
{
	if (!a)
		return;
	atomic_store(&a->stop, true);
	atomic_fetch_add(a->reading.leaving, 1);
	pthread_mutex_lock(&a->lock);
	pthread_cond_broadcast(&a->cond);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	atomic_fetch_sub(a->reading.leaving, 1);
	ahead_free(a);
}

int duck_ahead_next(struct duck_ahead *a, const struct duck_batch **ret, const char **ret_why)
{
	int r = XT_OK;

	pthread_mutex_lock(&a->lock);
	a->held = false;
	pthread_cond_broadcast(&a->cond);
	while (a->filled == a->taken && !a->ended)
		pthread_cond_wait(&a->cond, &a->lock);
	if (a->filled > a->taken) {
		*ret = a->batches[a->taken++ % BATCHES];
		a->held = true;
		pthread_cond_broadcast(&a->cond); /* one more may be in use now */
	} else {
		r = a->status;
		*ret_why = a->why;
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}
