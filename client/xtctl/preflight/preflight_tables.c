/*
 * What is tracked: per table how much, and whether it will answer the questions that come later.
 */
#include <stdlib.h>
#include <string.h>

#include "failed.h"
#include "meaning.h"
#include "preflight.h"
#include "schema.h"
#include "text.h"

#define MOST_TABLES 10 /* that are told of */

struct rules {
	bool frozen;
	struct names required;
};

static bool take_frozen(const xt_value *row, void *data)
{
	(void)row;
	((struct rules *)data)->frozen = true;
	return false;
}

static bool take_required(const xt_value *row, void *data)
{
	char *name = schema_text(&row[0]);

	if (name)
		names_add(&((struct rules *)data)->required, name);
	free(name);
	return true;
}

/* The first column of which a meaning is; NULL: there is none. */
static const char *find_meaning(const struct relation *rel, unsigned meaning)
{
	for (size_t i = 0; i < rel->n; i++)
		if (meaning_of(rel->columns[i].name) & meaning)
			return rel->columns[i].name;
	return NULL;
}

/* A column that names what a row was computed from. */
static const char *find_input(const struct relation *rel)
{
	static const char *const names[] = {
		"input_id", "input",	  "input_hash",	 "prompt_id", "prompt",	     "sample_id",
		"sample",   "example_id", "item_id",	 "item",      "file",	     "filename",
		"path",	    "image_id",	  "question_id", "doc_id",    "document_id", "id"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct relation_column *c = relation_find(rel, names[i]);
		if (c)
			return c->name;
	}
	return NULL;
}

/* Whether rows are executions: those of an aggregate have no inputs, and do not fail. */
static bool has_executions(const struct relation *rel)
{
	return relation_find(rel, "prediction") || relation_find(rel, "input_id") ||
	       relation_find(rel, "function_name");
}

/* ---- saying it ------------------------------------------------------------ */

static void say_table(struct preflight *p, const struct preflight_table *t, const struct rules *rules)
{
	char rows[COUNT_BYTES], more[NAMES_BYTES];

	findings_add(&p->found, false, "tracked", t->rel.name, NULL, t->rows,
		     "table '%s': %s %s of %zu columns%s%s%s%s", t->rel.name, text_count(rows, t->rows),
		     t->rows == 1 ? "row" : "rows", t->rel.n,
		     rules->frozen ? ", frozen: rows with new keys are rejected" : "",
		     rules->required.n ? "; required: " : "",
		     rules->required.text ? rules->required.text : "", names_more(more, &rules->required));
}

/* What cannot be asked later of rows that are logged so. */
static void say_lacks(struct preflight *p, const struct relation *rel)
{
	bool failures = false;
	char *failed = failed_condition(rel, &failures);

	free(failed);
	if (relation_find(rel, "prediction") && !find_meaning(rel, MEANS_ANSWER))
		findings_add(
			&p->found, false, "no_raw_response", rel->name, NULL, 0,
			"table '%s' keeps no raw responses: what a model said cannot be parsed anew; log "
			"'raw_response'",
			rel->name);
	if (!failures)
		findings_add(
			&p->found, false, "no_error_column", rel->name, NULL, 0,
			"table '%s' has no column 'error', so a failure leaves no trace; log 'error' and "
			"'error_type'",
			rel->name);
	if (!find_input(rel))
		findings_add(&p->found, false, "no_input_column", rel->name, NULL, 0,
			     "table '%s' does not say which input a row is of, so runs cannot be compared "
			     "input by input; log 'input_id'",
			     rel->name);
}

/* By its declaration only: `inspect` looks at the values. */
static void say_types(struct preflight *p, const struct relation *rel)
{
	struct names texts = {0};
	char more[NAMES_BYTES];

	for (size_t i = 0; i < rel->n; i++)
		if (meaning_of(rel->columns[i].name) & MEANS_NUMBER &&
		    strcmp(rel->columns[i].type, "TEXT") == 0)
			names_add(&texts, rel->columns[i].name);
	if (texts.n > 0)
		findings_add(&p->found, false, "text_for_number", rel->name, NULL, texts.n,
			     "table '%s' has text in %s%s, which by %s should be numbers; '%s inspect %s "
			     "--table %s' looks at the values",
			     rel->name, texts.text ? texts.text : "", names_more(more, &texts),
			     texts.n == 1 ? "its name" : "their names", p->ctl->program, ctl_db(p->ctl),
			     rel->name);
	names_done(&texts);
}

static int look_at_table(struct preflight *p, const struct preflight_table *t, struct names *open,
			 const char **ret_open)
{
	struct rules rules = {0};
	const char *name = t->rel.name;

	int r = schema_rows(p->client, "SELECT 1 FROM xt_frozen WHERE table_name = ?1", &name, 1, take_frozen,
			    &rules);
	if (r == XT_OK)
		r = schema_rows(p->client, "SELECT name FROM xt_required WHERE table_name = ?1 ORDER BY name",
				&name, 1, take_required, &rules);
	if (r == XT_OK) {
		say_table(p, t, &rules);
		if (has_executions(&t->rel))
			say_lacks(p, &t->rel);
		say_types(p, &t->rel);
		if (!rules.frozen) {
			names_add(open, name);
			*ret_open = name;
		}
	}
	names_done(&rules.required);
	return r == XT_OK ? CTL_OK : ctl_fail(p->ctl, p->client, r);
}

int preflight_tables(struct preflight *p)
{
	struct names open = {0};
	char more[NAMES_BYTES], count[COUNT_BYTES];
	const char *one = NULL; /* of the open tables */
	size_t told = 0, left = 0;
	int status = CTL_OK;

	for (size_t i = 0; i < p->n_tables && status == CTL_OK; i++) {
		if (!p->tables[i].looked_at)
			continue;
		if (told++ < MOST_TABLES)
			status = look_at_table(p, &p->tables[i], &open, &one);
		else
			left++;
	}
	if (left > 0)
		findings_add(&p->found, false, "more_tables", NULL, NULL, left,
			     "%s more %s not told of; --table names one", text_count(count, left),
			     left == 1 ? "table is" : "tables are");
	if (status == CTL_OK && open.n > 0)
		findings_add(&p->found, false, "not_frozen", NULL, NULL, open.n,
			     "%s%s %s new columns; '%s schema freeze %s --table %s' keeps mistyped keys out "
			     "while an experiment runs",
			     open.text ? open.text : "", names_more(more, &open),
			     open.n == 1 ? "takes" : "take", p->ctl->program, ctl_db(p->ctl),
			     open.n == 1 ? one : "TABLE");
	names_done(&open);
	return status;
}
