#include "binary.h"

#include <math.h>

#include "dist.h"

static double normal_limit(double confidence)
{
	return dist_normal_quantile((1 + confidence) / 2);
}

/* ---- pairs ------------------------------------------------------------ */

double binary_mcnemar(const struct binary_pairs *pairs)
{
	uint64_t least = pairs->first < pairs->second ? pairs->first : pairs->second;

	return fmin(1, 2 * dist_binomial(least, pairs->first + pairs->second, 0.5));
}

struct interval binary_paired_interval(const struct binary_pairs *pairs, double confidence)
{
	double n = (double)(pairs->none + pairs->first + pairs->second + pairs->both) + 2;
	double up = ((double)pairs->second + 1) / n, down = ((double)pairs->first + 1) / n;
	double middle = up - down;
	double half = normal_limit(confidence) * sqrt((up + down - middle * middle) / n);

	return (struct interval){fmax(-1, middle - half), fmin(1, middle + half)};
}

double binary_paired_effect(const struct binary_pairs *pairs, double confidence,
			    struct interval *ret_interval, double *ret_odds)
{
	double up = (double)pairs->second, down = (double)pairs->first, tail = (1 - confidence) / 2;

	*ret_interval = (struct interval){NAN, NAN};
	*ret_odds = up + down > 0 ? up / down : NAN;
	if (up + down == 0)
		return NAN;
	ret_interval->low = (up > 0 ? dist_beta_quantile(up, down + 1, tail) : 0) - 0.5;
	ret_interval->high = (down > 0 ? dist_beta_quantile(up + 1, down, 1 - tail) : 1) - 0.5;
	return up / (up + down) - 0.5;
}

/* ---- two groups ------------------------------------------------------- */

/* Walks from the likeliest count of ones in the second group to one side, each term from its neighbour: no
 * term costs more than a few multiplications, however many there are. */
static double unlikely_side(const struct binary_groups *g, uint64_t from, int step, double at, double most)
{
	double ones = (double)(g->ones_a + g->ones_b), n_a = (double)g->n_a, n_b = (double)g->n_b, sum = 0;
	double k = (double)from;

	while (at > 0) {
		if (step > 0)
			at *= (n_b - k) * (ones - k) / ((k + 1) * (n_a - ones + k + 1));
		else
			at *= k * (n_a - ones + k) / ((n_b - k + 1) * (ones - k + 1));
		k += step;
		if (at <= most)
			sum += at;
		if (at < most * 1e-18)
			break;
	}
	return sum;
}

double binary_fisher(const struct binary_groups *groups)
{
	uint64_t ones = groups->ones_a + groups->ones_b, n = groups->n_a + groups->n_b;
	uint64_t top = (uint64_t)((double)(ones + 1) * (double)(groups->n_b + 1) / (double)(n + 2));
	double seen = dist_hypergeometric_at(groups->ones_b, n, ones, groups->n_b);
	double mode = dist_hypergeometric_at(top, n, ones, groups->n_b);
	double most = seen * (1 + 1e-7); /* as R has it: equal ones differ by rounding */

	if (ones == 0 || ones == n || mode <= most)
		return 1;
	return fmin(1,
		    unlikely_side(groups, top, 1, mode, most) + unlikely_side(groups, top, -1, mode, most));
}

/* Of a proportion (Wilson 1927). */
static struct interval wilson(double ones, double n, double z)
{
	double p = ones / n, square = z * z / n, middle = p + square / 2;
	double half = sqrt(square * (p * (1 - p) + square / 4));

	return (struct interval){(middle - half) / (1 + square), (middle + half) / (1 + square)};
}

struct interval binary_groups_interval(const struct binary_groups *groups, double confidence)
{
	double z = normal_limit(confidence), n_a = (double)groups->n_a, n_b = (double)groups->n_b;
	double a = (double)groups->ones_a / n_a, b = (double)groups->ones_b / n_b;
	struct interval of_a = wilson((double)groups->ones_a, n_a, z),
			of_b = wilson((double)groups->ones_b, n_b, z);

	return (struct interval){b - a - hypot(b - of_b.low, of_a.high - a),
				 b - a + hypot(of_b.high - b, a - of_a.low)};
}

double binary_groups_effect(const struct binary_groups *groups, double confidence,
			    struct interval *ret_interval, double *ret_odds)
{
	double n_a = (double)groups->n_a, n_b = (double)groups->n_b;
	double a = (double)groups->ones_a, b = (double)groups->ones_b;
	double more = a == 0 || b == 0 || a == n_a || b == n_b ? 0.5 : 0;
	double h = 2 * asin(sqrt(b / n_b)) - 2 * asin(sqrt(a / n_a));
	double half = normal_limit(confidence) * sqrt(1 / n_a + 1 / n_b);

	*ret_odds = (b + more) * (n_a - a + more) / ((n_b - b + more) * (a + more));
	*ret_interval = (struct interval){h - half, h + half};
	return h;
}
