#include "xtctl.h"

#include <stdlib.h>

#include "chosen.h"
#include "value.h"

#define WHY_BYTES 400

/* A whole table is asked for, unless something says that it is meant. */
static bool is_meant(const struct ctl *ctl)
{
	const struct options *o = &ctl->options;

	return o->track_id || o->where || o->all || o->yes ||
	       ctl_confirm(ctl, "set '%s' in every row of '%s'?", ctl->args[0], ctl->table);
}

static int set(struct ctl *ctl, const xt_set_options *how, xt_value value)
{
	xt_options options = ctl_reading();
	xt_client *client;
	uint64_t changed = 0;

	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	int r = xt_set(client, ctl->args[0], value, how, &changed);
	status = r == XT_OK ? ctl_print_count(ctl, "changed", changed)
			    : chosen_fail(ctl, client, how->track_id, r);
	return ctl_close(ctl, client, status);
}

static int cmd_set(struct ctl *ctl)
{
	xt_set_options how = {.table = ctl->table, .track_id = ctl->options.track_id};
	struct value value = {0}, where = {0};
	char why[WHY_BYTES], *where_key = NULL;
	int status = CTL_USAGE;

	if (how.track_id && ctl->options.all)
		return ctl_usage(ctl, "--track-id and --all exclude each other");
	if (value_parse(&value, ctl->args[1], why, sizeof(why)) < 0) {
		ctl_usage(ctl, "%s", why);
	} else if (ctl->options.where &&
		   pair_parse(&where_key, &where, ctl->options.where, why, sizeof(why)) < 0) {
		ctl_usage(ctl, "--where: %s", why);
	} else if (!is_meant(ctl)) {
		status = ctl_interrupted() ? CTL_INTERRUPTED : ctl_error(ctl, "nothing was set");
	} else {
		how.where_key = where_key;
		how.where_value = where.is;
		status = set(ctl, &how, value.is);
	}
	free(where_key);
	value_done(&where);
	value_done(&value);
	return status;
}

const struct command set_command = {
	.name = "set",
	.usage = "KEY VALUE",
	.summary = "set a value over rows that are logged already",
	.help = "Of one run (--track-id), where another column has a value (--where), or of the whole table, "
		"which on a terminal is asked for unless --all or --yes is given. VALUE is typed as by "
		"'log'; :=JSON gives it exactly.\n"
		"The rows of one run are set in one step. Those of a table are gone through some thousands "
		"at a "
		"time, as they were when it began, so that workers go on meanwhile: others may see a part of "
		"them set, and when it is stopped or fails in the middle, the same command sets the rest.",
	.examples =
		(const struct example[]){{"mark the rows of one codec",
					  "set demo.db reviewed true --table predictions --where codec=zstd"},
					 {NULL, NULL}},
	.options = OPT_JSON | OPT_TABLE | OPT_TRACK_ID | OPT_ALL | OPT_WHERE | OPT_YES,
	.least = 2,
	.most = 2,
	.run = cmd_set,
};
