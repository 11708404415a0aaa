#include "xtctl.h"

#include <stdlib.h>

#include "follow.h"

#define DEFAULT_ROWS 10

/* ?1: how many rows, ?2: the run. One of them is taken by [tail][of one run]. */
static const char *const statements[2][2] = {
	{"SELECT * FROM %s LIMIT ?1", "SELECT * FROM %s WHERE track_id = ?2 LIMIT ?1"},
	{"SELECT * FROM %s WHERE rowid IN (SELECT rowid FROM %s ORDER BY rowid DESC LIMIT ?1) ORDER BY rowid",
	 "SELECT * FROM %s WHERE rowid IN (SELECT rowid FROM %s WHERE track_id = ?2 ORDER BY rowid DESC "
	 "LIMIT ?1) "
	 "ORDER BY rowid"},
};

static int ask(const struct ctl *ctl, xt_client *client, bool tail, const char *table, xt_cursor **ret_cursor)
{
	const char *run = ctl->options.track_id;
	xt_value args[2] = {xt_int(ctl->options.n >= 0 ? ctl->options.n : DEFAULT_ROWS), xt_text(run)};
	char *sql = ctl_statement(statements[tail][run != NULL], table);

	if (!sql)
		return XT_ENOMEM;
	int r = ctl_query(client, sql, args, run ? 2 : 1, 0, ret_cursor);
	free(sql);
	return r;
}

/* Rows of a view have no order of storing, so there are no last ones. */
static bool is_view(xt_client *client, const char *table)
{
	xt_value name = xt_text(table);
	const xt_value *row;
	xt_cursor *cursor;

	if (ctl_query(client, "SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = ? COLLATE NOCASE",
		      &name, 1, 0, &cursor) != XT_OK)
		return false;
	bool found = ctl_next(cursor, &row) == XT_OK;
	xt_cursor_close(cursor);
	return found;
}

static int show(struct ctl *ctl, bool tail)
{
	xt_options options = ctl_reading();
	xt_cursor *cursor = NULL;
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	if (tail && is_view(client, ctl->table))
		return ctl_close(
			ctl, client,
			ctl_error(ctl,
				  "'%s' is a view, which has no last rows; use head, or sql with ORDER BY",
				  ctl->table));
	int r = ask(ctl, client, tail, ctl->table, &cursor);
	if (r != XT_OK && ctl_no_table(client) && !ctl->table_named) {
		char *other = ctl_other_table(ctl, client);
		if (!other)
			return ctl_close(ctl, client, ctl_no_rows(ctl));
		r = ask(ctl, client, tail, other, &cursor);
		free(other);
	}
	status = r == XT_OK ? ctl_print(ctl, client, cursor) : ctl_fail(ctl, client, r);
	xt_cursor_close(cursor);
	return ctl_close(ctl, client, status);
}

static int cmd_head(struct ctl *ctl)
{
	return show(ctl, false);
}

struct tail_options {
	bool follow; /* go on with what comes */
};

static int cmd_tail(struct ctl *ctl)
{
	const struct tail_options *o = ctl->own;
	struct follow_options follow = {.last = ctl->options.n >= 0 ? ctl->options.n : DEFAULT_ROWS};

	if (o->follow)
		return follow_run(ctl, &follow);
	if (ctl->options.filter.n > 0)
		return ctl_usage(ctl, "--where belongs to --follow; sql has conditions of every kind");
	return show(ctl, true);
}

const struct command head_command = {
	.name = "head",
	.summary = "first rows of a table",
	.help = "10 of them unless told otherwise, in the order they were stored.",
	.examples = (const struct example[]){{"the first three, whole", "head demo.db -n 3 --json"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID,
	.run = cmd_head,
};

static const struct option_def tail_own[] = {{"follow", NULL, OPTION_FLAG,
					      offsetof(struct tail_options, follow),
					      "then go on with each row as it is stored; also -f", 0, 0},
					     {0}};

const struct command tail_command = {
	.name = "tail",
	.summary = "last rows of a table, in the order they were logged",
	.help = "10 of them unless told otherwise, the last one at the end. With --follow it goes on as "
		"'watch' does, until Ctrl-C.",
	.examples = (const struct example[]){{"what came last", "tail demo.db -n 5"}, {NULL, NULL}},
	.options = OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.own = tail_own,
	.own_size = sizeof(struct tail_options),
	.run = cmd_tail,
};
