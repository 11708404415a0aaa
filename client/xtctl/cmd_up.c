#include "xtctl.h"

static int cmd_up(struct ctl *ctl)
{
	xt_options options = {.revive = true};
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	return ctl_close(ctl, client, status_print(ctl, client, true));
}

const struct command up_command = {
	.name = "up",
	.summary = "start the daemon, and create the database if need be",
	.help = "Also after 'down', which it ends. Creates the database if need be. Prints the daemon's pid "
		"and socket.",
	.examples = (const struct example[]){{"a daemon for a database, which is created", "up demo.db"},
					     {NULL, NULL}},
	.options = OPT_JSON,
	.run = cmd_up,
};
