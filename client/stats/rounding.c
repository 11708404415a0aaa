#include "rounding.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "sample.h"

bool rounding_same(double a, double b)
{
	return fabs(a - b) <= ROUNDING * fmax(fabs(a), fabs(b));
}

int rounding_of(const double *values, size_t n, double *ret)
{
	double *sizes = malloc((n + 1) * sizeof(*sizes));
	size_t kept = 0;

	if (!sizes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (values[i] != 0)
			sizes[kept++] = fabs(values[i]);
	sample_sort(sizes, kept);
	*ret = kept > 0 ? ROUNDING * sample_quantile(sizes, kept, 0.5) : 0;
	free(sizes);
	return 0;
}

/* Keeps, of sorted values, the first of each lot: those that are the same as it, or at most `most` above it.
 * Each is held against the lot's first one, so that no chain of small steps grows. */
static size_t keep_firsts(double *sorted, size_t n, double most)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (kept == 0 ||
		    !(rounding_same(sorted[kept - 1], sorted[i]) || sorted[i] - sorted[kept - 1] <= most))
			sorted[kept++] = sorted[i];
	return kept;
}

/* The last one that is not above x, which is there. */
static double first_of(const double *firsts, size_t n, double x)
{
	size_t low = 0, high = n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (firsts[middle] <= x)
			low = middle;
		else
			high = middle;
	}
	return firsts[low];
}

int rounding_settle(double *a, size_t n_a, double *b, size_t n_b)
{
	double *all = malloc((n_a + n_b + 1) * sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < n_a; i++)
		all[i] = a[i];
	for (size_t i = 0; i < n_b; i++)
		all[n_a + i] = b[i];
	sample_sort(all, n_a + n_b);
	size_t n = keep_firsts(all, n_a + n_b, 0);
	for (size_t i = 0; i < n_a; i++)
		a[i] = first_of(all, n, a[i]);
	for (size_t i = 0; i < n_b; i++)
		b[i] = first_of(all, n, b[i]);
	free(all);
	return 0;
}

int rounding_settle_sizes(double *differences, size_t n, double most)
{
	double *sizes = malloc((n + 1) * sizeof(*sizes));

	if (!sizes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sizes[i] = fabs(differences[i]);
	sample_sort(sizes, n);
	size_t kept = keep_firsts(sizes, n, most);
	for (size_t i = 0; i < n; i++)
		differences[i] = copysign(first_of(sizes, kept, fabs(differences[i])), differences[i]);
	free(sizes);
	return 0;
}
