#include "schema.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* ---- what the parts share --------------------------------------------- */

int schema_rows(xt_client *client, const char *sql, const char *const *args, size_t n_args,
		bool each(const xt_value *row, void *data), void *data)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	xt_value values[4];

	for (size_t i = 0; i < n_args; i++)
		values[i] = xt_text(args[i]);
	int r = ctl_query(client, sql, values, n_args, 0, &cursor);
	if (r == XT_EREQUEST && strstr(xt_error(client), "no such table: xt_"))
		return XT_OK;
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK && each(row, data))
		;
	xt_cursor_close(cursor);
	return r == XT_DONE ? XT_OK : r;
}

char *schema_text(const xt_value *v)
{
	return v->type == XT_T_TEXT ? strndup(v->as.text, v->n) : NULL;
}

uint64_t schema_number(const xt_value *v)
{
	return v->type == XT_T_UINT			  ? v->as.uinteger
	       : v->type == XT_T_INT && v->as.integer > 0 ? (uint64_t)v->as.integer
							  : 0;
}

static int with_table(struct ctl *ctl, xt_client *client,
		      int run(struct ctl *ctl, xt_client *client, const struct relation *table))
{
	struct relation table;

	int status = relation_open(ctl, client, &table);
	if (status == CTL_OK)
		status = run(ctl, client, &table);
	relation_done(&table);
	return status;
}

int schema_with_table(struct ctl *ctl,
		      int run(struct ctl *ctl, xt_client *client, const struct relation *table))
{
	xt_options options = ctl_reading();
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	return status == CTL_OK ? ctl_close(ctl, client, with_table(ctl, client, run)) : status;
}

/* ---- answers ---------------------------------------------------------- */

static void put_json_text(FILE *f, const char *label, const char *text)
{
	fprintf(f, "\"%s\": ", label);
	json_print_text(f, text, strlen(text));
}

/* The answer to a change that may have been made before: a sentence, or an object. */
static int put_changed(struct ctl *ctl, const char *table, const char *done, bool changed,
		       const char *already)
{
	FILE *f = ctl->out.file;

	if (ctl->options.json) {
		putc('{', f);
		put_json_text(f, "table", table);
		fprintf(f, ", \"changed\": %s}\n", changed ? "true" : "false");
		return CTL_OK;
	}
	ctl_say(ctl, "", "table '%s' %s", table, changed ? done : already);
	return CTL_OK;
}

/* ---- rename ----------------------------------------------------------- */

static int rename_one(struct ctl *ctl, xt_client *client, const struct relation *table)
{
	FILE *f = ctl->out.file;
	char count[COUNT_BYTES];
	xt_renamed renamed;

	int r = xt_schema_rename(client, table->name, ctl->args[0], ctl->args[1], &renamed);
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	const char *near = renamed.merged ? NULL : relation_near(table, renamed.name, ctl->args[0]);
	if (near && !relation_find(table, renamed.name))
		ctl_note(ctl,
			 "column '%s' is new beside '%s'; if that is meant, '%s schema rename %s %s %s "
			 "--table %s' makes them one",
			 renamed.name, near, ctl->program, ctl_db(ctl), renamed.name, near, table->name);
	if (ctl->options.json) {
		putc('{', f);
		put_json_text(f, "table", table->name);
		fputs(", ", f);
		put_json_text(f, "column", renamed.name);
		fprintf(f, ", \"merged\": %s, \"moved\": %" PRIu64 "}\n", renamed.merged ? "true" : "false",
			renamed.moved);
		return CTL_OK;
	}
	if (renamed.merged)
		ctl_say(ctl, "",
			"column '%s' of table '%s' is '%s' now, as one with that which was there; %s %s "
			"moved",
			ctl->args[0], table->name, renamed.name, text_count(count, renamed.moved),
			renamed.moved == 1 ? "value" : "values");
	else
		ctl_say(ctl, "", "column '%s' of table '%s' is '%s' now", ctl->args[0], table->name,
			renamed.name);
	return CTL_OK;
}

static int schema_rename(struct ctl *ctl)
{
	return schema_with_table(ctl, rename_one);
}

static const struct command schema_rename_command = {
	.name = "schema rename",
	.usage = "OLD NEW",
	.summary = "rename a column, in the rows of all runs",
	.help = "Where there is a column NEW already, the two become one, unless a row has values in both: "
		"then "
		"nothing changes, and an example is shown. Workers may go on logging meanwhile, and under "
		"the old "
		"name afterwards: it stays as an alias.\n"
		"A plain rename takes no time. To make two columns one, all rows are written anew: rows that "
		"are "
		"logged wait meanwhile, and the disk needs twice the database's size. A view or trigger that "
		"names "
		"the column follows a plain rename; where it stands in the way the message names it.",
	.examples =
		(const struct example[]){
			{"the code says 'ratio' by another name now",
			 "schema rename demo.db ratio compression_ratio --table predictions"},
			{NULL, NULL}},
	.options = OPT_TABLE | OPT_JSON,
	.least = 2,
	.most = 2,
	.run = schema_rename,
};

/* ---- alias ------------------------------------------------------------ */

struct drop_options {
	bool drop; /* --drop */
};

static const struct option_def drop_options[] = {
	{"drop", NULL, OPTION_FLAG, offsetof(struct drop_options, drop), .help = "no longer"},
	{0},
};

static int list_rules(struct ctl *ctl, xt_client *client, const char *sql, const char *table)
{
	xt_value arg = xt_text(table);
	xt_cursor *cursor = NULL;

	int r = ctl_query(client, sql, &arg, 1, 0, &cursor);
	int status = r == XT_OK ? ctl_print(ctl, client, cursor) : ctl_fail(ctl, client, r);
	xt_cursor_close(cursor);
	return status;
}

static int alias(struct ctl *ctl, xt_client *client, const struct relation *table)
{
	const struct drop_options *o = ctl->own;
	bool changed = false;

	if (ctl->n_args == 0)
		return list_rules(
			ctl, client,
			"SELECT key, name AS column, substr(created, 1, 19) AS since FROM xt_aliases "
			"WHERE table_name = ?1 ORDER BY name, key",
			table->name);
	int r = xt_schema_alias(client, table->name, ctl->args[0], o->drop ? NULL : ctl->args[1], &changed);
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	return put_changed(ctl, table->name, o->drop ? "has one alias less" : "has one alias more", changed,
			   o->drop ? "had no such alias" : "had this alias already");
}

static int schema_alias(struct ctl *ctl)
{
	const struct drop_options *o = ctl->own;

	if (ctl->n_args > 0 && ctl->n_args != (o->drop ? 1u : 2u))
		return ctl_usage(ctl, o->drop ? "--drop takes a KEY alone" : "COLUMN is missing");
	return schema_with_table(ctl, alias);
}

static const struct command schema_alias_command = {
	.name = "schema alias",
	.usage = "[KEY COLUMN | KEY --drop]",
	.summary = "have a key lead to a column of another name",
	.help = "Without KEY: all aliases. A key that has a column of its own is renamed instead: 'schema "
		"rename'.",
	.examples = (const struct example[]){{"a worker calls it 'algorithm'",
					      "schema alias demo.db algorithm codec --table predictions"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE,
	.own = drop_options,
	.own_size = sizeof(struct drop_options),
	.most = 2,
	.run = schema_alias,
};

/* ---- accept ----------------------------------------------------------- */

static int accept_one(struct ctl *ctl, xt_client *client, const struct relation *table)
{
	char count[COUNT_BYTES];
	uint64_t accepted = 0;

	int r = xt_schema_accept(client, table->name, ctl->args[0], ctl->n_args > 1 ? ctl->args[1] : NULL,
				 &accepted);
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	if (ctl->options.json) {
		fprintf(ctl->out.file, "{\"accepted\": %" PRIu64 "}\n", accepted);
		return CTL_OK;
	}
	if (accepted > 0)
		ctl_say(ctl, "", "column '%s' of table '%s' is accepted beside %s %s", ctl->args[0],
			table->name, text_count(count, accepted), accepted == 1 ? "other" : "others");
	else
		ctl_say(ctl, "", "column '%s' of table '%s' %s", ctl->args[0], table->name,
			ctl->n_args > 1 ? "is accepted beforehand" : "was not taken for another one");
	return CTL_OK;
}

static int schema_accept(struct ctl *ctl)
{
	return schema_with_table(ctl, accept_one);
}

static const struct command schema_accept_command = {
	.name = "schema accept",
	.usage = "COLUMN [OTHER]",
	.summary = "say that a column is not another one renamed",
	.help = "'schema check' tells of it no longer, nor is a worker warned. OTHER: of that pair only, "
		"which need not "
		"have been noticed yet.",
	.examples = (const struct example[]){{"two columns of like names, both meant",
					      "schema accept demo.db compress_mb_s decompress_mb_s --table "
					      "predictions"},
					     {NULL, NULL}},
	.options = OPT_TABLE | OPT_JSON,
	.least = 1,
	.most = 2,
	.run = schema_accept,
};

/* ---- freeze and thaw -------------------------------------------------- */

static int freeze(struct ctl *ctl, xt_client *client, const struct relation *table)
{
	bool changed = false;

	int r = xt_schema_freeze(client, table->name, true, &changed);
	return r == XT_OK ? put_changed(ctl, table->name, "is frozen: rows with new keys are rejected",
					changed, "was frozen already")
			  : ctl_fail(ctl, client, r);
}

static int thaw(struct ctl *ctl, xt_client *client, const struct relation *table)
{
	bool changed = false;

	int r = xt_schema_freeze(client, table->name, false, &changed);
	return r == XT_OK
		       ? put_changed(ctl, table->name, "takes new columns again", changed, "was not frozen")
		       : ctl_fail(ctl, client, r);
}

static int schema_freeze(struct ctl *ctl)
{
	return schema_with_table(ctl, freeze);
}

static int schema_thaw(struct ctl *ctl)
{
	return schema_with_table(ctl, thaw);
}

static const struct command schema_freeze_command = {
	.name = "schema freeze",
	.summary = "reject rows that bring new columns",
	.help = "For an experiment: a mistyped or renamed key is told to its worker at once, with the "
		"nearest name, and "
		"its row is rejected. Old names of renamed columns are known. What a statement of 'sql "
		"--write' adds "
		"is let in.",
	.examples = (const struct example[]){{"before the runs that count",
					      "schema freeze demo.db --table predictions"},
					     {NULL, NULL}},
	.options = OPT_TABLE | OPT_JSON,
	.run = schema_freeze,
};

static const struct command schema_thaw_command = {
	.name = "schema thaw",
	.summary = "let new columns in again",
	.examples =
		(const struct example[]){{"back to development", "schema thaw demo.db --table predictions"},
					 {NULL, NULL}},
	.options = OPT_TABLE | OPT_JSON,
	.run = schema_thaw,
};

/* ---- require ---------------------------------------------------------- */

/* The arguments as "'a', 'b'"; owned by the caller, NULL: out of memory. */
static char *list_names(const struct ctl *ctl)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	for (size_t i = 0; f && i < ctl->n_args; i++)
		fprintf(f, "%s'%s'", i > 0 ? ", " : "", ctl->args[i]);
	if (f && fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static int require(struct ctl *ctl, xt_client *client)
{
	const struct drop_options *o = ctl->own;
	uint64_t changed = 0;

	if (ctl->n_args == 0)
		return list_rules(
			ctl, client,
			"SELECT name AS column, substr(created, 1, 19) AS since FROM xt_required WHERE "
			"table_name = ?1 ORDER BY name",
			ctl->table);
	int r = xt_schema_require(client, ctl->table, (const char *const *)ctl->args, ctl->n_args, !o->drop,
				  &changed);
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	char *names = list_names(ctl), *done = NULL, *already = NULL;
	int status = CTL_FAILED;
	if (names &&
	    asprintf(&done, o->drop ? "takes rows without %s again" : "takes no rows without %s from now on",
		     names) >= 0 &&
	    asprintf(&already, o->drop ? "did not require %s" : "required %s already", names) >= 0)
		status = put_changed(ctl, ctl->table, done, changed > 0, already);
	else
		ctl_no_memory(ctl);
	free(names);
	free(done);
	free(already);
	return status;
}

static int schema_require(struct ctl *ctl)
{
	const struct drop_options *o = ctl->own;

	if (o->drop && ctl->n_args == 0)
		return ctl_usage(ctl, "COLUMN is missing");
	return ctl_with_client(ctl, require);
}

static const struct command schema_require_command = {
	.name = "schema require",
	.usage = "[COLUMN...] [--drop]",
	.summary = "reject rows that have no value for a column",
	.help = "Without COLUMN: those that are required. NULL is no value, nor is NaN, which becomes NULL. "
		"Neither table nor column need be there yet, so that the first row counts too. Rows of calls "
		"that failed are rows too: require what is known before.",
	.examples = (const struct example[]){{"every row says which input it is of",
					      "schema require demo.db input_id --table predictions"},
					     {"no longer",
					      "schema require demo.db input_id --drop --table predictions"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE,
	.own = drop_options,
	.own_size = sizeof(struct drop_options),
	.most = -1,
	.run = schema_require,
};

/* ---- all -------------------------------------------------------------- */

extern const struct command schema_show_command, schema_check_command, schema_diff_command;

static const struct command *const parts[] = {
	&schema_show_command,	 &schema_check_command,
	&schema_diff_command,	 &schema_rename_command,
	&schema_alias_command,	 &schema_accept_command,
	&schema_freeze_command,	 &schema_thaw_command,
	&schema_require_command, NULL,
};

const struct command schema_command = {
	.name = "schema",
	.usage = "[show|check|diff|rename|alias|accept|freeze|thaw|require] ...",
	.summary = "columns: what they are, which were renamed, which must be there",
	.help = "A key that is renamed in the code would split its column in two. When a new column comes "
		"whose name is "
		"like that of one which the rows no longer have, its worker is warned, and 'schema check' "
		"tells of it.",
	.parts = parts,
};
