#include "compare.h"

#include <stdlib.h>
#include <string.h>

#include "meaning.h"
#include "sql.h"

#define MOST_COLUMNS  60 /* that are looked at for a setting */
#define MOST_SETTINGS 20 /* values of one: more are no setting */

/* The first row of a query, whole numbers. CTL_OK, or the failure is reported. Frees `sql`. */
static int ask(const struct ctl *ctl, xt_client *client, char *sql, size_t n, int64_t *ret)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int status = sql ? ctl_query(client, sql, NULL, 0, (int)ctl->options.timeout_s * 1000, &cursor)
			 : XT_ENOMEM;
	while (status == XT_OK && (status = ctl_next(cursor, &row)) == XT_OK)
		for (size_t i = 0; i < n; i++)
			ret[i] = row[i].type == XT_T_INT ? row[i].as.integer : 0;
	xt_cursor_close(cursor);
	free(sql);
	if (status == XT_DONE)
		return CTL_OK;
	return status == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, status);
}

int ask_nameless(struct values *v, const struct ctl *ctl, xt_client *client, const struct relation *r,
		 const char *where)
{
	int64_t n = 0;

	int status = ask(
		ctl, client,
		sql_format("SELECT count(*) FROM %n WHERE %n IS NULL AND %s", r->name, v->by->name, where), 1,
		&n);
	v->nameless = (uint64_t)n;
	return status;
}

/* ---- what rows of one input differ in ---------------------------------- */

/* Names of a repetition, which is what averaging is for. */
static bool is_repetition(const char *name)
{
	static const char *const names[] = {"repeat",  "repetition", "rep",	  "trial", "seed",
					    "attempt", "iteration",  "replicate", "run"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool may_be_setting(const struct values *v, const struct relation_column *c)
{
	unsigned means = meaning_of(c->name);

	for (size_t m = 0; m < v->n_metrics; m++)
		if (v->metrics[m] == c)
			return false;
	if (c == v->by || c == v->pair || is_repetition(c->name))
		return false;
	if (means & MEANS_PARAMETER)
		return true;
	return means == 0 && strcasecmp(c->type, "REAL") != 0 && strcasecmp(c->type, "BLOB") != 0;
}

/* Of the rows of one group and input: how often there are several, and of those, how often each of the
 * columns differs. */
static char *differ_sql(const struct values *v, const struct relation *r, const char *where, bool cached,
			const struct relation_column *const *columns, size_t n)
{
	char *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	fputs("SELECT count(*)", f);
	for (size_t i = 0; i < n; i++)
		fprintf(f, ", sum(xt_differs_%zu)", i);
	fputs(" FROM (SELECT 1", f);
	for (size_t i = 0; i < n; i++) {
		sql_print(f, ", min(%n) IS NOT max(%n)", columns[i]->name, columns[i]->name);
		fprintf(f, " AS xt_differs_%zu", i);
	}
	sql_print(f, " FROM %n WHERE %s AND %n IS NOT NULL", r->name, where, v->pair->name);
	if (!cached && relation_find(r, "cache"))
		fputs(" AND coalesce(\"cache\", '') = ''", f);
	sql_print(f, " GROUP BY %n COLLATE BINARY, %n COLLATE BINARY HAVING count(*) > 1)", v->by->name,
		  v->pair->name);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

/* Adds the column's name to the list of settings, if it has few values. */
static int add_setting(struct values *v, const struct ctl *ctl, xt_client *client, const struct relation *r,
		       const struct relation_column *c)
{
	int64_t n = 0;
	char *more;

	int status = ask(
		ctl, client,
		sql_format("SELECT count(*) FROM (SELECT DISTINCT %n FROM %n LIMIT 21)", c->name, r->name), 1,
		&n);
	if (status != CTL_OK || n > MOST_SETTINGS)
		return status;
	if (asprintf(&more, "%s%s'%s'", v->settings ? v->settings : "", v->settings ? ", " : "", c->name) < 0)
		return ctl_no_memory(ctl);
	free(v->settings);
	v->settings = more;
	return CTL_OK;
}

int ask_settings(struct values *v, const struct ctl *ctl, xt_client *client, const struct relation *r,
		 const char *where)
{
	const struct compare_options *o = ctl->own;
	const struct relation_column *columns[MOST_COLUMNS];
	int64_t counts[MOST_COLUMNS + 1] = {0};
	size_t n = 0;

	for (size_t i = 0; i < r->n && n < MOST_COLUMNS; i++)
		if (may_be_setting(v, &r->columns[i]))
			columns[n++] = &r->columns[i];
	if (n == 0)
		return CTL_OK;
	int status = ask(ctl, client, differ_sql(v, r, where, o->cached, columns, n), n + 1, counts);
	for (size_t i = 0; i < n && status == CTL_OK; i++)
		if (counts[0] > 0 && 2 * counts[i + 1] >= counts[0])
			status = add_setting(v, ctl, client, r, columns[i]);
	return status;
}
