/*
 * The list of runs as people read it.
 */
#ifndef XTCTL_RUNS_TABLE_H
#define XTCTL_RUNS_TABLE_H

#include "xtctl.h"

/* The parameters of a row of xt_runs as the table wants them: names and values with signs between them that
 * neither has. An expression of SQL over the column `params`. */
#define RUNS_PAIRS                                                                                         \
	"(SELECT group_concat(replace(replace(p.key, char(30), ' '), char(31), ' ') || char(31) || CASE "  \
	"p.type WHEN 'null' THEN 'null' WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE "           \
	"replace(replace(p.value, char(30), ' '), char(31), ' ') END, char(30)) FROM json_each(CASE WHEN " \
	"json_valid(params) THEN params ELSE '{}' END) p)"

/*
 * Prints a cursor's rows: track_id, status, start, duration, table (may not be there), rows, rejects,
 * crashed_workers, and params as RUNS_PAIRS. Times are short, durations have a unit; a table is told where
 * there are several, rejects and crashed workers where there are any, and of parameters first those that
 * differ. CTL_OK, or the failure is reported.
 */
int runs_table_print(struct ctl *ctl, const xt_client *client, xt_cursor *cursor);

#endif
