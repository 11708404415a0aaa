/*
 * Inputs that some combinations of parameters have and others have not: what a worker that died left out, and
 * why averages over all rows compare unlike things.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "say.h"
#include "sql.h"
#include "text.h"
#include "validate.h"

#define MOST_GROUPS 2000 /* combinations of parameters that are held against each other */

/* Columns of the answer; then of each parameter its value, and whether groups differ in it. */
enum { ALL, GROUPS, HAS, SAMPLE, FIRST_PARAM };

/* Writes the form for each parameter, with its number where there is a #. */
static void put_each(const struct validation *v, const char *form, FILE *f)
{
	for (size_t i = 0; i < v->n_params; i++)
		for (const char *c = form; *c; c++)
			if (*c == '#')
				fprintf(f, "%zu", i);
			else
				putc(*c, f);
}

/*
 * Of groups that lack something five, those that lack least first. None where no group has half of the
 * inputs: those are experiments of their own. Rows without any parameter are no group. The sample is looked
 * for in each group that is named, and in no other.
 */
static char *make_statement(const struct validation *v)
{
	char *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	sql_print(f, "WITH pairs AS MATERIALIZED (SELECT DISTINCT t.%n AS input", v->input->name);
	for (size_t i = 0; i < v->n_params; i++) {
		sql_print(f, ", t.%n AS k", v->params[i]->name);
		fprintf(f, "%zu", i);
	}
	sql_print(f, " FROM %n t WHERE t.%n IS NOT NULL AND (%s) AND coalesce(NULL", v->rel.name,
		  v->input->name, v->where);
	for (size_t i = 0; i < v->n_params; i++)
		sql_print(f, ", t.%n", v->params[i]->name);
	fputs(") IS NOT NULL), inputs AS MATERIALIZED (SELECT DISTINCT input FROM pairs), groups AS "
	      "MATERIALIZED "
	      "(SELECT count(*) AS has",
	      f);
	put_each(v, ", k#", f);
	fputs(" FROM pairs GROUP BY NULL", f);
	put_each(v, ", k#", f);
	fputs("), sums AS MATERIALIZED (SELECT (SELECT count(*) FROM inputs) AS every, max(has) AS most FROM "
	      "groups), lacking AS MATERIALIZED (SELECT * FROM groups, sums WHERE has < every AND most * 2 "
	      ">= every) "
	      "SELECT every, (SELECT count(*) FROM lacking), has, (SELECT min(input) FROM inputs WHERE input "
	      "NOT "
	      "IN (SELECT input FROM pairs p WHERE 1",
	      f);
	put_each(v, " AND p.k# IS g.k#", f);
	fputs("))", f);
	put_each(v,
		 ", k#, (SELECT min(k#) IS NOT max(k#) OR (count(k#) > 0 AND count(k#) < count(*)) FROM "
		 "groups)",
		 f);
	fputs(" FROM (SELECT * FROM lacking ORDER BY has DESC LIMIT 5) g", f);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

/* "model 'beta', lr 0.1": the parameters in which groups differ. Owned by the caller. */
static char *name_group(const struct validation *v, const xt_value *row)
{
	char *text = NULL, value[SAY_BYTES];
	size_t size, n = 0;
	FILE *f = open_memstream(&text, &size);

	for (size_t i = 0; f && i < v->n_params; i++) {
		const char *name = v->params[i]->name;
		const xt_value *param = &row[FIRST_PARAM + 2 * i];
		if (say_integer(&param[1]) == 0)
			continue;
		if (strncasecmp(name, "params_", 7) == 0 && name[7])
			name += 7;
		fprintf(f, "%s%s %s", n++ ? ", " : "", name, say_value(value, &param[0]));
	}
	if (f && fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static void say_group(struct validation *v, const xt_value *row)
{
	char n[COUNT_BYTES], all[COUNT_BYTES], sample[SAY_BYTES], *group = name_group(v, row);
	int64_t every = say_integer(&row[ALL]), lacks = every - say_integer(&row[HAS]);

	if (!group)
		v->found.failed = true;
	else
		findings_add(&v->found, false, "missing_inputs", v->rel.name, v->input->name, (uint64_t)lacks,
			     "%s lacks %s of %s inputs that others have, such as %s", group,
			     text_count(n, (uint64_t)lacks), text_count(all, (uint64_t)every),
			     say_value(sample, &row[SAMPLE]));
	free(group);
}

int validate_missing(struct validation *v)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	char n[COUNT_BYTES];
	int64_t groups = 0, named = 0;

	if (v->combinations > MOST_GROUPS) {
		findings_add(
			&v->found, false, "many_combinations", v->rel.name, v->input->name,
			(uint64_t)v->combinations,
			"whether a combination of parameters lacks inputs that others have is not looked "
			"at where there are more than %s; --params COLUMN,… names fewer parameters",
			text_count(n, MOST_GROUPS));
		return CTL_OK;
	}
	char *sql = make_statement(v);
	int r = sql ? ctl_query(v->client, sql, NULL, 0, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		say_group(v, row);
		groups = say_integer(&row[GROUPS]);
		named++;
	}
	xt_cursor_close(cursor);
	if (r != XT_DONE)
		return r == XT_ENOMEM ? ctl_no_memory(v->ctl) : ctl_fail(v->ctl, v->client, r);
	if (groups > named)
		findings_add(&v->found, false, "missing_inputs", v->rel.name, v->input->name,
			     (uint64_t)(groups - named),
			     "%s more combinations of parameters lack inputs that others have",
			     text_count(n, (uint64_t)(groups - named)));
	return CTL_OK;
}
