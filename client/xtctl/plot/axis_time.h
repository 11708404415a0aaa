/*
 * Axes of times: ticks where a clock or a calendar has round ones, with labels short enough to stand side by
 * side, and the days that they leave unsaid. Times are seconds since 1970, and taken as those of UTC: what is
 * shown is what was written.
 */
#ifndef XTCTL_AXIS_TIME_H
#define XTCTL_AXIS_TIME_H

#include "axis.h"

#define AXIS_SPAN 64

/* The round step, in seconds, that is not below so many; above some days it is one of days. */
double axis_time_step(double seconds);

/* Fills in the ticks of an axis whose ends are set, about `most` or fewer. */
void axis_time_ticks(struct axis *a, size_t most);

const char *axis_time_label(const struct axis *a, size_t tick, char ret[AXIS_LABEL]);

/* What is common to the labels, or where they begin and end: "2026-07-31", "2026-07-31 to 2026-08-02"; ""
 * where they say it. Returns ret. */
const char *axis_time_span(const struct axis *a, char ret[AXIS_SPAN]);

#endif
