#include "group.h"

#include <stdlib.h>

xt_value *group_copy(const xt_value *row, size_t n_values)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n_values; i++)
		bytes += row[i].type == XT_T_TEXT || row[i].type == XT_T_BLOB ? row[i].n : 0;
	xt_value *copy = malloc(n_values * sizeof(*copy) + bytes + 1);
	if (!copy)
		return NULL;
	char *at = (char *)(copy + n_values);
	for (size_t i = 0; i < n_values; i++) {
		copy[i] = row[i];
		if (row[i].type != XT_T_TEXT && row[i].type != XT_T_BLOB)
			continue;
		if (row[i].n > 0)
			memcpy(at, row[i].as.text, row[i].n);
		copy[i].as.text = at;
		at += row[i].n;
	}
	return copy;
}

int group_add(struct group *g, const xt_value *row, size_t n_values)
{
	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 8;
		xt_value **more = reallocarray(g->rows, cap, sizeof(xt_value *));
		if (!more)
			return -1;
		g->rows = more;
		g->cap = cap;
	}
	g->rows[g->n] = group_copy(row, n_values);
	if (!g->rows[g->n])
		return -1;
	g->n++;
	return 0;
}

void group_clear(struct group *g)
{
	while (g->n > 0)
		free(g->rows[--g->n]);
}

void group_done(struct group *g)
{
	group_clear(g);
	free(g->rows);
	*g = (struct group){0};
}

/* ---- order ------------------------------------------------------------ */

static int class_of(const xt_value *v)
{
	switch (v->type) {
	case XT_T_NULL:
		return 0;
	case XT_T_TEXT:
		return 2;
	case XT_T_BLOB:
		return 3;
	default:
		return 1;
	}
}

static int64_t whole_of(const xt_value *v)
{
	return v->type == XT_T_BOOL ? v->as.boolean : v->as.integer;
}

/* A whole number beside a real: wide enough for both, on the machines that we know of. */
static long double number_of(const xt_value *v)
{
	return v->type == XT_T_REAL ? (long double)v->as.real : (long double)whole_of(v);
}

static int number_order(const xt_value *a, const xt_value *b)
{
	if (a->type != XT_T_REAL && b->type != XT_T_REAL)
		return (whole_of(a) > whole_of(b)) - (whole_of(a) < whole_of(b));
	return (number_of(a) > number_of(b)) - (number_of(a) < number_of(b));
}

int value_order(const xt_value *a, const xt_value *b)
{
	int ca = class_of(a), cb = class_of(b);

	if (ca != cb || ca == 0)
		return ca - cb;
	if (ca == 1)
		return number_order(a, b);
	size_t n = a->n < b->n ? a->n : b->n;
	int order = n > 0 ? memcmp(a->as.text, b->as.text, n) : 0;
	return order ? order : (a->n > b->n) - (a->n < b->n);
}

/* A row and where it stood. */
struct place {
	const xt_value *row;
	size_t at;
};

static int row_order(const void *a, const void *b, void *n_values)
{
	const struct place *pa = a, *pb = b;
	int order = 0;

	for (size_t i = 0; i < *(const size_t *)n_values && order == 0; i++)
		order = value_order(&pa->row[i], &pb->row[i]);
	return order;
}

static struct place *sorted(const struct group *g, size_t n_values)
{
	struct place *list = calloc(g->n + 1, sizeof(*list));

	for (size_t i = 0; list && i < g->n; i++)
		list[i] = (struct place){g->rows[i], i};
	if (list)
		qsort_r(list, g->n, sizeof(*list), row_order, &n_values);
	return list;
}

int group_missing(const struct group *theirs, const struct group *ours, size_t n_values, bool *missing)
{
	struct place *a = sorted(theirs, n_values), *b = sorted(ours, n_values);
	int r = a && b ? 0 : -1;

	for (size_t i = 0, k = 0; r == 0 && i < theirs->n; i++) {
		int order = -1;
		while (k < ours->n && (order = row_order(&b[k], &a[i], &n_values)) < 0)
			k++;
		bool there = k < ours->n && order == 0;
		missing[a[i].at] = !there;
		k += there;
	}
	free(a);
	free(b);
	return r;
}
