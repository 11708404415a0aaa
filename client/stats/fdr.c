#include "fdr.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct placed {
	double p;
	size_t place;
};

static int by_p(const void *a, const void *b)
{
	double x = ((const struct placed *)a)->p, y = ((const struct placed *)b)->p;

	return (x > y) - (x < y);
}

int fdr_adjust(const double *p, size_t n, double *ret)
{
	struct placed *sorted = malloc((n + 1) * sizeof(*sorted));
	size_t tests = 0;
	double least = 1;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!isnan(p[i]))
			sorted[tests++] = (struct placed){p[i], i};
		ret[i] = NAN;
	}
	if (tests > 1)
		qsort(sorted, tests, sizeof(*sorted), by_p);
	for (size_t k = tests; k > 0; k--) {
		least = fmin(least, sorted[k - 1].p * (double)tests / (double)k);
		ret[sorted[k - 1].place] = least;
	}
	free(sorted);
	return 0;
}
