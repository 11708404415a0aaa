#include "moments.h"

#include <math.h>

/* Adds a, and keeps what rounding takes away from the sum. */
static void add(struct moment *s, double a)
{
	double sum = s->sum + a, taken = sum - s->sum;

	s->rest += (s->sum - (sum - taken)) + (a - taken);
	s->sum = sum;
}

static void add_product(struct moment *s, double a, double b)
{
	double product = a * b;

	add(s, product);
	s->rest += fma(a, b, -product);
}

static void begin(struct moments *m, double x, double y)
{
	if (m->begun || !isfinite(x) || !isfinite(y))
		return;
	m->begun = true;
	m->x0 = x;
	m->y0 = y;
}

void moments_add(struct moments *m, double x, int times)
{
	begin(m, x, 0);
	x -= m->x0;
	m->n += times;
	if (!isfinite(x * x)) {
		m->beyond += times;
		return;
	}
	add(&m->x, x * times);
	add_product(&m->xx, x, x * times);
}

void moments_add_pair(struct moments *m, double x, double y, int times)
{
	begin(m, x, y);
	x -= m->x0;
	y -= m->y0;
	m->n += times;
	if (!isfinite(x * x) || !isfinite(y * y)) {
		m->beyond += times;
		return;
	}
	add(&m->x, x * times);
	add(&m->y, y * times);
	add_product(&m->xx, x, x * times);
	add_product(&m->yy, y, y * times);
	add_product(&m->xy, x, y * times);
}

/* The sum of products less that of the means': ab - a b / n. Both are large and nearly equal when the first
 * value lies far out, so they are subtracted with all digits that there are. */
static double centred(const struct moments *m, const struct moment *ab, const struct moment *a,
		      const struct moment *b)
{
	double n = (double)m->n;

	if (m->n == 0 || m->beyond > 0)
		return NAN;
	double left = n * ab->sum, left_rest = fma(n, ab->sum, -left) + n * ab->rest;
	double right = a->sum * b->sum,
	       right_rest = fma(a->sum, b->sum, -right) + a->sum * b->rest + a->rest * b->sum;
	return ((left - right) + (left_rest - right_rest)) / n;
}

static double not_negative(double square)
{
	return square < 0 ? 0 : square;
}

double moments_xx(const struct moments *m)
{
	return not_negative(centred(m, &m->xx, &m->x, &m->x));
}

double moments_yy(const struct moments *m)
{
	return not_negative(centred(m, &m->yy, &m->y, &m->y));
}

double moments_xy(const struct moments *m)
{
	return centred(m, &m->xy, &m->x, &m->y);
}

static double mean(const struct moments *m, double from, const struct moment *s)
{
	return m->n == 0 || m->beyond > 0 ? NAN : from + (s->sum + s->rest) / (double)m->n;
}

double moments_mean_x(const struct moments *m)
{
	return mean(m, m->x0, &m->x);
}

double moments_mean_y(const struct moments *m)
{
	return mean(m, m->y0, &m->y);
}
