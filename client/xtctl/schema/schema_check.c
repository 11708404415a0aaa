#include "schema.h"

#include <stdlib.h>
#include <string.h>

#include "findings.h"
#include "sql.h"
#include "text.h"

struct check {
	struct findings *found; /* borrowed */
	const char *table;	/* borrowed: the only one that is looked at; NULL: all */
	const char *column;	/* borrowed: whose types are being read */
	char *mix;		/* owned: "integer (3 rows), text (1 row)" */
	size_t kinds;		/* types in it */
	uint64_t values;
	char **tables; /* owned: n_tables names */
	size_t n_tables;
	bool failed; /* out of memory */
};

/* ---- renamed columns -------------------------------------------------- */

static const char suspects_sql[] =
	"SELECT s.table_name, s.name, s.old_name, s.track_id, s.state = 'waiting' FROM xt_suspects s WHERE "
	"s.state IN "
	"('early', 'open', 'waiting') AND (?1 IS NULL OR s.table_name = ?1) AND 2 = (SELECT count(*) FROM "
	"pragma_table_info(s.table_name) i WHERE i.name = s.name COLLATE NOCASE OR i.name = s.old_name "
	"COLLATE NOCASE) "
	"ORDER BY s.table_name, s.name, s.similarity DESC";

static bool take_suspect(const xt_value *row, void *data)
{
	struct check *c = data;
	char *table = schema_text(&row[0]), *name = schema_text(&row[1]), *old = schema_text(&row[2]),
	     *run = schema_text(&row[3]);

	if (!table || !name || !old || !run)
		c->failed = true;
	else if (schema_number(&row[4]))
		findings_add(c->found, false, "new_column", table, name, 1,
			     "column '%s' is new in table '%s' and has a name like '%s', which run '%s' has "
			     "not logged so "
			     "far; it is judged when the run ends",
			     name, table, old, run);
	else
		findings_add(
			c->found, true, "renamed_column", table, name, 1,
			"column '%s' of table '%s' came with run '%s', which has no '%s': if that was "
			"renamed, '%s "
			"schema rename %s %s %s --table %s'; if not, '%s schema accept %s %s --table %s'",
			name, table, run, old, c->found->ctl->program, ctl_db(c->found->ctl), old, name,
			table, c->found->ctl->program, ctl_db(c->found->ctl), name, table);
	free(table);
	free(name);
	free(old);
	free(run);
	return !c->failed;
}

static int check_suspects(xt_client *client, struct check *c)
{
	return schema_rows(client, suspects_sql, &c->table, 1, take_suspect, c);
}

/* ---- mixed types ------------------------------------------------------ */

static bool take_type(const xt_value *row, void *data)
{
	struct check *c = data;
	char *type = schema_text(&row[0]), *longer = NULL;
	char count[COUNT_BYTES];
	uint64_t n = schema_number(&row[1]);

	if (!type || asprintf(&longer, "%s%s%s (%s %s)", c->mix ? c->mix : "", c->mix ? ", " : "", type,
			      text_count(count, n), n == 1 ? "row" : "rows") < 0)
		c->failed = true;
	else {
		free(c->mix);
		c->mix = longer;
		c->values += n;
		c->kinds++;
	}
	free(type);
	return !c->failed;
}

static int check_column(xt_client *client, struct check *c, const struct relation *table, const char *column)
{
	char *sql = sql_format(
		"SELECT typeof(%n), count(*) FROM %n WHERE %n IS NOT NULL GROUP BY 1 ORDER BY 2 DESC", column,
		table->name, column);

	free(c->mix);
	c->mix = NULL;
	c->kinds = 0;
	c->values = 0;
	int r = sql ? schema_rows(client, sql, NULL, 0, take_type, c) : XT_ENOMEM;
	free(sql);
	if (r == XT_OK && c->kinds > 1)
		findings_add(c->found, true, "mixed_types", table->name, column, c->values,
			     "column '%s' of table '%s' has values of several types: %s; log one type, and "
			     "mend what is "
			     "there by '%s sql %s --write'",
			     column, table->name, c->mix, c->found->ctl->program, ctl_db(c->found->ctl));
	return r;
}

/* Only columns that lost their type, or never had one, hold values of several. */
static int check_types(xt_client *client, struct check *c, const struct relation *table)
{
	int r = XT_OK;

	for (size_t i = 0; r == XT_OK && i < table->n; i++)
		if (!table->columns[i].type[0])
			r = check_column(client, c, table, table->columns[i].name);
	return r;
}

/* ---- required columns ------------------------------------------------- */

static bool take_missing(const xt_value *row, void *data)
{
	struct check *c = data;
	char *table = schema_text(&row[0]), *name = schema_text(&row[1]);

	if (!table || !name)
		c->failed = true;
	else
		findings_add(c->found, false, "required_column", table, name, 0,
			     "column '%s' is required in table '%s', where no row has it yet", name, table);
	free(table);
	free(name);
	return !c->failed;
}

static int check_required(xt_client *client, struct check *c)
{
	return schema_rows(client,
			   "SELECT q.table_name, q.name FROM xt_required q WHERE (?1 IS NULL OR q.table_name "
			   "= ?1) AND NOT "
			   "EXISTS (SELECT 1 FROM pragma_table_info(q.table_name) i WHERE i.name = q.name "
			   "COLLATE NOCASE)",
			   &c->table, 1, take_missing, c);
}

/* ---- all tables ------------------------------------------------------- */

/* In the copy of the invocation that a relation is opened by the table is named. */
static int check_table(const struct ctl *ctl, xt_client *client, struct check *c, const char *name)
{
	struct ctl named = *ctl;
	struct relation table;

	named.table = name;
	named.table_named = true;
	int status = relation_open(&named, client, &table);
	if (status == CTL_OK) {
		int r = check_types(client, c, &table);
		status = r == XT_OK ? CTL_OK : ctl_fail(ctl, client, r);
	}
	relation_done(&table);
	return status;
}

static int list_tables(xt_client *client, struct check *c)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = xt_tables(&cursor, client);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		char **more = reallocarray(c->tables, c->n_tables + 1, sizeof(*more));
		if (more)
			c->tables = more;
		if (!more || !(more[c->n_tables] = schema_text(&row[0]))) {
			r = XT_ENOMEM;
			break;
		}
		c->n_tables++;
	}
	xt_cursor_close(cursor);
	return r == XT_DONE ? XT_OK : r;
}

static int check_all(struct ctl *ctl, xt_client *client, struct check *c)
{
	int status = CTL_OK, r = check_suspects(client, c);

	if (r == XT_OK)
		r = check_required(client, c);
	if (r == XT_OK && !c->table)
		r = list_tables(client, c);
	if (r != XT_OK)
		return r == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, r);
	if (c->table)
		status = check_table(ctl, client, c, c->table);
	for (size_t i = 0; status == CTL_OK && i < c->n_tables; i++)
		status = check_table(ctl, client, c, c->tables[i]);
	return status == CTL_OK && c->failed ? ctl_no_memory(ctl) : status;
}

int schema_findings(struct ctl *ctl, xt_client *client, const char *table, struct findings *found)
{
	struct check c = {.found = found, .table = table};

	int status = check_all(ctl, client, &c);
	for (size_t i = 0; i < c.n_tables; i++)
		free(c.tables[i]);
	free(c.tables);
	free(c.mix);
	return status;
}

static int check(struct ctl *ctl, xt_client *client)
{
	struct findings found = {.ctl = ctl};

	int status = schema_findings(ctl, client, ctl->table_named ? ctl->table : NULL, &found);
	if (status == CTL_OK)
		status = findings_print(&found, &ctl->out,
					"ok: no column looks renamed, none has mixed types");
	findings_done(&found);
	return status;
}

static int schema_check(struct ctl *ctl)
{
	return ctl_with_client(ctl, check);
}

const struct command schema_check_command = {
	.name = "schema check",
	.summary = "columns that may be others renamed, and columns of mixed types",
	.help = "Of all tables, or of --table. What looks renamed is told until 'schema rename' makes the "
		"two one or "
		"'schema accept' says that they are not. Exit status 1 when there is something.",
	.examples = (const struct example[]){{"before the runs that count", "schema check demo.db"},
					     {NULL, NULL}},
	.options = OPT_TABLE | OPT_JSON,
	.run = schema_check,
};
