#include "chosen.h"

/* The seed's scripts and loops call `xt delete` and expect no question. */
static bool is_meant(const struct ctl *ctl)
{
	const char *table = ctl->options.table;

	return ctl->options.yes || ctl->xt ||
	       (table ? ctl_confirm(ctl, "delete the rows of run '%s' in table '%s'?", ctl->args[0], table)
		      : ctl_confirm(ctl, "delete run '%s' from all tables?", ctl->args[0]));
}

static int cmd_delete(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client;
	uint64_t deleted = 0;

	if (!ctl->args[0][0])
		return ctl_usage(ctl, "TRACK_ID is empty");
	if (ctl->options.cached && ctl->options.table)
		return ctl_usage(
			ctl, "--cache and --table exclude each other: results are cached for the whole run");
	if (!is_meant(ctl))
		return ctl_interrupted() ? CTL_INTERRUPTED : ctl_error(ctl, "nothing was deleted");
	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	int r = xt_delete_run(client, ctl->args[0], ctl->options.table, ctl->options.force, &deleted);
	status = r == XT_OK ? ctl_print_count(ctl, "deleted", deleted)
			    : chosen_fail(ctl, client, ctl->args[0], r);
	if (status == CTL_OK && !ctl->options.table)
		status = cache_delete_of_run(ctl, client, ctl->args[0]);
	return ctl_close(ctl, client, status);
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
	.options = OPT_JSON | OPT_TABLE | OPT_FORCE | OPT_YES | OPT_CACHED,
	.least = 1,
	.most = 1,
	.run = cmd_delete,
};
