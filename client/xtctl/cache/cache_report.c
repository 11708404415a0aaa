/* What the cache was worth, from the rows of a table. A row whose `cache` is NULL is no cacheable call. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

#include "cached.h"
#include "chosen.h"
#include "facts.h"

#define LEAST_VALUES 2	/* of a parameter, so that its hit rates can be compared … */
#define MOST_VALUES  20 /* … and at a glance */

#define HITS   "count(CASE WHEN cache <> '' THEN 1 END)"
#define MISSES "count(CASE WHEN cache = '' THEN 1 END)"
#define RATE   "round(100.0 * " HITS " / count(*), 2)"

struct report {
	struct ctl *ctl;
	xt_client *client;
	char *table;	   /* owned: its name */
	char *quoted;	   /* owned: the same in quotes */
	const char *where; /* what is reported on, with ?1 and ?2 */
	xt_value args[2];  /* of them */
	size_t n_args;
	xt_cursor *cursor; /* owned: without rows; its n columns are the table's */
	size_t n;
	bool *is_parameter;    /* owned: of each column */
	struct format *format; /* of the rows by parameter */
	bool began;	       /* there was one */
	int64_t hits, misses, others;
	int64_t combinations; /* -1: not known */
	double saved;	      /* seconds; below 0: not known */
	int64_t saved_hits;   /* those whose computation was found */
};

/* ---- questions -------------------------------------------------------- */

/* One row of at most `n` numbers; NULL is 0. The library's status. */
static int ask(struct report *r, const char *sql, double *ret, size_t n)
{
	xt_cursor *cursor;
	const xt_value *row;

	if (!sql)
		return XT_ENOMEM;
	int status = ctl_query(r->client, sql, r->args, r->n_args, 0, &cursor);
	if (status == XT_OK)
		status = ctl_next(cursor, &row);
	for (size_t i = 0; status == XT_OK && i < n && i < xt_cursor_columns(cursor); i++)
		ret[i] = row[i].type == XT_T_INT    ? (double)row[i].as.integer
			 : row[i].type == XT_T_REAL ? row[i].as.real
						    : 0;
	xt_cursor_close(cursor);
	return status;
}

static char *print_sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The statement, owned by the caller; NULL: out of memory. */
static char *print_sql(const char *fmt, ...)
{
	char *sql = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&sql, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : sql;
}

/* The column's name as it is written; NULL: there is none. */
static const char *find_column(const struct report *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcasecmp(xt_cursor_name(r->cursor, i), name) == 0)
			return xt_cursor_name(r->cursor, i);
	return NULL;
}

/* ---- the table -------------------------------------------------------- */

static int open_table(struct report *r, const char *name)
{
	free(r->table);
	free(r->quoted);
	r->table = strdup(name);
	r->quoted = ctl_quote(name);
	char *sql = r->table && r->quoted ? print_sql("SELECT * FROM %s LIMIT 0", r->quoted) : NULL;
	int status = sql ? ctl_query(r->client, sql, NULL, 0, 0, &r->cursor) : XT_ENOMEM;
	free(sql);
	if (status != XT_OK)
		return status;
	r->n = xt_cursor_columns(r->cursor);
	r->is_parameter = calloc(r->n + 1, sizeof(*r->is_parameter));
	return r->is_parameter ? XT_OK : XT_ENOMEM;
}

/* The table, or the one with the most rows where nobody named one. CTL_OK, or it is reported. */
static int choose_table(struct report *r)
{
	int status = open_table(r, r->ctl->table);

	if (status != XT_OK && ctl_no_table(r->client) && !r->ctl->table_named) {
		char *other = ctl_other_table(r->ctl, r->client);
		if (!other)
			return ctl_no_rows(r->ctl);
		status = open_table(r, other);
		free(other);
	}
	if (status != XT_OK && ctl_no_table(r->client))
		return ctl_error(r->ctl, "no table '%s'; '%s ls %s' lists them", r->ctl->table,
				 r->ctl->program, ctl_db(r->ctl));
	if (status != XT_OK)
		return ctl_fail(r->ctl, r->client, status);
	if (!find_column(r, "cache"))
		return ctl_error(
			r->ctl,
			"table '%s' has no column 'cache': no call that could be cached was logged to it",
			r->table);
	if (r->ctl->options.by && !find_column(r, r->ctl->options.by))
		return ctl_error(r->ctl,
				 "table '%s' has no column '%s'; '%s columns %s --table %s' lists them",
				 r->table, r->ctl->options.by, r->ctl->program, ctl_db(r->ctl), r->table);
	return CTL_OK;
}

/* ---- figures ---------------------------------------------------------- */

static int count_calls(struct report *r)
{
	double n[3] = {0};
	char *sql = print_sql("SELECT " HITS ", " MISSES ", count(*) FROM %s WHERE %s", r->quoted, r->where);

	int status = ask(r, sql, n, 3);
	free(sql);
	r->hits = (int64_t)n[0];
	r->misses = (int64_t)n[1];
	r->others = (int64_t)n[2] - r->hits - r->misses;
	return status;
}

static int count_combinations(struct report *r)
{
	double n = 0;

	r->combinations = -1;
	if (!find_column(r, "kwargs"))
		return XT_OK;
	char *sql = print_sql(
		"SELECT count(*) FROM (SELECT DISTINCT kwargs%s%s FROM %s WHERE %s AND cache IS NOT NULL)",
		find_column(r, "args") ? ", args" : "",
		find_column(r, "function_name") ? ", function_name" : "", r->quoted, r->where);
	int status = ask(r, sql, &n, 1);
	free(sql);
	r->combinations = (int64_t)n;
	return status;
}

/* What the computation took that a hit's result is of: same run, function and arguments. */
static int sum_saved(struct report *r)
{
	double n[2] = {0};
	const char *args = find_column(r, "args") ? "args" : "NULL";

	r->saved = -1;
	if (!find_column(r, "kwargs") || !find_column(r, "function_name") || !find_column(r, "function_time"))
		return XT_OK;
	char *sql = print_sql(
		"SELECT count(*), sum(o.seconds) FROM (SELECT cache, function_name, kwargs, %s AS args FROM "
		"%s WHERE "
		"%s AND cache <> '') h JOIN (SELECT track_id, function_name, kwargs, %s AS args, "
		"avg(function_time) AS seconds FROM %s WHERE cache = ''%s GROUP BY 1, 2, 3, 4) o ON "
		"o.track_id = h.cache AND o.function_name = h.function_name AND o.kwargs = h.kwargs AND "
		"o.args IS h.args",
		args, r->quoted, r->where, args, r->quoted,
		find_column(r, "error") ? " AND error IS NULL" : "");
	int status = ask(r, sql, n, 2);
	free(sql);
	if (n[0] > 0) {
		r->saved_hits = (int64_t)n[0];
		r->saved = n[1];
	}
	return status;
}

/* ---- parameters ------------------------------------------------------- */

/* A column is an argument, a field of one, or a parameter of a run. */
static void mark(struct report *r, const char *key, size_t len, bool has_fields)
{
	for (size_t i = 0; i < r->n; i++) {
		const char *name = xt_cursor_name(r->cursor, i);
		if (strncasecmp(name, key, len) == 0 && (!name[len] || (has_fields && name[len] == '_')))
			r->is_parameter[i] = true;
	}
}

/* Names of arguments, and of parameters of the runs, of a table and what is reported on of it. */
#define ARGUMENTS                                                                                      \
	"SELECT DISTINCT j.key, j.type FROM (SELECT kwargs FROM %s WHERE %s AND cache IS NOT NULL) t," \
	" json_each(CASE WHEN json_valid(t.kwargs) THEN t.kwargs END) j UNION "
#define PARAMETERS                                                       \
	"SELECT DISTINCT j.key, 'parameter' FROM xt_runs r,"             \
	" json_each(CASE WHEN json_valid(r.params) THEN r.params END) j" \
	" WHERE r.track_id IN (SELECT track_id FROM %s WHERE %s AND cache IS NOT NULL)"

static int mark_parameters(struct report *r)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	mark(r, "params", 6, true);
	char *sql = find_column(r, "kwargs")
			    ? print_sql(ARGUMENTS PARAMETERS, r->quoted, r->where, r->quoted, r->where)
			    : print_sql(PARAMETERS, r->quoted, r->where);
	int status = sql ? ctl_query(r->client, sql, r->args, r->n_args, 0, &cursor) : XT_ENOMEM;
	while (status == XT_OK && (status = ctl_next(cursor, &row)) == XT_OK)
		if (row[0].type == XT_T_TEXT && row[1].type == XT_T_TEXT)
			mark(r, row[0].as.text, row[0].n,
			     row[1].n == 6 && memcmp(row[1].as.text, "object", 6) == 0);
	xt_cursor_close(cursor);
	free(sql);
	return status == XT_DONE ? XT_OK : status;
}

/* Whether there are a few different values in it. The library's status. */
static int is_telling(struct report *r, const char *quoted, bool *ret)
{
	double n = 0;
	char *sql = print_sql(
		"SELECT count(*) FROM (SELECT DISTINCT %s FROM %s WHERE %s AND cache IS NOT NULL LIMIT %d)",
		quoted, r->quoted, r->where, MOST_VALUES + 1);

	int status = ask(r, sql, &n, 1);
	free(sql);
	*ret = n >= LEAST_VALUES && n <= MOST_VALUES;
	return status;
}

/* The hit rate by a column's values. The library's status. */
static int print_by(struct report *r, const char *column, bool always)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	bool telling = always;
	char *quoted = ctl_quote(column), *sql = NULL;

	int status = quoted ? XT_OK : XT_ENOMEM;
	if (status == XT_OK && !always)
		status = is_telling(r, quoted, &telling);
	if (status == XT_OK && telling) {
		sql = print_sql("SELECT %s, count(*), " HITS ", " MISSES ", " RATE
				" FROM %s WHERE %s AND cache IS NOT NULL GROUP BY 1 ORDER BY 1",
				quoted, r->quoted, r->where);
		status = sql ? ctl_query(r->client, sql, r->args, r->n_args, 0, &cursor) : XT_ENOMEM;
		while (status == XT_OK && (status = ctl_next(cursor, &row)) == XT_OK) {
			xt_value line[] = {xt_text(column), row[0], row[1], row[2], row[3], row[4]};
			if (!r->began && r->ctl->options.format == FORMAT_TABLE)
				fputc('\n', r->ctl->out.file);
			r->began = true;
			if (format_row(r->format, line) < 0)
				status = XT_ENOMEM;
		}
		status = status == XT_DONE ? XT_OK : status;
	}
	xt_cursor_close(cursor);
	free(sql);
	free(quoted);
	return status;
}

static int print_parameters(struct report *r)
{
	static const char *const names[] = {"parameter", "value", "calls", "hits", "misses", "hit_rate"};
	static const char *const types[] = {"TEXT", "", "", "", "", "REAL"};
	const char *by = r->ctl->options.by;
	struct format_options how = ctl_how_to_print(r->ctl);
	int status = XT_OK;

	r->format = format_new(&r->ctl->out, &how, 6, names, types);
	if (!r->format)
		return XT_ENOMEM;
	if (by)
		status = print_by(r, find_column(r, by), true);
	else
		status = mark_parameters(r);
	for (size_t i = 0; i < r->n && !by && status == XT_OK; i++)
		if (r->is_parameter[i])
			status = print_by(r, xt_cursor_name(r->cursor, i), false);
	if ((r->began || how.kind != FORMAT_TABLE) &&
	    ctl_format_end(r->ctl, &r->ctl->out, r->format, 6, status == XT_OK) < 0)
		status = XT_ENOMEM;
	return status;
}

/* ---- printing --------------------------------------------------------- */

static void print_fact(struct report *r, const char *label, enum fact_unit unit, xt_value v)
{
	fact_print(r->ctl->out.file, label, unit, &v);
}

static void print_share(struct report *r, const char *label, int64_t n)
{
	char count[COUNT_BYTES], text[COUNT_BYTES + 20];
	int64_t calls = r->hits + r->misses;

	snprintf(text, sizeof(text), calls ? "%s (%.1f%%)" : "%s", text_count(count, (uint64_t)n),
		 calls ? 100.0 * (double)n / (double)calls : 0.0);
	print_fact(r, label, FACT_PLAIN, xt_text(text));
}

static void print_human(struct report *r)
{
	char count[COUNT_BYTES], text[120];

	print_fact(r, "table", FACT_PLAIN, xt_text(r->table));
	print_fact(r, "calls", FACT_COUNT, xt_int(r->hits + r->misses));
	print_share(r, "hits", r->hits);
	print_share(r, "misses", r->misses);
	if (r->others > 0)
		print_fact(r, "not cacheable", FACT_COUNT, xt_int(r->others));
	if (r->combinations >= 0)
		print_fact(r, "unique combinations", FACT_COUNT, xt_int(r->combinations));
	if (r->saved >= 0)
		print_fact(r, "time saved", r->saved < 1 ? FACT_MICROSECONDS : FACT_MILLISECONDS,
			   xt_uint((uint64_t)(r->saved * (r->saved < 1 ? 1e6 : 1e3))));
	if (r->saved >= 0 && r->saved_hits < r->hits) {
		snprintf(text, sizeof(text), "for %s of the hits; the others' computations have no row here",
			 text_count(count, (uint64_t)r->saved_hits));
		print_fact(r, "", FACT_PLAIN, xt_text(text));
	}
}

static void put_member(FILE *f, const char *name, xt_value v)
{
	fprintf(f, "\"%s\": ", name);
	json_print(f, &v);
	fputs(", ", f);
}

static void print_json(struct report *r)
{
	int64_t calls = r->hits + r->misses;
	FILE *f = r->ctl->out.file;

	fputc('{', f);
	put_member(f, "table", xt_text(r->table));
	put_member(f, "calls", xt_int(calls));
	put_member(f, "hits", xt_int(r->hits));
	put_member(f, "misses", xt_int(r->misses));
	put_member(f, "hit_rate", calls ? xt_real(100.0 * (double)r->hits / (double)calls) : xt_null());
	put_member(f, "other_rows", xt_int(r->others));
	put_member(f, "combinations", r->combinations >= 0 ? xt_int(r->combinations) : xt_null());
	put_member(f, "saved_seconds", r->saved >= 0 ? xt_real(r->saved) : xt_null());
	put_member(f, "saved_hits", xt_int(r->saved_hits));
	fputs("\"by\": ", f);
}

/* ---- the command ------------------------------------------------------ */

static int print(struct report *r)
{
	enum format_kind kind = r->ctl->options.format;

	int status = count_calls(r);
	if (status == XT_OK)
		status = count_combinations(r);
	if (status == XT_OK)
		status = sum_saved(r);
	if (status != XT_OK)
		return ctl_fail(r->ctl, r->client, status);
	if (kind == FORMAT_TABLE)
		print_human(r);
	else if (kind == FORMAT_JSON)
		print_json(r);
	status = print_parameters(r);
	if (status != XT_OK)
		return status == XT_ENOMEM ? ctl_no_memory(r->ctl) : ctl_fail(r->ctl, r->client, status);
	if (kind == FORMAT_JSON)
		fputs("}\n", r->ctl->out.file);
	return CTL_OK;
}

static void report_done(struct report *r)
{
	xt_cursor_close(r->cursor);
	free(r->is_parameter);
	free(r->table);
	free(r->quoted);
	format_free(r->format);
}

static int report(struct ctl *ctl, xt_client *client)
{
	static const char *const wheres[2][2] = {{"1", "function_name = ?2"},
						 {"track_id = ?1", "track_id = ?1 AND function_name = ?2"}};
	const struct options *o = &ctl->options;
	struct report r = {.ctl = ctl,
			   .client = client,
			   .where = wheres[o->track_id != NULL][o->function != NULL],
			   .args = {xt_text(o->track_id), xt_text(o->function)},
			   .n_args = o->function   ? 2
				     : o->track_id ? 1
						   : 0};

	char *run = NULL;

	int status = choose_table(&r);
	if (status == CTL_OK)
		status = chosen_run(ctl, client, r.table, false, &run);
	if (run)
		r.args[0] = xt_text(run);
	if (status == CTL_OK)
		status = print(&r);
	free(run);
	report_done(&r);
	return status;
}

static int cache_report(struct ctl *ctl)
{
	return ctl_with_client(ctl, report);
}

const struct command cache_report_command = {
	.name = "cache report",
	.summary = "what the cache was worth, from the rows",
	.help = "Calls, which are hits (the column cache names a run) or misses (it is empty); rows where it "
		"is NULL are no cacheable calls and count as neither. Combinations are those of "
		"function_name, args and kwargs. Time saved is what computing the results of the hits took, "
		"by the rows of the same run, function and arguments without an error; it is left out where "
		"there is none. Then hit rates in percent by the values of each parameter:\n"
		"each column that is called params_..., that is an argument in kwargs or a field of one, or "
		"a parameter of the runs, and that has from 2 to 20 values; or by those of --by. csv, jsonl "
		"and md have only these.",
	.examples = (const struct example[]){{"hit rates by codec", "cache report demo.db --by codec"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE | OPT_TRACK_ID | OPT_FUNCTION | OPT_BY,
	.run = cache_report,
};
