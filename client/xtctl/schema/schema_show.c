#include "schema.h"

#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "text.h"

#define CHUNK 200 /* columns that one statement counts */

/* What is told of a column. */
struct facts {
	uint64_t values;    /* rows that are not NULL */
	char *first, *last; /* owned: runs that had it; NULL: none */
	char *aliases;	    /* owned: keys that lead to it; NULL: none */
	bool required;
};

struct show {
	const struct relation *table;
	struct facts *facts; /* owned: of each column */
	uint64_t rows;
	size_t from; /* first column of the chunk that is counted */
	size_t at;   /* column that is asked for */
	bool frozen;
};

/* ---- asking ----------------------------------------------------------- */

static bool take_counts(const xt_value *row, void *data)
{
	struct show *s = data;

	s->rows = schema_number(&row[0]);
	for (size_t i = s->from; i < s->table->n && i < s->from + CHUNK; i++)
		s->facts[i].values = schema_number(&row[1 + i - s->from]);
	return true;
}

/* One pass over the table for all columns of a chunk. */
static int count(xt_client *client, struct show *s)
{
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return XT_ENOMEM;
	fputs("SELECT count(*)", f);
	for (size_t i = s->from; i < s->table->n && i < s->from + CHUNK; i++)
		sql_print(f, ", count(%n)", s->table->columns[i].name);
	sql_print(f, " FROM %n", s->table->name);
	int r = fclose(f) == 0 ? schema_rows(client, sql, NULL, 0, take_counts, s) : XT_ENOMEM;
	free(sql);
	return r;
}

static bool take_runs(const xt_value *row, void *data)
{
	struct show *s = data;

	s->facts[s->at].first = schema_text(&row[0]);
	s->facts[s->at].last = schema_text(&row[1]);
	return true;
}

/* A table of another program may have neither runs nor an order. */
static int find_runs(xt_client *client, struct show *s)
{
	const char *table = s->table->name, *column = s->table->columns[s->at].name;
	char *sql = sql_format(
		"SELECT (SELECT track_id FROM %n WHERE %n IS NOT NULL ORDER BY rowid LIMIT 1), (SELECT "
		"track_id FROM %n WHERE %n IS NOT NULL ORDER BY rowid DESC LIMIT 1)",
		table, column, table, column);
	int r = sql ? schema_rows(client, sql, NULL, 0, take_runs, s) : XT_ENOMEM;

	free(sql);
	return r == XT_EREQUEST && strcmp(xt_error_code(client), "sql_error") == 0 ? XT_OK : r;
}

static struct facts *facts_of(struct show *s, const xt_value *name)
{
	char *text = schema_text(name);
	const struct relation_column *c = text ? relation_find(s->table, text) : NULL;

	free(text);
	return c ? &s->facts[c - s->table->columns] : NULL;
}

static bool take_alias(const xt_value *row, void *data)
{
	struct facts *f = facts_of(data, &row[0]);

	if (f && !f->aliases)
		f->aliases = schema_text(&row[1]);
	return true;
}

static bool take_required(const xt_value *row, void *data)
{
	struct facts *f = facts_of(data, &row[0]);

	if (f)
		f->required = true;
	return true;
}

static bool take_frozen(const xt_value *row, void *data)
{
	struct show *s = data;

	(void)row;
	s->frozen = true;
	return false;
}

static int ask(xt_client *client, struct show *s)
{
	const char *table = s->table->name;
	int r = XT_OK;

	for (s->from = 0; r == XT_OK && s->from < s->table->n; s->from += CHUNK)
		r = count(client, s);
	for (s->at = 0; r == XT_OK && s->at < s->table->n; s->at++)
		if (s->facts[s->at].values > 0)
			r = find_runs(client, s);
	if (r == XT_OK)
		r = schema_rows(client,
				"SELECT name, group_concat(key, ', ') FROM xt_aliases WHERE table_name = ?1 "
				"GROUP BY name",
				&table, 1, take_alias, s);
	if (r == XT_OK)
		r = schema_rows(client, "SELECT name FROM xt_required WHERE table_name = ?1", &table, 1,
				take_required, s);
	if (r == XT_OK)
		r = schema_rows(client, "SELECT 1 FROM xt_frozen WHERE table_name = ?1", &table, 1,
				take_frozen, s);
	return r;
}

/* ---- showing ---------------------------------------------------------- */

static int print(struct ctl *ctl, const struct show *s)
{
	static const char *const names[] = {"name",	 "type",     "key",	"nulls",
					    "first_run", "last_run", "aliases", "marks"};
	static const char *const types[] = {"", "", "", "REAL", "", "", "", ""};
	size_t n = sizeof(names) / sizeof(names[0]);
	struct format_options how = ctl_how_to_print(ctl);
	int r = 0;

	how.digits = 3;
	struct format *f = format_new(&ctl->out, &how, n, names, types);
	for (size_t i = 0; f && r == 0 && i < s->table->n; i++) {
		const struct relation_column *c = &s->table->columns[i];
		const struct facts *k = &s->facts[i];
		xt_value row[] = {
			xt_text(c->name),
			xt_text(c->type),
			xt_text(c->key),
			s->rows ? xt_real((double)(s->rows - k->values) / (double)s->rows) : xt_null(),
			xt_text(k->first),
			xt_text(k->last),
			xt_text(k->aliases),
			xt_text(k->required && s->frozen ? "required, frozen"
				: k->required		 ? "required"
				: s->frozen		 ? "frozen"
							 : NULL),
		};
		r = format_row(f, row);
	}
	if (f && ctl_format_end(ctl, &ctl->out, f, n, r == 0) < 0)
		r = -1;
	format_free(f);
	return f && r == 0 ? CTL_OK : ctl_no_memory(ctl);
}

static int show(struct ctl *ctl, xt_client *client, const struct relation *table)
{
	struct show s = {.table = table, .facts = calloc(table->n + 1, sizeof(*s.facts))};

	int r = s.facts ? ask(client, &s) : XT_ENOMEM;
	int status = r == XT_ENOMEM ? ctl_no_memory(ctl)
		     : r == XT_OK   ? print(ctl, &s)
				    : ctl_fail(ctl, client, r);
	for (size_t i = 0; s.facts && i < table->n; i++) {
		free(s.facts[i].first);
		free(s.facts[i].last);
		free(s.facts[i].aliases);
	}
	free(s.facts);
	return status;
}

static int schema_show(struct ctl *ctl)
{
	return schema_with_table(ctl, show);
}

const struct command schema_show_command = {
	.name = "schema show",
	.summary = "the columns of a table: type, share of NULL, which runs had them",
	.help = "key: as it was logged. nulls: share of rows without a value. first_run, last_run: of the "
		"first and last "
		"row with one. aliases: other keys that lead here. marks: required; frozen, of all columns, "
		"where the "
		"table takes no new ones. All rows are looked at.",
	.examples = (const struct example[]){{"what was logged, and since when",
					      "schema show demo.db --table predictions"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE,
	.run = schema_show,
};
