#include <stdlib.h>
#include <string.h>

#include "chosen.h"
#include "runs.h"
#include "sql.h"

/* Whether a statement that asks for one run has an answer. The library's status, XT_DONE for none; frees it.
 */
static int has(xt_client *client, char *sql, const char *run)
{
	const xt_value arg = xt_text(run);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(client, sql, &arg, 1, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	xt_cursor_close(cursor);
	free(sql);
	return r;
}

/* The same of rows that another program wrote, of a run that nobody recorded. */
static int has_rows(xt_client *client, const char *run)
{
	xt_cursor *tables = NULL;
	const xt_value *row;
	bool found = false;

	int r = ctl_query(
		client,
		"SELECT name FROM sqlite_schema t WHERE type = 'table' AND lower(substr(name, 1, 3)) <> "
		"'xt_' AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) WHERE name = 'track_id' "
		"COLLATE NOCASE)",
		NULL, 0, 0, &tables);
	while (r == XT_OK && !found && (r = ctl_next(tables, &row)) == XT_OK) {
		char *name = strndup(row[0].as.text, row[0].n);
		char *sql = name ? sql_format("SELECT 1 FROM %n WHERE track_id = ?1 LIMIT 1", name) : NULL;
		r = has(client, sql, run);
		found = r == XT_OK;
		if (r == XT_DONE)
			r = XT_OK;
		free(name);
	}
	xt_cursor_close(tables);
	return r;
}

/* Nobody is asked about a run that there is not. CTL_OK, or it is reported. */
static int check_run(const struct ctl *ctl, xt_client *client)
{
	const char *prefix, *run = ctl->args[0];

	int status = runs_prefix(ctl, client, &prefix);
	if (status != CTL_OK)
		return status;
	int r = has(
		client,
		sql_format("%s SELECT 1 FROM xt_runs WHERE track_id = ?1 AND status <> 'deleted'", prefix),
		run);
	if (r == XT_DONE)
		r = has_rows(client, run);
	if (r == XT_DONE)
		return ctl_error(ctl, "there is no run '%s'; '%s runs %s' lists them", run, ctl->program,
				 ctl_db(ctl));
	return r == XT_OK ? CTL_OK : r == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, r);
}

/* The seed's scripts and loops call `xt delete` and expect no question. */
static bool asks(const struct ctl *ctl)
{
	return !ctl->options.yes && !ctl->xt && ctl_can_ask();
}

static bool is_meant(const struct ctl *ctl)
{
	const char *table = ctl->options.table;

	return !asks(ctl) ||
	       (table ? ctl_confirm(ctl, "delete the rows of run '%s' in table '%s'?", ctl->args[0], table)
		      : ctl_confirm(ctl, "delete run '%s' from all tables?", ctl->args[0]));
}

static int delete_run(struct ctl *ctl, xt_client *client)
{
	uint64_t deleted = 0;

	int status = asks(ctl) ? check_run(ctl, client) : CTL_OK;
	if (status != CTL_OK)
		return status;
	if (!is_meant(ctl))
		return ctl_interrupted() ? CTL_INTERRUPTED : ctl_error(ctl, "nothing was deleted");
	int r = xt_delete_run(client, ctl->args[0], ctl->options.table, ctl->options.force, &deleted);
	status = r == XT_OK ? ctl_print_count(ctl, "deleted", deleted)
			    : chosen_fail(ctl, client, ctl->args[0], r);
	if (status == CTL_OK && !ctl->options.table)
		status = cache_delete_of_run(ctl, client, ctl->args[0]);
	return status;
}

static int cmd_delete(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client;

	if (!ctl->args[0][0])
		return ctl_usage(ctl, "TRACK_ID is empty");
	if (ctl->options.cached && ctl->options.table)
		return ctl_usage(
			ctl, "--cache and --table exclude each other: results are cached for the whole run");
	int status = ctl_open(ctl, &options, &client);
	return status == CTL_OK ? ctl_close(ctl, client, delete_run(ctl, client)) : status;
}

const struct command delete_command = {
	.name = "delete",
	.usage = "TRACK_ID",
	.summary = "delete a run's rows, in all tables or one",
	.help = "In all tables, or in one that is named by --table; XETRACK_TABLE does not count here. Asks "
		"on a terminal, unless --yes is given or it is called as xt. A run that is still running "
		"needs --force. Results that the run cached stay, and are hits of other runs, which is told; "
		"--cache deletes them too.",
	.examples = (const struct example[]){{"a run that was a mistake",
					      "delete demo.db purple-mountain-4392 --yes"},
					     {NULL, NULL}},
	.options = OPT_JSON | OPT_ONE_TABLE | OPT_FORCE | OPT_YES | OPT_CACHED,
	.least = 1,
	.most = 1,
	.run = cmd_delete,
};
