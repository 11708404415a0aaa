/* What must be known beside the numbers, and that no verdict says. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare_words.h"

static void note_baseline(const struct cells *c, struct sentences *s)
{
	const struct values *v = c->values;

	if (!c->options->baseline)
		sentence_add(s,
			     "the baseline is the '%s' that was logged first, '%s'; --baseline names another",
			     v->by->name, v->groups[v->baseline].shown);
}

/* Whether verdicts tell of all rows without a number. */
static bool all_told(const struct cells *c, size_t metric)
{
	const struct values *v = c->values;
	bool base = false;

	for (size_t i = 0; i < c->n; i++) {
		const struct cell *cell = &c->list[i];
		if (cell->metric != metric)
			continue;
		if (!cell_tells_lost(cell) && v->groups[cell->group].series[metric].missing)
			return false;
		base = base || cell_tells_lost(cell);
	}
	return base || !v->groups[v->baseline].series[metric].missing;
}

/* What was left out of a metric, over all groups. */
static void note_left_out(const struct cells *c, size_t metric, struct sentences *s)
{
	const struct values *v = c->values;
	struct series all = {0};

	for (size_t g = 0; g < v->n_groups; g++) {
		const struct series *one = &v->groups[g].series[metric];
		all.missing += one->missing;
		all.infinite += one->infinite;
		all.odd += one->odd;
		all.folded += one->folded;
	}
	const char *name = v->metrics[metric]->name;
	if (all.missing && !all_told(c, metric))
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

/* Where one side lost clearly more of its rows than the other: how many, unless the verdict says so, and what
 * is compared. */
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
		const char *name = v->metrics[cell->metric]->name;
		char why[64] = "", what[WORDS_BYTES + 64];
		if (!cell->uneven)
			continue;
		if (failed)
			snprintf(why, sizeof(why), "; %" PRIu64 " row%s failed: 'xtctl errors' tells why",
				 failed, failed == 1 ? "" : "s");
		snprintf(what, sizeof(what), cell->paired ? "inputs that both have" : "rows with %.64s",
			 name);
		if (!cell_tells_lost(cell))
			sentence_add(s,
				     "%s of '%s' %s in %" PRIu64 " of %" PRIu64
				     " rows, in the baseline in %" PRIu64 " of %" PRIu64,
				     name, group->shown, suspect ? "failed or is missing" : "is missing",
				     series_lost(mine), group->rows, series_lost(its), base->rows);
		sentence_add_once(s, "of '%s' only %s are compared%s%s", group->shown, what,
				  suspect ? ", failed ones too" : "", why);
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

/* Rows that the verdict has told of, and whose inputs so have no partner. */
static uint64_t told_lost(const struct values *v, const struct cell *c)
{
	const struct series *mine = &v->groups[c->group].series[c->metric],
			    *its = &v->groups[v->baseline].series[c->metric];

	if (!cell_tells_lost(c) || mine->folded || its->folded)
		return 0; /* of several rows of an input one may be lost, and the input not */
	return series_lacking(mine) + series_lacking(its);
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
		if (cell->paired && cell->alone + cell->alone_base > told_lost(v, cell))
			sentence_add(
				s,
				"%s of '%s': %zu of its values and %zu of the baseline's have no partner and "
				"are left out",
				v->metrics[cell->metric]->name, v->groups[cell->group].shown, cell->alone,
				cell->alone_base);
	}
}

/* The comparisons of one metric, by what their repeats show. */
struct floors {
	const struct cell *least, *most; /* of those that have some and do not say so in their verdict */
	const struct cell *lacking;	 /* one that has none */
	size_t n, n_lacking;
};

static struct floors floors_of(const struct cells *c, size_t from, size_t to)
{
	const struct values *v = c->values;
	struct floors f = {0};

	for (size_t i = from; i < to; i++) {
		const struct cell *cell = &c->list[i];
		double floor = cell_noise(v, cell)->difference;
		if (isnan(floor)) {
			f.lacking = cell;
			f.n_lacking++;
			continue;
		}
		if (cell->verdict == VERDICT_NOISE)
			continue;
		if (!f.least || floor < cell_noise(v, f.least)->difference)
			f.least = cell;
		if (!f.most || floor > cell_noise(v, f.most)->difference)
			f.most = cell;
		f.n++;
	}
	return f;
}

/* "12 % ('large', 3 repeats)"; without the name where it holds for all. */
static char *say_floor(const struct values *v, const struct cell *c, bool named)
{
	const struct noise *noise = cell_noise(v, c);
	char size[WORDS_BYTES], *text;

	int n = asprintf(&text, "%s (%s%s%s%zu repeat%s)", size_words(size, c, noise->difference),
			 named ? "'" : "", named ? v->groups[c->group].shown : "", named ? "', " : "",
			 noise->repeats, noise->repeats == 1 ? "" : "s");
	return n < 0 ? NULL : text;
}

static void add_floors(const struct values *v, const struct floors *f, struct sentences *s)
{
	bool alike = cell_noise(v, f->least)->difference == cell_noise(v, f->most)->difference;
	char *least = say_floor(v, f->least, !alike || f->n_lacking > 0),
	     *most = alike ? strdup("") : say_floor(v, f->most, true), *rest = NULL;

	if (f->n_lacking == 0)
		rest = strdup("");
	else if (f->n_lacking > 1 && asprintf(&rest,
					      "; the baseline and %zu groups have none, and are not held "
					      "against it",
					      f->n_lacking) < 0)
		rest = NULL;
	else if (f->n_lacking == 1 &&
		 asprintf(&rest, "; the baseline and '%s' have none, and are not held against it",
			  v->groups[f->lacking->group].shown) < 0)
		rest = NULL;
	if (least && most && rest)
		sentence_add(s,
			     "noise floor of %s: repeated runs of one configuration differ by up to %s%s%s%s",
			     v->metrics[f->least->metric]->name, least, *most ? ", and " : "", most, rest);
	else
		s->failed = true;
	free(least);
	free(most);
	free(rest);
}

/* One sentence a metric: what the verdicts do not tell already. */
static void note_noise(const struct cells *c, struct sentences *s)
{
	for (size_t from = 0, to; from < c->n; from = to) {
		for (to = from + 1; to < c->n && c->list[to].metric == c->list[from].metric; to++)
			;
		struct floors f = floors_of(c, from, to);
		if (f.n > 0)
			add_floors(c->values, &f, s);
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
		note_left_out(c, m, s);
	note_pairs(c, s);
	note_noise(c, s);
	note_detect(c, s);
}
