#include "axis.h"

#include "axis_time.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FARTHEST      4e307  /* so that a difference stays finite */
#define NEAREST	      1e-300 /* below, doubles lose their digits */
#define MOST_DECIMALS 5	     /* more, or … */
#define LARGE	      1e6    /* … this and more is written with an exponent */
#define HAIR	      1e-9   /* that rounding may move a tick */
#define NEAREST_TIMES 1e-6   /* as far apart as they are written */

double axis_round_step(double x)
{
	double power = pow(10, floor(log10(x))), digit = x / power;

	return power * (digit <= 1 + HAIR ? 1 : digit <= 2 + HAIR ? 2 : digit <= 5 + HAIR ? 5 : 10);
}

/* ---- ticks ------------------------------------------------------------ */

static void add_tick(struct axis *a, double value)
{
	if (a->n < AXIS_TICKS && isfinite(value))
		a->ticks[a->n++] = value + 0.0; /* no -0 */
}

static void linear_ticks(struct axis *a, double low, double high, size_t most)
{
	double step = axis_round_step((high - low) / (double)(most > 1 ? most : 1));

	if ((a->flags & AXIS_WHOLE) && step < 1)
		step = 1;
	a->step = step;
	if (a->flags & AXIS_ROUND) {
		a->low = floor(low / step + HAIR) * step;
		a->high = ceil(high / step - HAIR) * step;
		if (a->low >= a->high) { /* all lies within a hair of one tick */
			a->low -= step;
			a->high += step;
		}
	}
	double first = ceil(a->low / step - HAIR);
	for (int i = 0; i < AXIS_TICKS && (first + i) * step <= a->high + step * HAIR; i++)
		add_tick(a, (first + i) * step);
}

/* Whole powers of ten, or, where there are few, their double and fivefold too. */
static void log_ticks(struct axis *a, size_t most)
{
	static const double digits[] = {1, 2, 5};
	double decades = a->high - a->low;
	size_t n_digits = decades * 3 <= (double)most ? 3 : 1;
	double every = decades > (double)most ? ceil(decades / (double)(most > 1 ? most : 1)) : 1;

	double first = floor(a->low / every);
	for (int i = 0; (first + i) * every <= a->high + HAIR; i++)
		for (size_t d = 0; d < n_digits; d++) {
			double power = (first + i) * every, at = power + log10(digits[d]);
			double value = digits[d] * pow(10, power);
			if (at >= a->low - HAIR && at <= a->high + HAIR && value > 0)
				add_tick(a, value);
		}
}

static void init_log(struct axis *a, double min, double max, size_t most)
{
	a->low = log10(min);
	a->high = log10(max);
	if (a->high - a->low < HAIR) {
		a->low -= 0.5;
		a->high += 0.5;
	}
	if (a->flags & AXIS_ROUND) {
		a->low = floor(a->low + HAIR);
		a->high = ceil(a->high - HAIR);
	}
	log_ticks(a, most);
	if (a->n >= 2)
		return;
	/* Between two powers of ten: round numbers as on a linear axis. */
	struct axis linear = {.flags = a->flags & ~(unsigned)AXIS_ROUND, .low = min, .high = max};
	a->n = 0;
	if (max > min)
		linear_ticks(&linear, min, max, most);
	for (size_t i = 0; i < linear.n; i++)
		add_tick(a, linear.ticks[i]);
}

static void init_time(struct axis *a, double min, double max, size_t most)
{
	double room = max - min < NEAREST_TIMES ? 60 : 0;

	a->low = min - room;
	a->high = max + room;
	axis_time_ticks(a, most);
}

void axis_init(struct axis *a, double min, double max, size_t most, unsigned flags)
{
	*a = (struct axis){.flags = flags};
	if (flags & AXIS_LOG) {
		init_log(a, min, max, most);
		return;
	}
	if (flags & AXIS_TIME) {
		init_time(a, min, max, most);
		return;
	}
	min = fmax(fmin(min, FARTHEST), -FARTHEST);
	max = fmax(fmin(max, FARTHEST), -FARTHEST);
	double room = flags & AXIS_WHOLE ? fmax(1, fabs(min) * 1e-9) : min == 0 ? 1 : fabs(min) / 10;
	/* Closer than what a double can tell of numbers between is equal. */
	if (max - min <= fabs(max) * 1e-13 || max - min < NEAREST) {
		min -= fmax(room, NEAREST);
		max += fmax(room, NEAREST);
	}
	a->low = min;
	a->high = max;
	linear_ticks(a, min, max, most);
}

/* ---- places and labels ------------------------------------------------ */

double axis_at(const struct axis *a, double value)
{
	if (a->flags & AXIS_LOG)
		value = log10(value);
	return (value - a->low) / (a->high - a->low);
}

/* 1.50e+06 as 1.5e6. */
static void tidy_exponent(char *text)
{
	char *e = strchr(text, 'e'), *digits = e ? e + 1 : NULL, *to = e;

	if (!e)
		return;
	while (to > text && to[-1] == '0' && memchr(text, '.', (size_t)(to - text)))
		to--;
	if (to > text && to[-1] == '.')
		to--;
	*to++ = 'e';
	if (*digits == '-')
		*to++ = '-';
	digits += strspn(digits, "+-0");
	memmove(to, digits, strlen(digits) + 1);
}

const char *axis_label(const struct axis *a, size_t tick, char ret[AXIS_LABEL])
{
	double value = a->ticks[tick], largest = fmax(fabs(a->low), fabs(a->high));

	if (a->flags & AXIS_TIME)
		return axis_time_label(a, tick, ret);
	if (value == 0) {
		snprintf(ret, AXIS_LABEL, "0");
		return ret;
	}
	if (a->step == 0) {
		snprintf(ret, AXIS_LABEL, "%.6g", value);
		if (fabs(value) >= LARGE)
			snprintf(ret, AXIS_LABEL, "%.5e", value);
		tidy_exponent(ret);
		return ret;
	}
	double digit = floor(log10(a->step) + HAIR);
	int decimals = digit < 0 ? (int)-digit : 0;
	if (decimals <= MOST_DECIMALS && largest < LARGE) {
		snprintf(ret, AXIS_LABEL, "%.*f", decimals, value);
		return ret;
	}
	int digits = (int)(floor(log10(fabs(value)) + HAIR) - digit);
	snprintf(ret, AXIS_LABEL, "%.*e", digits < 0 ? 0 : digits > 15 ? 15 : digits, value);
	tidy_exponent(ret);
	return ret;
}
