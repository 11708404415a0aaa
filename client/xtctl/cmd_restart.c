#include "xtctl.h"

/* Stops the daemon, if one runs, and sees that there is one again: clients that are connected go on by
 * themselves, and whoever starts it first does. */
static int cmd_restart(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client = NULL;

	options.no_autostart = true;
	int r = ctl_try_open(ctl, &options, &client);
	if (r == XT_OK)
		r = ctl->options.force ? xt_shutdown_anyway(client, false) : xt_shutdown(client, false);
	int status = r == XT_OK || ctl_nobody(client, r) ? CTL_OK : ctl_fail(ctl, client, r);
	xt_close(client); /* nobody is left to deliver anything to */
	if (status != CTL_OK)
		return status;
	options.no_autostart = false;
	options.revive = true;
	status = ctl_open(ctl, &options, &client);
	return status == CTL_OK ? ctl_close(ctl, client, status_print(ctl, client, true)) : status;
}

const struct command restart_command = {
	.name = "restart",
	.summary = "stop the daemon and start it again, as after an upgrade",
	.help = "As after an upgrade. Workers go on meanwhile: what they log waits and is stored by the next "
		"daemon.\n"
		"Refuses as 'down' does while messages wait that cannot be stored, unless --force is given.",
	.examples = (const struct example[]){{"the new version takes over", "restart demo.db"}, {NULL, NULL}},
	.options = OPT_JSON | OPT_FORCE,
	.run = cmd_restart,
};
