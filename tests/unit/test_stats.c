/* Statistics against published numbers and closed forms, to 1e-9 or as many digits as were printed.
 * tests/integration/test_stats.py holds them against SciPy. */
#include "unit.h"

#include <math.h>

#include "binary.h"
#include "dist.h"
#include "fdr.h"
#include "means.h"
#include "ranktest.h"
#include "root.h"
#include "rounding.h"
#include "sample.h"

/* got and want differ by at most `most`, relative to the larger of want and 1. */
#define near(got, want, most) near_at(got, want, most, __LINE__)

static void near_at(double got, double want, double most, int line)
{
	double scale = fmax(1, fabs(want));

	if (!(fabs(got - want) <= most * scale))
		fail_msg("line %d: %.17g is not %.17g", line, got, want);
}

static void nan_at(double got, int line)
{
	if (!isnan(got))
		fail_msg("line %d: %.17g is a number", line, got);
}

#define is_nan(got) nan_at(got, __LINE__)

/* ---- rounding --------------------------------------------------------- */

static void test_rounding(void **state)
{
	double third = (0.1 + 0.1 + 0.1) / 3, chain[50];
	double a[] = {0.1, 5, -third, 0, 1e-300}, b[] = {third, 5.001, -0.1};
	double d[] = {0.3, -(0.1 + 0.2), 0.4, 1e-17};

	(void)state;
	assert_true(third != 0.1);
	assert_true(rounding_same(third, 0.1) && rounding_same(0, 0) && !rounding_same(0, 1e-300));
	assert_true(!rounding_same(1, 1 + 2e-12) && !rounding_same(0.1, -0.1));
	assert_int_equal(rounding_settle(a, 5, b, 3), 0);
	assert_true(a[0] == b[0] && a[2] == b[2] && a[1] == 5 && b[1] == 5.001 && a[3] == 0 &&
		    a[4] == 1e-300);
	assert_int_equal(rounding_settle_sizes(d, 4, 1e-12), 0);
	assert_true(d[0] == -d[1] && d[1] < 0 && d[2] == 0.4 && d[3] == 1e-17);
	for (int i = 0; i < 50; i++)
		chain[i] = 1 + i * 0.9e-12;
	assert_int_equal(rounding_settle(chain, 50, NULL, 0), 0);
	assert_true(chain[1] == chain[0] && chain[2] > chain[0] && chain[49] > 1 + 40e-12);
	assert_int_equal(rounding_settle(NULL, 0, NULL, 0), 0);
	assert_int_equal(rounding_of((const double[]){-1, 0, 3, 0, 1e18}, 5, &third), 0);
	near(third, 3e-12, 1e-20);
	assert_int_equal(rounding_of(chain, 0, &third), 0);
	near(third, 0, 0);
}

/* ---- distributions ---------------------------------------------------- */

static double cubic(const void *arg, double x)
{
	return x * x * x - *(const double *)arg;
}

static void test_root(void **state)
{
	double of = 2;

	(void)state;
	near(root_find(cubic, &of, 0, 2), cbrt(2), 1e-15);
	near(root_find(cubic, &of, 1000000, -1000000), cbrt(2), 1e-15);
	of = 0;
	near(root_find(cubic, &of, 0, 1), 0, 0);
	is_nan(root_find(cubic, &of, 1, 2));
}

static void test_normal(void **state)
{
	(void)state;
	near(dist_normal(0), 0.5, 0);
	near(dist_normal_quantile(0.975), 1.959963984540054, 1e-15); /* printed in every table */
	near(dist_normal_quantile(0.995), 2.575829303548901, 1e-15);
	near(dist_normal(-10) / 7.61985302416052606597e-24, 1, 1e-14); /* Abramowitz & Stegun, table 26.2 */
	for (int i = 1; i <= 300; i++)
		near(dist_normal(dist_normal_quantile(pow(10, -i))) / pow(10, -i), 1, 1e-12);
	for (int i = 1; i < 100; i++)
		near(dist_normal(dist_normal_quantile(i / 100.0)), i / 100.0, 1e-15);
	assert_true(isinf(dist_normal_quantile(0)) && dist_normal_quantile(0) < 0);
	assert_true(isinf(dist_normal_quantile(1)) && dist_normal_quantile(1) > 0);
	is_nan(dist_normal_quantile(1.5));
	is_nan(dist_normal_quantile(NAN));
}

static void test_beta(void **state)
{
	(void)state;
	for (int i = 0; i <= 8; i++) {
		double x = i / 8.0;
		near(dist_beta(1, 1, x, 1 - x), x, 1e-15);
		near(dist_beta(2.5, 1, x, 1 - x), pow(x, 2.5), 1e-14);
		near(dist_beta(0.5, 0.5, x, 1 - x), 2 / M_PI * asin(sqrt(x)), 1e-14); /* the arcsine law */
		near(dist_beta(3, 2, x, 1 - x), x * x * x * (4 - 3 * x), 1e-14);
	}
	/* A large a and b, where lgamma() alone would leave 9 digits: by 30-digit quadrature. */
	near(dist_beta(805080.5363228987, 793641.2448359074, 0.5033992961064196, 1 - 0.5033992961064196),
	     0.325993238273672298, 1e-11);
	near(dist_beta_quantile(3, 2, 0.4752), 0.6, 1e-14);
	near(dist_beta_quantile(2, 1, 0.25), 0.5, 1e-14);
	is_nan(dist_beta(0, 1, 0.5, 0.5));
	is_nan(dist_beta(1, 1, 1.5, -0.5));
}

static void test_t(void **state)
{
	(void)state;
	/* Printed tables. */
	near(dist_t_quantile(0.975, 10), 2.228138852, 1e-9);
	near(dist_t_quantile(0.975, 30), 2.042272456, 1e-9);
	/* One and two degrees of freedom have closed forms, far out too. */
	for (int i = 0; i < 13; i++) {
		double p = 1e-12 * pow(9, i);
		near(dist_t_quantile(p, 1) * tan(M_PI * p), -1, 1e-12);
		near(dist_t_quantile(p, 2) / ((2 * p - 1) / sqrt(2 * p * (1 - p))), 1, 1e-12);
		near(dist_t_quantile(1 - 0.25 * p, 5.5), -dist_t_quantile(0.25 * p, 5.5), 1e-4);
	}
	near(dist_t_quantile(0.5, 3), 0, 0);
	near(dist_t(1, 1), 0.75, 1e-15);
	near(dist_t(-1, 1), 0.25, 1e-15);
	/* By 30-digit quadrature: many degrees of freedom. */
	near(dist_t_both(1.8831160154249103, 9421595.610970095), 0.0596846780430208318, 1e-13);
	near(dist_t_both(INFINITY, 3), 0, 0);
	is_nan(dist_t_quantile(0.2, 0));
	is_nan(dist_t_both(1, -1));
}

static void test_t_shifted(void **state)
{
	/* By 30-digit quadrature over the chi distribution. */
	static const struct {
		double t, df, shift, p;
	} known[] = {
		{-1.2, 1, 0.5, 0.114437566968110037},
		{0.8441267331446866, 2, 1.501011510925184, 0.240702251376625790},
		{3, 1, 2, 0.524857161733687851},
		{3.1, 3, 5, 0.0905253395904713671},
		{12, 10.5, 9, 0.835542933610692198},
		{50, 3, 10, 0.989040692725148114},
		{0.001, 1, -3, 0.998653631433440636},
		{316, 99999, 314, 0.948750496615816683},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(known); i++)
		near(dist_t_shifted(known[i].t, known[i].df, known[i].shift), known[i].p, 1e-12);
	near(dist_t_shifted(1.3, 7, 0), dist_t(1.3, 7), 1e-13);
	near(dist_t_shifted(INFINITY, 7, 0), 1, 0);
	is_nan(dist_t_shifted(1, 0, 0));
}

static void test_counts(void **state)
{
	(void)state;
	near(dist_binomial(0, 1, 0.25), 0.75, 1e-15);
	near(dist_binomial(2, 5, 0.5), 0.5, 1e-15);
	near(dist_binomial(5, 5, 0.1), 1, 0);
	near(dist_binomial_at(2, 5, 0.5), 10.0 / 32, 1e-15);
	near(dist_binomial_at(0, 3, 0), 1, 0);
	near(dist_binomial_at(3, 3, 0.5), 0.125, 1e-15);
	near(dist_binomial_at(4, 3, 0.5), 0, 0);
	near(dist_hypergeometric_at(3, 8, 4, 4), 16.0 / 70, 1e-14);
	near(dist_hypergeometric_at(5, 8, 4, 4), 0, 0);
	near(dist_hypergeometric_at(0, 8, 7, 4), 0, 0);
	near(dist_hypergeometric_at(0, 8, 4, 0), 1, 0);
}

/* ---- samples ---------------------------------------------------------- */

/* NIST's Statistical Reference Datasets, univariate: NumAcc1 to NumAcc4, whose answers are exact. */
static void test_moments(void **state)
{
	static const double first[] = {10000001, 10000003, 10000002}, one[] = {4};
	static const double bases[] = {1.2, 1000000.2, 10000000.2};
	double values[1001];

	(void)state;
	struct moments m = sample_moments(first, COUNT(first));
	near(m.mean, 10000002, 0);
	near(m.variance, 1, 0);
	for (size_t k = 0; k < COUNT(bases); k++) {
		values[0] = bases[k];
		for (size_t i = 1; i < 1001; i++)
			values[i] = bases[k] + (i % 2 ? -0.1 : 0.1);
		m = sample_moments(values, 1001);
		near(m.mean, bases[k], 1e-15);
		near(sqrt(m.variance), 0.1, bases[k] * 1e-15); /* the data themselves are rounded */
	}
	m = sample_moments(one, 1);
	near(m.mean, 4, 0);
	is_nan(m.variance);
	is_nan(sample_moments(one, 0).mean);
}

/* Hyndman & Fan (1996), type 7: the quartiles of 1 … 10 are 3.25, 5.5 and 7.75. */
static void test_quantile(void **state)
{
	double v[] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1};

	(void)state;
	sample_sort(v, COUNT(v));
	near(sample_quantile(v, 10, 0.25), 3.25, 0);
	near(sample_quantile(v, 10, 0.5), 5.5, 0);
	near(sample_quantile(v, 10, 0.75), 7.75, 0);
	near(sample_quantile(v, 10, 0), 1, 0);
	near(sample_quantile(v, 10, 1), 10, 0);
	near(sample_quantile(v, 1, 0.3), 1, 0);
}

static void test_ranks(void **state)
{
	static const double v[] = {3, 1, 3, 2, 3, 1};
	static const double want[] = {5, 1.5, 5, 3, 5, 1.5};
	double ranks[6], ties;

	(void)state;
	assert_int_equal(sample_ranks(v, 6, ranks, &ties), 0);
	for (size_t i = 0; i < 6; i++)
		near(ranks[i], want[i], 0);
	near(ties, 24 + 6, 0);
}

/* ---- rank tests ------------------------------------------------------- */

/* Depression scale of nine patients, before and after: Hollander & Wolfe (1973), p. 29, and R's help of
 * wilcox.test: V = 40, one-sided p = 0.01953. */
static void test_signed(void **state)
{
	static const double before[] = {1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30};
	static const double after[] = {0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29};
	static const double same[] = {0, 0, 0};
	double d[9];
	struct signed_rank r;

	(void)state;
	for (size_t i = 0; i < 9; i++)
		d[i] = before[i] - after[i];
	assert_int_equal(ranktest_signed(d, 9, &r), 0);
	assert_true(r.exact);
	near(r.plus, 40, 0);
	near(r.p, 2 * 10.0 / 512, 1e-15);
	near(r.correlation, (40 - 5) / 45.0, 1e-15);
	d[0] = 0; /* now the normal takes over, for 8 differences */
	assert_int_equal(ranktest_signed(d, 9, &r), 0);
	assert_false(r.exact);
	assert_int_equal(r.n, 8);
	assert_int_equal(ranktest_signed(same, 3, &r), 0);
	near(r.p, 1, 0);
	near(r.correlation, 0, 0);
	assert_int_equal(ranktest_signed(same, 0, &r), 0);
	near(r.p, 1, 0);
}

/* Permeability of membranes: Hollander & Wolfe (1973), p. 69, and R's help: W = 35, one-sided p = 0.1272.
 * With ties: New York's ozone in May and August (R's airquality): W = 127.5, p = 0.0001208. */
static void test_two(void **state)
{
	static const double x[] = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
	static const double y[] = {1.15, 0.88, 0.90, 0.74, 1.21};
	static const double may[] = {41, 36, 12, 18, 28, 23, 19, 8, 7,	16, 11, 14,  18,
				     14, 34, 6,	 30, 11, 1,  11, 4, 32, 23, 45, 115, 37};
	static const double august[] = {39, 9,	16, 78, 35, 66, 122, 89,  110, 44, 28,	65, 22,
					59, 23, 31, 44, 21, 9,	45,  168, 73,  76, 118, 84, 85};
	static const double low[] = {1, 2, 3}, high[] = {4, 5, 6}, fives[] = {5, 5, 5};
	struct rank_sum r;

	(void)state;
	assert_int_equal(ranktest_two(y, COUNT(y), x, COUNT(x), 0.95, &r), 0);
	assert_true(r.exact);
	near(r.u, 35, 0);
	near(r.p / 2, 0.1272, 0.00005);
	assert_int_equal(ranktest_two(august, COUNT(august), may, COUNT(may), 0.95, &r), 0);
	assert_false(r.exact);
	near(r.u, 127.5, 0);
	near(r.p, 0.0001208, 0.00000005);
	near(r.delta, 2 * 127.5 / 676 - 1, 1e-15);
	assert_true(r.delta_interval.low < r.delta && r.delta < r.delta_interval.high);
	assert_true(r.delta_interval.low > -1 && r.delta_interval.high < 0);
	assert_int_equal(ranktest_two(low, 3, high, 3, 0.95, &r), 0);
	near(r.p, 0.1, 1e-15);
	near(r.delta, 1, 0);
	near(r.delta_interval.high, 1, 0);
	near(r.delta_interval.low, (3 - 3.841458820694124) / (3 + 3.841458820694124), 1e-12);
	assert_int_equal(ranktest_two(fives, 3, fives, 3, 0.95, &r), 0);
	near(r.p, 1, 0);
	near(r.delta, 0, 0);
	assert_int_equal(ranktest_two(low, 1, high, 1, 0.95, &r), 0);
	near(r.p, 1, 0);
}

/* The example of R's effsize, whose interval takes t of 14 degrees of freedom, 2.1448, where ours takes the
 * normal's: so ours is asked for at the confidence that has this quantile. */
static void test_delta(void **state)
{
	static const double treatment[] = {10, 10, 20, 20, 20, 30, 30, 30, 40, 50};
	static const double control[] = {10, 20, 30, 40, 40, 50};
	double confidence = 2 * dist_normal(dist_t_quantile(0.975, 14)) - 1;
	struct rank_sum r;

	(void)state;
	assert_int_equal(ranktest_two(control, COUNT(control), treatment, COUNT(treatment), confidence, &r),
			 0);
	near(r.delta, -0.25, 1e-15);
	near(r.delta_interval.low, -0.7265846, 0.00000005);
	near(r.delta_interval.high, 0.3890062, 0.00000005);
}

/* ---- means ------------------------------------------------------------ */

/* Hours of sleep gained with two drugs: Student (1908). Paired: t = 4.0621, p = 0.002833 (R's help of
 * t.test). As two samples: t = 1.8608, df = 17.776, p = 0.07939, interval -0.2054832 to 3.3654832. */
static const double drug_1[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
static const double drug_2[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};

static void test_means(void **state)
{
	double d[10];

	(void)state;
	for (size_t i = 0; i < 10; i++)
		d[i] = drug_2[i] - drug_1[i];
	struct moments m = sample_moments(d, 10);
	struct moments a = sample_moments(drug_1, 10), b = sample_moments(drug_2, 10);
	struct t_test t = means_paired(&m, 0.95);
	near(t.difference, 1.58, 1e-14);
	near(t.t, 4.0621, 0.00005);
	near(t.p, 0.002833, 0.0000005);
	near(t.interval.low, 0.7001142, 0.00000005);
	near(t.interval.high, 2.4598858, 0.00000005);
	t = means_welch(&a, &b, 0.95);
	near(t.t, 1.8608, 0.00005);
	near(t.df, 17.776, 0.00005);
	near(t.p, 0.07939, 0.000005);
	near(t.interval.low, -0.2054832, 0.00000005);
	near(t.interval.high, 3.3654832, 0.00000005);
	m = sample_moments(d, 1);
	is_nan(means_paired(&m, 0.95).p);
	d[0] = d[1] = 3; /* no spread */
	m = sample_moments(d, 2);
	is_nan(means_paired(&m, 0.95).p);
	is_nan(means_effect_paired(&m, 0.95).d);
	is_nan(means_effect_two(&m, &m, 0.95).g);
}

static void test_effect(void **state)
{
	static const double three[] = {0, 1, 5}, five[] = {1, 2, 4, 4, 9};
	struct moments a = sample_moments(three, 3), b = sample_moments(five, 5);

	(void)state;
	/* Hedges' factor for 2 and 4 degrees of freedom: 1 / √π and √(2 / π). */
	struct effect e = means_effect_paired(&a, 0.95);
	near(e.g / e.d, 1 / sqrt(M_PI), 1e-14);
	e = means_effect_paired(&b, 0.95);
	near(e.g / e.d, sqrt(2 / M_PI), 1e-14);
	/* At its ends, the noncentral t must say half of what is outside. */
	double t = e.d * sqrt(5), unbias = e.g / e.d;
	near(dist_t_shifted(t, 4, e.interval.low / unbias * sqrt(5)), 0.975, 1e-12);
	near(dist_t_shifted(t, 4, e.interval.high / unbias * sqrt(5)), 0.025, 1e-12);
	e = means_effect_two(&a, &b, 0.9);
	near(e.d, 2 / sqrt((2 * 7 + 4 * 9.5) / 6), 1e-14);
	near(dist_t_shifted(e.d * sqrt(15.0 / 8), 6, e.interval.low / (e.g / e.d) * sqrt(15.0 / 8)), 0.95,
	     1e-12);
	/* The factor for many: 1 - 3 / (4 df - 1) is off by 3e-2 / df² only. */
	near(exp(dist_log_gamma_step(5e5)), 1 - 3 / (4e6 - 1), 1e-12);
}

/* R's help of power.t.test: n = 20 a group, difference and deviation 1: power 0.8689528; for 0.90: n
 * = 22.02110. Cohen (1988), table 2.3.5: 64 a group see d = 0.5 with a power of 0.80. */
static void test_power(void **state)
{
	struct plan two = {.scale = M_SQRT2, .df_for_n = 2, .alpha = 0.05, .power = 0.90};
	struct plan pairs = {.scale = 2, .df_for_n = 1, .alpha = 0.05, .power = 0.80}, flat = {.alpha = 0.05};

	(void)state;
	near(means_power(&two, 20, 1), 0.8689528 + 0.0000002, 0.0000001);
	near(means_power(&two, 20, -1), means_power(&two, 20, 1), 0);
	near(means_needed(&two, 1), 22.02110, 0.000005);
	near(means_power(&two, 64, 0.5), 0.80, 0.005);
	double seen = means_detectable(&pairs, 33);
	near(means_power(&pairs, 33, seen), 0.80, 1e-10);
	near(means_needed(&pairs, seen), 33, 1e-8);
	is_nan(means_detectable(&pairs, 1));
	assert_true(isinf(means_needed(&pairs, 0)));
	near(means_needed(&pairs, 1e6), 2, 0);
	near(means_detectable(&flat, 5), 0, 0);
	near(means_needed(&pairs, 0.0001) / (2e4 * 2e4 * 7.848879734), 1, 1e-5); /* (z.975 + z.80)² */
}

/* ---- counts ----------------------------------------------------------- */

/* Airway hyper-responsiveness before and after a transplant: Fagerland, Lydersen & Laake, "The McNemar test
 * for binary matched-pairs data", 2013: 1, 1, 7, 12; exact p = 0.0703; the interval is theirs of 2014. */
static void test_pairs(void **state)
{
	struct binary_pairs p = {.both = 1, .second = 1, .first = 7, .none = 12}, none = {.none = 3};
	struct interval i;
	double odds;

	(void)state;
	near(binary_mcnemar(&p), 0.0703125, 1e-15);
	i = binary_paired_interval(&p, 0.95);
	near(i.low, -0.508, 0.0005);
	near(i.high, -0.013, 0.0005);
	near(binary_paired_effect(&p, 0.95, &i, &odds), 0.125 - 0.5, 1e-15);
	near(odds, 1.0 / 7, 1e-15);
	near(i.low + 0.5, 0.003160, 0.0000005); /* Clopper & Pearson, 1 of 8 */
	near(i.high + 0.5, 0.526510, 0.0000005);
	near(binary_mcnemar(&none), 1, 0);
	is_nan(binary_paired_effect(&none, 0.95, &i, &odds));
	is_nan(odds);
}

/* Fisher's lady with 3 of 4 cups right (Agresti 1990): 34 / 70. Convictions of like-sexed twins (Fisher 1962,
 * and R's help): p = 0.0005367. Newcombe (1998), table II, method 10. */
static void test_groups(void **state)
{
	static const struct {
		struct binary_groups g;
		double low, high;
	} newcombe[] = {
		{{80, 48, 70, 56}, 0.0524, 0.3339}, {{10, 3, 10, 9}, 0.1705, 0.8090},
		{{7, 2, 7, 6}, 0.0582, 0.8062},	    {{29, 0, 56, 5}, -0.0381, 0.1926},
		{{20, 0, 10, 0}, -0.1611, 0.2775},  {{10, 0, 10, 0}, -0.2775, 0.2775},
		{{20, 0, 10, 10}, 0.6791, 1.0},	    {{10, 0, 10, 10}, 0.6075, 1.0},
	};
	struct binary_groups tea = {4, 1, 4, 3}, twins = {17, 2, 13, 10}, all = {5, 5, 9, 9};
	struct interval i;
	double odds;

	(void)state;
	near(binary_fisher(&tea), 34.0 / 70, 1e-14);
	near(binary_fisher(&twins), 0.0005367, 0.00000005);
	near(binary_fisher(&all), 1, 0);
	for (size_t k = 0; k < COUNT(newcombe); k++) {
		i = binary_groups_interval(&newcombe[k].g, 0.95);
		near(i.low, newcombe[k].low, 0.00005);
		near(i.high, newcombe[k].high, 0.00005);
	}
	near(binary_groups_effect(&tea, 0.95, &i, &odds), M_PI / 3, 1e-14); /* 2 asin √¾ - 2 asin √¼ */
	near(odds, 9, 1e-14);
	near(i.high - i.low, 2 * 1.959963984540054 * M_SQRT1_2, 1e-14);
	binary_groups_effect(&all, 0.95, &i, &odds);
	near(odds, 9.5 * 0.5 / (0.5 * 5.5), 1e-14);
}

/* The fifteen p values of Benjamini & Hochberg (1995), of which their procedure takes four at 0.05. */
static void test_adjust(void **state)
{
	static const double p[] = {0.0344, 0.0004, 0.0019, 0.0095, 0.0201, NAN,	   0.0278, 0.0298,
				   0.0001, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1};
	double q[16];
	size_t taken = 0;

	(void)state;
	assert_int_equal(fdr_adjust(p, 16, q), 0);
	for (size_t i = 0; i < 16; i++)
		taken += q[i] <= 0.05;
	assert_int_equal(taken, 4);
	near(q[8], 0.0015, 1e-15);
	near(q[3], 0.0095 * 15 / 4, 1e-15);
	near(q[6], 0.0298 * 15 / 7, 1e-14); /* of those after it, the least */
	near(q[15], 1, 0);
	is_nan(q[5]);
	assert_int_equal(fdr_adjust(p, 0, q), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rounding), cmocka_unit_test(test_root),
		cmocka_unit_test(test_normal),	 cmocka_unit_test(test_beta),
		cmocka_unit_test(test_t),	 cmocka_unit_test(test_t_shifted),
		cmocka_unit_test(test_counts),	 cmocka_unit_test(test_moments),
		cmocka_unit_test(test_quantile), cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_signed),	 cmocka_unit_test(test_delta),
		cmocka_unit_test(test_two),	 cmocka_unit_test(test_means),
		cmocka_unit_test(test_effect),	 cmocka_unit_test(test_power),
		cmocka_unit_test(test_pairs),	 cmocka_unit_test(test_groups),
		cmocka_unit_test(test_adjust),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
