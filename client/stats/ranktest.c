#include "ranktest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dist.h"

#define MOST_EXACT 50

/* Twice the smaller tail of a statistic that is symmetric about `middle`, half a step nearer to it. */
static double normal_p(double statistic, double middle, double variance)
{
	double distance = fmax(0, fabs(statistic - middle) - 0.5);

	if (!(variance > 0))
		return 1;
	return erfc(distance / sqrt(2 * variance));
}

/* ---- signed ranks ----------------------------------------------------- */

/* Both tails of the sum of ranks 1 … n, each with a sign of its own: counts the subsets of each sum. */
static double signed_exact(double plus, size_t n)
{
	double ways[MOST_EXACT * (MOST_EXACT + 1) / 2 + 1] = {1};
	size_t top = 0, most = n * (n + 1) / 2;
	double tail = 0;

	for (size_t rank = 1; rank <= n; rank++) {
		top += rank;
		for (size_t sum = top; sum >= rank; sum--)
			ways[sum] += ways[sum - rank];
	}
	double least = fmin(plus, (double)most - plus);
	for (size_t sum = 0; sum <= (size_t)least; sum++)
		tail += ways[sum];
	return fmin(1, 2 * ldexp(tail, -(int)n));
}

int ranktest_signed(const double *differences, size_t n, struct signed_rank *ret)
{
	double *sizes = calloc(n + 1, sizeof(*sizes)), *ranks = malloc((n + 1) * sizeof(*ranks));
	struct signed_rank r = {.p = 1};
	double ties = 0;
	int status = -ENOMEM;

	if (!sizes || !ranks)
		goto out;
	for (size_t i = 0; i < n; i++)
		if (differences[i] != 0)
			sizes[r.n++] = fabs(differences[i]);
	if (sample_ranks(sizes, r.n, ranks, &ties) < 0)
		goto out;
	for (size_t i = 0, k = 0; i < n; i++)
		if (differences[i] != 0) {
			r.plus += differences[i] > 0 ? ranks[k] : 0;
			k++;
		}
	double m = (double)r.n, all = m * (m + 1) / 2;
	r.exact = n <= MOST_EXACT && r.n == n && ties == 0;
	if (r.n > 0) {
		r.correlation = (2 * r.plus - all) / all;
		r.p = r.exact ? signed_exact(r.plus, r.n)
			      : normal_p(r.plus, all / 2, m * (m + 1) * (2 * m + 1) / 24 - ties / 48);
	}
	*ret = r;
	status = 0;
out:
	free(sizes);
	free(ranks);
	return status;
}

/* ---- two samples ------------------------------------------------------ */

/*
 * Both tails of U without ties. As many orders give U = u as there are sums u of at most n_a numbers that are
 * at most n_b; counted by adding only, so that nothing cancels.
 */
static int two_exact(double u, size_t n_a, size_t n_b, double *ret_p)
{
	size_t width = n_a * n_b + 1;
	double *ways = calloc((n_a + 1) * width, sizeof(*ways));
	double tail = 0, all = 0;

	if (!ways)
		return -ENOMEM;
	ways[0] = 1;
	for (size_t part = 1; part <= n_b; part++)
		for (size_t k = 1; k <= n_a; k++)
			for (size_t sum = part; sum < width; sum++)
				ways[k * width + sum] += ways[(k - 1) * width + sum - part];
	double least = fmin(u, (double)(width - 1) - u);
	for (size_t k = 0; k <= n_a; k++)
		for (size_t sum = 0; sum < width; sum++) {
			all += ways[k * width + sum];
			tail += (double)sum <= least ? ways[k * width + sum] : 0;
		}
	free(ways);
	*ret_p = fmin(1, 2 * tail / all);
	return 0;
}

/* How many of the sorted values lie below x, and how many are not above it. */
static void counts_around(const double *sorted, size_t n, double x, size_t *below, size_t *upto)
{
	while (*below < n && sorted[*below] < x)
		++*below;
	if (*upto < *below)
		*upto = *below;
	while (*upto < n && sorted[*upto] <= x)
		++*upto;
}

/* What Cliff's delta and its variance are made of: sums over a sample of its values' dominance, the part of
 * the other sample below minus the part above. */
struct dominance {
	double sum, squares, ties; /* ties: pairs of equal values */
};

static struct dominance dominance(const double *sorted, size_t n, const double *other, size_t m)
{
	struct dominance d = {0};
	size_t below = 0, upto = 0;

	for (size_t i = 0; i < n; i++) {
		counts_around(other, m, sorted[i], &below, &upto);
		double one = ((double)below - (double)(m - upto)) / (double)m;
		d.sum += one;
		d.squares += one * one;
		d.ties += (double)(upto - below);
	}
	return d;
}

/* Where one sample lies wholly above the other no pair tells how sure that is: Wilson's interval of a
 * proportion that was seen as 1, over the smaller sample. */
static struct interval apart(double delta, double n, double z)
{
	double inner = (n - z * z) / (n + z * z);

	return delta > 0 ? (struct interval){inner, 1} : (struct interval){-1, -inner};
}

/* Cliff's unbiased variance (Cliff 1993), and the interval that stays within -1 … 1 (Feng & Cliff 2004). */
static struct interval delta_interval(const struct dominance *a, double n_a, const struct dominance *b,
				      double n_b, double delta, double confidence)
{
	double z = dist_normal_quantile((1 + confidence) / 2), square = delta * delta, pairs = n_a * n_b;

	if (n_a < 2 || n_b < 2)
		return (struct interval){NAN, NAN};
	if (square >= 1)
		return apart(delta, fmin(n_a, n_b), z);
	double rows = a->squares - n_a * square, columns = b->squares - n_b * square;
	double cells = pairs - a->ties - pairs * square;
	double variance = (n_b * n_b * rows + n_a * n_a * columns - cells) / (pairs * (n_a - 1) * (n_b - 1));
	variance = fmax(variance, (1 - square) / (pairs - 1)); /* its least possible value */
	double half = z * sqrt(variance) * sqrt((1 - square) * (1 - square) + z * z * variance);
	double middle = delta - square * delta, under = 1 - square + z * z * variance;
	return (struct interval){(middle - half) / under, (middle + half) / under};
}

/* Sorts what it is given. */
static void fill_delta(double *a, size_t n_a, double *b, size_t n_b, double confidence, struct rank_sum *r)
{
	sample_sort(a, n_a);
	sample_sort(b, n_b);
	struct dominance of_a = dominance(a, n_a, b, n_b), of_b = dominance(b, n_b, a, n_a);
	r->delta = of_b.sum / (double)n_b;
	r->delta_interval = delta_interval(&of_a, (double)n_a, &of_b, (double)n_b, r->delta, confidence);
}

int ranktest_two(const double *a, size_t n_a, const double *b, size_t n_b, double confidence,
		 struct rank_sum *ret)
{
	size_t n = n_a + n_b;
	double *both = malloc((n + 1) * sizeof(*both)), *ranks = malloc((n + 1) * sizeof(*ranks));
	double ties = 0, x = (double)n_a, y = (double)n_b, all = x + y;
	struct rank_sum r = {.p = 1};
	int status = -ENOMEM;

	if (!both || !ranks)
		goto out;
	memcpy(both, a, n_a * sizeof(*both));
	memcpy(both + n_a, b, n_b * sizeof(*both));
	if (sample_ranks(both, n, ranks, &ties) < 0)
		goto out;
	r.u = -y * (y + 1) / 2;
	for (size_t i = n_a; i < n; i++)
		r.u += ranks[i];
	r.exact = n_a < MOST_EXACT && n_b < MOST_EXACT && ties == 0;
	if (!r.exact)
		r.p = normal_p(r.u, x * y / 2, x * y / 12 * (all + 1 - ties / (all * (all - 1))));
	else if (two_exact(r.u, n_a, n_b, &r.p) < 0)
		goto out;
	fill_delta(both, n_a, both + n_a, n_b, confidence, &r);
	*ret = r;
	status = 0;
out:
	free(both);
	free(ranks);
	return status;
}
