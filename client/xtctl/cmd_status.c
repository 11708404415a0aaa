#include "xtctl.h"

#include "facts.h"

/* The fields of `status` in docs/protocol.md; one that is not here is shown under its own name. Those that
 * are brief `up` shows too. */
static const struct fact fields[] = {
	{"state", "state", FACT_PLAIN, false},
	{"database", "database", FACT_PLAIN, true},
	{"pid", "pid", FACT_PLAIN, true},
	{"version", "version", FACT_PLAIN, true},
	{"socket", "socket", FACT_PLAIN, true},
	{"log_file", "log file", FACT_PLAIN, true},
	{"uptime_ms", "up for", FACT_MILLISECONDS, false},
	{"durability", "durability", FACT_PLAIN, false},
	{"connections", "connections", FACT_COUNT, false},
	{"rows", "rows stored", FACT_COUNT, false},
	{"rejects", "rows rejected", FACT_COUNT, false},
	{"duplicates", "duplicates dropped", FACT_COUNT, false},
	{"batches", "commits", FACT_COUNT, false},
	{"commit_us", "last commit took", FACT_MICROSECONDS, false},
	{"commit_max_us", "longest commit took", FACT_MICROSECONDS, false},
	{"queued_ops", "messages waiting", FACT_COUNT, false},
	{"queued_bytes", "their size", FACT_BYTES, false},
	{"cursors", "open queries", FACT_COUNT, false},
	{"wal_bytes", "write-ahead log", FACT_BYTES, false},
	{"disk_free", "free on the disk", FACT_BYTES, false},
	{"spooled_rows", "rows in spool", FACT_COUNT, false},
	{"spools", "spool files", FACT_COUNT, false},
	{"spooled_bytes", "size of them", FACT_BYTES, false},
	{"idle_exit_ms", "leaves when idle for", FACT_AGE, false},
	{"database_id", "database id", FACT_PLAIN, false},
};

int status_print(struct ctl *ctl, xt_client *client, bool brief)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	int status = CTL_OK;

	int r = xt_daemon_status(&cursor, client);
	if (r == XT_OK && ctl->options.json) {
		ctl->options.format = FORMAT_JSONL; /* one answer: one object, not a list of one */
		status = ctl_print(ctl, client, cursor);
	} else if (r == XT_OK) {
		r = ctl_next(cursor, &row);
		if (r == XT_OK)
			facts_print(ctl->out.file, fields, sizeof(fields) / sizeof(fields[0]), cursor, row,
				    brief);
	}
	xt_cursor_close(cursor);
	return r == XT_OK ? status : ctl_fail(ctl, client, r);
}

static int cmd_status(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client = NULL;

	options.no_autostart = true;
	int r = ctl_try_open(ctl, &options, &client);
	int status = CTL_OK;
	if (r == XT_OK)
		status = status_print(ctl, client, false);
	else if (ctl_nobody(client, r))
		status = ctl_error(ctl, "the daemon of '%s' is not running%s", ctl->database,
				   r == XT_EDOWN ? ": it was stopped by 'down'; 'up' starts it again" : "");
	else
		status = ctl_fail(ctl, client, r);
	return ctl_close(ctl, client, status);
}

const struct command status_command = {
	.name = "status",
	.summary = "what the daemon is doing",
	.help = "Starts none: exit status 1 when it is not running.",
	.examples =
		(const struct example[]){{"is it storing, and how many clients are there?", "status demo.db"},
					 {NULL, NULL}},
	.options = OPT_JSON,
	.run = cmd_status,
};
