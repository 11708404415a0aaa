#include <stdlib.h>

#include "about.h"
#include "runs.h"

static int show(struct ctl *ctl, xt_client *client)
{
	struct sheet sheet = {0};
	char *run = NULL;

	int status = runs_find(ctl, client, ctl->n_args > 0 ? ctl->args[0] : "last", &run);
	if (status == CTL_OK)
		status = about_run(ctl, client, run, &sheet);
	if (status == CTL_OK)
		status = sheet_print(&sheet, ctl);
	sheet_done(&sheet);
	free(run);
	return status;
}

static int cmd_show(struct ctl *ctl)
{
	return ctl_with_client(ctl, show);
}

const struct command show_command = {
	.name = "show",
	.usage = "[RUN]",
	.summary = "everything that is known of a run",
	.help = "RUN is its track_id, the beginning of one, or 'last', which is meant when none is given. "
		"Shows what the daemon recorded "
		"of it, its parameters, workers by status, rows by table, failures by type, how many results "
		"came from the cache, its "
		"assets, and what deserves attention. A worker that SIGTERM ended, or nobody knows what, "
		"between two "
		"calls has not crashed: a pool ends its workers so. Times are UTC.",
	.examples = (const struct example[]){{"the newest run", "show demo.db last"}, {0}},
	.options = OPT_ROWS | OPT_TABLE,
	.most = 1,
	.is_arg = ctl_is_no_database,
	.run = cmd_show,
};
