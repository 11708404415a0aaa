#include "compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

void sentence_add(struct sentences *s, const char *fmt, ...)
{
	char **more = reallocarray(s->list, s->n + 1, sizeof(*more));
	va_list ap;

	if (!more) {
		s->failed = true;
		return;
	}
	s->list = more;
	va_start(ap, fmt);
	if (vasprintf(&s->list[s->n], fmt, ap) < 0)
		s->list[s->n] = NULL;
	va_end(ap);
	s->failed = s->failed || !s->list[s->n];
	s->n += s->list[s->n] != NULL;
}

void sentences_done(struct sentences *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->list[i]);
	free(s->list);
}

/* ---- numbers in words -------------------------------------------------- */

#define WORDS_BYTES 64

/* Two significant digits, and whole ones from ten on: what a sentence needs. */
static const char *short_number(char ret[WORDS_BYTES], double d)
{
	snprintf(ret, WORDS_BYTES, fabs(d) >= 10 && fabs(d) < 1e6 ? "%.0f" : "%.2g", d);
	return ret;
}

/* A difference's size: "12 %" of the baseline, "3.1 points" of a proportion, or "0.12" where there is nothing
 * to take a part of. */
static const char *size_words(char ret[WORDS_BYTES], const struct cell *c, double difference)
{
	char number[WORDS_BYTES];
	double part = difference / fabs(c->mean_base);

	if (c->points)
		snprintf(ret, WORDS_BYTES, "%.40s points", short_number(number, fabs(difference) * 100));
	else if (isfinite(c->relative) && isfinite(part))
		snprintf(ret, WORDS_BYTES, "%.40s %%", short_number(number, fabs(part) * 100));
	else
		short_number(ret, fabs(difference));
	return ret;
}

static const char *p_words(char ret[WORDS_BYTES], double p)
{
	char number[WORDS_BYTES];

	if (p < 0.0001)
		snprintf(ret, WORDS_BYTES, "p < 0.0001");
	else
		snprintf(ret, WORDS_BYTES, "p %.40s", short_number(number, p));
	return ret;
}

/* Whether a part of the name, between underscores, is one of these words. */
static bool is_time(const char *name)
{
	static const char *const words[] = {"time",    "latency", "duration", "seconds", "sec",
					    "elapsed", "runtime", "ms",	      "us",	 "ns"};
	bool time = false;

	for (const char *at = name; *at;) {
		size_t n = strcspn(at, "_");
		if (strncasecmp(at, "per", n) == 0 && n == 3)
			return false; /* tokens_per_sec */
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			time = time || (strlen(words[i]) == n && strncasecmp(at, words[i], n) == 0);
		at += n + (at[n] != '\0');
	}
	return time;
}

static const char *direction(const char *metric, double difference)
{
	if (is_time(metric))
		return difference > 0 ? "slower" : "faster";
	return difference > 0 ? "higher" : "lower";
}

/* ---- verdicts --------------------------------------------------------- */

static char *say_too_few(const struct cell *c)
{
	char *text;
	int n;

	if (c->paired && c->n == 0)
		return strdup("nothing to compare: no input in common with the baseline");
	if (c->paired)
		n = asprintf(&text, "too few pairs for any difference to show (%zu)", c->n);
	else if (c->n == 0 || c->n_base == 0)
		n = asprintf(&text, "nothing to compare: %s has no value", c->n == 0 ? "it" : "the baseline");
	else
		n = asprintf(&text,
			     "too few values for any difference to show (%zu beside the baseline's %zu)",
			     c->n, c->n_base);
	return n < 0 ? NULL : text;
}

static char *say_unseen(const struct cell *c)
{
	char size[WORDS_BYTES], *text;
	int n;

	if (c->paired)
		n = asprintf(&text, "no difference seen; with %zu pairs only differences over %s would show",
			     c->n, size_words(size, c, c->detectable));
	else
		n = asprintf(&text,
			     "no difference seen; with n = %zu and %zu only differences over %s would show",
			     c->n_base, c->n, size_words(size, c, c->detectable));
	return n < 0 ? NULL : text;
}

static char *say_unsure(const struct cells *cells, const struct cell *c, const char *change, const char *p)
{
	bool test = c->q <= 1 - cells->options->confidence;
	char *text;
	int n;

	if (test && cell_leans_apart(c))
		n = asprintf(&text, "%s on average, yet %s %s (%s)", change,
			     c->paired ? "most pairs are" : "most values are",
			     direction(cells->values->metrics[c->metric]->name, c->order), p);
	else
		n = asprintf(&text, "%s, not sure: %s (%s), %s", change,
			     test ? "the test sees a difference" : "the test sees no difference", p,
			     test ? "but the interval has 0 in it" : "though the interval has no 0 in it");

	return n < 0 ? NULL : text;
}

static char *say_what(const struct cells *c, const struct cell *cell)
{
	const struct values *v = c->values;
	const struct noise *noise = &v->noise[cell->metric];
	char size[WORDS_BYTES], floor[WORDS_BYTES], p[WORDS_BYTES], change[2 * WORDS_BYTES], *text = NULL;
	int n = -1;

	snprintf(change, sizeof(change), "%s %s", size_words(size, cell, cell->difference),
		 direction(v->metrics[cell->metric]->name, cell->difference));
	p_words(p, cell->q);
	switch (cell->verdict) {
	case VERDICT_TOO_FEW:
		return say_too_few(cell);
	case VERDICT_EQUAL:
		if (cell->paired)
			n = asprintf(&text, "no difference: all %zu pairs are equal", cell->n);
		else
			n = asprintf(&text, "no difference: all values are the same");
		break;
	case VERDICT_UNSEEN:
		return say_unseen(cell);
	case VERDICT_UNSURE:
		return say_unsure(c, cell, change, p);
	case VERDICT_NOISE:
		n = asprintf(&text,
			     "%s (%s), but repeated runs of one configuration differ as much: up to %s",
			     change, p, size_words(floor, cell, noise->difference));
		break;
	case VERDICT_DIFFERENT:
		n = asprintf(&text, "%s, sure (%s)%s%s%s%s", change, p,
			     !cell->alike   ? ""
			     : cell->paired ? ", the same in all pairs"
					    : ", each side's values being all the same",
			     cell->size ? "; " : "", cell->size ? cell->size : "",
			     cell->size ? " effect" : "");
		break;
	}
	return n < 0 ? NULL : text;
}

/* Nothing is said of a comparison whose sides lost unlike parts of their rows without saying that, too. */
char *say_verdict(const struct cells *c, const struct cell *cell)
{
	const struct values *v = c->values;
	const struct group *base = &v->groups[v->baseline], *group = &v->groups[cell->group];
	char *what = say_what(c, cell), *text;

	if (!what || !cell->uneven || cell->verdict == VERDICT_TOO_FEW)
		return what;
	const struct series *mine = &group->series[cell->metric], *its = &base->series[cell->metric];
	int n = asprintf(&text,
			 "%s; but it %shas no %s in %" PRIu64 " of %" PRIu64 " rows, the baseline in %" PRIu64
			 " of %" PRIu64,
			 what, mine->suspect + its->suspect ? "failed or " : "",
			 v->metrics[cell->metric]->name, series_lost(mine), group->rows, series_lost(its),
			 base->rows);
	free(what);
	return n < 0 ? NULL : text;
}

/* ---- notes ------------------------------------------------------------ */

static void note_baseline(const struct cells *c, struct sentences *s)
{
	const struct values *v = c->values;

	if (!c->options->baseline)
		sentence_add(s,
			     "the baseline is the '%s' that was logged first, '%s'; --baseline names another",
			     v->by->name, v->groups[v->baseline].shown);
}

/* What was left out of a metric, over all groups. */
static void note_left_out(const struct values *v, size_t metric, struct sentences *s)
{
	struct series all = {0};

	for (size_t g = 0; g < v->n_groups; g++) {
		const struct series *one = &v->groups[g].series[metric];
		all.missing += one->missing;
		all.infinite += one->infinite;
		all.odd += one->odd;
		all.folded += one->folded;
	}
	const char *name = v->metrics[metric]->name;
	if (all.missing)
		sentence_add(s, "%" PRIu64 " row%s without %s (NULL or NaN) left out", all.missing,
			     all.missing == 1 ? "" : "s", name);
	if (all.infinite)
		sentence_add(s, "%" PRIu64 " infinite value%s of %s left out", all.infinite,
			     all.infinite == 1 ? "" : "s", name);
	if (all.odd)
		sentence_add(s, "%" PRIu64 " value%s of %s that %s no number left out", all.odd,
			     all.odd == 1 ? "" : "s", name, all.odd == 1 ? "is" : "are");
	if (all.folded && v->pair)
		sentence_add(s, "%s: %" PRIu64 " times several rows of one '%s' and '%s' are averaged%s%s%s",
			     name, all.folded, v->by->name, v->pair->name,
			     v->settings ? "; they differ in " : "", v->settings ? v->settings : "",
			     v->settings ? ": --where or --by separates them" : "");
}

/* Where one side lost clearly more of its rows than the other. */
static void note_uneven(const struct cells *c, struct sentences *s)
{
	const struct values *v = c->values;
	const struct group *base = &v->groups[v->baseline];

	for (size_t i = 0; i < c->n; i++) {
		const struct cell *cell = &c->list[i];
		const struct group *group = &v->groups[cell->group];
		const struct series *mine = &group->series[cell->metric], *its = &base->series[cell->metric];
		uint64_t suspect = mine->suspect + its->suspect,
			 failed = mine->failed + its->failed + suspect;
		char why[64] = "";
		if (!cell->uneven)
			continue;
		if (failed)
			snprintf(why, sizeof(why), "; %" PRIu64 " of them failed", failed);
		sentence_add(s,
			     "%s: %" PRIu64 " of %" PRIu64 " rows %shave no %s, %s: %" PRIu64 " of %" PRIu64
			     "%s; compared are only %s%s%s",
			     group->shown, series_lost(mine), group->rows, suspect ? "failed or " : "",
			     v->metrics[cell->metric]->name, base->shown, series_lost(its), base->rows, why,
			     cell->paired ? "the inputs that both have" : "the rows that have one",
			     suspect ? ", failed ones too" : "", failed ? "; 'xtctl errors' tells why" : "");
	}
}

static void note_nameless(const struct values *v, struct sentences *s)
{
	if (v->nameless)
		sentence_add(s, "%" PRIu64 " row%s without '%s' left out", v->nameless,
			     v->nameless == 1 ? "" : "s", v->by->name);
}

static void note_copies(const struct values *v, struct sentences *s)
{
	uint64_t copies = 0;

	for (size_t g = 0; g < v->n_groups; g++)
		copies += v->groups[g].copies;
	if (copies)
		sentence_add(s,
			     "%" PRIu64 " row%s from the cache left out, being copies of a measurement; "
			     "--cached counts them",
			     copies, copies == 1 ? "" : "s");
}

/* Which comparisons are not in pairs, though there is a column to pair by. */
static void note_unpaired(const struct cells *c, struct sentences *s)
{
	const struct values *v = c->values;
	size_t unpaired = 0;

	for (size_t i = 0; i < c->n; i++)
		unpaired += !c->list[i].paired;
	if (unpaired == c->n)
		sentence_add(s,
			     "not compared in pairs: the groups have few '%s' in common with the baseline; "
			     "--pair-by insists",
			     v->pair->name);
	for (size_t i = 0; i < c->n && unpaired < c->n; i++)
		if (!c->list[i].paired)
			sentence_add(
				s,
				"%s of '%s' is not compared in pairs, having few '%s' in common with the "
				"baseline; --pair-by insists",
				v->metrics[c->list[i].metric]->name, v->groups[c->list[i].group].shown,
				v->pair->name);
}

static void note_pairs(const struct cells *c, struct sentences *s)
{
	const struct values *v = c->values;

	if (!v->pair && !v->unpaired)
		sentence_add(s, "no column names the input: rows count as independent; log input_id or give "
				"--pair-by COLUMN");
	if (!v->pair || v->unpaired)
		return;
	note_unpaired(c, s);
	for (size_t i = 0; i < c->n; i++) {
		const struct cell *cell = &c->list[i];
		if (cell->paired && (cell->alone || cell->alone_base))
			sentence_add(
				s,
				"%s of '%s': %zu of its values and %zu of the baseline's have no partner and "
				"are left out",
				v->metrics[cell->metric]->name, v->groups[cell->group].shown, cell->alone,
				cell->alone_base);
	}
}

static void note_noise(const struct cells *c, struct sentences *s)
{
	const struct values *v = c->values;

	for (size_t i = 0; i < c->n; i++) {
		const struct cell *cell = &c->list[i];
		const struct noise *noise = &v->noise[cell->metric];
		char size[WORDS_BYTES];
		if (noise->repeats == 0 || (i > 0 && cell->metric == c->list[i - 1].metric))
			continue;
		sentence_add(s,
			     "noise floor of %s: repeated runs of one configuration differ by up to %s (%zu "
			     "repeat%s)",
			     v->metrics[cell->metric]->name, size_words(size, cell, noise->difference),
			     noise->repeats, noise->repeats == 1 ? "" : "s");
	}
}

/* How many a comparison has, and would have to have for --detect, if that is more. */
static bool needs_more(const struct cell *c)
{
	double a = (double)c->n_base, b = (double)c->n;

	return c->needed > (c->paired ? b : 2 / (1 / a + 1 / b));
}

/* One sentence a metric: how many values its groups need, from the least to the most. */
static void note_detect(const struct cells *c, struct sentences *s)
{
	for (size_t from = 0, to; from < c->n; from = to) {
		const struct cell *first = &c->list[from];
		double least = INFINITY, most = 0;
		char low[WORDS_BYTES], high[WORDS_BYTES];
		size_t n = 0;
		for (to = from; to < c->n && c->list[to].metric == first->metric; to++) {
			if (!needs_more(&c->list[to]))
				continue;
			least = fmin(least, ceil(c->list[to].needed));
			most = fmax(most, ceil(c->list[to].needed));
			n++;
		}
		if (n == 0)
			continue;
		short_number(low, least);
		short_number(high, most);
		sentence_add(
			s,
			"%s: too few to see a difference of %s in %zu of %zu comparisons; it takes %s%s%s %s",
			c->values->metrics[first->metric]->name, c->options->detect, n, to - from, low,
			most > least ? " to " : "", most > least ? high : "",
			first->paired ? "pairs" : "values a group");
	}
}

void say_notes(const struct cells *c, struct sentences *s)
{
	note_baseline(c, s);
	note_nameless(c->values, s);
	note_copies(c->values, s);
	note_uneven(c, s);
	for (size_t m = 0; m < c->values->n_metrics; m++)
		note_left_out(c->values, m, s);
	note_pairs(c, s);
	note_noise(c, s);
	note_detect(c, s);
}

/* ---- rules ------------------------------------------------------------ */

#define MOST_READINGS 5 /* of a rule that are told */

/* A difference in a rule's unit. */
static const char *rule_words(char ret[WORDS_BYTES], const struct rule *rule, const struct cell *c)
{
	if (rule->limit.percent)
		snprintf(ret, WORDS_BYTES, "%+.3g %%", 100 * c->relative);
	else if (rule->limit.points)
		snprintf(ret, WORDS_BYTES, "%+.3g points", 100 * c->difference);
	else
		snprintf(ret, WORDS_BYTES, "%+.4g", c->difference);
	return ret;
}

void say_readings(const struct cells *c, const struct rule *rules, struct sentences *s)
{
	for (const struct rule *rule = rules; rule->text; rule++)
		for (size_t i = 0, told = 0; i < c->n && told < MOST_READINGS && rule->limit.percent; i++) {
			const struct cell *cell = &c->list[i];
			char size[WORDS_BYTES];
			if (cell->metric != rule->metric || !cell->points || isnan(cell->relative))
				continue;
			told++;
			sentence_add(
				s,
				"--fail-on '%s' is read as a part of the baseline's %.4g, so as %+.3g "
				"points; '%s' is at %+.3g points (%s); 'pt' in place of '%%' means points",
				rule->text, cell->mean_base, 100 * rule->limit.size * fabs(cell->mean_base),
				c->values->groups[cell->group].shown, 100 * cell->difference,
				rule_words(size, rule, cell));
		}
}

/* Whether the verdict's sentence has another unit than the rule. */
static bool is_other_unit(const struct rule *rule, const struct cell *c)
{
	if (c->points)
		return !rule->limit.points;
	return !rule->limit.percent && !isnan(c->relative);
}

/* Why a rule fails, though what it asks is not seen: the share of rows that are missing. */
static bool only_uneven(const struct cell *c)
{
	return c->uneven && c->verdict != VERDICT_TOO_FEW;
}

void say_broken(const struct cells *c, const struct rule *rules, struct sentences *s)
{
	for (const struct rule *rule = rules; rule->text; rule++)
		for (size_t i = 0; i < c->n; i++) {
			const struct cell *cell = &c->list[i];
			if (cell->metric != rule->metric)
				continue;
			enum ruling ruling = rule_judge(rule, cell, c->options);
			char *verdict = ruling == RULE_KEPT ? NULL : say_verdict(c, cell);
			const char *shown = c->values->groups[cell->group].shown;
			bool other_unit = is_other_unit(rule, cell);
			char size[WORDS_BYTES];
			if (ruling == RULE_BROKEN)
				sentence_add(s, "'%s' is broken by '%s': %s%s%s", rule->text, shown,
					     verdict ? verdict : "",
					     other_unit ? "; by the rule's measure " : "",
					     other_unit ? rule_words(size, rule, cell) : "");
			else if (ruling == RULE_UNKNOWN)
				sentence_add(s, "'%s' cannot be judged for '%s': %s%s", rule->text, shown,
					     verdict ? verdict : "",
					     only_uneven(cell) ? "; --despite-failures judges by the rest"
							       : "");
			free(verdict);
		}
}
