#include "xtctl.h"

#include <stdlib.h>

#define DURATION "round((julianday(coalesce(r.end_time, 'now')) - julianday(r.start_time)) * 86400, 3)"

/* All runs that are recorded; deleted ones leave a row behind. */
static const char all_runs[] =
	"SELECT r.track_id, r.status, substr(r.start_time, 1, 19) AS start, " DURATION " AS duration,"
	" r.table_name AS \"table\","
	" r.rows + coalesce((SELECT sum(run_rows) FROM xt_clients WHERE run = r.track_id), 0) AS rows,"
	" r.rejects + coalesce((SELECT sum(run_rejects) FROM xt_clients WHERE run = r.track_id), 0) AS "
	"rejects,"
	" r.params"
	" FROM xt_runs r WHERE r.status <> 'deleted' ORDER BY r.start_time, r.track_id";

/* Runs that have rows in one table, recorded or not: another program may have written them. */
static const char runs_of_table[] =
	"SELECT t.track_id, r.status,"
	" substr(coalesce(r.start_time, (SELECT timestamp FROM %s WHERE rowid = t.first)), 1, 19) AS start,"
	" " DURATION " AS duration, t.rows, r.rejects, r.params"
	" FROM (SELECT track_id, count(*) AS rows, min(rowid) AS first FROM %s GROUP BY track_id) t"
	" LEFT JOIN xt_runs r ON r.track_id = t.track_id ORDER BY t.first";

static bool cmd_ls_is_arg(const char *word)
{
	return strcmp(word, "tables") == 0 || strcmp(word, "runs") == 0;
}

static int ask_runs(const struct ctl *ctl, xt_client *client, xt_cursor **ret_cursor)
{
	if (!ctl->table_named)
		return ctl_query(client, all_runs, NULL, 0, 0, ret_cursor);
	char *sql = ctl_statement(runs_of_table, ctl->table);
	int r = sql ? ctl_query(client, sql, NULL, 0, 0, ret_cursor) : XT_ENOMEM;
	free(sql);
	return r;
}

static int cmd_ls(struct ctl *ctl)
{
	const char *what = ctl->n_args > 0 ? ctl->args[0] : "tables";
	xt_options options = ctl_reading();
	xt_cursor *cursor = NULL;
	xt_client *client;

	if (!cmd_ls_is_arg(what))
		return ctl_usage(ctl, "'%s' is neither 'tables' nor 'runs'", what);
	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	int r = strcmp(what, "runs") == 0 ? ask_runs(ctl, client, &cursor) : xt_tables(&cursor, client);
	status = r == XT_OK ? ctl_print(ctl, client, cursor) : ctl_fail(ctl, client, r);
	xt_cursor_close(cursor);
	return ctl_close(ctl, client, status);
}

const struct command ls_command = {
	.name = "ls",
	.usage = "[tables|runs]",
	.summary = "tables, or runs",
	.help = "tables: those that rows are logged to.\n"
		"runs: all that are recorded, in the order they began; with --table (or XETRACK_TABLE) those "
		"that have rows in it, recorded or not. duration is in seconds, up to now for a run that is "
		"not ended.",
	.examples = (const struct example[]){{"the tables, and how much is in them", "ls demo.db"},
					     {"runs that have rows in one table",
					      "ls demo.db runs --table predictions"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE,
	.most = 1,
	.is_arg = cmd_ls_is_arg,
	.run = cmd_ls,
};
