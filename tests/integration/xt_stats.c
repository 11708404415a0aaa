/*
 * The statistics, one question a line: the name of a function and its numbers, a sample as its count and its
 * values. The answer's numbers come on a line each. For test_stats.py, which asks another library the same.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binary.h"
#include "boot.h"
#include "dist.h"
#include "fdr.h"
#include "means.h"
#include "ranktest.h"
#include "sample.h"

static double number(void)
{
	double d;

	if (scanf("%lf", &d) != 1)
		exit(2);
	return d;
}

static uint64_t count(void)
{
	return (uint64_t)number();
}

static void say(double d)
{
	printf("%.17g ", d);
}

static void say_interval(struct interval i)
{
	say(i.low);
	say(i.high);
}

/* A sample; the caller frees it. */
static double *sample(size_t *ret_n)
{
	*ret_n = count();
	double *values = calloc(*ret_n + 1, sizeof(*values));
	if (!values)
		exit(2);
	for (size_t i = 0; i < *ret_n; i++)
		values[i] = number();
	return values;
}

static void ask_normal(void)
{
	say(dist_normal(number()));
}

static void ask_normal_quantile(void)
{
	say(dist_normal_quantile(number()));
}

static void ask_beta(void)
{
	double a = number(), b = number(), x = number();

	say(dist_beta(a, b, x, 1 - x));
}

static void ask_t(void)
{
	double t = number(), df = number();

	say(dist_t_both(t, df));
	say(dist_t(t, df));
}

static void ask_t_quantile(void)
{
	double p = number();

	say(dist_t_quantile(p, number()));
}

static void ask_t_shifted(void)
{
	double t = number(), df = number();

	say(dist_t_shifted(t, df, number()));
}

static void ask_binomial(void)
{
	uint64_t k = count(), n = count();
	double p = number();

	say(dist_binomial(k, n, p));
	say(dist_binomial_at(k, n, p));
}

static void ask_describe(void)
{
	size_t n;
	double *values = sample(&n);
	struct moments m = sample_moments(values, n);

	sample_sort(values, n);
	say(m.mean);
	say(m.variance);
	for (int i = 0; i <= 10; i++)
		say(sample_quantile(values, n, i / 10.0));
	free(values);
}

static void ask_signed(void)
{
	size_t n;
	double *d = sample(&n);
	struct signed_rank r;

	if (ranktest_signed(d, n, &r) < 0)
		exit(2);
	say(r.plus);
	say(r.p);
	say(r.correlation);
	say(r.exact);
	free(d);
}

/* One question about two samples. */
static void two(void ask(const double *a, size_t n_a, const double *b, size_t n_b))
{
	size_t n_a, n_b;
	double *a = sample(&n_a), *b = sample(&n_b);

	ask(a, n_a, b, n_b);
	free(a);
	free(b);
}

static void say_rank_sum(const double *a, size_t n_a, const double *b, size_t n_b)
{
	struct rank_sum r;

	if (ranktest_two(a, n_a, b, n_b, 0.95, &r) < 0)
		exit(2);
	say(r.u);
	say(r.p);
	say(r.delta);
	say(r.exact);
	say_interval(r.delta_interval);
}

static void ask_two(void)
{
	two(say_rank_sum);
}

static void say_t_test(struct t_test t, struct effect e)
{
	say(t.t);
	say(t.df);
	say(t.p);
	say_interval(t.interval);
	say(e.d);
	say(e.g);
	say_interval(e.interval);
}

static void ask_paired(void)
{
	size_t n;
	double *d = sample(&n);
	struct moments m = sample_moments(d, n);

	say_t_test(means_paired(&m, 0.95), means_effect_paired(&m, 0.95));
	free(d);
}

static void say_welch(const double *a, size_t n_a, const double *b, size_t n_b)
{
	struct moments of_a = sample_moments(a, n_a), of_b = sample_moments(b, n_b);

	say_t_test(means_welch(&of_a, &of_b, 0.95), means_effect_two(&of_a, &of_b, 0.95));
}

static void ask_welch(void)
{
	two(say_welch);
}

static void ask_mcnemar(void)
{
	struct binary_pairs p = {.none = count(), .second = count(), .first = count(), .both = count()};
	struct interval i;
	double odds;

	say(binary_mcnemar(&p));
	say_interval(binary_paired_interval(&p, 0.95));
	say(binary_paired_effect(&p, 0.95, &i, &odds));
	say_interval(i);
}

static void ask_fisher(void)
{
	struct binary_groups g = {.n_a = count(), .ones_a = count(), .n_b = count(), .ones_b = count()};

	say(binary_fisher(&g));
	say_interval(binary_groups_interval(&g, 0.95));
}

static void ask_adjust(void)
{
	size_t n;
	double *p = sample(&n);

	if (fdr_adjust(p, n, p) < 0)
		exit(2);
	for (size_t i = 0; i < n; i++)
		say(p[i]);
	free(p);
}

static void ask_power(void)
{
	struct plan plan = {.scale = number(), .df_for_n = number(), .alpha = number(), .power = number()};
	double n = number(), difference = number();

	say(means_power(&plan, n, difference));
	say(means_detectable(&plan, n));
	say(means_needed(&plan, difference));
}

static void ask_bca(void)
{
	size_t n;
	double value = number(), acceleration = number(), *resampled = sample(&n);

	say_interval(boot_bca(resampled, n, value, acceleration, 0.95));
	free(resampled);
}

static const struct boot_options boot = {.seed = 7, .resamples = 20000, .confidence = 0.95};

static void say_boot(const struct boot_means *m)
{
	say_interval(m->difference);
	say_interval(m->relative);
}

static void say_boot_pairs(const double *a, size_t n_a, const double *b, size_t n_b)
{
	struct boot_means m;

	if (n_a != n_b || boot_pairs(a, b, n_a, &boot, &m) < 0)
		exit(2);
	say_boot(&m);
}

static void ask_boot_pairs(void)
{
	two(say_boot_pairs);
}

static void say_boot_two(const double *a, size_t n_a, const double *b, size_t n_b)
{
	struct boot_means m;

	if (boot_two(a, n_a, b, n_b, &boot, &m) < 0)
		exit(2);
	say_boot(&m);
}

static void ask_boot_two(void)
{
	two(say_boot_two);
}

static const struct {
	const char *name;
	void (*ask)(void);
} questions[] = {
	{"normal", ask_normal},
	{"normal_quantile", ask_normal_quantile},
	{"beta", ask_beta},
	{"t", ask_t},
	{"t_quantile", ask_t_quantile},
	{"t_shifted", ask_t_shifted},
	{"binomial", ask_binomial},
	{"describe", ask_describe},
	{"signed", ask_signed},
	{"two", ask_two},
	{"paired", ask_paired},
	{"welch", ask_welch},
	{"mcnemar", ask_mcnemar},
	{"fisher", ask_fisher},
	{"adjust", ask_adjust},
	{"power", ask_power},
	{"bca", ask_bca},
	{"boot_pairs", ask_boot_pairs},
	{"boot_two", ask_boot_two},
};

int main(void)
{
	char name[32];

	while (scanf("%31s", name) == 1) {
		size_t i = 0, n = sizeof(questions) / sizeof(questions[0]);
		while (i < n && strcmp(questions[i].name, name) != 0)
			i++;
		if (i == n)
			return 2;
		questions[i].ask();
		putchar('\n');
	}
	return 0;
}
