#include "sample.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct moments sample_moments(const double *values, size_t n)
{
	struct moments m = {.n = n, .mean = NAN, .variance = NAN};
	double sum = 0, squares = 0, rest = 0;

	if (n == 0)
		return m;
	for (size_t i = 0; i < n; i++)
		sum += values[i];
	double guess = sum / (double)n;
	for (size_t i = 0; i < n; i++) {
		double d = values[i] - guess;
		rest += d;
		squares += d * d;
	}
	m.mean = guess + rest / (double)n;
	if (n > 1)
		m.variance = fmax(0, squares - rest * rest / (double)n) / (double)(n - 1);
	return m;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void sample_sort(double *values, size_t n)
{
	if (n > 1)
		qsort(values, n, sizeof(*values), by_value);
}

double sample_quantile(const double *sorted, size_t n, double p)
{
	double at = (double)(n - 1) * p;
	size_t below = (size_t)at;

	if (below + 1 >= n)
		return sorted[n - 1];
	double part = at - (double)below, low = sorted[below], high = sorted[below + 1];
	return low == high ? low : low + part * (high - low);
}

/* A value and where it was. */
struct placed {
	double value; /* first, so that by_value() can sort these too */
	size_t place;
};

int sample_ranks(const double *values, size_t n, double *ret_ranks, double *ret_ties)
{
	struct placed *sorted = malloc((n + 1) * sizeof(*sorted));
	double ties = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct placed){values[i], i};
	if (n > 1)
		qsort(sorted, n, sizeof(*sorted), by_value);
	for (size_t from = 0, to; from < n; from = to) {
		for (to = from + 1; to < n && sorted[to].value == sorted[from].value; to++)
			;
		double t = (double)(to - from);
		ties += t * t * t - t;
		for (size_t i = from; i < to; i++)
			ret_ranks[sorted[i].place] = (double)(from + to + 1) / 2;
	}
	free(sorted);
	*ret_ties = ties;
	return 0;
}
