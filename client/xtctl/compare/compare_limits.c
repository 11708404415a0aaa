/* What --fail-on comes to, in sentences. */
#include <math.h>
#include <stdlib.h>

#include "compare.h"

#define MEASURE_BYTES 64 /* of a difference in a rule's unit */
#define MOST_READINGS 5	 /* of a rule that are told */

/* A difference in a rule's unit. */
static const char *rule_words(char ret[MEASURE_BYTES], const struct rule *rule, const struct cell *c)
{
	if (rule->limit.percent)
		snprintf(ret, MEASURE_BYTES, "%+.3g %%", 100 * c->relative);
	else if (rule->limit.points)
		snprintf(ret, MEASURE_BYTES, "%+.3g points", 100 * c->difference);
	else
		snprintf(ret, MEASURE_BYTES, "%+.4g", c->difference);
	return ret;
}

void say_readings(const struct cells *c, const struct rule *rules, struct sentences *s)
{
	for (const struct rule *rule = rules; rule->text; rule++)
		for (size_t i = 0, told = 0; i < c->n && told < MOST_READINGS && rule->limit.percent; i++) {
			const struct cell *cell = &c->list[i];
			char size[MEASURE_BYTES];
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

/* Why a limit that is passed is not broken. */
static const char *why_kept(const struct cell *c)
{
	switch (c->verdict) {
	case VERDICT_NOISE:
		return "repeated runs of one configuration differ as much";
	case VERDICT_UNSEEN:
		return "neither test nor interval sees a difference";
	case VERDICT_UNSURE:
		return "the difference is not sure";
	case VERDICT_EQUAL:
	case VERDICT_DIFFERENT:
	case VERDICT_TOO_FEW:
		break;
	}
	return "not all of its interval passes it";
}

void say_passed(const struct cells *c, const struct rule *rules, struct sentences *s)
{
	for (const struct rule *rule = rules; rule->text; rule++)
		for (size_t i = 0; i < c->n; i++) {
			const struct cell *cell = &c->list[i];
			char size[MEASURE_BYTES];
			if (cell->metric != rule->metric || !rule_is_passed(rule, cell) ||
			    rule_judge(rule, cell, c->options) != RULE_KEPT)
				continue;
			sentence_add(s,
				     "%s of '%s' passes the limit '%s' (%s), not judged: %s; --fail-when "
				     "measured judges it",
				     c->values->metrics[cell->metric]->name,
				     c->values->groups[cell->group].shown, rule->text,
				     rule_words(size, rule, cell), why_kept(cell));
		}
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
			char size[MEASURE_BYTES];
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
