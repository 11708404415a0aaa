#include "compare_words.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

static void add(struct sentences *s, const char *fmt, va_list ap)
{
	char **more = reallocarray(s->list, s->n + 1, sizeof(*more));

	if (!more) {
		s->failed = true;
		return;
	}
	s->list = more;
	if (vasprintf(&s->list[s->n], fmt, ap) < 0)
		s->list[s->n] = NULL;
	s->failed = s->failed || !s->list[s->n];
	s->n += s->list[s->n] != NULL;
}

void sentence_add(struct sentences *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(s, fmt, ap);
	va_end(ap);
}

void sentence_add_once(struct sentences *s, const char *fmt, ...)
{
	va_list ap;
	size_t n = s->n;

	va_start(ap, fmt);
	add(s, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < n && s->n > n; i++)
		if (strcmp(s->list[i], s->list[n]) == 0)
			free(s->list[--s->n]);
}

void sentences_done(struct sentences *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->list[i]);
	free(s->list);
}

/* ---- numbers in words -------------------------------------------------- */

const char *short_number(char ret[WORDS_BYTES], double d)
{
	snprintf(ret, WORDS_BYTES, fabs(d) >= 10 && fabs(d) < 1e6 ? "%.0f" : "%.2g", d);
	return ret;
}

const char *size_words(char ret[WORDS_BYTES], const struct cell *c, double difference)
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
	const struct noise *noise = cell_noise(v, cell);
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
			     "%s (%s), but repeated runs of one configuration differ as much: up to %s (%zu "
			     "repeat%s)",
			     change, p, size_words(floor, cell, noise->difference), noise->repeats,
			     noise->repeats == 1 ? "" : "s");
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

bool cell_tells_lost(const struct cell *c)
{
	return c->uneven && c->verdict != VERDICT_TOO_FEW;
}

/* Nothing is said of a comparison whose sides lost unlike parts of their rows without saying that, too. */
char *say_verdict(const struct cells *c, const struct cell *cell)
{
	const struct values *v = c->values;
	const struct group *base = &v->groups[v->baseline], *group = &v->groups[cell->group];
	char *what = say_what(c, cell), *text;

	if (!what || !cell_tells_lost(cell))
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
