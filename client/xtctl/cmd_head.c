#include "xtctl.h"

#include <stdlib.h>

#include "follow.h"
#include "select.h"
#include "sql.h"
#include "where.h"

#define DEFAULT_ROWS 10

struct look_options {
	const char *columns; /* NULL: all */
	bool follow;	     /* of tail: go on with what comes */
};

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

/* The selection, cut to its first or last rows. NULL: out of memory. */
static char *cut(const struct select *s, int64_t n, bool tail)
{
	char limit[24];

	snprintf(limit, sizeof(limit), "%lld", (long long)n);
	if (!tail)
		return sql_format("%s LIMIT %s", s->sql, limit);
	return sql_format("%s AND rowid IN (SELECT rowid FROM %n WHERE %s ORDER BY rowid DESC LIMIT %s) "
			  "ORDER BY rowid",
			  s->sql, s->relation.name, s->where, limit);
}

static int print_rows(struct ctl *ctl, xt_client *client, const struct select *s, bool tail)
{
	int64_t n = ctl->options.n >= 0 ? ctl->options.n : DEFAULT_ROWS;
	struct format_options how = ctl_how_to_print(ctl);
	xt_cursor *cursor = NULL;
	uint64_t rows = 0;

	if (tail && is_view(client, s->relation.name))
		return ctl_error(ctl,
				 "'%s' is a view, which has no last rows; use head, or sql with ORDER BY",
				 s->relation.name);
	char *sql = cut(s, n, tail);
	int r = ctl_summarise(client, sql, &cursor);
	free(sql);
	int status = r == XT_OK ? ctl_print_rows(ctl, &ctl->out, &how, client, cursor, NULL, NULL, &rows)
				: ctl_fail(ctl, client, r);
	xt_cursor_close(cursor);
	return status == CTL_OK && rows == 0 ? where_tell_none(&s->relation, client, s->where, NULL) : status;
}

static int show(struct ctl *ctl, xt_client *client, bool tail)
{
	const struct look_options *o = ctl->own;
	struct select s = {0};

	int status = select_make(ctl, client, &(struct select_options){.columns = o->columns}, &s);
	if (status == CTL_OK)
		status = print_rows(ctl, client, &s, tail);
	select_done(&s);
	return status;
}

static int show_head(struct ctl *ctl, xt_client *client)
{
	return show(ctl, client, false);
}

static int show_tail(struct ctl *ctl, xt_client *client)
{
	return show(ctl, client, true);
}

static int cmd_head(struct ctl *ctl)
{
	return ctl_with_client(ctl, show_head);
}

static int cmd_tail(struct ctl *ctl)
{
	const struct look_options *o = ctl->own;
	struct follow_options follow = {.last = ctl->options.n >= 0 ? ctl->options.n : DEFAULT_ROWS,
					.columns = o->columns};

	return o->follow ? follow_run(ctl, &follow) : ctl_with_client(ctl, show_tail);
}

#define COLUMNS                                                                               \
	{                                                                                     \
		"columns", "COLUMN,...", OPTION_TEXT, offsetof(struct look_options, columns), \
			.help = "show only these columns, in this order"                      \
	}

static const struct option_def head_own[] = {COLUMNS, {0}};

static const struct option_def tail_own[] = {COLUMNS,
					     {"follow", NULL, OPTION_FLAG,
					      offsetof(struct look_options, follow),
					      "then go on with each row as it is stored; also -f", 0, 0},
					     {0}};

const struct command head_command = {
	.name = "head",
	.summary = "first rows of a table",
	.help = "10 of them unless told otherwise, in the order they were stored.",
	.examples = (const struct example[]){{"the first three, whole", "head demo.db -n 3 --json"},
					     {"some columns of some rows",
					      "head demo.db --columns codec,level,ratio --where 'ratio>5'"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.own = head_own,
	.own_size = sizeof(struct look_options),
	.run = cmd_head,
};

const struct command tail_command = {
	.name = "tail",
	.summary = "last rows of a table, in the order they were logged",
	.help = "10 of them unless told otherwise, the last one at the end. With --follow it goes on as "
		"'watch' does, until Ctrl-C.",
	.examples = (const struct example[]){{"what came last", "tail demo.db -n 5"},
					     {"the last hits of the cache",
					      "tail demo.db --where 'cache!=' --columns cache,codec,file"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.own = tail_own,
	.own_size = sizeof(struct look_options),
	.run = cmd_tail,
};
