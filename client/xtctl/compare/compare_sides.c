#include "compare_sides.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "rounding.h"

#define UNEVEN 0.01 /* of all rows: a share that so few may change is still told, in the notes */

void sides_done(struct sides *s)
{
	free(s->a);
	free(s->b);
}

static int sides_new(struct sides *s, size_t n_a, size_t n_b)
{
	*s = (struct sides){.a = calloc(n_a + 1, sizeof(double)), .b = calloc(n_b + 1, sizeof(double))};
	return s->a && s->b ? 0 : -ENOMEM;
}

/* The pairs of two series, whose shared units come in the same order; into `ret`, or only counted where that
 * is NULL. */
static size_t match(const struct series *a, const struct series *b, struct sides *ret)
{
	size_t pairs = 0, i = 0, j = 0;

	while (i < a->n && j < b->n) {
		uint32_t x = a->units[i], y = b->units[j];
		if (x == NO_UNIT || y == NO_UNIT) { /* stands anywhere */
			i += x == NO_UNIT;
			j += y == NO_UNIT;
			continue;
		}
		if (x == y && ret) {
			ret->a[pairs] = a->values[i];
			ret->b[pairs] = b->values[j];
		}
		pairs += x == y;
		i += x <= y;
		j += y <= x;
	}
	return pairs;
}

/* Where nobody named the column, inputs pair when most of the smaller side's do. */
static bool pairs_up(const struct values *v, size_t pairs, size_t n_a, size_t n_b)
{
	if (!v->pair || v->unpaired || v->pair_named)
		return v->pair && !v->unpaired;
	return pairs >= 2 && pairs >= (n_a < n_b ? n_a : n_b) / 2;
}

/* Which part of a group's rows failed or has no number. */
static double lost_share(const struct group *g, size_t metric)
{
	return g->rows > 0 ? (double)series_lost(&g->series[metric]) / (double)g->rows : 0;
}

static bool is_uneven(const struct values *v, const struct cell *c)
{
	return fabs(lost_share(&v->groups[v->baseline], c->metric) -
		    lost_share(&v->groups[c->group], c->metric)) > UNEVEN;
}

static int settle(struct sides *s, bool paired)
{
	double of_a = 0, of_b = 0;
	int status = paired ? 0 : rounding_settle(s->a, s->n_a, s->b, s->n_b);

	for (size_t i = 0; i < s->n_a && paired; i++)
		if (rounding_same(s->a[i], s->b[i]))
			s->b[i] = s->a[i];
	if (status == 0)
		status = rounding_of(s->a, s->n_a, &of_a);
	if (status == 0)
		status = rounding_of(s->b, s->n_b, &of_b);
	s->rounding = fmax(of_a, of_b);
	return status;
}

int sides_take(struct sides *ret, const struct values *v, struct cell *c)
{
	const struct series *a = &v->groups[v->baseline].series[c->metric];
	const struct series *b = &v->groups[c->group].series[c->metric];
	size_t pairs = v->pair ? match(a, b, NULL) : 0;

	c->paired = pairs_up(v, pairs, a->n, b->n);
	if (sides_new(ret, c->paired ? pairs : a->n, c->paired ? pairs : b->n) < 0)
		return -ENOMEM;
	if (c->paired) {
		ret->n_a = ret->n_b = match(a, b, ret);
		c->alone_base = a->n - pairs;
		c->alone = b->n - pairs;
	} else {
		for (size_t i = 0; i < a->n; i++)
			ret->a[ret->n_a++] = a->values[i];
		for (size_t i = 0; i < b->n; i++)
			ret->b[ret->n_b++] = b->values[i];
	}
	c->n_base = ret->n_a;
	c->n = ret->n_b;
	c->binary = a->n > 0 && b->n > 0 && a->binary && b->binary;
	c->points = c->binary || metric_in_points(v, c->metric);
	c->uneven = is_uneven(v, c);
	return settle(ret, c->paired);
}
