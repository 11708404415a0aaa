#include "boot.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "dist.h"
#include "rng.h"

/* ---- intervals -------------------------------------------------------- */

/* The normal quantile of the share of resampled values below the statistic; those equal to it count half. */
static double bias(const double *sorted, size_t n, double value)
{
	size_t below = 0, upto = 0;

	for (size_t i = 0; i < n; i++) {
		below += sorted[i] < value;
		upto += sorted[i] <= value;
	}
	return dist_normal_quantile((double)(below + upto) / (2 * (double)n));
}

static double bca_end(const double *sorted, size_t n, double bias, double acceleration, double p)
{
	double z = bias + dist_normal_quantile(p), under = 1 - acceleration * z;

	if (!isfinite(bias))
		return sample_quantile(sorted, n, p);
	if (under <= 0)
		return sorted[z > 0 ? n - 1 : 0];
	return sample_quantile(sorted, n, dist_normal(bias + z / under));
}

struct interval boot_bca(double *resampled, size_t n, double value, double acceleration, double confidence)
{
	struct interval none = {NAN, NAN};

	for (size_t i = 0; i < n; i++)
		if (!isfinite(resampled[i]))
			return none;
	sample_sort(resampled, n);
	double z = bias(resampled, n, value), tail = (1 - confidence) / 2;
	return (struct interval){bca_end(resampled, n, z, acceleration, tail),
				 bca_end(resampled, n, z, acceleration, 1 - tail)};
}

double boot_acceleration(const struct influence *a, const struct influence *b)
{
	double squares = a->squares + (b ? b->squares : 0), cubes = a->cubes + (b ? b->cubes : 0);

	return squares > 0 ? cubes / (6 * squares * sqrt(squares)) : 0;
}

/* ---- statistics of sums ------------------------------------------------ */

/* The sums that both statistics are made of. Differences are summed as such: the difference of two sums would
 * lose what they have in common. */
struct sums {
	double a, d; /* of the first ones; of the differences, or in two samples of the second ones */
	double n_a, n_d;
	bool apart; /* two samples */
};

static double difference_of(const struct sums *s)
{
	return s->d / s->n_d - (s->apart ? s->a / s->n_a : 0);
}

static double relative_of(const struct sums *s)
{
	return difference_of(s) / fabs(s->a / s->n_a);
}

/* From the statistic with each value left out in turn. */
static struct influence influence_of(const double *left_out, size_t n)
{
	double mean = sample_moments(left_out, n).mean, part = (double)(n - 1) / (double)n;
	struct influence in = {0};

	for (size_t i = 0; i < n; i++) {
		double u = (mean - left_out[i]) * part;
		in.squares += u * u;
		in.cubes += u * u * u;
	}
	return in;
}

/* ---- drawing ---------------------------------------------------------- */

struct pair {
	double a, d;
};

static struct pair draw_pairs(struct rng *rng, const struct pair *pairs, uint32_t n)
{
	struct pair sum = {0};
	struct rng own = *rng; /* in registers */
	uint32_t at[2];

	for (uint32_t i = 1; i < n; i += 2) {
		rng_two_below(&own, n, at);
		sum.a += pairs[at[0]].a;
		sum.d += pairs[at[0]].d;
		sum.a += pairs[at[1]].a;
		sum.d += pairs[at[1]].d;
	}
	if (n % 2) {
		rng_two_below(&own, n, at);
		sum.a += pairs[at[0]].a;
		sum.d += pairs[at[0]].d;
	}
	*rng = own;
	return sum;
}

static double draw(struct rng *rng, const double *values, uint32_t n)
{
	struct rng own = *rng;
	double sum = 0;
	uint32_t at[2];

	for (uint32_t i = 1; i < n; i += 2) {
		rng_two_below(&own, n, at);
		sum += values[at[0]];
		sum += values[at[1]];
	}
	if (n % 2) {
		rng_two_below(&own, n, at);
		sum += values[at[0]];
	}
	*rng = own;
	return sum;
}

/* ---- one bootstrap ---------------------------------------------------- */

/* What is drawn from: pairs, or two samples. */
struct source {
	struct pair *pairs;  /* owned; NULL: two samples */
	const double *a, *b; /* borrowed */
	size_t n_a, n_b;
};

static struct sums sums_of_all(const struct source *s)
{
	struct sums all = {.n_a = (double)s->n_a, .n_d = (double)s->n_b, .apart = !s->pairs};

	for (size_t i = 0; i < s->n_a; i++)
		all.a += s->a[i];
	for (size_t i = 0; i < s->n_b; i++)
		all.d += s->pairs ? s->pairs[i].d : s->b[i];
	return all;
}

static struct sums resample(const struct source *s, struct rng *rng, const struct sums *all)
{
	struct sums r = *all;

	if (s->pairs) {
		struct pair sum = draw_pairs(rng, s->pairs, (uint32_t)s->n_a);
		r.a = sum.a;
		r.d = sum.d;
	} else {
		r.a = draw(rng, s->a, (uint32_t)s->n_a);
		r.d = draw(rng, s->b, (uint32_t)s->n_b);
	}
	return r;
}

/* The acceleration of a statistic. `room` holds as many numbers as the larger sample. */
static double acceleration_of(const struct source *s, const struct sums *all,
			      double statistic(const struct sums *), double *room)
{
	struct influence of_a, of_b;

	for (size_t i = 0; i < s->n_a; i++) {
		struct sums left = *all;
		left.a -= s->a[i];
		left.n_a--;
		if (s->pairs) {
			left.d -= s->pairs[i].d;
			left.n_d--;
		}
		room[i] = statistic(&left);
	}
	of_a = influence_of(room, s->n_a);
	if (s->pairs)
		return boot_acceleration(&of_a, NULL);
	for (size_t i = 0; i < s->n_b; i++) {
		struct sums left = *all;
		left.d -= s->b[i];
		left.n_d--;
		room[i] = statistic(&left);
	}
	of_b = influence_of(room, s->n_b);
	return boot_acceleration(&of_a, &of_b);
}

static int run(const struct source *s, const struct boot_options *options, struct boot_means *ret)
{
	struct interval none = {NAN, NAN};
	struct sums all = sums_of_all(s);
	struct rng rng;
	int status = -ENOMEM;

	*ret = (struct boot_means){none, none};
	if (s->n_a < 2 || s->n_b < 2)
		return 0;
	size_t n = options->resamples;
	double *differences = malloc(n * sizeof(*differences)), *relatives = malloc(n * sizeof(*relatives));
	double *room = malloc((s->n_a > s->n_b ? s->n_a : s->n_b) * sizeof(*room));
	if (!differences || !relatives || !room)
		goto out;
	rng_init(&rng, options->seed, options->stream);
	for (size_t i = 0; i < n; i++) {
		if (options->stop && *options->stop) {
			status = -EINTR;
			goto out;
		}
		struct sums one = resample(s, &rng, &all);
		differences[i] = difference_of(&one);
		relatives[i] = (one.a > 0) == (all.a > 0) ? relative_of(&one) : NAN;
	}
	ret->difference = boot_bca(differences, n, difference_of(&all),
				   acceleration_of(s, &all, difference_of, room), options->confidence);
	ret->relative = boot_bca(relatives, n, relative_of(&all), acceleration_of(s, &all, relative_of, room),
				 options->confidence);
	status = 0;
out:
	free(differences);
	free(relatives);
	free(room);
	return status;
}

int boot_pairs(const double *a, const double *b, size_t n, const struct boot_options *options,
	       struct boot_means *ret)
{
	struct source s = {.a = a, .n_a = n, .n_b = n};

	s.pairs = malloc((n + 1) * sizeof(*s.pairs));
	if (!s.pairs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		s.pairs[i] = (struct pair){a[i], b[i] - a[i]};
	int status = run(&s, options, ret);
	free(s.pairs);
	return status;
}

int boot_two(const double *a, size_t n_a, const double *b, size_t n_b, const struct boot_options *options,
	     struct boot_means *ret)
{
	return run(&(struct source){.a = a, .b = b, .n_a = n_a, .n_b = n_b}, options, ret);
}
