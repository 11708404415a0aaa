#include "means.h"

#include <math.h>

#include "dist.h"
#include "root.h"

/* ---- tests ------------------------------------------------------------ */

static struct t_test t_test_of(double difference, double error, double df, double confidence)
{
	struct t_test r = {difference, NAN, NAN, NAN, {NAN, NAN}};

	if (!(df > 0 && error > 0))
		return r;
	double half = error * dist_t_quantile((1 + confidence) / 2, df);
	r.t = difference / error;
	r.df = df;
	r.p = dist_t_both(r.t, df);
	r.interval = (struct interval){difference - half, difference + half};
	return r;
}

struct t_test means_paired(const struct moments *differences, double confidence)
{
	double n = (double)differences->n;

	return t_test_of(differences->mean, sqrt(differences->variance / n), n - 1, confidence);
}

struct t_test means_welch(const struct moments *a, const struct moments *b, double confidence)
{
	double n_a = (double)a->n, n_b = (double)b->n;
	double of_a = a->variance / n_a, of_b = b->variance / n_b, sum = of_a + of_b;
	double df = sum * sum / (of_a * of_a / (n_a - 1) + of_b * of_b / (n_b - 1));

	return t_test_of(b->mean - a->mean, sqrt(sum), df, confidence);
}

/* ---- effect sizes ----------------------------------------------------- */

struct shift_at {
	double t, df, p;
};

static double shift_over(const void *arg, double shift)
{
	const struct shift_at *at = arg;

	return dist_t_shifted(at->t, at->df, shift) - at->p;
}

/* The shift of the noncentral t below whose t a part p lies. */
static double find_shift(double t, double df, double p)
{
	struct shift_at at = {t, df, p};
	double reach = 4 + fabs(t) / sqrt(df);

	while (reach < 1e9 && (shift_over(&at, t - reach) < 0 || shift_over(&at, t + reach) > 0))
		reach *= 2;
	return root_find(shift_over, &at, t - reach, t + reach);
}

/* The factor that takes the bias out of d (Hedges 1981). */
static double unbias(double df)
{
	return df > 1 ? exp(dist_log_gamma_step(df / 2)) : NAN;
}

/* root_n: what makes a t of d. */
static struct effect effect_of(double d, double root_n, double df, double confidence)
{
	double t = d * root_n, tail = (1 - confidence) / 2;
	struct effect e = {d, NAN, {NAN, NAN}};

	if (!isfinite(d) || !(df > 1))
		return e;
	double factor = unbias(df);
	e.g = d * factor;
	e.interval.low = find_shift(t, df, 1 - tail) / root_n * factor;
	e.interval.high = find_shift(t, df, tail) / root_n * factor;
	return e;
}

struct effect means_effect_paired(const struct moments *differences, double confidence)
{
	double n = (double)differences->n, spread = sqrt(differences->variance);

	return effect_of(spread > 0 ? differences->mean / spread : NAN, sqrt(n), n - 1, confidence);
}

struct effect means_effect_two(const struct moments *a, const struct moments *b, double confidence)
{
	double n_a = (double)a->n, n_b = (double)b->n, df = n_a + n_b - 2;
	double spread = sqrt(((n_a - 1) * a->variance + (n_b - 1) * b->variance) / df);
	double d = spread > 0 ? (b->mean - a->mean) / spread : NAN;

	return effect_of(d, sqrt(n_a * n_b / (n_a + n_b)), df, confidence);
}

/* ---- what can be seen ------------------------------------------------- */

double means_power(const struct plan *plan, double n, double difference)
{
	double df = plan->df_for_n * (n - 1), shift = fabs(difference) * sqrt(n) / plan->scale;
	double limit = dist_t_quantile(1 - plan->alpha / 2, df);

	return 1 - dist_t_shifted(limit, df, shift) + dist_t_shifted(-limit, df, shift);
}

struct plan_at {
	const struct plan *plan;
	double fixed;
};

static double power_of_difference(const void *arg, double difference)
{
	const struct plan_at *at = arg;

	return means_power(at->plan, at->fixed, difference) - at->plan->power;
}

static double power_of_log_n(const void *arg, double log_n)
{
	const struct plan_at *at = arg;

	return means_power(at->plan, exp(log_n), at->fixed) - at->plan->power;
}

double means_detectable(const struct plan *plan, double n)
{
	struct plan_at at = {plan, n};

	if (!(n >= 2))
		return NAN;
	if (plan->scale == 0)
		return 0;
	double high = plan->scale / sqrt(n);
	for (int i = 0; i < 200 && power_of_difference(&at, high) < 0; i++)
		high *= 2;
	return root_find(power_of_difference, &at, 0, high);
}

double means_needed(const struct plan *plan, double difference)
{
	struct plan_at at = {plan, difference};
	double high = 1;

	if (difference == 0)
		return INFINITY;
	if (plan->scale == 0 || power_of_log_n(&at, log(2)) >= 0)
		return 2;
	while (high < 60 && power_of_log_n(&at, high) < 0)
		high *= 2;
	return exp(root_find(power_of_log_n, &at, log(2), high));
}
