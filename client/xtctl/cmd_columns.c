#include "xtctl.h"

#include <stdlib.h>

static int cmd_columns(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_cursor *cursor = NULL;
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	int r = xt_columns(&cursor, client, ctl->table);
	if (r != XT_OK && ctl_no_table(client) && !ctl->table_named) {
		char *other = ctl_other_table(ctl, client);
		if (!other)
			return ctl_close(ctl, client, ctl_no_rows(ctl));
		r = xt_columns(&cursor, client, other);
		free(other);
	}
	status = r == XT_OK ? ctl_print(ctl, client, cursor) : ctl_fail(ctl, client, r);
	xt_cursor_close(cursor);
	return ctl_close(ctl, client, status);
}

const struct command columns_command = {
	.name = "columns",
	.summary = "columns of a table",
	.help = "Name, declared type, and the key as it was logged.",
	.examples = (const struct example[]){{"what was logged", "columns demo.db --table predictions"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE,
	.run = cmd_columns,
};
