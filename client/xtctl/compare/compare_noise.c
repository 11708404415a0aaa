#include "compare_noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"
#include "sql.h"

#define MOST_SLOTS 4000000 /* runs × groups × metrics */

/* A run that has a repeat. */
struct run {
	char *id; /* owned */
	size_t n;
	size_t config; /* which configuration */
};

/* What was measured of a metric. */
struct measured {
	double total; /* of this run */
	double other; /* of the same inputs, in a run before it */
	uint64_t n;
};

/* A configuration's last run in the present unit. */
struct last {
	double mean;
	uint64_t unit; /* of which unit that is: older ones do not count */
};

struct noise_table {
	struct run *runs; /* owned, by id */
	size_t n_runs, n_configs, n_groups, n_metrics;
	bool paired;
	struct measured *slots; /* owned: [group][run][metric] */
	struct last *last;	/* owned: [config][metric] */
	struct measured *now;	/* owned: [metric] of the present run's rows of the present unit */
	uint64_t unit;		/* counts them */
	size_t run;		/* the present one; SIZE_MAX: none that has a repeat */
};

/* ---- which runs ------------------------------------------------------- */

static const char runs_sql[] = "SELECT track_id, dense_rank() OVER (ORDER BY params) - 1 FROM (SELECT "
			       "track_id, params, count(*) OVER "
			       "(PARTITION BY params) AS repeats FROM xt_runs AS run WHERE params NOT IN "
			       "('', '{}') AND EXISTS (SELECT 1 "
			       "FROM %n AS row WHERE row.track_id = run.track_id)) WHERE repeats > 1 ORDER "
			       "BY track_id COLLATE BINARY";

static int add_run(struct noise_table *t, const xt_value *row)
{
	struct run *more = reallocarray(t->runs, t->n_runs + 1, sizeof(*more));

	if (!more)
		return XT_ENOMEM;
	t->runs = more;
	struct run *run = &t->runs[t->n_runs];
	*run = (struct run){strndup(row[0].as.text, row[0].n), row[0].n, (size_t)row[1].as.integer};
	if (!run->id)
		return XT_ENOMEM;
	t->n_runs++;
	if (run->config >= t->n_configs)
		t->n_configs = run->config + 1;
	return XT_OK;
}

static int read_runs(struct noise_table *t, const struct ctl *ctl, xt_client *client,
		     const struct relation *r)
{
	char *sql = sql_format(runs_sql, r->name);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int status = sql ? ctl_query(client, sql, NULL, 0, (int)ctl->options.timeout_s * 1000, &cursor)
			 : XT_ENOMEM;
	while (status == XT_OK && (status = ctl_next(cursor, &row)) == XT_OK)
		if (row[0].type == XT_T_TEXT)
			status = add_run(t, row);
	xt_cursor_close(cursor);
	free(sql);
	if (status == XT_DONE)
		return CTL_OK;
	return status == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, status);
}

static int make_room(struct noise_table *t, const struct ctl *ctl)
{
	t->slots = calloc(t->n_groups * t->n_runs * t->n_metrics, sizeof(*t->slots));
	t->last = calloc(t->n_configs * t->n_metrics, sizeof(*t->last));
	t->now = calloc(t->n_metrics, sizeof(*t->now));
	return t->slots && t->last && t->now ? CTL_OK : ctl_no_memory(ctl);
}

int noise_open(struct noise_table **ret, const struct ctl *ctl, xt_client *client, const struct relation *r,
	       const struct values *v)
{
	const struct relation_column *run = relation_find(r, "track_id");

	*ret = NULL;
	if (!run || v->by == run || v->pair == run)
		return CTL_OK;
	struct noise_table *t = calloc(1, sizeof(*t));
	if (!t)
		return ctl_no_memory(ctl);
	*t = (struct noise_table){.n_groups = v->n_groups,
				  .n_metrics = v->n_metrics,
				  .paired = v->pair != NULL,
				  .unit = 1,
				  .run = SIZE_MAX};
	int status = read_runs(t, ctl, client, r);
	bool small = t->n_runs <= MOST_SLOTS / (t->n_groups * t->n_metrics);
	if (status == CTL_OK && !small)
		ctl_note(ctl,
			 "too many repeated runs (%zu) to tell how far they differ; --where chooses some",
			 t->n_runs);
	if (status == CTL_OK && small && t->n_runs > 0)
		status = make_room(t, ctl);
	if (status == CTL_OK && t->slots)
		*ret = t;
	else
		noise_free(t);
	return status;
}

void noise_free(struct noise_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_runs; i++)
		free(t->runs[i].id);
	free(t->runs);
	free(t->slots);
	free(t->last);
	free(t->now);
	free(t);
}

/* ---- their rows ------------------------------------------------------- */

static struct measured *slot(const struct noise_table *t, size_t group, size_t run, size_t metric)
{
	return &t->slots[(group * t->n_runs + run) * t->n_metrics + metric];
}

/* SIZE_MAX: it has no repeat. */
static size_t find_run(const struct noise_table *t, const xt_value *id)
{
	size_t low = 0, high = t->n_runs;

	while (id->type == XT_T_TEXT && low < high) {
		size_t at = low + (high - low) / 2;
		const struct run *run = &t->runs[at];
		int order = memcmp(run->id, id->as.text, run->n < id->n ? run->n : id->n);
		if (order == 0 && run->n == id->n)
			return at;
		if (order < 0 || (order == 0 && run->n < id->n))
			low = at + 1;
		else
			high = at;
	}
	return SIZE_MAX;
}

/* The present run's rows of the unit and group are over. */
static void end_run(struct noise_table *t, size_t group)
{
	for (size_t m = 0; t->run != SIZE_MAX && m < t->n_metrics; m++) {
		struct measured *now = &t->now[m], *s = slot(t, group, t->run, m);
		struct last *last = &t->last[t->runs[t->run].config * t->n_metrics + m];
		double mean = now->total / (double)now->n;
		if (now->n > 0 && !t->paired) {
			s->total += now->total;
			s->n += now->n;
		} else if (now->n > 0) {
			if (last->unit == t->unit) {
				s->total += mean;
				s->other += last->mean;
				s->n++;
			}
			*last = (struct last){mean, t->unit};
		}
		*now = (struct measured){0};
	}
	t->run = SIZE_MAX;
}

int noise_begin_row(struct noise_table *t, size_t group, const xt_value *run)
{
	if (t->run != SIZE_MAX && run->type == XT_T_TEXT && run->n == t->runs[t->run].n &&
	    memcmp(run->as.text, t->runs[t->run].id, run->n) == 0)
		return XT_OK;
	end_run(t, group);
	t->run = find_run(t, run);
	return XT_OK;
}

void noise_add(struct noise_table *t, size_t metric, double value)
{
	if (t->run == SIZE_MAX)
		return;
	t->now[metric].total += value;
	t->now[metric].n++;
}

void noise_end_unit(struct noise_table *t, size_t group)
{
	end_run(t, group);
	t->unit++;
}

/* ---- what came of it -------------------------------------------------- */

/* The differences between repeated runs in a group, into ret; how many. Where rows do not pair, a run is held
 * against the one of its configuration before it: `before` has room for one a configuration. */
static size_t differences(const struct noise_table *t, size_t group, size_t metric, double *before,
			  double *ret)
{
	size_t n = 0;

	for (size_t c = 0; c < t->n_configs; c++)
		before[c] = NAN;
	for (size_t run = 0; run < t->n_runs; run++) {
		const struct measured *s = slot(t, group, run, metric);
		double mean = s->total / (double)s->n, *other = &before[t->runs[run].config];
		if (s->n == 0)
			continue;
		if (t->paired)
			*other = s->other / (double)s->n;
		if (!isnan(*other))
			ret[n++] = fabs(mean - *other);
		*other = mean;
	}
	return n;
}

/* Repeats elsewhere say nothing of how exact these two sides are: a third group may be measured on a busy
 * machine, or hold two versions of the code. */
int noise_close(const struct noise_table *t, struct values *v)
{
	v->noise = calloc(v->n_metrics * v->n_groups, sizeof(*v->noise));
	if (!v->noise)
		return -1;
	for (size_t i = 0; i < v->n_metrics * v->n_groups; i++)
		v->noise[i] = (struct noise){0, NAN};
	if (!t)
		return 0;
	double *both = calloc(2 * t->n_runs + t->n_configs, sizeof(*both));
	if (!both)
		return -1;
	double *before = both + 2 * t->n_runs;
	for (size_t m = 0; m < t->n_metrics; m++)
		for (size_t g = 0; g < t->n_groups; g++) {
			size_t n = differences(t, g, m, before, both);
			if (g != v->baseline)
				n += differences(t, v->baseline, m, before, both + n);
			sample_sort(both, n);
			if (n > 0)
				v->noise[m * v->n_groups + g] =
					(struct noise){n, sample_quantile(both, n, 0.95)};
		}
	free(both);
	return 0;
}
