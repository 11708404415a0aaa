#include "dist.h"

#include <float.h>
#include <math.h>

#include "root.h"

#define LOG_ROOT_2PI 0.918938533204672741780329736406

/* ---- normal ----------------------------------------------------------- */

double dist_normal(double z)
{
	return erfc(-z / M_SQRT2) / 2;
}

/* A rational guess (Abramowitz & Stegun 26.2.23), then Halley's steps: each triples the correct digits. */
static double lower_quantile(double p)
{
	double t = sqrt(-2 * log(p));
	double z = (2.515517 + t * (0.802853 + t * 0.010328)) /
			   (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) -
		   t;

	for (int i = 0; i < 3; i++) {
		double step = (dist_normal(z) - p) * exp(z * z / 2 + LOG_ROOT_2PI);
		z -= step / (1 + z * step / 2);
	}
	return z;
}

double dist_normal_quantile(double p)
{
	if (!(p >= 0 && p <= 1))
		return NAN;
	if (p == 0 || p == 1)
		return p == 0 ? -INFINITY : INFINITY;
	return p <= 0.5 ? lower_quantile(p) : -lower_quantile(1 - p);
}

/* ---- factorials without cancellation ----------------------------------- */

/* What Stirling's formula leaves of ln Γ(z): ln Γ(z) - ((z - ½) ln z - z + ½ ln 2π). */
static double stirling_rest(double z)
{
	/* B(2k) / (2k (2k - 1)) */
	static const double terms[] = {1.0 / 12,   -1.0 / 360,	    1.0 / 1260, -1.0 / 1680,
				       1.0 / 1188, -691.0 / 360360, 1.0 / 156,	-3617.0 / 122400};
	double sum = 0, square = 1 / (z * z);

	if (z < 12)
		return lgamma(z) - ((z - 0.5) * log(z) - z + LOG_ROOT_2PI);
	for (int i = (int)(sizeof(terms) / sizeof(terms[0])) - 1; i >= 0; i--)
		sum = sum * square + terms[i];
	return sum / z;
}

double dist_log_gamma_step(double x)
{
	return -(x - 1) * log1p(-0.5 / x) - 0.5 + stirling_rest(x) - stirling_rest(x - 0.5);
}

/* x ln(x / m) + m - x, which is small where x is near m (Loader, "Fast and accurate computation of binomial
 * probabilities", 2000). */
static double deviance(double x, double m)
{
	double d = x - m, v = d / (x + m);

	if (fabs(v) >= 0.1)
		return x * log(x / m) - d;
	double sum = d * v, term = 2 * x * v;
	for (int k = 3; k < 100; k += 2) {
		term *= v * v;
		double next = sum + term / k;
		if (next == sum)
			break;
		sum = next;
	}
	return sum;
}

/* x^a y^b / B(a, b), x + y = 1. */
static double beta_power(double a, double b, double x, double y)
{
	double n = a + b;

	return sqrt(a / n * b) / sqrt(2 * M_PI) *
	       exp(stirling_rest(n) - stirling_rest(a) - stirling_rest(b) - deviance(a, n * x) -
		   deviance(b, n * y));
}

/* ---- beta ------------------------------------------------------------- */

/* A fraction's denominator: one of 0 would never leave it. */
static double not_zero(double d)
{
	return fabs(d) < 1e-300 ? 1e-300 : d;
}

/* The continued fraction of DiDonato & Morris (ACM TOMS 18, 1992), evaluated as Lentz does. It takes x and y
 * as they are: the better known one goes through 1 - x, of which little is left for a large a. */
static double beta_fraction(double a, double b, double x, double y)
{
	double over = a * y - b * x + 1, value = not_zero(a * over / (a + 1)), c = value, d = 0;

	for (int k = 1; k < 1000000; k++) {
		double odd = a + 2.0 * k - 1, part = k * (b - k) * x / odd;
		double above = (a + k - 1) * (a + b + k - 1) * x / odd * part;
		double beside = k + part + (a + k) * (over + k * (1 + y)) / (odd + 2);
		d = 1 / not_zero(beside + above * d);
		c = not_zero(beside + above / c);
		value *= c * d;
		if (fabs(c * d - 1) < 2 * DBL_EPSILON)
			break;
	}
	return 1 / value;
}

double dist_beta(double a, double b, double x, double y)
{
	if (!(a > 0 && b > 0 && x >= 0 && y >= 0 && x <= 1 && y <= 1))
		return NAN;
	if (x == 0 || y == 0)
		return x == 0 ? 0 : 1;
	if (x < (a + 1) / (a + b + 2))
		return beta_power(a, b, x, y) * beta_fraction(a, b, x, y);
	return 1 - beta_power(b, a, y, x) * beta_fraction(b, a, y, x);
}

struct beta_at {
	double a, b, p;
};

static double beta_over(const void *arg, double x)
{
	const struct beta_at *at = arg;

	return dist_beta(at->a, at->b, x, 1 - x) - at->p;
}

double dist_beta_quantile(double a, double b, double p)
{
	struct beta_at at = {a, b, p};

	if (!(a > 0 && b > 0 && p >= 0 && p <= 1))
		return NAN;
	return p == 0 || p == 1 ? p : root_find(beta_over, &at, 0, 1);
}

/* ---- Student's t ------------------------------------------------------ */

double dist_t_both(double t, double df)
{
	if (isinf(t))
		return df > 0 ? 0 : NAN;
	double square = t * t, sum = df + square;
	return dist_beta(df / 2, 0.5, df / sum, square / sum);
}

double dist_t(double t, double df)
{
	double half = dist_t_both(t, df) / 2;

	return t < 0 ? half : 1 - half;
}

struct t_at {
	double p, df;
};

static double t_over(const void *arg, double t)
{
	const struct t_at *at = arg;

	return dist_t_both(t, at->df) / 2 - at->p;
}

double dist_t_quantile(double p, double df)
{
	double high = 2;

	if (!(p > 0 && p < 1 && df > 0))
		return NAN;
	struct t_at at = {p < 0.5 ? p : 1 - p, df};
	if (at.p == 0.5)
		return 0;
	while (t_over(&at, high) > 0 && high < 1e300)
		high *= 2;
	double t = root_find(t_over, &at, 0, high);
	return p < 0.5 ? -t : t;
}

/* The density of v = ln(chi / √df) but for a factor, as a logarithm that is 0 at its top, v = 0. */
static double chi_log_density(double v, double df)
{
	return df * (v - expm1(2 * v) / 2);
}

/* Sums both the density and the density times P(Z <= t e^v - shift) over a side of v = 0. */
static void add_side(double t, double df, double shift, double step, double *ret_part, double *ret_whole)
{
	for (int i = 1; i < 10000000; i++) {
		double v = i * step, log_density = chi_log_density(v, df);
		if (log_density < -45)
			return;
		double density = exp(log_density);
		*ret_whole += density;
		*ret_part += density * dist_normal(t * exp(v) - shift);
	}
}

/*
 * P(T <= t) is the mean of P(Z <= t s - shift) over s = chi / √df. In v = ln s the integrand is analytic and
 * falls off on both sides, so the plain sum over equal steps is exact to rounding once the steps are shorter
 * than what varies: the density (1 / √(2 df), and ever faster to the right) and the normal's rise (1 / t).
 * The density's constant is summed along.
 */
double dist_t_shifted(double t, double df, double shift)
{
	if (!(df > 0) || isnan(t) || isnan(shift))
		return NAN;
	if (isinf(t))
		return t > 0;
	double width = 1 / sqrt(2 * df), step = fmin(0.1, 0.4 * fmin(width, 1 / (1 + fabs(t))));
	step = fmax(step,
		    width / 3000); /* a t of thousands of deviations need not be told to the last digit */
	double part = dist_normal(t - shift), whole = 1;
	add_side(t, df, shift, step, &part, &whole);
	add_side(t, df, shift, -step, &part, &whole);
	return part / whole;
}

/* ---- counts ----------------------------------------------------------- */

double dist_binomial(uint64_t k, uint64_t n, double p)
{
	if (!(p >= 0 && p <= 1))
		return NAN;
	if (k >= n)
		return 1;
	return dist_beta((double)(n - k), (double)k + 1, 1 - p, p);
}

double dist_binomial_at(uint64_t k, uint64_t n, double p)
{
	double a = (double)k, b = (double)(n - k), all = (double)n;

	if (!(p >= 0 && p <= 1) || k > n)
		return k > n ? 0 : NAN;
	if (p == 0 || p == 1)
		return (p == 0 ? k == 0 : k == n) ? 1 : 0;
	if (k == 0)
		return exp(all * log1p(-p));
	if (k == n)
		return exp(all * log(p));
	return exp(stirling_rest(all) - stirling_rest(a) - stirling_rest(b) - deviance(a, all * p) -
		   deviance(b, all * (1 - p))) *
	       sqrt(all / (2 * M_PI * a * b));
}

double dist_hypergeometric_at(uint64_t k, uint64_t all, uint64_t marked, uint64_t drawn)
{
	if (k > marked || k > drawn || drawn - k > all - marked)
		return 0;
	if (drawn == 0 || drawn == all)
		return 1;
	double p = (double)drawn / (double)all;
	return dist_binomial_at(k, marked, p) * dist_binomial_at(drawn - k, all - marked, p) /
	       dist_binomial_at(drawn, all, p);
}
