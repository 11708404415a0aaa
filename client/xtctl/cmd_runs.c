#include "runs.h"

struct runs_options {
	const char *status;
	struct option_list where;
	const char *sort;
	bool reverse;
	int64_t since_s;
};

static int list(struct ctl *ctl, xt_client *client)
{
	const struct runs_options *o = ctl->own;
	const struct runs_filter filter = {.status = o->status,
					   .where = &o->where,
					   .since_s = o->since_s,
					   .last = ctl->options.n,
					   .sort = o->sort,
					   .reverse = o->reverse};

	return runs_list(ctl, client, &filter);
}

static int cmd_runs(struct ctl *ctl)
{
	return ctl_with_client(ctl, list);
}

static const struct option_def own[] = {
	{"status", "running|finished|failed|crashed|deleted", OPTION_CHOICE,
	 offsetof(struct runs_options, status), "only runs of this status", 0, 0},
	{"where", "KEY=VALUE", OPTION_LIST, offsetof(struct runs_options, where),
	 "only runs with this parameter; also with != < <= > >=; may be repeated", 0, 0},
	{"sort", RUNS_COLUMNS, OPTION_CHOICE, offsetof(struct runs_options, sort), "by this column (start)",
	 0, 0},
	{"reverse", NULL, OPTION_FLAG, offsetof(struct runs_options, reverse), "the last one first", 0, 0},
	{"since", "AGE", OPTION_AGE, offsetof(struct runs_options, since_s),
	 "only those that began no longer ago: 30m, 12h, 7d", 0, 0},
	{0}};

const struct command runs_command = {
	.name = "runs",
	.summary = "the runs: status, start, duration, rows, rejected rows, parameters",
	.help = "All that are recorded, in the order they began, but for those that were deleted; with "
		"--table "
		"those that have rows in it, also when they were copied or another program wrote them. Times "
		"are "
		"UTC; a duration goes up to now for a run that is not ended. -n: only so many, the last ones "
		"of the "
		"order.\n"
		"In the table a run of today has the time only, the table's name is shown where there are "
		"several, "
		"rejects and crashed_workers where there are any, and parameters that differ between the "
		"runs "
		"come first. "
		"crashed_workers: of those that joined the run; one that SIGTERM ended, or nobody knows "
		"what, "
		"between two calls is none, since a pool ends its workers so. --json, "
		"--format csv and jsonl have every column, whole times, and durations in seconds.",
	.examples = (const struct example[]){{"the ten runs with the most rows, the largest first",
					      "runs demo.db --sort rows --reverse -n 10"},
					     {"what went wrong since yesterday",
					      "runs demo.db --status crashed --since 1d"},
					     {0}},
	.options = OPT_ROWS | OPT_TABLE | OPT_N,
	.own = own,
	.own_size = sizeof(struct runs_options),
	.run = cmd_runs,
};
