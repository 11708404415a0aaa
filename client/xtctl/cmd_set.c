#include "xtctl.h"

#include <stdlib.h>
#include <string.h>

#include "chosen.h"
#include "relation.h"
#include "sql.h"
#include "value.h"

#define WHY_BYTES 400

/* ---- the column ------------------------------------------------------- */

static bool has_alias(xt_client *client, const char *table, const char *key)
{
	const xt_value args[] = {xt_text(table), xt_text(key)};
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ctl_query(client,
			  "SELECT 1 FROM xt_aliases WHERE table_name = ?1 COLLATE NOCASE AND key = ?2", args,
			  2, 0, &cursor);
	bool has = r == XT_OK && ctl_next(cursor, &row) == XT_OK;
	xt_cursor_close(cursor);
	return has;
}

/* The column that a key goes to: by its name, or by the key that it was logged as. NULL: none yet. */
static const struct relation_column *column_of(const struct relation *table, const char *key)
{
	for (size_t i = 0; i < table->n; i++)
		if (table->columns[i].key && strcmp(table->columns[i].key, key) == 0)
			return &table->columns[i];
	return relation_find(table, key);
}

/* Says what was made, if it was: with no row to change there is no column either. */
static int note_new(struct ctl *ctl, xt_client *client, const char *near)
{
	struct relation now = {0};

	int status = relation_open(ctl, client, &now);
	const struct relation_column *c = status == CTL_OK ? column_of(&now, ctl->args[0]) : NULL;
	char *undo = c ? sql_format("ALTER TABLE %n DROP COLUMN %n", now.name, c->name) : NULL;
	if (undo)
		ctl_note(ctl, "column '%s' is new%s%s%s to take it back: %s sql %s --write '%s'", c->name,
			 near ? ": did you mean '" : "", near ? near : "", near ? "'?" : ";", ctl->program,
			 ctl_db(ctl), undo);
	free(undo);
	relation_done(&now);
	return status;
}

/* ---- the command ------------------------------------------------------ */

/* A whole table is asked for, unless something says that it is meant; and a column that may be mistyped. */
static bool is_meant(const struct ctl *ctl, const char *near)
{
	const struct options *o = &ctl->options;

	if (near && !o->yes && !ctl->xt &&
	    !ctl_confirm(ctl, "there is no column '%s' yet, but '%s'; make a new one?", ctl->args[0], near))
		return false;
	return o->track_id || o->where || o->all || o->yes ||
	       ctl_confirm(ctl, "set '%s' in every row of '%s'?", ctl->args[0], ctl->table);
}

static int set(struct ctl *ctl, xt_client *client, const xt_set_options *how, xt_value value)
{
	const char *key = ctl->args[0], *near = NULL;
	struct relation table = {0};
	uint64_t changed = 0;

	int status = relation_open(ctl, client, &table);
	bool is_new = status == CTL_OK && !column_of(&table, key) && !has_alias(client, table.name, key);
	if (is_new)
		near = relation_near(&table, key, NULL);
	if (status == CTL_OK && !is_meant(ctl, near)) {
		status = ctl_interrupted() ? CTL_INTERRUPTED : ctl_error(ctl, "nothing was set");
	} else if (status == CTL_OK) {
		int r = xt_set(client, key, value, how, &changed);
		status = r == XT_OK ? ctl_print_count(ctl, "changed", changed)
				    : chosen_fail(ctl, client, how->track_id, r);
		if (status == CTL_OK && is_new)
			status = note_new(ctl, client, near);
	}
	relation_done(&table);
	return status;
}

static int cmd_set(struct ctl *ctl)
{
	xt_set_options how = {.table = ctl->table, .track_id = ctl->options.track_id};
	xt_options options = ctl_reading();
	struct value value = {0}, where = {0};
	xt_client *client;
	char why[WHY_BYTES], *where_key = NULL;
	int status = CTL_USAGE;

	if (how.track_id && ctl->options.all)
		return ctl_usage(ctl, "--track-id and --all exclude each other");
	if (value_parse(&value, ctl->args[1], why, sizeof(why)) < 0) {
		ctl_usage(ctl, "%s", why);
	} else if (ctl->options.where &&
		   pair_parse(&where_key, &where, ctl->options.where, why, sizeof(why)) < 0) {
		ctl_usage(ctl, "--where: %s", why);
	} else if ((status = ctl_open(ctl, &options, &client)) == CTL_OK) {
		how.where_key = where_key;
		how.where_value = where.is;
		ctl->table_named = true; /* no other table is taken for one that there is not */
		status = ctl_close(ctl, client, set(ctl, client, &how, value.is));
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
		"'log'; :=JSON gives it exactly. A KEY that the table does not have becomes a column, which "
		"is told; "
		"on a terminal it is asked first where a column is called almost so, unless --yes is given.\n"
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
