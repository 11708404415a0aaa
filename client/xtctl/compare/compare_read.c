#include "compare.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare_noise.h"
#include "failed.h"
#include "sql.h"
#include "where.h"

/* The rows that have a group and fit --where; *ret_any: that fit --where. Both are owned by the caller.
 * CTL_OK, or the failure is reported. */
static int condition(const struct relation *r, const struct values *v, char **ret, char **ret_any)
{
	char *where;

	int status = where_make(r, &where);
	if (status != CTL_OK)
		return status;
	*ret = sql_format("%n IS NOT NULL AND %s", v->by->name, where);
	if (!*ret) {
		free(where);
		return ctl_no_memory(r->ctl);
	}
	*ret_any = where;
	return CTL_OK;
}

/* ---- values ----------------------------------------------------------- */

/* One metric of the rows of one unit and group, as they come. */
struct sum {
	double total;
	uint64_t n;
};

/* Where the reading is. */
struct reading {
	struct values *v;
	struct noise_table *noise; /* NULL: no repeated runs */
	struct sum *sums;	   /* owned: one a metric, of the present unit and group */
	size_t group;		   /* the present one; SIZE_MAX: none yet */
	uint32_t unit;		   /* the present one */
	uint32_t units;		   /* that there were */
	xt_value key;		   /* of the present unit; borrows from key_bytes */
	char *key_bytes;	   /* owned */
	size_t key_cap;
	bool cached; /* results from the cache count too */
	/* Columns of a row; SIZE_MAX: not there. The metrics follow. */
	size_t at_pair, at_cache, at_run, at_failed, at_metric;
};

static bool same_bytes(const void *a, const void *b, size_t n)
{
	return n == 0 || memcmp(a, b, n) == 0;
}

static bool same_value(const xt_value *a, const xt_value *b)
{
	if (a->type == XT_T_INT && b->type == XT_T_INT)
		return a->as.integer == b->as.integer;
	if ((a->type == XT_T_INT || a->type == XT_T_REAL) && (b->type == XT_T_INT || b->type == XT_T_REAL))
		return (a->type == XT_T_INT ? (double)a->as.integer : a->as.real) ==
		       (b->type == XT_T_INT ? (double)b->as.integer : b->as.real);
	if (a->type != b->type || a->n != b->n)
		return false;
	if (a->type == XT_T_TEXT)
		return same_bytes(a->as.text, b->as.text, a->n);
	return a->type == XT_T_BLOB && same_bytes(a->as.blob, b->as.blob, a->n);
}

/* Rows come by unit, and in each the groups in the same order: mostly it is the next one. */
static size_t group_of(const struct reading *in, const xt_value *value)
{
	size_t n = in->v->n_groups, from = in->group == SIZE_MAX ? 0 : in->group;

	for (size_t i = 0; i < n; i++) {
		size_t at = (from + i) % n;
		if (same_value(&in->v->groups[at].value, value))
			return at;
	}
	return SIZE_MAX; /* logged since the groups were read */
}

static int series_add(struct series *s, double value, uint32_t unit)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap + s->cap / 2 : 64;
		double *values = reallocarray(s->values, cap, sizeof(*values));
		if (values)
			s->values = values;
		uint32_t *units = reallocarray(s->units, cap, sizeof(*units));
		if (units)
			s->units = units;
		if (!values || !units)
			return XT_ENOMEM;
		s->cap = cap;
	}
	s->binary = (s->n == 0 || s->binary) && (value == 0 || value == 1);
	s->values[s->n] = value;
	s->units[s->n++] = unit;
	return XT_OK;
}

/* The unit's rows of the present group are over. */
static int end_unit(struct reading *in)
{
	int status = XT_OK;

	if (in->group == SIZE_MAX)
		return XT_OK;
	for (size_t m = 0; m < in->v->n_metrics && status == XT_OK; m++) {
		struct series *s = &in->v->groups[in->group].series[m];
		struct sum *sum = &in->sums[m];
		if (sum->n > 0)
			status = series_add(s, sum->total / (double)sum->n, in->unit);
		s->folded += sum->n > 1;
		*sum = (struct sum){0};
	}
	if (in->noise)
		noise_end_unit(in->noise, in->group);
	return status;
}

/* A row's unit: the present one, where its key is the same. */
static int find_unit(struct reading *in, const xt_value *key, size_t group)
{
	bool same = key && key->type != XT_T_NULL && in->group != SIZE_MAX && same_value(key, &in->key);

	if (same && group == in->group)
		return XT_OK;
	int status = end_unit(in);
	if (same || status != XT_OK)
		return status;
	in->unit = key && key->type != XT_T_NULL ? in->units++ : NO_UNIT;
	in->key = key ? *key : xt_null();
	if (!key || (key->type != XT_T_TEXT && key->type != XT_T_BLOB))
		return XT_OK;
	if (key->n > in->key_cap || !in->key_bytes) {
		char *more = realloc(in->key_bytes, key->n + 1);
		if (!more)
			return XT_ENOMEM;
		in->key_bytes = more;
		in->key_cap = key->n;
	}
	bool text = key->type == XT_T_TEXT;
	memcpy(in->key_bytes, text ? (const void *)key->as.text : key->as.blob, key->n);
	if (text)
		in->key.as.text = in->key_bytes;
	else
		in->key.as.blob = in->key_bytes;
	return XT_OK;
}

/* A metric's number; NAN when it has none, which is counted. */
static double number_of(struct series *s, const xt_value *v)
{
	double d = v->type == XT_T_REAL ? v->as.real : v->type == XT_T_INT ? (double)v->as.integer : NAN;

	s->missing += v->type == XT_T_NULL || (v->type == XT_T_REAL && isnan(d));
	s->odd += v->type == XT_T_TEXT || v->type == XT_T_BLOB;
	s->infinite += isinf(d) != 0;
	return isfinite(d) ? d : NAN;
}

static int take_row(struct reading *in, const xt_value *row)
{
	const xt_value *key = in->at_pair == SIZE_MAX ? NULL : &row[in->at_pair];
	size_t group = group_of(in, &row[0]);

	if (group == SIZE_MAX)
		return XT_OK;
	if (in->at_cache != SIZE_MAX && row[in->at_cache].type == XT_T_TEXT && row[in->at_cache].n > 0 &&
	    !in->cached) {
		in->v->groups[group].copies++;
		return XT_OK;
	}
	int status = find_unit(in, key, group);
	in->group = group;
	if (status == XT_OK && in->noise)
		status = noise_begin_row(in->noise, group, &row[in->at_run]);
	in->v->groups[group].rows++;
	bool failed = in->at_failed != SIZE_MAX && row[in->at_failed].type == XT_T_INT &&
		      row[in->at_failed].as.integer != 0;
	for (size_t m = 0; m < in->v->n_metrics; m++) {
		struct series *s = &in->v->groups[group].series[m];
		double d = number_of(s, &row[in->at_metric + m]);
		s->failed += isnan(d) && failed;
		s->suspect += !isnan(d) && failed;
		if (isnan(d))
			continue;
		s->fractional = s->fractional || (d != 0 && d != 1);
		in->sums[m].total += d;
		in->sums[m].n++;
		if (in->noise)
			noise_add(in->noise, m, d);
	}
	return status;
}

static char *rows_sql(struct reading *in, const struct relation *r, const char *where)
{
	const struct values *v = in->v;
	const struct relation_column *cache = relation_find(r, "cache");
	const struct relation_column *run = in->noise ? relation_find(r, "track_id") : NULL;
	char *sql = NULL;
	size_t size, n = 1;
	bool known;
	char *failed = failed_condition(r, &known);
	FILE *f = failed ? open_memstream(&sql, &size) : NULL;

	if (!f) {
		free(failed);
		return NULL;
	}
	in->at_pair = v->pair ? n++ : SIZE_MAX;
	in->at_cache = cache ? n++ : SIZE_MAX;
	in->at_run = run ? n++ : SIZE_MAX;
	in->at_failed = known ? n++ : SIZE_MAX;
	in->at_metric = n;
	sql_print(f, "SELECT %n", v->by->name);
	if (v->pair)
		sql_print(f, ", %n", v->pair->name);
	if (cache)
		sql_print(f, ", %n", cache->name);
	if (run)
		sql_print(f, ", %n", run->name);
	if (known)
		sql_print(f, ", %s", failed);
	free(failed);
	for (size_t m = 0; m < v->n_metrics; m++)
		sql_print(f, ", %n", v->metrics[m]->name);
	sql_print(f, " FROM %n WHERE %s", r->name, where);
	if (v->pair)
		sql_print(f, " ORDER BY %n COLLATE BINARY, %n COLLATE BINARY", v->pair->name, v->by->name);
	if (v->pair && run)
		sql_print(f, ", %n", run->name);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

static int read_rows(struct reading *in, const struct ctl *ctl, xt_client *client, const struct relation *r,
		     const char *where)
{
	char *sql = rows_sql(in, r, where);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int status = sql ? ctl_query(client, sql, NULL, 0, (int)ctl->options.timeout_s * 1000, &cursor)
			 : XT_ENOMEM;
	while (status == XT_OK && (status = ctl_next(cursor, &row)) == XT_OK)
		status = take_row(in, row);
	if (status == XT_DONE && end_unit(in) != XT_OK)
		status = XT_ENOMEM;
	xt_cursor_close(cursor);
	free(sql);
	if (status == XT_DONE)
		return CTL_OK;
	return status == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, status);
}

/* ---- all of it -------------------------------------------------------- */

static int find_columns(struct values *v, const struct relation *r, const struct compare_options *o)
{
	v->by = relation_column(r, o->by);
	if (!v->by)
		return CTL_FAILED;
	int status = relation_columns(r, o->metric, &v->metrics, &v->n_metrics);
	if (status != CTL_OK)
		return status;
	v->pair_named = o->pair_by != NULL;
	v->unpaired = o->unpaired;
	v->pair = o->pair_by ? relation_column(r, o->pair_by) : relation_find(r, "input_id");
	if (v->pair == v->by && !o->pair_by)
		v->pair = NULL;
	if (o->pair_by && !v->pair)
		return CTL_FAILED;
	if (v->pair && v->pair == v->by)
		return ctl_usage(r->ctl, "--by and --pair-by are the same column, '%s'", v->by->name);
	for (size_t m = 0; m < v->n_metrics; m++) {
		const struct relation_column *metric = v->metrics[m];
		assert(metric);
		for (size_t k = 0; k < m; k++)
			if (v->metrics[k] == metric)
				return ctl_usage(r->ctl, "--metric names '%s' twice", metric->name);
		if (metric == v->by || metric == v->pair)
			return ctl_usage(r->ctl, "'%s' cannot be compared: it says what belongs together",
					 metric->name);
	}
	return CTL_OK;
}

/* A column without a single number is a mistake, and so is one of results that were all copied. */
static int check_numbers(const struct values *v, const struct ctl *ctl)
{
	uint64_t copies = 0;

	for (size_t g = 0; g < v->n_groups; g++)
		copies += v->groups[g].copies;
	for (size_t m = 0; m < v->n_metrics; m++) {
		uint64_t numbers = 0, odd = 0;
		for (size_t g = 0; g < v->n_groups; g++) {
			numbers += v->groups[g].series[m].n;
			odd += v->groups[g].series[m].odd;
		}
		if (numbers > 0)
			continue;
		if (copies > 0 && odd == 0)
			return ctl_error(ctl,
					 "no value of '%s' was measured: %" PRIu64
					 " rows came from the cache; "
					 "--cached counts them too",
					 v->metrics[m]->name, copies);
		return ctl_error(ctl, "column '%s' has no numbers, only %s", v->metrics[m]->name,
				 odd > 0 ? "text" : "NULL");
	}
	return CTL_OK;
}

static bool any_folded(const struct values *v)
{
	for (size_t g = 0; g < v->n_groups && v->pair; g++)
		for (size_t m = 0; m < v->n_metrics; m++)
			if (v->groups[g].series[m].folded)
				return true;
	return false;
}

uint64_t series_lacking(const struct series *s)
{
	return s->missing + s->infinite + s->odd;
}

uint64_t series_lost(const struct series *s)
{
	return series_lacking(s) + s->suspect;
}

bool metric_in_points(const struct values *v, size_t metric)
{
	if (strcasecmp(v->metrics[metric]->type, "BOOLEAN") == 0)
		return true;
	for (size_t g = 0; g < v->n_groups; g++)
		if (v->groups[g].series[metric].fractional)
			return false;
	return true;
}

int values_read(struct values *v, const struct ctl *ctl, xt_client *client, const struct relation *r)
{
	const struct compare_options *o = ctl->own;
	struct reading in = {.v = v, .group = SIZE_MAX, .cached = o->cached};
	char *where = NULL, *any = NULL;

	int status = find_columns(v, r, o);
	if (status != CTL_OK)
		return status;
	status = condition(r, v, &where, &any);
	if (status != CTL_OK)
		return status;
	in.sums = calloc(v->n_metrics, sizeof(*in.sums));
	if (!in.sums)
		status = ctl_no_memory(ctl);
	if (status == CTL_OK)
		status = groups_read(v, ctl, client, r, where);
	if (status == CTL_OK)
		status = groups_find_baseline(v, ctl, o->baseline);
	if (status == CTL_OK)
		status = ask_nameless(v, ctl, client, r, any);
	if (status == CTL_OK)
		status = noise_open(&in.noise, ctl, client, r, v);
	if (status == CTL_OK)
		status = read_rows(&in, ctl, client, r, where);
	if (status == CTL_OK)
		status = check_numbers(v, ctl);
	if (status == CTL_OK && any_folded(v))
		status = ask_settings(v, ctl, client, r, where);
	if (status == CTL_OK && noise_close(in.noise, v) < 0)
		status = ctl_no_memory(ctl);
	for (size_t g = 0; g < v->n_groups; g++)
		for (size_t m = 0; m < v->n_metrics; m++)
			v->bytes += v->groups[g].series[m].cap * (sizeof(double) + sizeof(uint32_t));
	noise_free(in.noise);
	free(in.key_bytes);
	free(in.sums);
	free(where);
	free(any);
	return status;
}

void values_done(struct values *v)
{
	for (size_t g = 0; g < v->n_groups; g++) {
		struct group *one = &v->groups[g];
		for (size_t m = 0; one->series && m < v->n_metrics; m++) {
			free(one->series[m].values);
			free(one->series[m].units);
		}
		free(one->series);
		free(one->label);
		free(one->shown);
		free(one->kept);
	}
	free(v->groups);
	free(v->metrics);
	free(v->noise);
	free(v->settings);
}
