#include "xtctl.h"

#include "progress.h"
#include "text.h"

static void put_result(struct ctl *ctl, uint64_t before, uint64_t after)
{
	char was[COUNT_BYTES], is[COUNT_BYTES];

	if (ctl->options.json)
		fprintf(ctl->out.file, "{\"before\": %llu, \"after\": %llu}\n", (unsigned long long)before,
			(unsigned long long)after);
	else
		fprintf(ctl->out.file, "%s, was %s\n", text_bytes(is, after), text_bytes(was, before));
}

static int cmd_compact(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	uint64_t before = 0, after = 0;
	struct progress progress;
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	progress_begin(&progress, -1);
	progress_say(&progress, "compacting, workers wait ...");
	int r = xt_compact(client, &before, &after);
	progress_hide(&progress);
	if (r == XT_OK) {
		put_result(ctl, before, after);
	} else if (r == XT_EINTR) {
		ctl_note(ctl, "the daemon goes on with it to the end");
		status = CTL_INTERRUPTED;
	} else {
		status = ctl_fail(ctl, client, r);
	}
	return ctl_close(ctl, client, status);
}

const struct command compact_command = {
	.name = "compact",
	.summary = "give the disk back what deleted rows left",
	.help = "Workers wait meanwhile and lose nothing. It takes up to twice the database's size on the "
		"disk (half of it where SQLite keeps temporary files, SQLITE_TMPDIR or /var/tmp), and is "
		"refused where that is missing, or while a query, a backup or another program reads an older "
		"state.",
	.examples = (const struct example[]){{"after a large delete", "compact demo.db"}, {NULL, NULL}},
	.options = OPT_JSON,
	.run = cmd_compact,
};
