#include "xtctl.h"

int cmd_up(struct ctl *ctl)
{
	xt_options options = {.revive = true};
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	return ctl_close(ctl, client, status_print(ctl, client, true));
}
