#include "histogram.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MOST_BINS 10000

struct histogram {
	double low, high; /* both belong to it */
	int64_t n;	  /* bins; 0: not known yet */
	int64_t *counts;  /* owned */
};

static bool is_number(sqlite3_value *v)
{
	int type = sqlite3_value_numeric_type(v);

	return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

static void fail(sqlite3_context *ctx, const char *what)
{
	sqlite3_result_error(ctx, what, -1);
}

/* The first row says what the bins are. */
static bool begin(sqlite3_context *ctx, struct histogram *h, sqlite3_value **argv)
{
	int64_t n = sqlite3_value_int64(argv[3]);

	h->low = sqlite3_value_double(argv[1]);
	h->high = sqlite3_value_double(argv[2]);
	if (!is_number(argv[1]) || !is_number(argv[2]) || !isfinite(h->high - h->low) || h->low >= h->high) {
		fail(ctx, "histogram(): low and high must be numbers, and low the smaller one");
		return false;
	}
	if (sqlite3_value_numeric_type(argv[3]) != SQLITE_INTEGER || n < 1 || n > MOST_BINS) {
		fail(ctx, "histogram(): bins must be a whole number from 1 to 10000");
		return false;
	}
	h->counts = sqlite3_malloc64((sqlite3_uint64)n * sizeof(*h->counts));
	if (!h->counts) {
		sqlite3_result_error_nomem(ctx);
		return false;
	}
	memset(h->counts, 0, (size_t)n * sizeof(*h->counts));
	h->n = n;
	return true;
}

static bool is_same(sqlite3_context *ctx, const struct histogram *h, sqlite3_value **argv)
{
	if (sqlite3_value_double(argv[1]) == h->low && sqlite3_value_double(argv[2]) == h->high &&
	    sqlite3_value_int64(argv[3]) == h->n)
		return true;
	fail(ctx, "histogram(): low, high and bins must be the same for all rows");
	return false;
}

static double edge(const struct histogram *h, int64_t i)
{
	return h->low + (h->high - h->low) * ((double)i / (double)h->n);
}

/* Dividing may round across an edge: 0.3 of 0 to 1 in ten parts is the fourth. */
static void count(struct histogram *h, double x)
{
	if (!(x >= h->low && x <= h->high))
		return;
	int64_t i = (int64_t)((x - h->low) / (h->high - h->low) * (double)h->n);
	if (i >= h->n)
		i = h->n - 1;
	if (x < edge(h, i))
		i--;
	else if (i + 1 < h->n && x >= edge(h, i + 1))
		i++;
	h->counts[i]++;
}

static void step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct histogram *h = sqlite3_aggregate_context(ctx, sizeof(*h));

	(void)argc;
	if (!h)
		sqlite3_result_error_nomem(ctx);
	if (!h || !(h->n ? is_same(ctx, h, argv) : begin(ctx, h, argv)) ||
	    sqlite3_value_type(argv[0]) == SQLITE_NULL)
		return;
	if (is_number(argv[0]))
		count(h, sqlite3_value_double(argv[0]));
	else
		fail(ctx, "histogram(): there is a value that is not a number");
}

void histogram_answer(sqlite3_context *ctx, sqlite3_str *list)
{
	sqlite3_str_appendchar(list, 1, ']');
	int n = sqlite3_str_length(list);
	char *text = sqlite3_str_finish(list);
	if (text)
		sqlite3_result_text(ctx, text, n, sqlite3_free);
	else
		sqlite3_result_error_nomem(ctx);
}

static void final(sqlite3_context *ctx)
{
	struct histogram *h = sqlite3_aggregate_context(ctx, 0);

	if (!h || h->n == 0)
		return; /* NULL */
	sqlite3_str *list = sqlite3_str_new(sqlite3_context_db_handle(ctx));
	for (int64_t i = 0; i < h->n; i++)
		sqlite3_str_appendf(list, "%c%lld", i == 0 ? '[' : ',', (long long)h->counts[i]);
	histogram_answer(ctx, list);
	sqlite3_free(h->counts);
}

int histogram_install(sqlite3 *db)
{
	return sqlite3_create_function(db, "histogram", 4,
				       SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL, NULL,
				       step, final);
}
