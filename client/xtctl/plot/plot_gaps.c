#include "plot_gaps.h"

#include <stdlib.h>

#define MANY 10 /* usual steps, from which on it was idle */

int spots_add(struct spots *s, const struct spot *one)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct spot *more = reallocarray(s->list, cap, sizeof(*more));
		if (!more)
			return -1;
		s->list = more;
		s->cap = cap;
	}
	s->list[s->n++] = *one;
	return 0;
}

void spots_done(struct spots *s)
{
	free(s->list);
	*s = (struct spots){0};
}

/* So many steps of one size. */
struct steps {
	double size, n;
};

static int by_size(const void *a, const void *b)
{
	double x = ((const struct steps *)a)->size, y = ((const struct steps *)b)->size;

	return (x > y) - (x < y);
}

static double idle_before(const struct spots *s, size_t i)
{
	return s->list[i].from - s->list[i - 1].to;
}

/* The median: steps within a spot are all taken for their mean, so that nothing has to be sorted but spots.
 */
static double usual(const struct spots *s, struct steps *steps)
{
	double all = 0, before = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct spot *one = &s->list[i];
		if (i > 0 && one->group == one[-1].group)
			steps[n++] = (struct steps){idle_before(s, i), 1};
		if (one->rows > 1 && one->to > one->from)
			steps[n++] = (struct steps){(one->to - one->from) / (double)(one->rows - 1),
						    (double)(one->rows - 1)};
	}
	qsort(steps, n, sizeof(*steps), by_size);
	for (size_t i = 0; i < n; i++)
		all += steps[i].n;
	for (size_t i = 0; i < n; i++)
		if ((before += steps[i].n) >= all / 2)
			return steps[i].size;
	return 0;
}

int spots_reach(const struct spots *s, double least, double *ret)
{
	struct steps *steps = calloc(2 * s->n + 1, sizeof(*steps));

	if (!steps)
		return -1;
	double reach = MANY * usual(s, steps);
	free(steps);
	*ret = reach > least ? reach : least;
	return 0;
}

bool spots_joined(const struct spots *s, size_t i, double reach)
{
	return i > 0 && s->list[i].group == s->list[i - 1].group && idle_before(s, i) <= reach;
}
