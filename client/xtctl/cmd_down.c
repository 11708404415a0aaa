#include "xtctl.h"

int cmd_down(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client = NULL;

	options.no_autostart = true;
	int status = CTL_OK;
	int r = ctl_try_open(ctl, &options, &client);
	if (r == XT_OK)
		r = xt_shutdown(client, true);
	if (r == XT_OK)
		fprintf(ctl->out.file, "stopped; '%s up' starts it again\n", ctl->program);
	else if (ctl_nobody(client, r))
		fprintf(ctl->out.file, "not running%s\n", r == XT_EDOWN ? "; it was stopped before" : "");
	else
		status = ctl_fail(ctl, client, r);
	xt_close(client); /* nobody is left to deliver anything to */
	return status;
}
