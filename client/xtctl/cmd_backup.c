/* backup and snapshot: the database in one file. */
#include "xtctl.h"

#include <sys/stat.h>

#include "progress.h"
#include "text.h"

static bool on_progress(uint64_t done, uint64_t total, void *user)
{
	struct progress *progress = user;

	progress_bar(progress, done, total);
	return !ctl_interrupted();
}

static void put_result(struct ctl *ctl, const struct progress *progress)
{
	char size[COUNT_BYTES];
	struct stat st;
	double seconds = progress_seconds(progress);

	/* The daemon has just made it: not to see it from here is no failure. */
	uint64_t bytes = stat(ctl->args[0], &st) == 0 ? (uint64_t)st.st_size : 0;
	if (ctl->options.json) {
		fputs("{\"file\": ", ctl->out.file);
		json_print_text(ctl->out.file, ctl->args[0], strlen(ctl->args[0]));
		fprintf(ctl->out.file, ", \"bytes\": %llu, \"seconds\": %.3f}\n", (unsigned long long)bytes,
			seconds);
		return;
	}
	text_put(ctl->out.file, ctl->args[0], strlen(ctl->args[0]), SIZE_MAX);
	fprintf(ctl->out.file, ": %s in %.1f s\n", text_bytes(size, bytes), seconds);
}

/* What can be done about a file that is in the way, and a copy that takes too long. */
static int fail(const struct ctl *ctl, const xt_client *client, int status)
{
	if (ctl_interrupted())
		return CTL_INTERRUPTED;
	if (strcmp(xt_error_code(client), "file_error") == 0 &&
	    strstr(xt_error(client), "is there already") && !ctl->options.force)
		return ctl_error(ctl, "%s; --force replaces it", xt_error(client));
	return ctl_fail(ctl, client, status);
}

static int copy(struct ctl *ctl, bool compact)
{
	xt_options options = ctl_reading();
	struct progress progress;
	xt_client *client;
	xt_backup_options how = {.compact = compact,
				 .replace = ctl->options.force,
				 .bytes_per_second = (uint64_t)ctl->options.rate << 20,
				 .on_progress = on_progress,
				 .user = &progress};

	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	progress_begin(&progress, -1);
	int r = xt_backup(client, ctl->args[0], &how);
	progress_hide(&progress);
	if (r == XT_OK)
		put_result(ctl, &progress);
	else
		status = fail(ctl, client, r);
	return ctl_close(ctl, client, status);
}

static int cmd_backup(struct ctl *ctl)
{
	return copy(ctl, false);
}

static int cmd_snapshot(struct ctl *ctl)
{
	return copy(ctl, true);
}

const struct command backup_command = {
	.name = "backup",
	.usage = "FILE",
	.summary = "copy the database into a file, while it is written",
	.help = "The copy is the database of one moment; workers go on logging meanwhile. FILE appears when "
		"it is whole and on disk; until then it is FILE.part, and Ctrl-C leaves nothing behind. The "
		"daemon writes the file, as its own user, and refuses who is another one. A copy that takes "
		"an hour is given up, for the log of what is written meanwhile grows until it ends. A "
		"terminal shows the progress.",
	.examples = (const struct example[]){{"a copy that leaves the disk to the workers",
					      "backup demo.db copy.db --rate 50"},
					     {NULL, NULL}},
	.options = OPT_JSON | OPT_REPLACE | OPT_RATE,
	.least = 1,
	.most = 1,
	.run = cmd_backup,
};

const struct command snapshot_command = {
	.name = "snapshot",
	.usage = "FILE",
	.summary = "the same, written anew: compact, and made to be kept in git or DVC",
	.help = "Written anew: each table in one piece, without the room that deleted rows left. The same "
		"database gives the same bytes, so that git and DVC see a change only where there is one.",
	.examples =
		(const struct example[]){{"for git", "snapshot demo.db results.db --force"}, {NULL, NULL}},
	.options = OPT_JSON | OPT_REPLACE,
	.least = 1,
	.most = 1,
	.run = cmd_snapshot,
};
