#include "axis_time.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY	   86400.0
#define MONTH	   (30.44 * DAY)
#define MONDAY	   (4 * DAY) /* the first one after 1970 began */
#define LEAST_STEP 1e-6	     /* what is written of a time */
#define HAIR	   1e-9	     /* of a step: what rounding may move a tick */

double axis_time_step(double seconds)
{
	static const double steps[] = {1,     2,     5,	    10,	 15,	  30,	   60,
				       120,   300,   600,   900, 1800,	  3600,	   7200,
				       10800, 21600, 43200, DAY, 2 * DAY, 7 * DAY, 14 * DAY};

	if (seconds <= 0.5)
		return fmax(axis_round_step(seconds), LEAST_STEP);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (seconds <= steps[i] * (1 + HAIR))
			return steps[i];
	return axis_round_step(seconds / (7 * DAY)) * 7 * DAY;
}

/* Parts of the calendar. Seconds before 1970 are negative, and rounded down. */
static struct tm parts_of(double at)
{
	time_t seconds = (time_t)floor(at);
	struct tm tm = {0};

	gmtime_r(&seconds, &tm);
	return tm;
}

/* A double tells microseconds only just apart, and those far from 1970 not at all. */
static void add_tick(struct axis *a, double value)
{
	if (fabs(value - a->low) < LEAST_STEP / 2)
		value = a->low;
	if (fabs(value - a->high) < LEAST_STEP / 2)
		value = a->high;
	bool further = a->n == 0 || value > a->ticks[a->n - 1];
	if (further && a->n < AXIS_TICKS && value >= a->low && value <= a->high)
		a->ticks[a->n++] = value;
}

/* The first of a month, each so many months. */
static void month_ticks(struct axis *a, int every)
{
	struct tm tm = parts_of(a->low);
	int month = (1900 + tm.tm_year) * 12 + tm.tm_mon;

	a->months = every;
	for (month -= month % every; a->n < AXIS_TICKS; month += every) {
		struct tm at = {.tm_year = month / 12 - 1900, .tm_mon = month % 12, .tm_mday = 1};
		double seconds = (double)timegm(&at);
		if (seconds > a->high)
			break;
		add_tick(a, seconds);
	}
}

void axis_time_ticks(struct axis *a, size_t most)
{
	static const int months[] = {1, 2, 3, 6, 12};
	double least = (a->high - a->low) / (double)(most > 1 ? most : 1);

	a->step = axis_time_step(least);
	if (a->step > 14 * DAY) {
		size_t i = 0;
		while (i < sizeof(months) / sizeof(months[0]) && least > months[i] * MONTH)
			i++;
		month_ticks(a, i < sizeof(months) / sizeof(months[0])
				       ? months[i]
				       : 12 * (int)axis_round_step(ceil(least / (12 * MONTH))));
		return;
	}
	double base = a->step >= 7 * DAY ? MONDAY : 0, first = ceil((a->low - base) / a->step - HAIR);
	for (int i = 0; i < AXIS_TICKS && base + (first + i) * a->step < a->high + a->step; i++)
		add_tick(a, base + (first + i) * a->step);
}

/* ---- labels ----------------------------------------------------------- */

/* Below a second: the second with its decimals. */
static void put_fraction(const struct axis *a, double at, char ret[AXIS_LABEL])
{
	int decimals = (int)ceil(-log10(a->step) - HAIR);
	long long unit = 1, whole;

	for (int i = 0; i < decimals; i++)
		unit *= 10;
	whole = llround(at * (double)unit) % (60 * unit);
	whole += whole < 0 ? 60 * unit : 0;
	snprintf(ret, AXIS_LABEL, "%02lld.%0*lld", whole / unit, decimals, whole % unit);
}

const char *axis_time_label(const struct axis *a, size_t tick, char ret[AXIS_LABEL])
{
	double at = a->ticks[tick];
	struct tm tm = parts_of(at + 0.5 * fmin(a->step, 1)); /* not a hair before it */
	bool midnight = tm.tm_hour == 0 && tm.tm_min == 0 && tm.tm_sec == 0;

	if (a->months > 0)
		strftime(ret, AXIS_LABEL, a->months % 12 == 0 ? "%Y" : "%Y-%m", &tm);
	else if (a->step >= DAY || (a->step >= 60 && midnight))
		strftime(ret, AXIS_LABEL, "%m-%d", &tm);
	else if (a->step >= 1)
		strftime(ret, AXIS_LABEL, a->step >= 60 ? "%H:%M" : "%H:%M:%S", &tm);
	else
		put_fraction(a, at, ret);
	return ret;
}

const char *axis_time_span(const struct axis *a, char ret[AXIS_SPAN])
{
	const char *form = a->step >= 1 ? "%Y-%m-%d" : "%Y-%m-%d %H:%M";
	struct tm low = parts_of(a->low), high = parts_of(a->high - LEAST_STEP);
	char first[AXIS_SPAN / 2] = "", last[AXIS_SPAN / 2] = "";

	ret[0] = '\0';
	if (a->months > 0)
		return ret;
	strftime(first, sizeof(first), form, &low);
	strftime(last, sizeof(last), form, &high);
	if (strcmp(first, last) == 0)
		snprintf(ret, AXIS_SPAN, "%s", first);
	else
		snprintf(ret, AXIS_SPAN, "%.31s to %.28s", first, last);
	return ret;
}
