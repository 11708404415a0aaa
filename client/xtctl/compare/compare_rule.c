#include "compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int amount_read(const char *text, struct amount *ret)
{
	char *end;
	double size = strtod(text, &end);

	if (end == text || !isfinite(size))
		return -1;
	end += strspn(end, " ");
	bool percent = *end == '%';
	bool points = strcmp(end, "pt") == 0;
	if (!points && end[percent] != '\0')
		return -1;
	*ret = (struct amount){percent || points ? size / 100 : size, percent, points};
	return 0;
}

/* The metric of a rule's first n bytes; n_metrics: none. */
static size_t find_metric(const struct values *v, const char *name, size_t n)
{
	size_t m = 0;

	while (m < v->n_metrics &&
	       (strlen(v->metrics[m]->name) != n || strncasecmp(v->metrics[m]->name, name, n) != 0))
		m++;
	return m;
}

/* The sign stands behind the metric's name, in which there may be one too: so the last one counts. */
static int rule_read(const struct ctl *ctl, const struct values *v, const char *text, struct rule *ret)
{
	const char *above = strrchr(text, '>'), *below = strrchr(text, '<');
	const char *sign = above > below ? above : below;

	if (!sign)
		return ctl_usage(ctl,
				 "--fail-on '%s' has neither > nor <; one is 'latency>+5%%' or "
				 "'accuracy<-0.01': put it in "
				 "quotes, or the shell takes > and < for files",
				 text);
	size_t n = (size_t)(sign - text);
	while (n > 0 && text[n - 1] == ' ')
		n--;
	*ret = (struct rule){.text = text, .metric = find_metric(v, text, n), .above = *sign == '>'};
	if (ret->metric == v->n_metrics)
		return ctl_usage(ctl, "--fail-on '%s' is about '%.*s', which --metric does not name", text,
				 (int)n, text);
	if (amount_read(sign + 1, &ret->limit) < 0)
		return ctl_usage(ctl, "--fail-on '%s': '%s' is no amount; one is +5%% or -0.01", text,
				 sign + 1);
	if (ret->limit.points && !metric_in_points(v, ret->metric))
		return ctl_usage(
			ctl, "--fail-on '%s': points (pt) are of metrics that are 0 or 1, which '%s' is not",
			text, v->metrics[ret->metric]->name);
	return CTL_OK;
}

int rules_read(const struct ctl *ctl, const struct values *v, struct rule **ret)
{
	const struct option_list *list = &((const struct compare_options *)ctl->own)->fail_on;
	struct rule *rules = calloc(list->n + 1, sizeof(*rules));
	int status = CTL_OK;

	if (!rules)
		return ctl_no_memory(ctl);
	for (size_t i = 0; i < list->n && status == CTL_OK; i++)
		status = rule_read(ctl, v, list->items[i], &rules[i]);
	if (status == CTL_OK)
		*ret = rules;
	else
		free(rules);
	return status;
}

static bool is_beyond(const struct rule *rule, double value)
{
	return rule->above ? value > rule->limit.size : value < rule->limit.size;
}

static double value_of(const struct rule *rule, const struct cell *cell)
{
	return rule->limit.percent ? cell->relative : cell->difference;
}

bool rule_is_passed(const struct rule *rule, const struct cell *cell)
{
	return is_beyond(rule, value_of(rule, cell));
}

static enum ruling judge(const struct rule *rule, const struct cell *cell, const struct compare_options *o)
{
	double value = value_of(rule, cell);
	struct interval i = rule->limit.percent ? cell->relative_interval : cell->interval;
	bool measured = strcmp(o->fail_when, "measured") == 0, proven = strcmp(o->fail_when, "proven") == 0;

	if (isnan(value) || (cell->verdict == VERDICT_TOO_FEW && !measured))
		return RULE_UNKNOWN;
	if (proven && isnan(i.low) && cell->verdict != VERDICT_EQUAL)
		return RULE_UNKNOWN;
	if (!rule_is_passed(rule, cell))
		return RULE_KEPT;
	if (measured)
		return RULE_BROKEN;
	if (cell->verdict != VERDICT_DIFFERENT && cell->verdict != VERDICT_EQUAL)
		return RULE_KEPT;
	if (proven && !(is_beyond(rule, i.low) && is_beyond(rule, i.high)))
		return RULE_KEPT;
	return RULE_BROKEN;
}

/* Where failures took more inputs from one side, those left are no proof that nothing got worse; that
 * something did is told all the same. */
enum ruling rule_judge(const struct rule *rule, const struct cell *cell, const struct compare_options *o)
{
	enum ruling ruling = judge(rule, cell, o);

	return ruling == RULE_KEPT && cell->uneven && !o->despite_failures ? RULE_UNKNOWN : ruling;
}
