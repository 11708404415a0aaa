#include "compare_sides.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "binary.h"
#include "boot.h"
#include "dist.h"
#include "fdr.h"
#include "progress.h"
#include "ranktest.h"
#include "rounding.h"

#define POWER 0.8 /* of what is called detectable */

/* ---- the four kinds of cells ------------------------------------------- */

/* What a cell is computed with. */
struct work {
	const struct compare_options *options;
	struct boot_options boot;
	double detect_absolute; /* of --detect, as a difference; NAN: not asked */
};

/* What n would show, from the deviation of one of n. */
static void plan(struct cell *c, const struct work *w, double scale, double n, double df_for_n)
{
	struct plan p = {scale, df_for_n, 1 - w->options->confidence, POWER};

	if (!(n >= 2) || !isfinite(scale))
		return;
	c->detectable = means_detectable(&p, n);
	if (!isnan(w->detect_absolute))
		c->needed = means_needed(&p, w->detect_absolute);
}

/* Two samples of different size count as two of their harmonic mean. */
static void plan_two(struct cell *c, const struct work *w, double var_a, double var_b)
{
	double n_a = (double)c->n_base, n_b = (double)c->n, n = 2 / (1 / n_a + 1 / n_b);

	plan(c, w, sqrt((var_a / n_a + var_b / n_b) * n), n, 2);
}

/* The moments of values whose spread is none where it is rounding only. */
static struct moments settled(const double *values, size_t n, double rounding)
{
	struct moments m = sample_moments(values, n);

	if (sqrt(m.variance) <= rounding)
		m.variance = 0;
	return m;
}

static double settle_end(double end, double value, double rounding)
{
	return fabs(end) <= rounding ? 0 : fabs(end - value) <= rounding ? value : end;
}

/* Resampled means are beside each other by rounding too, where all values are the same. */
static void settle_intervals(struct cell *c, double rounding)
{
	double part = c->mean_base != 0 ? rounding / fabs(c->mean_base) : 0;

	c->interval.low = settle_end(c->interval.low, c->difference, rounding);
	c->interval.high = settle_end(c->interval.high, c->difference, rounding);
	c->relative_interval.low = settle_end(c->relative_interval.low, c->relative, part);
	c->relative_interval.high = settle_end(c->relative_interval.high, c->relative, part);
}

static int numeric_pairs(struct cell *c, const struct work *w, const struct sides *s)
{
	double *d = calloc(s->n_a + 1, sizeof(*d));
	struct boot_means boot;
	struct signed_rank rank;
	int status = -ENOMEM;

	if (!d)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_a; i++)
		d[i] = s->b[i] - s->a[i];
	status = rounding_settle_sizes(d, s->n_a, s->rounding);
	struct moments m = settled(d, s->n_a, s->rounding);
	if (status == 0)
		status = ranktest_signed(d, s->n_a, &rank);
	if (status == 0)
		status = boot_pairs(s->a, s->b, s->n_a, &w->boot, &boot);
	free(d);
	if (status != 0)
		return status;
	struct moments a = settled(s->a, s->n_a, s->rounding), b = settled(s->b, s->n_b, s->rounding);
	struct effect e = means_effect_paired(&m, w->options->confidence);
	c->interval = boot.difference;
	c->relative_interval = boot.relative;
	c->interval_by = "paired bootstrap BCa";
	c->t = means_paired(&m, w->options->confidence);
	c->test = rank.exact ? "Wilcoxon signed-rank, exact" : "Wilcoxon signed-rank, normal";
	c->p = s->n_a > 0 ? rank.p : NAN;
	c->effect_name = "Hedges' g of the differences";
	c->effect = e.g;
	c->effect_interval = e.interval;
	c->standard = means_effect_two(&a, &b, w->options->confidence).g;
	c->standard_name = "Hedges' g";
	c->order_name = "rank-biserial correlation";
	c->order = rank.correlation;
	plan(c, w, sqrt(m.variance), (double)m.n, 1);
	c->alike = m.variance == 0;
	settle_intervals(c, s->rounding);
	c->verdict = m.n > 0 && rank.n == 0 ? VERDICT_EQUAL : VERDICT_UNSEEN;
	return 0;
}

static int numeric_two(struct cell *c, const struct work *w, const struct sides *s)
{
	double confidence = w->options->confidence;
	struct boot_means boot;
	struct rank_sum rank;

	if (s->n_a == 0 || s->n_b == 0)
		return 0;
	int status = ranktest_two(s->a, s->n_a, s->b, s->n_b, confidence, &rank);
	if (status == 0)
		status = boot_two(s->a, s->n_a, s->b, s->n_b, &w->boot, &boot);
	if (status != 0)
		return status;
	struct moments a = settled(s->a, s->n_a, s->rounding), b = settled(s->b, s->n_b, s->rounding);
	struct effect e = means_effect_two(&a, &b, confidence);
	c->interval = boot.difference;
	c->relative_interval = boot.relative;
	c->interval_by = "bootstrap BCa";
	c->t = means_welch(&a, &b, confidence);
	c->test = rank.exact ? "Mann-Whitney U, exact" : "Mann-Whitney U, normal";
	c->p = rank.p;
	c->effect_name = c->standard_name = "Hedges' g";
	c->effect = c->standard = e.g;
	c->effect_interval = e.interval;
	c->order_name = "Cliff's delta";
	c->order = rank.delta;
	c->order_interval = rank.delta_interval;
	plan_two(c, w, a.variance, b.variance);
	c->alike = a.variance == 0 && b.variance == 0;
	settle_intervals(c, s->rounding);
	c->verdict = c->alike && c->difference == 0 ? VERDICT_EQUAL : VERDICT_UNSEEN;
	return 0;
}

/* An interval of proportions' difference over the baseline's proportion, taken as known. */
static struct interval over(struct interval i, double base)
{
	return base > 0 ? (struct interval){i.low / base, i.high / base} : (struct interval){NAN, NAN};
}

static int binary_pairs_of(struct cell *c, const struct work *w, const struct sides *s)
{
	double confidence = w->options->confidence;
	struct binary_pairs p = {0};

	for (size_t i = 0; i < s->n_a; i++) {
		bool first = s->a[i] != 0, second = s->b[i] != 0;
		p.both += first && second;
		p.first += first && !second;
		p.second += !first && second;
		p.none += !first && !second;
	}
	if (s->n_a == 0)
		return 0;
	c->interval = binary_paired_interval(&p, confidence);
	c->relative_interval = over(c->interval, c->mean_base);
	c->interval_by = "Bonett-Price";
	c->test = "McNemar, exact";
	c->p = binary_mcnemar(&p);
	c->effect_name = "Cohen's g";
	c->effect = binary_paired_effect(&p, confidence, &c->effect_interval, &c->order);
	c->order_name = "odds ratio";
	struct binary_groups g = {s->n_a, p.both + p.first, s->n_b, p.both + p.second};
	struct interval unused;
	double unused_odds;
	c->standard = binary_groups_effect(&g, confidence, &unused, &unused_odds);
	c->standard_name = "Cohen's h";
	double n = (double)s->n_a + 2, up = ((double)p.second + 1) / n, down = ((double)p.first + 1) / n;
	plan(c, w, sqrt(up + down - (up - down) * (up - down)), (double)s->n_a, 1);
	c->verdict = p.first + p.second == 0 ? VERDICT_EQUAL : VERDICT_UNSEEN;
	return 0;
}

static uint64_t ones(const double *values, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += values[i] != 0;
	return sum;
}

/* Of a proportion, as if one more of each kind had been seen: 0 of 5 is no proof of 0. */
static double variance_of(uint64_t hits, size_t n)
{
	double p = ((double)hits + 1) / ((double)n + 2);

	return p * (1 - p);
}

static int binary_two(struct cell *c, const struct work *w, const struct sides *s)
{
	double confidence = w->options->confidence;
	struct binary_groups g = {s->n_a, ones(s->a, s->n_a), s->n_b, ones(s->b, s->n_b)};

	c->interval = binary_groups_interval(&g, confidence);
	c->relative_interval = over(c->interval, c->mean_base);
	c->interval_by = "Newcombe";
	c->test = "Fisher, exact";
	c->p = binary_fisher(&g);
	c->effect_name = c->standard_name = "Cohen's h";
	c->effect = c->standard = binary_groups_effect(&g, confidence, &c->effect_interval, &c->order);
	c->order_name = "odds ratio";
	plan_two(c, w, variance_of(g.ones_a, s->n_a), variance_of(g.ones_b, s->n_b));
	return 0;
}

/* ---- effects in words -------------------------------------------------- */

/* Cohen's (1988) limits of small, medium and large, which are the same for g and h. */
static const char *size_word(double effect)
{
	double size = fabs(effect);

	if (isnan(size))
		return NULL;
	return size < 0.2 ? "negligible" : size < 0.5 ? "small" : size < 0.8 ? "medium" : "large";
}

/* ---- one cell --------------------------------------------------------- */

/* The same metric and group draw the same numbers, whatever else is compared beside them: FNV-1a. */
static uint64_t stream_of(const char *metric, const char *group)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *s = metric; *s; s++)
		hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	hash *= UINT64_C(0x100000001b3);
	for (const char *s = group; *s; s++)
		hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return hash;
}

static struct cell empty_cell(size_t metric, size_t group)
{
	struct interval none = {NAN, NAN};

	return (struct cell){.metric = metric,
			     .group = group,
			     .mean_base = NAN,
			     .mean = NAN,
			     .difference = NAN,
			     .relative = NAN,
			     .interval = none,
			     .relative_interval = none,
			     .effect = NAN,
			     .effect_interval = none,
			     .standard = NAN,
			     .order = NAN,
			     .order_interval = none,
			     .p = NAN,
			     .q = NAN,
			     .t = {NAN, NAN, NAN, NAN, none},
			     .detectable = NAN,
			     .needed = NAN,
			     .verdict = VERDICT_UNSEEN};
}

/* The tests count orders or signs, of which few values have few: five pairs cannot come below 0.0625. */
static double least_p(const struct cell *c)
{
	double a = (double)c->n_base, b = (double)c->n;

	if (c->paired)
		return exp2(1 - b);
	return 2 * exp(lgamma(a + 1) + lgamma(b + 1) - lgamma(a + b + 1));
}

static int compute(struct cell *c, const struct values *v, struct work *w)
{
	static int (*const kinds[2][2])(struct cell *, const struct work *, const struct sides *) = {
		{numeric_two, numeric_pairs}, {binary_two, binary_pairs_of}};
	struct amount detect = {.size = NAN};
	struct sides s = {0};

	int status = sides_take(&s, v, c);
	if (status == 0) {
		c->mean_base = sample_moments(s.a, s.n_a).mean;
		c->mean = sample_moments(s.b, s.n_b).mean;
		c->difference = c->mean - c->mean_base;
		if (fabs(c->difference) <= s.rounding)
			c->difference = 0;
		c->relative = c->mean_base != 0 ? c->difference / fabs(c->mean_base) : NAN;
		if (w->options->detect && amount_read(w->options->detect, &detect) < 0)
			detect.size = NAN;
		if (detect.points && !c->points)
			detect.size = NAN;
		w->detect_absolute = fabs(detect.percent ? detect.size * c->mean_base : detect.size);
		w->boot.stream = stream_of(v->metrics[c->metric]->name, v->groups[c->group].label);
		status = kinds[c->binary][c->paired](c, w, &s);
		c->size = size_word(c->standard);
		c->least_p = least_p(c);
	}
	sides_done(&s);
	return status;
}

/* ---- all of them ------------------------------------------------------ */

/* Whether the ranks lean the other way than the mean does, as they do where a few large values make the mean.
 */
bool cell_leans_apart(const struct cell *c)
{
	return !c->binary && c->order * c->difference < 0;
}

const struct noise *cell_noise(const struct values *v, const struct cell *c)
{
	return &v->noise[c->metric * v->n_groups + c->group];
}

static enum verdict judge(const struct cells *cells, const struct cell *c)
{
	double alpha = 1 - cells->options->confidence;
	const struct noise *noise = cell_noise(cells->values, c);

	if (c->verdict == VERDICT_EQUAL && (c->paired || c->least_p <= alpha))
		return VERDICT_EQUAL;
	if (isnan(c->q) || isnan(c->interval.low) || c->least_p > alpha)
		return VERDICT_TOO_FEW;
	bool test = c->q <= alpha, interval = c->interval.low > 0 || c->interval.high < 0;
	if (!test || !interval || cell_leans_apart(c))
		return test || interval ? VERDICT_UNSURE : VERDICT_UNSEEN;
	return noise->repeats > 0 && fabs(c->difference) <= noise->difference ? VERDICT_NOISE
									      : VERDICT_DIFFERENT;
}

/* The adjusted p values and what follows from them. 0, or -ENOMEM. */
static int judge_all(struct cells *c)
{
	double *p = calloc(c->n + 1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		p[i] = c->list[i].p;
	int status = fdr_adjust(p, c->n, p);
	for (size_t i = 0; i < c->n && status == 0; i++) {
		c->list[i].q = p[i];
		c->list[i].verdict = judge(c, &c->list[i]);
	}
	free(p);
	return status;
}

static int compute_all(struct cells *c, const struct values *v, struct work *w)
{
	struct progress progress = {0};
	char what[200];
	int status = 0;

	progress_begin(&progress, -1);
	for (size_t m = 0; m < v->n_metrics && status == 0; m++)
		for (size_t g = 0; g < v->n_groups && status == 0; g++) {
			if (g == v->baseline)
				continue;
			snprintf(what, sizeof(what), "%zu of %zu compared", c->n,
				 v->n_metrics * (v->n_groups - 1));
			progress_say(&progress, what);
			c->list[c->n] = empty_cell(m, g);
			status = compute(&c->list[c->n], v, w);
			c->n += status == 0;
		}
	progress_hide(&progress);
	return status;
}

int cells_compute(struct cells *c, const struct ctl *ctl, const struct values *v)
{
	const struct compare_options *o = ctl->own;
	struct work w = {.options = o};

	w.boot = (struct boot_options){.seed = (uint64_t)o->seed,
				       .resamples = (size_t)o->resamples,
				       .confidence = o->confidence,
				       .stop = ctl_stop_flag()};
	*c = (struct cells){.values = v, .options = o};
	c->list = calloc(v->n_metrics * v->n_groups, sizeof(*c->list));
	int status = c->list ? compute_all(c, v, &w) : -ENOMEM;
	if (status == 0)
		status = judge_all(c);
	if (status == -EINTR)
		return CTL_INTERRUPTED;
	return status < 0 ? ctl_no_memory(ctl) : CTL_OK;
}

void cells_done(struct cells *c)
{
	free(c->list);
}
