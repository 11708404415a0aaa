/*
 * What makes a benchmark worth less than it seems: the same input evaluated again, parameters that are not
 * there, executions that failed, rows that were lost.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "failed.h"
#include "meaning.h"
#include "runs.h"
#include "say.h"
#include "sql.h"
#include "text.h"
#include "validate.h"
#include "where.h"

/* ---- which columns ---------------------------------------------------- */

void validate_add_key(struct validation *v, const struct relation_column *c)
{
	if (c && v->n_keys < MOST_KEYS)
		v->keys[v->n_keys++] = c;
}

/* Parameters are params_…, or those that were named. What else tells executions apart is what a tracked
 * function was called with. */
static int find_columns(struct validation *v)
{
	static const char *const calls[] = {"function_name", "args", "kwargs"};
	const char *input = v->opt->input ? v->opt->input : "input_id";
	int status = CTL_OK;

	v->input = v->opt->input ? relation_column(&v->rel, input) : relation_find(&v->rel, input);
	if (v->opt->input && !v->input)
		return CTL_FAILED;
	if (v->opt->params) {
		status = relation_columns(&v->rel, v->opt->params, &v->params, &v->n_params);
	} else if (!(v->params = calloc(v->rel.n + 1, sizeof(struct relation_column *)))) {
		status = ctl_no_memory(v->ctl);
	} else {
		for (size_t i = 0; i < v->rel.n; i++)
			if (strncasecmp(v->rel.columns[i].name, "params_", 7) == 0)
				v->params[v->n_params++] = &v->rel.columns[i];
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			validate_add_key(v, relation_find(&v->rel, calls[i]));
	}
	for (size_t i = 0; i < v->n_params; i++) {
		assert(v->params);
		validate_add_key(v, v->params[i]);
	}
	return status;
}

static int make_conditions(struct validation *v)
{
	int status = where_make(&v->rel, &v->where);

	if (status != CTL_OK)
		return status;
	v->failed = failed_condition(&v->rel, &v->failures_known);
	if (v->failed)
		v->once = sql_format("%s AND NOT coalesce(%s, 0)%s", v->where, v->failed,
				     failed_cache(&v->rel) ? " AND coalesce(\"cache\", '') = ''" : "");
	return v->once ? CTL_OK : ctl_no_memory(v->ctl);
}

/* ---- asking ----------------------------------------------------------- */

int validate_ask(struct validation *v, char *sql, void (*take)(void *data, const xt_value *row), void *data)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(v->client, sql, NULL, 0, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK)
		take(data, row);
	xt_cursor_close(cursor);
	return r == XT_OK ? CTL_OK : r == XT_ENOMEM ? ctl_no_memory(v->ctl) : ctl_fail(v->ctl, v->client, r);
}

/* ---- counts over all rows --------------------------------------------- */

static void take_cache(struct validation *v, int64_t hits, int64_t computed, int64_t neither)
{
	char text[SAY_BYTES], a[COUNT_BYTES], b[COUNT_BYTES];

	findings_add(&v->found, false, "cache", v->rel.name, "cache", (uint64_t)hits,
		     "the result came from the cache in %s; %s were computed, of %s nothing is said (NULL, "
		     "which is no hit)",
		     say_share(text, hits, v->rows), text_count(a, (uint64_t)computed),
		     text_count(b, (uint64_t)neither));
}

/* rows, failed, hits, computed, neither, inputs that are NULL, then of each parameter how often it is NULL.
 */
static void take_counts(void *data, const xt_value *row)
{
	struct validation *v = data;
	int64_t failed = say_integer(&row[1]), no_input = say_integer(&row[5]);
	char text[SAY_BYTES];

	v->rows = say_integer(&row[0]);
	if (v->rows == 0) {
		findings_add(&v->found, true, "no_rows", v->rel.name, NULL, 0,
			     v->ctl->options.filter.n ? "table '%s' has no such rows"
						      : "table '%s' has no rows: did anything log to it?",
			     v->rel.name);
		return;
	}
	if (failed > 0)
		findings_add(&v->found, 100.0 * (double)failed > v->opt->max_failed * (double)v->rows,
			     "failed_executions", v->rel.name, NULL, (uint64_t)failed,
			     "the execution failed in %s; '%s errors %s' tells more",
			     say_share(text, failed, v->rows), v->ctl->program, ctl_db(v->ctl));
	if (!v->failures_known)
		findings_add(&v->found, false, "no_error_column", v->rel.name, NULL, 0,
			     "there is no column 'error' or 'error_type', so nobody can tell what failed");
	if (v->input && no_input > 0)
		findings_add(&v->found, true, "null_input", v->rel.name, v->input->name, (uint64_t)no_input,
			     "'%s' is NULL in %s: they belong to no input", v->input->name,
			     say_share(text, no_input, v->rows));
	for (size_t i = 0; i < v->n_params; i++) {
		int64_t nulls = say_integer(&row[6 + i]);
		if (nulls > 0)
			findings_add(&v->found, true, "null_parameter", v->rel.name, v->params[i]->name,
				     (uint64_t)nulls,
				     "parameter '%s' is NULL in %s: results by it leave them out",
				     v->params[i]->name, say_share(text, nulls, v->rows));
	}
	if (failed_cache(&v->rel))
		take_cache(v, say_integer(&row[2]), say_integer(&row[3]), say_integer(&row[4]));
}

static int count_rows(struct validation *v)
{
	bool cache = failed_cache(&v->rel);
	char *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return ctl_no_memory(v->ctl);
	sql_print(f, "SELECT count(*), sum(coalesce(%s, 0)), %s, ", v->failed,
		  cache ? "sum(\"cache\" <> ''), sum(\"cache\" = ''), sum(\"cache\" IS NULL)" : "0, 0, 0");
	if (v->input)
		sql_print(f, "sum(%n IS NULL AND NOT coalesce(%s, 0))", v->input->name, v->failed);
	else
		fputs("0", f);
	for (size_t i = 0; i < v->n_params; i++)
		sql_print(f, ", sum(%n IS NULL)", v->params[i]->name);
	sql_print(f, " FROM %n WHERE %s", v->rel.name, v->where);
	if (fclose(f) != 0) {
		free(sql);
		return ctl_no_memory(v->ctl);
	}
	return validate_ask(v, sql, take_counts, v);
}

static void take_combinations(void *data, const xt_value *row)
{
	struct validation *v = data;
	char n[COUNT_BYTES];

	v->combinations = say_integer(&row[0]);
	findings_add(&v->found, false, "combinations", v->rel.name, NULL, (uint64_t)say_integer(&row[0]),
		     "%s %s of parameters", text_count(n, (uint64_t)say_integer(&row[0])),
		     say_integer(&row[0]) == 1 ? "combination" : "combinations");
}

static int count_combinations(struct validation *v)
{
	char *sql = NULL;
	size_t size;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return ctl_no_memory(v->ctl);
	fputs("SELECT count(*) FROM (SELECT DISTINCT 1", f);
	for (size_t i = 0; i < v->n_params; i++)
		sql_print(f, ", %n", v->params[i]->name);
	sql_print(f, " FROM %n WHERE %s)", v->rel.name, v->where);
	if (fclose(f) == 0)
		return validate_ask(v, sql, take_combinations, v);
	free(sql);
	return ctl_no_memory(v->ctl);
}

/* ---- the runs --------------------------------------------------------- */

/* rejected rows, crashed runs, running runs, failed runs, crashed workers of any of them */
static void take_runs(void *data, const xt_value *row)
{
	struct validation *v = data;
	int64_t rejects = say_integer(&row[0]), crashed = say_integer(&row[1]),
		running = say_integer(&row[2]), failed = say_integer(&row[3]), workers = say_integer(&row[4]);
	char n[COUNT_BYTES];

	if (rejects > 0)
		findings_add(&v->found, true, "rejected_rows", v->rel.name, NULL, (uint64_t)rejects,
			     "%s rows of runs of this table could not be stored; '%s runs %s' shows whose",
			     text_count(n, (uint64_t)rejects), v->ctl->program, ctl_db(v->ctl));
	if (crashed > 0)
		findings_add(&v->found, false, "crashed_runs", v->rel.name, NULL, (uint64_t)crashed,
			     "%s %s crashed, and may lack inputs; '%s runs %s --status crashed' names them",
			     text_count(n, (uint64_t)crashed), crashed == 1 ? "run" : "runs", v->ctl->program,
			     ctl_db(v->ctl));
	if (failed > 0)
		findings_add(&v->found, false, "failed_runs", v->rel.name, NULL, (uint64_t)failed,
			     "%s %s failed, and may lack inputs; '%s runs %s --status failed' names them",
			     text_count(n, (uint64_t)failed), failed == 1 ? "run" : "runs", v->ctl->program,
			     ctl_db(v->ctl));
	if (workers > 0)
		findings_add(
			&v->found, false, "crashed_workers", v->rel.name, NULL, (uint64_t)workers,
			"%s %s of runs of this table crashed, and may have left inputs out; '%s runs %s' "
			"shows whose",
			text_count(n, (uint64_t)workers), workers == 1 ? "worker" : "workers",
			v->ctl->program, ctl_db(v->ctl));
	if (running > 0)
		findings_add(&v->found, false, "running_runs", v->rel.name, NULL, (uint64_t)running,
			     "%s %s still running", text_count(n, (uint64_t)running),
			     running == 1 ? "run is" : "runs are");
}

static int look_at_version(struct validation *v, const struct relation_column *c)
{
	char n[COUNT_BYTES];
	xt_cursor *cursor = NULL;
	const xt_value *row;
	int status = CTL_OK;

	char *sql = sql_format("SELECT count(DISTINCT %n) FROM %n WHERE %s", c->name, v->rel.name, v->where);
	int r = sql ? ctl_query(v->client, sql, NULL, 0, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r != XT_OK)
		status = r == XT_ENOMEM ? ctl_no_memory(v->ctl) : ctl_fail(v->ctl, v->client, r);
	else if (say_integer(&row[0]) > 1)
		findings_add(&v->found, false, "mixed_versions", v->rel.name, c->name,
			     (uint64_t)say_integer(&row[0]),
			     "the rows come from %s different values of '%s': results may not be comparable",
			     text_count(n, (uint64_t)say_integer(&row[0])), c->name);
	xt_cursor_close(cursor);
	return status;
}

/* Results of different versions of code or data are hardly comparable. */
static int look_at_versions(struct validation *v)
{
	const char *const *const lists[] = {meaning_code_columns, meaning_data_columns};
	int status = CTL_OK;

	for (size_t i = 0; i < 2; i++)
		for (const char *const *name = lists[i]; *name && status == CTL_OK; name++) {
			const struct relation_column *c = relation_find(&v->rel, *name);
			if (c)
				status = look_at_version(v, c);
		}
	return status;
}

/* ---- the command ------------------------------------------------------ */

static int look(struct validation *v)
{
	int status = find_columns(v);

	if (status == CTL_OK)
		status = make_conditions(v);
	if (status == CTL_OK)
		status = count_rows(v);
	if (status == CTL_OK && v->rows > 0 && v->n_params > 0)
		status = count_combinations(v);
	if (status == CTL_OK && v->rows == 0)
		return where_tell_none(&v->rel, v->client, v->where, NULL);
	if (status != CTL_OK)
		return status;
	if (v->input)
		status = validate_inputs(v);
	else
		findings_add(&v->found, false, "no_input_column", v->rel.name, NULL, 0,
			     "there is no column 'input_id', so inputs that were evaluated twice cannot be "
			     "found; --input "
			     "names another");
	if (status == CTL_OK && v->input && v->n_params > 0)
		status = validate_missing(v);
	if (status == CTL_OK)
		status = look_at_versions(v);
	if (status == CTL_OK)
		status = validate_ask(
			v,
			sql_format(
				"%s SELECT coalesce(sum(rejects), 0), coalesce(sum(status = 'crashed'), 0), "
				"coalesce(sum(status = 'running'), 0), coalesce(sum(status = 'failed'), 0), "
				"coalesce(sum((SELECT count(*) FROM xt_workers w WHERE w.track_id = "
				"r.track_id AND " RUNS_WORKER_CRASHED
				")), 0) FROM xt_runs r WHERE table_name = %t COLLATE NOCASE AND status <> "
				"'deleted'",
				v->prefix, v->rel.name),
			take_runs, v);
	return status;
}

static int validate(struct ctl *ctl, xt_client *client)
{
	struct validation v = {.ctl = ctl, .client = client, .opt = ctl->own, .found = {.ctl = ctl}};
	char well[SAY_BYTES], count[COUNT_BYTES];

	int status = relation_open(ctl, client, &v.rel);
	if (status == CTL_OK)
		status = runs_prefix(ctl, client, &v.prefix);
	if (status == CTL_OK)
		status = look(&v);
	if (status == CTL_OK) {
		snprintf(well, sizeof(well), "nothing is wrong in %s %s", text_count(count, (uint64_t)v.rows),
			 v.rows == 1 ? "row" : "rows");
		status = findings_print(&v.found, &ctl->out, well);
	}
	findings_done(&v.found);
	free(v.failed);
	free(v.once);
	free(v.where);
	free(v.params);
	relation_done(&v.rel);
	return status;
}

static int cmd_validate(struct ctl *ctl)
{
	return ctl_with_client(ctl, validate);
}

static const struct option_def own[] = {
	{"input", "COLUMN", OPTION_TEXT, offsetof(struct validate_options, input),
	 "what names an input (input_id)", 0, 0},
	{"params", "COLUMN,...", OPTION_TEXT, offsetof(struct validate_options, params),
	 "the parameters (all columns params_…)", 0, 0},
	{"max-failed", "PERCENT", OPTION_REAL, offsetof(struct validate_options, max_failed),
	 "failed executions are wrong only above this share (0)", 0, 100},
	{0}};

const struct command validate_command = {
	.name = "validate",
	.summary = "whether results can be trusted: inputs evaluated twice, missing parameters, failures",
	.help = "Exit status 1 when something is wrong.\n"
		"Wrong are: an input that one run evaluated twice with the same parameters; one that stands "
		"in "
		"more than one split (column split: a leak); inputs and parameters that are NULL; failed "
		"executions; rejected rows. Executions that failed, and results from the cache, are no "
		"evaluation "
		"of their own. Parameters are the columns params_… and what a tracked function was called "
		"with, "
		"or what --params names. Where none are known, columns of few values in which the rows of "
		"one "
		"input differ are taken for parameters, and said to be.\n"
		"Worth a note: inputs that several runs evaluated with the same parameters, which are the "
		"repetitions that 'compare' knows the noise from; combinations of parameters; how many "
		"results "
		"came from the cache, where NULL is no hit; runs that failed or crashed, and workers of runs "
		"that "
		"did; groups with the same parameters that lack inputs which others have; rows of different "
		"commits.\n"
		"Groups all rows by input, which sorts them: the daemon does so in a temporary file.",
	.examples = (const struct example[]){{"each file once by each run, whatever the codec",
					      "validate demo.db --input file --params codec,level"},
					     {0}},
	.options = OPT_JSON | OPT_TABLE | OPT_FILTER,
	.own = own,
	.own_size = sizeof(struct validate_options),
	.run = cmd_validate,
};
