#include "aggregates.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "distinct.h"
#include "histogram.h"
#include "moments.h"
#include "quantile.h"

#define MOST_ASKED 16  /* quantiles of one call */
#define MOST_LIST  255 /* bytes of the list that asks for them */
#define SHOWN	   40  /* bytes of a wrong value that its error repeats */

/* One SQL function; it finds itself in its user data. */
struct aggregate {
	const char *name;
	int args;
	double (*of)(const struct moments *m); /* of those that follow from sums */
	double scale;			       /* of quantiles: what q is divided by; 0: there is no q */
	bool discrete;			       /* a value that is there, not one between two */
	bool thin;			       /* constant memory */
	void (*step)(sqlite3_context *, int, sqlite3_value **);
	void (*final)(sqlite3_context *);
	void (*value)(sqlite3_context *);
	void (*inverse)(sqlite3_context *, int, sqlite3_value **);
};

static const struct aggregate *self(sqlite3_context *ctx)
{
	return sqlite3_user_data(ctx);
}

/* ---- arguments -------------------------------------------------------- */

static void fail(sqlite3_context *ctx, const char *what)
{
	char *message = sqlite3_mprintf("%s(): %s", self(ctx)->name, what);

	if (message)
		sqlite3_result_error(ctx, message, -1);
	else
		sqlite3_result_error_nomem(ctx);
	sqlite3_free(message);
}

/* Whether it is a number, which a text may be too. NULL is none; anything else is an error, where SQLite's
 * own sum() and avg() would take it for 0. */
static bool is_number(sqlite3_context *ctx, sqlite3_value *v)
{
	char why[100];
	int type = sqlite3_value_type(v);

	if (type == SQLITE_INTEGER || type == SQLITE_FLOAT)
		return true;
	if (type == SQLITE_NULL)
		return false;
	if (type == SQLITE_BLOB) {
		fail(ctx, "a blob is not a number");
		return false;
	}
	type = sqlite3_value_numeric_type(v);
	if (type == SQLITE_INTEGER || type == SQLITE_FLOAT)
		return true;
	const char *text = (const char *)sqlite3_value_text(v);
	snprintf(why, sizeof(why), "'%.*s' is not a number", SHOWN, text ? text : "");
	fail(ctx, why);
	return false;
}

/* ---- sums ------------------------------------------------------------- */

/* The first argument is y, as in regr_slope(y, x). */
static void add_moments(sqlite3_context *ctx, int argc, sqlite3_value **argv, int times)
{
	if (!is_number(ctx, argv[0]) || (argc == 2 && !is_number(ctx, argv[1])))
		return;
	struct moments *m = sqlite3_aggregate_context(ctx, sizeof(*m));
	if (!m)
		sqlite3_result_error_nomem(ctx);
	else if (argc == 1)
		moments_add(m, sqlite3_value_double(argv[0]), times);
	else
		moments_add_pair(m, sqlite3_value_double(argv[1]), sqlite3_value_double(argv[0]), times);
}

static void moments_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	add_moments(ctx, argc, argv, 1);
}

static void moments_inverse(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	add_moments(ctx, argc, argv, -1);
}

/* NaN becomes NULL. */
static void moments_value(sqlite3_context *ctx)
{
	static const struct moments none;
	const struct moments *m = sqlite3_aggregate_context(ctx, 0);

	sqlite3_result_double(ctx, self(ctx)->of(m ? m : &none));
}

static double var_pop(const struct moments *m)
{
	return moments_xx(m) / (double)m->n;
}

static double var_samp(const struct moments *m)
{
	return m->n < 2 ? NAN : moments_xx(m) / (double)(m->n - 1);
}

static double stddev_pop(const struct moments *m)
{
	return sqrt(var_pop(m));
}

static double stddev_samp(const struct moments *m)
{
	return sqrt(var_samp(m));
}

static double sem(const struct moments *m)
{
	return stddev_samp(m) / sqrt((double)m->n);
}

static double covar_pop(const struct moments *m)
{
	return moments_xy(m) / (double)m->n;
}

static double covar_samp(const struct moments *m)
{
	return m->n < 2 ? NAN : moments_xy(m) / (double)(m->n - 1);
}

/* Rounding must not make more than 1 of it. */
static double corr(const struct moments *m)
{
	double r = moments_xy(m) / (sqrt(moments_xx(m)) * sqrt(moments_yy(m)));

	return r > 1 ? 1 : r < -1 ? -1 : r;
}

static double regr_slope(const struct moments *m)
{
	return moments_xy(m) / moments_xx(m);
}

static double regr_intercept(const struct moments *m)
{
	return moments_mean_y(m) - regr_slope(m) * moments_mean_x(m);
}

static double regr_r2(const struct moments *m)
{
	double r = corr(m);

	return moments_xx(m) > 0 && moments_yy(m) == 0 ? 1 : r * r;
}

/* ---- quantiles -------------------------------------------------------- */

struct quantiles {
	struct bag bag;
	size_t n;		  /* quantiles asked for; 0: not known yet */
	bool list;		  /* they were asked for as a list */
	double asked[MOST_ASKED]; /* 0 to 1 */
	double first;		  /* what was given, where it is one number, */
	char text[MOST_LIST + 1]; /* and where it is a list: it must stay the same */
};

/* Reads "[0.25, 0.5]". False: it is no such list. */
static bool read_list(struct quantiles *s, double scale)
{
	const char *p = s->text;
	char *end;

	p += strspn(p, " ");
	if (*p != '[')
		return false;
	do {
		double q = strtod(++p, &end) / scale;
		if (end == p || !(q >= 0 && q <= 1) || s->n == MOST_ASKED)
			return false;
		s->asked[s->n++] = q;
		p = end + strspn(end, " ");
	} while (*p == ',');
	return *p == ']' && p[1 + strspn(p + 1, " ")] == '\0';
}

/* The first row says which quantiles are meant. */
static bool read_asked(sqlite3_context *ctx, struct quantiles *s, sqlite3_value *v)
{
	double scale = self(ctx)->scale;
	int type = sqlite3_value_type(v);

	s->list = type == SQLITE_TEXT && sqlite3_value_bytes(v) <= MOST_LIST;
	if (s->list) {
		memcpy(s->text, sqlite3_value_text(v), (size_t)sqlite3_value_bytes(v));
		if (read_list(s, scale))
			return true;
	}
	s->first = sqlite3_value_double(v);
	s->asked[0] = s->first / scale;
	s->n = 1;
	if ((type == SQLITE_INTEGER || type == SQLITE_FLOAT) && s->asked[0] >= 0 && s->asked[0] <= 1)
		return true;
	s->n = 0;
	fail(ctx, scale == 1 ? "the second argument must be a number from 0 to 1, or a list of at most 16 "
			       "such numbers, as '[0.25, 0.5]'"
			     : "the second argument must be a number from 0 to 100, or a list of at most 16 "
			       "such numbers, as '[25, 50]'");
	return false;
}

static bool is_asked(sqlite3_context *ctx, struct quantiles *s, sqlite3_value *v)
{
	if (s->n == 0)
		return read_asked(ctx, s, v);
	size_t len = strlen(s->text);
	if (s->list ? sqlite3_value_type(v) == SQLITE_TEXT && (size_t)sqlite3_value_bytes(v) == len &&
			      memcmp(sqlite3_value_text(v), s->text, len) == 0
		    : sqlite3_value_double(v) == s->first)
		return true;
	fail(ctx, "the second argument must be the same for all rows");
	return false;
}

static void quantiles_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct quantiles *s = sqlite3_aggregate_context(ctx, sizeof(*s));

	if (!s) {
		sqlite3_result_error_nomem(ctx);
		return;
	}
	if (argc == 2 && !is_asked(ctx, s, argv[1]))
		return;
	if (!is_number(ctx, argv[0]))
		return;
	s->bag.thin = self(ctx)->thin;
	int r = sqlite3_value_numeric_type(argv[0]) == SQLITE_INTEGER
			? bag_add_integer(&s->bag, sqlite3_value_int64(argv[0]))
			: bag_add_real(&s->bag, sqlite3_value_double(argv[0]));
	if (r < 0 && s->bag.thin)
		sqlite3_result_error_nomem(ctx);
	else if (r < 0)
		fail(ctx, "it holds all values of a group, and these are too many; approx_quantile(x, q) "
			  "needs little memory");
}

static void quantiles_inverse(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct quantiles *s = sqlite3_aggregate_context(ctx, sizeof(*s));

	(void)argc;
	if (s && is_number(ctx, argv[0]))
		bag_drop(&s->bag);
}

static struct bag_number answer(const struct aggregate *a, const struct quantiles *s, double q)
{
	if (a->discrete)
		return bag_at(&s->bag, q);
	return (struct bag_number){.real = true, .value = bag_between(&s->bag, q)};
}

/* All answers as a JSON list. */
static void result_list(sqlite3_context *ctx, const struct quantiles *s)
{
	sqlite3_str *list = sqlite3_str_new(sqlite3_context_db_handle(ctx));

	for (size_t i = 0; i < s->n; i++) {
		struct bag_number x = answer(self(ctx), s, s->asked[i]);
		sqlite3_str_appendchar(list, 1, i == 0 ? '[' : ',');
		if (!x.real)
			sqlite3_str_appendf(list, "%lld", (long long)x.integer);
		else if (isfinite(x.value))
			sqlite3_str_appendf(list, "%!.17g", x.value);
		else
			sqlite3_str_appendall(list, isnan(x.value) ? "null"
						    : x.value > 0  ? "9e999"
								   : "-9e999");
	}
	histogram_answer(ctx, list);
}

static void quantiles_value(sqlite3_context *ctx)
{
	const struct quantiles *s = sqlite3_aggregate_context(ctx, 0);

	if (!s || s->bag.n == 0)
		return; /* NULL */
	if (s->list) {
		result_list(ctx, s);
		return;
	}
	struct bag_number x = answer(self(ctx), s, s->n > 0 ? s->asked[0] : 0.5);
	if (x.real)
		sqlite3_result_double(ctx, x.value);
	else
		sqlite3_result_int64(ctx, x.integer);
}

static void quantiles_final(sqlite3_context *ctx)
{
	struct quantiles *s = sqlite3_aggregate_context(ctx, 0);

	quantiles_value(ctx);
	if (s)
		bag_done(&s->bag);
}

/* ---- different values ------------------------------------------------- */

/* Values that are equal must have one hash: 1 and 1.0 are, 1 and '1' are not. */
static uint64_t hash_of(sqlite3_value *v)
{
	int64_t i = sqlite3_value_int64(v);
	double d;

	switch (sqlite3_value_type(v)) {
	case SQLITE_INTEGER:
		return distinct_hash(&i, sizeof(i));
	case SQLITE_FLOAT:
		d = sqlite3_value_double(v);
		if (d == (double)i)
			return distinct_hash(&i, sizeof(i));
		return distinct_hash(&d, sizeof(d));
	case SQLITE_TEXT: {
		const void *text = sqlite3_value_text(v);
		return distinct_hash(text, text ? (size_t)sqlite3_value_bytes(v) : 0) ^ 1;
	}
	default: {
		const void *blob = sqlite3_value_blob(v);
		return distinct_hash(blob, blob ? (size_t)sqlite3_value_bytes(v) : 0) ^ 2;
	}
	}
}

static void distinct_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct distinct *d;

	(void)argc;
	if (sqlite3_value_type(argv[0]) == SQLITE_NULL)
		return;
	d = sqlite3_aggregate_context(ctx, sizeof(*d));
	if (!d || distinct_add(d, hash_of(argv[0])) < 0)
		sqlite3_result_error_nomem(ctx);
}

static void distinct_final(sqlite3_context *ctx)
{
	struct distinct *d = sqlite3_aggregate_context(ctx, 0);

	sqlite3_result_int64(ctx, d ? distinct_count(d) : 0);
	if (d)
		distinct_done(d);
}

/* ---- all -------------------------------------------------------------- */

#define OF_SUMS \
	.step = moments_step, .final = moments_value, .value = moments_value, .inverse = moments_inverse
#define OF_ALL                                                                      \
	.step = quantiles_step, .final = quantiles_final, .value = quantiles_value, \
	.inverse = quantiles_inverse

static const struct aggregate all[] = {
	{"var_pop", 1, var_pop, OF_SUMS},
	{"var_samp", 1, var_samp, OF_SUMS},
	{"variance", 1, var_samp, OF_SUMS},
	{"stddev_pop", 1, stddev_pop, OF_SUMS},
	{"stddev_samp", 1, stddev_samp, OF_SUMS},
	{"stddev", 1, stddev_samp, OF_SUMS},
	{"sem", 1, sem, OF_SUMS},
	{"covar_pop", 2, covar_pop, OF_SUMS},
	{"covar_samp", 2, covar_samp, OF_SUMS},
	{"corr", 2, corr, OF_SUMS},
	{"regr_slope", 2, regr_slope, OF_SUMS},
	{"regr_intercept", 2, regr_intercept, OF_SUMS},
	{"regr_r2", 2, regr_r2, OF_SUMS},
	{"median", 1, OF_ALL},
	{"quantile_cont", 2, .scale = 1, OF_ALL},
	{"percentile_cont", 2, .scale = 1, OF_ALL},
	{"percentile", 2, .scale = 100, OF_ALL},
	{"quantile", 2, .scale = 1, .discrete = true, OF_ALL},
	{"quantile_disc", 2, .scale = 1, .discrete = true, OF_ALL},
	{"percentile_disc", 2, .scale = 1, .discrete = true, OF_ALL},
	{"approx_quantile", 2, .scale = 1, .thin = true, .step = quantiles_step, .final = quantiles_final},
	{"approx_count_distinct", 1, .step = distinct_step, .final = distinct_final},
};

int aggregates_install(sqlite3 *db)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && rc == SQLITE_OK; i++)
		rc = sqlite3_create_window_function(db, all[i].name, all[i].args,
						    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
						    (void *)(uintptr_t)&all[i], all[i].step, all[i].final,
						    all[i].value, all[i].inverse, NULL);
	return rc;
}
