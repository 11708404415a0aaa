/* What is in a table, as Markdown: counts, means by parameters, latencies, errors, what came from the cache.
 */
#include "export.h"

#include <stdlib.h>
#include <strings.h>

#include "failed.h"
#include "meaning.h"
#include "sql.h"
#include "text.h"

#define MOST_METRICS 8 /* means in one table; more do not fit on a page */
#define MOST_ERRORS  "20"
#define DIGITS	     4
#define SELECTION    "xt_rows" /* the rows, in statements; no table of a user is called so */

/* Rows that were computed, and that came from the cache: NULL is a call without one, '' one that was
 * computed. */
#define IS_HIT	    "typeof(cache) = 'text' AND cache <> ''"
#define IS_COMPUTED "cache = ''"

struct summary {
	struct export_job *job;		       /* borrowed */
	const struct relation *table;	       /* borrowed */
	struct out *out;		       /* borrowed: where it goes */
	const struct relation_column **groups; /* owned: what the means are by */
	size_t n_groups;
	char *failed;	    /* owned: SQL that is true of failed executions */
	bool may_fail;	    /* the table tells which these are */
	const char **types; /* owned: of the table's columns, by their values where none is declared */
};

static bool has(const struct summary *s, const char *column)
{
	return relation_find(s->table, column) != NULL;
}

/* ---- tables ----------------------------------------------------------- */

/* Prints the answer to a statement, in which SELECTION stands for the selection, under a heading. Takes
 * `sql`, NULL: out of memory. */
static int put_table(const struct summary *s, const char *heading, char *sql)
{
	struct format_options how = {.kind = FORMAT_MD, .utf8 = true, .digits = DIGITS};
	const struct export_job *job = s->job;
	xt_cursor *cursor = NULL;
	char *whole = sql ? sql_format("WITH " SELECTION " AS (%s) %s", job->from->sql, sql) : NULL;
	uint64_t rows;

	free(sql);
	if (!whole)
		return ctl_no_memory(job->ctl);
	/* All rows are read before the first page of the answer. */
	int r = ctl_query(job->client, whole, NULL, 0,
			  job->ctl->options.timeout_s ? (int)job->ctl->options.timeout_s * 1000 : XT_FOREVER,
			  &cursor);
	free(whole);
	if (r != XT_OK)
		return ctl_fail(job->ctl, job->client, r);
	fprintf(s->out->file, "\n## %s\n\n", heading);
	int status = ctl_print_rows(job->ctl, s->out, &how, job->client, cursor, NULL, NULL, &rows);
	xt_cursor_close(cursor);
	return status;
}

/* A statement that is being written. */
struct text {
	FILE *f;
	char *sql;
	size_t size;
};

static int text_open(struct text *t)
{
	*t = (struct text){0};
	t->f = open_memstream(&t->sql, &t->size);
	return t->f ? 0 : -1;
}

/* The statement, owned by the caller; NULL: out of memory. */
static char *text_end(struct text *t)
{
	if (fclose(t->f) == 0)
		return t->sql;
	free(t->sql);
	return NULL;
}

static bool is_group(const struct summary *s, const struct relation_column *c)
{
	for (size_t i = 0; i < s->n_groups; i++)
		if (s->groups[i] == c)
			return true;
	return false;
}

/* ---- what the columns hold -------------------------------------------- */

/* Asks for one row of n counts, SELECTION standing for the selection. Takes `sql`, NULL: out of memory. */
static int ask_counts(const struct summary *s, char *sql, size_t n, uint64_t *ret)
{
	const struct export_job *job = s->job;
	xt_cursor *cursor = NULL;
	const xt_value *row;
	char *whole = sql ? sql_format("WITH " SELECTION " AS (%s) %s", job->from->sql, sql) : NULL;

	free(sql);
	if (!whole)
		return ctl_no_memory(job->ctl);
	int r = ctl_query(job->client, whole, NULL, 0,
			  job->ctl->options.timeout_s ? (int)job->ctl->options.timeout_s * 1000 : XT_FOREVER,
			  &cursor);
	free(whole);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	for (size_t i = 0; i < n && r == XT_OK; i++)
		ret[i] = (uint64_t)row[i].as.integer;
	xt_cursor_close(cursor);
	return r == XT_OK ? CTL_OK : ctl_fail(job->ctl, job->client, r);
}

/* Values of a column: all but NULL, numbers, and those of them that are reals. */
struct values {
	uint64_t all, numbers, reals;
};

static int count_values(const struct summary *s, const char *column, struct values *ret)
{
	uint64_t counts[3];

	int status = ask_counts(
		s,
		sql_format("SELECT count(%n), coalesce(sum(typeof(%n) IN ('integer', 'real')), 0), "
			   "coalesce(sum(typeof(%n) = 'real'), 0) FROM " SELECTION,
			   column, column, column),
		3, counts);
	if (status == CTL_OK)
		*ret = (struct values){counts[0], counts[1], counts[2]};
	return status;
}

/* Numbers where more than half of the values are some; what is left out is said. */
static int judge(struct summary *s, size_t i)
{
	const char *name = s->table->columns[i].name;
	char all[COUNT_BYTES], numbers[COUNT_BYTES], others[COUNT_BYTES];
	struct values v = {0};

	int status = count_values(s, name, &v);
	if (status != CTL_OK || v.numbers == 0)
		return status;
	text_count(all, v.all);
	text_count(numbers, v.numbers);
	text_count(others, v.all - v.numbers);
	if (2 * v.numbers <= v.all) {
		ctl_note(s->job->ctl, "column '%s' is left out: of its %s values %s are numbers", name, all,
			 numbers);
		return CTL_OK;
	}
	if (v.numbers < v.all)
		ctl_note(s->job->ctl, "column '%s': of its %s values %s are no numbers, and left out", name,
			 all, others);
	s->types[i] = v.reals > 0 ? "REAL" : "INTEGER";
	return CTL_OK;
}

/* A column that has had values of two kinds is declared as none. */
static int find_types(struct summary *s)
{
	static const char *const declared[] = {"INTEGER", "REAL", "BOOLEAN", "TEXT", "BLOB"};
	int status = CTL_OK;

	s->types = calloc(s->table->n + 1, sizeof(*s->types));
	if (!s->types)
		return ctl_no_memory(s->job->ctl);
	for (size_t i = 0; i < s->table->n && status == CTL_OK; i++) {
		const struct relation_column *c = &s->table->columns[i];
		bool known = false;
		for (size_t k = 0; k < sizeof(declared) / sizeof(declared[0]); k++)
			known = known || strcasecmp(declared[k], c->type) == 0;
		s->types[i] = c->type;
		if (!known && !is_group(s, c))
			status = judge(s, i);
	}
	return status;
}

static bool is_of(const struct summary *s, const struct relation_column *c, const char *type)
{
	return strcasecmp(s->types[c - s->table->columns], type) == 0;
}

/* ---- over all --------------------------------------------------------- */

static void put_cache_columns(FILE *f)
{
	fputs(", sum(" IS_HIT ") AS \"from cache\""
	      ", round(100.0 * sum(" IS_HIT ") / nullif(sum(" IS_HIT ") + sum(" IS_COMPUTED
	      "), 0), 2) AS \"hit %\"",
	      f);
}

static int put_overall(const struct summary *s)
{
	struct text t;

	if (text_open(&t) < 0)
		return ctl_no_memory(s->job->ctl);
	fputs("SELECT count(*) AS rows", t.f);
	if (has(s, "track_id"))
		fputs(", count(DISTINCT track_id) AS runs", t.f);
	if (has(s, "timestamp"))
		fputs(", min(timestamp) AS first, max(timestamp) AS last", t.f);
	if (has(s, "input_id"))
		fputs(", count(DISTINCT input_id) AS inputs", t.f);
	if (s->may_fail)
		fprintf(t.f, ", coalesce(sum(%s), 0) AS errors", s->failed);
	if (has(s, "cache"))
		put_cache_columns(t.f);
	fputs(" FROM " SELECTION, t.f);
	return put_table(s, "Overall", text_end(&t));
}

/* ---- by parameters ---------------------------------------------------- */

/* Measured, and worth a mean. */
static bool is_metric(const struct summary *s, const struct relation_column *c)
{
	static const char *const system[] = {"cpu",	     "memory_percent", "p_memory_percent",
					     "disk_percent", "cpu_percent",    "ram_percent",
					     "bytes_sent",   "bytes_recv"};

	if (!is_of(s, c, "REAL") && !is_of(s, c, "BOOLEAN"))
		return false;
	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++)
		if (strcasecmp(system[i], c->name) == 0)
			return false;
	return !is_group(s, c);
}

/* function_time of a hit is 0: nothing was computed. */
static void put_mean(const struct summary *s, FILE *f, const char *name)
{
	bool apart = strcasecmp(name, "function_time") == 0 && has(s, "cache");

	sql_print(f, ", avg(%n) FILTER (WHERE typeof(%n) IN ('integer', 'real')%s) AS %n", name, name,
		  apart ? " AND NOT coalesce(" IS_HIT ", 0)" : "", name);
}

static void put_groups(const struct summary *s, FILE *f, const char *first)
{
	for (size_t i = 0; i < s->n_groups; i++)
		sql_print(f, "%s%n", i > 0 ? ", " : first, s->groups[i]->name);
}

/* How the share of predictions that are the truth is called: a column may have the name already. NULL: there
 * is none. */
static const char *name_of_right(const struct summary *s)
{
	static const char *const names[] = {"accuracy", "correct", "prediction = ground_truth"};
	size_t i = 0;

	if (!has(s, "prediction") || !has(s, "ground_truth"))
		return NULL;
	while (i + 1 < sizeof(names) / sizeof(names[0]) && has(s, names[i]))
		i++;
	return names[i];
}

/* Says where a line of the means is of rows of several versions: by the first such column that there is. */
static int put_mixed(const struct summary *s, const char *const *names, const char *what)
{
	const struct relation_column *c = NULL;
	uint64_t most = 0;
	char count[COUNT_BYTES];
	struct text t;

	while (*names && !(c = relation_find(s->table, *names)))
		names++;
	if (!c || is_group(s, c))
		return CTL_OK;
	if (text_open(&t) < 0)
		return ctl_no_memory(s->job->ctl);
	sql_print(t.f, "SELECT coalesce(max(n), 0) FROM (SELECT count(DISTINCT %n) AS n FROM " SELECTION,
		  c->name);
	put_groups(s, t.f, " GROUP BY ");
	fputs(")", t.f);
	int status = ask_counts(s, text_end(&t), 1, &most);
	if (status == CTL_OK && most > 1) {
		fprintf(s->out->file, "\nRows of up to %s versions of the %s (`", text_count(count, most),
			what);
		text_put(s->out->file, c->name, strlen(c->name), SIZE_MAX);
		fputs("`) are averaged in one line; --by or --where tells them apart.\n", s->out->file);
	}
	return status;
}

static int put_means(const struct summary *s)
{
	const char *right = name_of_right(s);
	size_t n = 0;
	struct text t;

	if (text_open(&t) < 0)
		return ctl_no_memory(s->job->ctl);
	put_groups(s, t.f, "SELECT ");
	fputs(s->n_groups > 0 ? ", count(*) AS rows" : "SELECT count(*) AS rows", t.f);
	if (s->may_fail)
		fprintf(t.f,
			", coalesce(sum(%s), 0) AS errors, round(100.0 * coalesce(sum(%s), 0) / count(*), 2) "
			"AS \"error %%\"",
			s->failed, s->failed);
	if (has(s, "cache"))
		put_cache_columns(t.f);
	if (right) /* where there is no truth, there is nothing to be right about */
		sql_print(t.f,
			  ", avg(prediction IS ground_truth) FILTER (WHERE ground_truth IS NOT NULL"
			  " AND prediction IS NOT NULL) AS %n",
			  right);
	for (size_t i = 0; i < s->table->n && n < MOST_METRICS; i++)
		if (is_metric(s, &s->table->columns[i])) {
			put_mean(s, t.f, s->table->columns[i].name);
			n++;
		}
	fputs(" FROM " SELECTION, t.f);
	put_groups(s, t.f, " GROUP BY ");
	if (s->n_groups > 0 && right)
		sql_print(t.f, " ORDER BY %n DESC", right);
	put_groups(s, t.f, s->n_groups > 0 && right ? ", " : " ORDER BY ");
	int status = put_table(s, s->n_groups > 0 ? "Means by parameters" : "Means", text_end(&t));
	if (status == CTL_OK)
		status = put_mixed(s, meaning_code_columns, "code");
	return status == CTL_OK ? put_mixed(s, meaning_data_columns, "data") : status;
}

/* ---- latencies -------------------------------------------------------- */

static bool is_latency(const struct summary *s, const struct relation_column *c)
{
	static const char *const ends[] = {"time", "latency", "seconds", "duration", "elapsed", "_ms", "_us"};
	size_t n = strlen(c->name);

	if (!is_of(s, c, "REAL") && !is_of(s, c, "INTEGER"))
		return false;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t m = strlen(ends[i]);
		if (n >= m && strcasecmp(c->name + n - m, ends[i]) == 0)
			return true;
	}
	return false;
}

/* One row of the table, or with --by one for each of its values. The quantiles are exact up to some 260,000
 * values, and take constant memory for more.
 */
static void put_quantiles(const struct summary *s, FILE *f, const char *name)
{
	static const char *const quantiles[][2] = {
		{"0.5", "p50"}, {"0.9", "p90"}, {"0.95", "p95"}, {"0.99", "p99"}};
	bool apart = strcasecmp(name, "function_time") == 0 && has(s, "cache");

	sql_print(f, "SELECT %t AS \"column\"", name);
	if (s->job->by)
		put_groups(s, f, ", ");
	sql_print(f, ", count(*) AS rows, avg(%n) AS mean", name);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		sql_print(f, ", approx_quantile(%n, %s) AS %s", name, quantiles[i][0], quantiles[i][1]);
	sql_print(f, ", max(%n) AS max FROM " SELECTION " WHERE typeof(%n) IN ('integer', 'real')%s", name,
		  name, apart ? " AND NOT coalesce(" IS_HIT ", 0)" : "");
	if (s->job->by)
		put_groups(s, f, " GROUP BY ");
}

static int put_latencies(const struct summary *s)
{
	size_t n = 0;
	struct text t;

	if (text_open(&t) < 0)
		return ctl_no_memory(s->job->ctl);
	for (size_t i = 0; i < s->table->n; i++) {
		if (!is_latency(s, &s->table->columns[i]))
			continue;
		fputs(n++ > 0 ? " UNION ALL " : "", t.f);
		put_quantiles(s, t.f, s->table->columns[i].name);
	}
	for (size_t i = 0; i <= s->n_groups && s->job->by; i++)
		fprintf(t.f, "%s%zu", i > 0 ? ", " : " ORDER BY ", i + 1);
	char *sql = text_end(&t);
	if (n > 0)
		return put_table(s, "Latencies", sql);
	free(sql);
	return CTL_OK;
}

/* ---- errors and cache ------------------------------------------------- */

/* Messages that differ in their numbers only are one lot: of each, one is shown. */
static int put_errors(const struct summary *s)
{
	bool typed = has(s, "error_type"), told = has(s, "error");
	char *type = failed_type(s->table), *shape = told ? failed_shape(s->table) : strdup("NULL"),
	     *sql = NULL;

	if (!s->may_fail) {
		free(type);
		free(shape);
		return CTL_OK;
	}
	if (type && shape)
		sql = sql_format("SELECT %s%s%s%scount(*) AS rows, round(100.0 * count(*) / (SELECT count(*) "
				 "FROM " SELECTION "), 2) AS \"%% of all\" FROM " SELECTION
				 " WHERE %s GROUP BY %s, %s ORDER BY count(*) DESC, 1 LIMIT " MOST_ERRORS,
				 typed ? type : "", typed ? " AS error_type, " : "",
				 told ? "substr(CAST(min(error) AS TEXT), 1, 100) AS error, " : "",
				 told ? "count(DISTINCT error) AS messages, " : "", s->failed, type, shape);
	free(type);
	free(shape);
	return put_table(s, "Errors", sql);
}

static int put_cache(const struct summary *s)
{
	if (!has(s, "cache"))
		return CTL_OK;
	return put_table(
		s, "Cache",
		sql_format("SELECT CASE WHEN " IS_HIT " THEN 'from the cache' WHEN " IS_COMPUTED
			   " THEN 'computed' ELSE 'not asked' END AS result, count(*) AS rows, "
			   "round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS \"%%\"%s FROM " SELECTION
			   " GROUP "
			   "BY 1 ORDER BY 1",
			   has(s, "function_time") ? ", sum(function_time) AS \"function_time, sum\"" : ""));
}

/* ---- all of it -------------------------------------------------------- */

static int find_groups(struct summary *s)
{
	if (s->job->by)
		return relation_columns(s->table, s->job->by, &s->groups, &s->n_groups);
	s->groups = calloc(s->table->n + 1, sizeof(*s->groups));
	if (!s->groups)
		return ctl_no_memory(s->job->ctl);
	for (size_t i = 0; i < s->table->n; i++)
		if (strncasecmp(s->table->columns[i].name, "params_", 7) == 0)
			s->groups[s->n_groups++] = &s->table->columns[i];
	return CTL_OK;
}

static void put_title(const struct summary *s)
{
	const struct options *o = &s->job->ctl->options;

	fputs("# Summary of `", s->out->file);
	text_put(s->out->file, s->table->name, strlen(s->table->name), SIZE_MAX);
	fputs("`\n", s->out->file);
	if (s->table->run || o->filter.n > 0) {
		fputs("\nOnly", s->out->file);
		if (s->table->run)
			fprintf(s->out->file, " of run `%s`", s->table->run);
		for (size_t i = 0; i < o->filter.n; i++)
			fprintf(s->out->file, " %s `%s`", i > 0 ? "and" : "where", o->filter.items[i]);
		fputs(".\n", s->out->file);
	}
}

static int put_all(struct summary *s)
{
	static int (*const parts[])(const struct summary *) = {put_overall, put_means, put_latencies,
							       put_errors, put_cache};
	int status = find_groups(s);

	s->failed = failed_condition(s->table, &s->may_fail);
	if (status == CTL_OK && !s->failed)
		status = ctl_no_memory(s->job->ctl);
	if (status == CTL_OK)
		status = find_types(s);
	if (status != CTL_OK)
		return status;
	put_title(s);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && status == CTL_OK; i++)
		status = parts[i](s);
	if (s->n_groups == 0)
		ctl_note(s->job->ctl, "no column is named params_...; --by names columns to group by");
	return status;
}

int export_summary(struct export_job *job)
{
	struct summary s = {.job = job, .table = &job->from->relation, .out = &job->ctl->out};
	struct out file;
	int error = 0;

	if (job->file && out_open(&file, job->file->fd, ctl_stop_flag()) < 0)
		return ctl_no_memory(job->ctl);
	if (job->file)
		s.out = &file;
	int status = put_all(&s);
	if (job->file)
		error = out_close(&file);
	free(s.groups);
	free(s.types);
	free(s.failed);
	return error && status == CTL_OK ? export_failed(job, error) : status;
}
