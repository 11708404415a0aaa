#include "follow.h"

struct watch_options {
	const char *columns;
};

static int cmd_watch(struct ctl *ctl)
{
	const struct watch_options *o = ctl->own;
	const struct follow_options follow = {.last = ctl->options.n >= 0 ? ctl->options.n : 0,
					      .columns = o->columns};

	return follow_run(ctl, &follow);
}

static const struct option_def own[] = {{"columns", "COLUMN,...", OPTION_TEXT,
					 offsetof(struct watch_options, columns), "show only these columns",
					 0, 0},
					{0}};

const struct command watch_command = {
	.name = "watch",
	.summary = "rows of a table as they are stored",
	.help = "Shows each row once, in the order in which they were committed, whoever stored it, until "
		"Ctrl-C (exit status 130). "
		"It survives a restart of the daemon, and ends with exit status 1 when that is stopped for "
		"good. Nothing is missed or "
		"shown twice though rows are deleted meanwhile; values that are set later in rows that were "
		"shown are not told.\n"
		"-n: rows that are there already, to begin with. --json and --format jsonl print an object a "
		"line. A row with a new "
		"column is shown below a new head.",
	.examples =
		(const struct example[]){
			{"the last three rows, and what comes then, until 'head' has seen enough",
			 "watch demo.db -n 3 --columns codec,level,ratio | head -n 5"},
			{0}},
	.options = OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.own = own,
	.own_size = sizeof(struct watch_options),
	.run = cmd_watch,
};
