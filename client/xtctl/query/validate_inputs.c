/*
 * Inputs that were evaluated more than once. By one run: a mistake. By several runs with the same parameters:
 * repetitions, which are what a comparison knows the noise from. In several splits: a leak.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "meaning.h"
#include "say.h"
#include "sql.h"
#include "text.h"
#include "validate.h"

#define CHUNK	     100 /* columns that one statement looks at */
#define MOST_GUESSES 8	 /* columns that are tried as parameters */
#define MOST_VALUES  100 /* that a parameter has which nobody named */

/* Rows of one (run, input). */
struct duplicates {
	struct validation *v;
	int64_t inputs, surplus, largest;      /* inputs; rows too many; rows of the largest group */
	char input[SAY_BYTES], run[SAY_BYTES]; /* one of them */
};

/* Columns in which rows of one (run, input) differ. */
struct differing {
	struct validation *v;
	size_t from, to; /* of the chunk that is being read */
	int64_t largest; /* see struct duplicates */
	bool any;	 /* there is one, whether it may be a parameter or not */
	const struct relation_column *list[MOST_GUESSES]; /* those that may be parameters */
	size_t n;
};

/* ---- one run, one input ----------------------------------------------- */

/* A list of the keys, each with a comma behind it; where nobody told parameters, also those of the run. */
static char *list_keys(const struct validation *v)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (size_t i = 0; f && i < v->n_keys; i++)
		sql_print(f, ", %n", v->keys[i]->name);
	if (f && (v->n_keys == 0 || v->guessed))
		fputs(", (SELECT params FROM xt_runs r WHERE r.track_id = t.track_id)", f);
	if (f && fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* inputs, rows too many, the largest group, one input, its run */
static void take_duplicates(void *data, const xt_value *row)
{
	struct duplicates *d = data;

	d->inputs = say_integer(&row[0]);
	d->surplus = say_integer(&row[1]);
	d->largest = say_integer(&row[2]);
	say_value(d->input, &row[3]);
	say_value(d->run, &row[4]);
}

/* A column without an aggregate comes from the row that min() is of. */
static int count_duplicates(struct duplicates *ret)
{
	struct validation *v = ret->v;
	const char *input = v->input->name;
	char *keys = list_keys(v);

	if (!keys)
		return ctl_no_memory(v->ctl);
	char *sql = sql_format(
		"%s, xt_groups AS (SELECT t.%n AS input, track_id AS run, count(*) AS n FROM %n t WHERE t.%n "
		"IS NOT "
		"NULL AND %s GROUP BY track_id, t.%n%s HAVING count(*) > 1) SELECT (SELECT count(DISTINCT "
		"input) FROM xt_groups), sum(n) - count(*), (SELECT max(n) FROM xt_groups), min(input), run "
		"FROM xt_groups",
		v->prefix[0] ? v->prefix : "WITH xt_unused AS (SELECT 1)", input, v->rel.name, input, v->once,
		input, keys);
	free(keys);
	return validate_ask(v, sql, take_duplicates, ret);
}

/* ---- parameters that nobody named ------------------------------------- */

/* Of each column of the chunk: how many groups differ in it, and how many values it has. */
static void take_differing(void *data, const xt_value *row)
{
	struct differing *d = data;

	for (size_t i = d->from; i < d->to; i++) {
		const struct relation_column *c = &d->v->rel.columns[i];
		int64_t groups = say_integer(&row[2 * (i - d->from)]),
			values = say_integer(&row[2 * (i - d->from) + 1]);
		unsigned means = meaning_of(c->name);
		if (groups == 0 || c == d->v->input || strcasecmp(c->name, "track_id") == 0 ||
		    strcasecmp(c->name, "timestamp") == 0)
			continue;
		d->any = true;
		bool few = values <= MOST_VALUES && (values <= d->largest || values * 4 <= d->v->rows);
		if (few && d->n < MOST_GUESSES && !(means & ~(unsigned)MEANS_PARAMETER))
			d->list[d->n++] = c;
	}
}

static int ask_differing(struct differing *d)
{
	const struct validation *v = d->v;
	const char *input = v->input->name;
	char *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return ctl_no_memory(v->ctl);
	fputs("SELECT ", f);
	for (size_t i = d->from; i < d->to; i++)
		fprintf(f, "%ssum(d%zu), max(n%zu)", i > d->from ? ", " : "", i, i);
	fputs(" FROM (SELECT ", f);
	for (size_t i = d->from; i < d->to; i++) {
		const char *name = v->rel.columns[i].name;
		sql_print(f, "%smin(%n) IS NOT max(%n) OR (count(%n) > 0 AND count(%n) < count(*)) AS d",
			  i > d->from ? ", " : "", name, name, name, name);
		fprintf(f, "%zu, ", i);
		sql_print(f, "(SELECT count(*) FROM (SELECT DISTINCT %n FROM %n LIMIT ", name, v->rel.name);
		fprintf(f, "%d)) AS n%zu", MOST_VALUES + 1, i);
	}
	sql_print(f, " FROM %n t WHERE t.%n IS NOT NULL AND %s GROUP BY track_id, t.%n HAVING count(*) > 1)",
		  v->rel.name, input, v->once, input);
	if (fclose(f) == 0)
		return validate_ask(d->v, sql, take_differing, d);
	free(sql);
	return ctl_no_memory(v->ctl);
}

static int find_differing(struct differing *ret)
{
	int status = CTL_OK;

	for (ret->from = 0; ret->from < ret->v->rel.n && status == CTL_OK; ret->from = ret->to) {
		ret->to = ret->from + CHUNK < ret->v->rel.n ? ret->from + CHUNK : ret->v->rel.n;
		status = ask_differing(ret);
	}
	return status;
}

/* Takes for parameters those columns, one by one, that make fewer rows too many. */
static int guess_keys(struct differing *d, struct duplicates *left)
{
	struct validation *v = d->v;
	int status = CTL_OK;

	v->guessed = true;
	for (size_t i = 0; i < d->n && status == CTL_OK && left->surplus > 0; i++) {
		int64_t before = left->surplus;
		validate_add_key(v, d->list[i]);
		status = count_duplicates(left);
		if (left->surplus == before)
			v->n_keys--;
	}
	return status;
}

static void say_guess(struct validation *v)
{
	char *names = NULL;
	size_t size;
	FILE *f = open_memstream(&names, &size);

	for (size_t i = 0; f && i < v->n_keys; i++)
		fprintf(f, "%s'%s'", i ? ", " : "", v->keys[i]->name);
	if (!f || fclose(f) != 0)
		v->found.failed = true;
	else
		findings_add(&v->found, false, "assumed_parameters", v->rel.name, NULL, v->n_keys,
			     "no parameters are known; rows of one input differ in %s, so %s taken for "
			     "%s; --params COLUMN,… names others",
			     names, v->n_keys == 1 ? "it is" : "they are", v->n_keys == 1 ? "one" : "such");
	free(names);
}

/* ---- duplicates ------------------------------------------------------- */

static void say_duplicates(struct validation *v, const struct duplicates *d, bool known)
{
	char n[COUNT_BYTES], m[COUNT_BYTES];

	if (d->inputs > 0)
		findings_add(&v->found, known, "duplicate", v->rel.name, v->input->name, (uint64_t)d->surplus,
			     "%s %s evaluated more than once by the same run%s, such as %s by %s: %s %s",
			     text_count(n, (uint64_t)d->inputs), d->inputs == 1 ? "input was" : "inputs were",
			     v->n_keys > 0 && !v->guessed ? " with the same parameters" : "", d->input,
			     d->run, text_count(m, (uint64_t)d->surplus),
			     known ? d->surplus == 1 ? "row too many" : "rows too many"
			     : d->surplus == 1
				     ? "row too many, unless a parameter tells them apart; --params "
				       "COLUMN,… names parameters"
				     : "rows too many, unless a parameter tells them apart; "
				       "--params COLUMN,… names parameters");
}

static int look_at_duplicates(struct validation *v)
{
	struct duplicates d = {.v = v};
	struct differing differing = {.v = v};
	bool known = v->n_keys > 0;
	int status = count_duplicates(&d);

	if (status == CTL_OK && d.surplus > 0 && !known) {
		differing.largest = d.largest;
		status = find_differing(&differing);
		if (status == CTL_OK)
			status = guess_keys(&differing, &d);
		if (status == CTL_OK && v->n_keys > 0)
			say_guess(v);
		v->guessed = v->n_keys > 0;
	}
	if (status == CTL_OK) /* rows that are the same in everything are so whatever the parameters are */
		say_duplicates(v, &d, known || !differing.any);
	return status;
}

/* ---- several runs ----------------------------------------------------- */

/* inputs, one input, two of its runs */
static void take_repeated(void *data, const xt_value *row)
{
	struct validation *v = data;
	char n[COUNT_BYTES], input[SAY_BYTES], first[SAY_BYTES], last[SAY_BYTES];
	int64_t inputs = say_integer(&row[0]);

	if (inputs > 0)
		findings_add(&v->found, false, "repeated", v->rel.name, v->input->name, (uint64_t)inputs,
			     "%s %s evaluated by more than one run with the same parameters, such as %s by "
			     "%s and %s: as repetitions they tell 'compare' how large chance is; averages "
			     "over all rows count such an input as often as it was evaluated",
			     text_count(n, (uint64_t)inputs), inputs == 1 ? "input was" : "inputs were",
			     say_value(input, &row[1]), say_value(first, &row[2]), say_value(last, &row[3]));
}

static int look_at_repetitions(struct validation *v)
{
	const char *input = v->input->name;
	char *keys = list_keys(v);

	if (!keys)
		return ctl_no_memory(v->ctl);
	char *sql = sql_format(
		"%s SELECT count(DISTINCT input), min(input), first, last FROM (SELECT t.%n AS input, "
		"min(track_id) AS first, max(track_id) AS last FROM %n t WHERE t.%n IS NOT NULL AND %s GROUP "
		"BY t.%n%s HAVING min(track_id) <> max(track_id))",
		v->prefix, input, v->rel.name, input, v->once, input, keys);
	free(keys);
	return validate_ask(v, sql, take_repeated, v);
}

static void take_shared(void *data, const xt_value *row)
{
	struct validation *v = data;
	int64_t inputs = say_integer(&row[0]);
	char n[COUNT_BYTES];

	for (size_t i = 0; i < v->found.n; i++)
		if (strcmp(v->found.list[i].code, "repeated") == 0)
			return;
	if (inputs > 0)
		findings_add(&v->found, false, "shared_inputs", v->rel.name, v->input->name, (uint64_t)inputs,
			     "%s %s evaluated by more than one run, each with other parameters or from "
			     "the cache",
			     text_count(n, (uint64_t)inputs), inputs == 1 ? "input was" : "inputs were");
}

static int look_at_shared(struct validation *v)
{
	const char *input = v->input->name;

	return validate_ask(v,
			    sql_format("SELECT count(*) FROM (SELECT 1 FROM %n t WHERE t.%n IS NOT NULL AND "
				       "%s GROUP BY t.%n HAVING min(track_id) <> max(track_id))",
				       v->rel.name, input, v->where, input),
			    take_shared, v);
}

/* ---- several splits --------------------------------------------------- */

/* What a finding about a column of splits needs. */
struct splits {
	struct validation *v;
	const struct relation_column *column;
};

/* inputs, one input, two of its splits */
static void take_leaks(void *data, const xt_value *row)
{
	const struct splits *s = data;
	struct validation *v = s->v;
	char n[COUNT_BYTES], input[SAY_BYTES], first[SAY_BYTES], last[SAY_BYTES];
	int64_t inputs = say_integer(&row[0]);

	if (inputs > 0)
		findings_add(&v->found, true, "leak", v->rel.name, v->input->name, (uint64_t)inputs,
			     "%s %s in more than one '%s', such as %s in %s and %s: what a model was made "
			     "with must not judge it",
			     text_count(n, (uint64_t)inputs), inputs == 1 ? "input is" : "inputs are",
			     s->column->name, say_value(input, &row[1]), say_value(first, &row[2]),
			     say_value(last, &row[3]));
}

static int look_at_splits(struct validation *v)
{
	static const char *const names[] = {"split", "params_split", "data_split", "dataset_split"};
	const char *input = v->input->name;
	int status = CTL_OK;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && status == CTL_OK; i++) {
		struct splits s = {v, relation_find(&v->rel, names[i])};
		if (!s.column)
			continue;
		const char *split = s.column->name;
		status = validate_ask(
			v,
			sql_format("SELECT count(*), min(input), first, last FROM (SELECT t.%n AS input, "
				   "min(%n) AS first, max(%n) AS last FROM %n t WHERE t.%n IS NOT NULL AND "
				   "%s GROUP BY t.%n HAVING min(%n) <> max(%n))",
				   input, split, split, v->rel.name, input, v->where, input, split, split),
			take_leaks, &s);
	}
	return status;
}

int validate_inputs(struct validation *v)
{
	int status = look_at_splits(v);

	if (status == CTL_OK)
		status = look_at_duplicates(v);
	if (status == CTL_OK)
		status = look_at_repetitions(v);
	if (status == CTL_OK)
		status = look_at_shared(v);
	return status;
}
