#include "xtctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static int show(struct ctl *ctl, xt_client *client)
{
	xt_cursor *cursor = NULL;
	int r = ctl_query(client, "SELECT key, value FROM xt_config ORDER BY key", NULL, 0, 0, &cursor);
	int status = r == XT_OK ? ctl_print(ctl, client, cursor) : ctl_fail(ctl, client, r);

	xt_cursor_close(cursor);
	return status;
}

static int change(struct ctl *ctl, xt_client *client)
{
	bool reset = strcmp(ctl->args[1], "default") == 0;
	int64_t value = 0, now = 0;
	char *end;

	errno = 0;
	if (!reset)
		value = strtoll(ctl->args[1], &end, 10);
	if (!reset && (errno || end == ctl->args[1] || *end))
		return ctl_usage(ctl, "'%s' is neither a whole number nor 'default'", ctl->args[1]);
	int r = xt_config(client, ctl->args[0], reset ? NULL : &value, &now);
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	fprintf(ctl->out.file, "%s %" PRId64 "\n", ctl->args[0], now);
	return CTL_OK;
}

static int cmd_config(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client;

	if (ctl->n_args == 1)
		return ctl_usage(ctl, "VALUE is missing");
	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	return ctl_close(ctl, client, ctl->n_args == 2 ? change(ctl, client) : show(ctl, client));
}

const struct command config_command = {
	.name = "config",
	.usage = "[SETTING VALUE]",
	.summary = "settings that are kept in the database",
	.help = "Without SETTING: those that were changed. VALUE is a whole number, or 'default'. "
		"docs/storage.md of the source tree lists them.",
	.examples = (const struct example[]){{"cached results expire after a day",
					      "config demo.db cache_ttl_s 86400"},
					     {NULL, NULL}},
	.options = OPT_ROWS,
	.most = 2,
	.run = cmd_config,
};
