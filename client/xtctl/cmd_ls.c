#include <string.h>

#include "runs.h"

static bool cmd_ls_is_arg(const char *word)
{
	return strcmp(word, "tables") == 0 || strcmp(word, "runs") == 0;
}

static int list(struct ctl *ctl, xt_client *client)
{
	const struct runs_filter all = {.last = -1};
	xt_cursor *cursor = NULL;

	if (ctl->n_args > 0 && strcmp(ctl->args[0], "runs") == 0)
		return runs_list(ctl, client, &all);
	int r = xt_tables(&cursor, client);
	int status = r == XT_OK ? ctl_print(ctl, client, cursor) : ctl_fail(ctl, client, r);
	xt_cursor_close(cursor);
	return status;
}

static int cmd_ls(struct ctl *ctl)
{
	if (ctl->n_args > 0 && !cmd_ls_is_arg(ctl->args[0]))
		return ctl_usage(ctl, "'%s' is neither 'tables' nor 'runs'", ctl->args[0]);
	return ctl_with_client(ctl, list);
}

const struct command ls_command = {
	.name = "ls",
	.usage = "[tables|runs]",
	.summary = "tables, or runs",
	.help = "tables: those that rows are logged to.\n"
		"runs: as 'runs' without options lists them.",
	.examples = (const struct example[]){{"the tables, and how much is in them", "ls demo.db"},
					     {"runs that have rows in one table",
					      "ls demo.db runs --table predictions"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE,
	.most = 1,
	.is_arg = cmd_ls_is_arg,
	.run = cmd_ls,
};
