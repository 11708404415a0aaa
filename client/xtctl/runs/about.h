/*
 * All that is known of one run, as a sheet.
 */
#ifndef XTCTL_ABOUT_H
#define XTCTL_ABOUT_H

#include "sheet.h"

/* What the daemon recorded of it, its parameters, workers, rows by table, failures, cache, assets, and what
 * deserves attention. CTL_OK, or the failure is reported. */
int about_run(const struct ctl *ctl, xt_client *client, const char *run, struct sheet *ret)
	__attribute__((warn_unused_result));

/* Which columns it filled, and the means and medians of those with numbers, for each table that it has rows
 * in; with --table of that one. CTL_OK, or the failure is reported. */
int about_values(const struct ctl *ctl, xt_client *client, const char *run, struct sheet *ret)
	__attribute__((warn_unused_result));

/* Names of its sections. */
#define ABOUT_PARAMS  "parameters"
#define ABOUT_ROWS    "rows by table"
#define ABOUT_COLUMNS "columns"
#define ABOUT_MEANS   "mean"
#define ABOUT_MEDIANS "median"

#endif
