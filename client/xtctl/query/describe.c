#include "describe.h"

#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "text.h"

#define AT_ONCE	      8	      /* columns of one statement: each pass over the table costs much */
#define DIGITS	      5	      /* of reals in tables */
#define NARROW	      100     /* columns of a terminal below which figures are left out */
#define MOST_GROUPED  1000000 /* values among which the most frequent is looked for, which must sort them */
#define MOST_EXACT    262144  /* values of which approx_quantile() knows all */
#define MOST_COUNTED  8192    /* different values that approx_count_distinct() counts one by one */
#define TOP_CHARS     "100"   /* of the most frequent value that are shown */
#define MOST_FIELDS   (16 + DESCRIBE_QUANTILES) /* beside what the groups are by */
#define QUANTILE_NAME 32

/* What is printed of a column that has numbers, and of others. */
struct layout {
	bool numbers, others;
	bool narrow; /* a terminal with no room for NULLs, and of quantiles only for the middle one */
	bool tight;  /* nor for the deviation: groups by several columns take it */
};

/* Rows of summaries, on their way out. */
struct summaries {
	const struct describe *d;
	struct layout layout;
	struct format *format; /* owned; NULL: not begun */
	const char **names;    /* owned, as `types` and `row`: room for the groups' columns and MOST_FIELDS */
	const char **types;
	xt_value *row; /* the one on its way */
	char quantile_names[DESCRIBE_QUANTILES][QUANTILE_NAME];
	size_t n;		   /* fields of a row */
	int64_t left_out[AT_ONCE]; /* values of each column of the batch that are no numbers */
	bool begun;		   /* a row went to the format */
	bool approximate;	   /* quantiles are */
	bool skipped;		   /* a most frequent value was not looked for */
	bool estimated;		   /* numbers of different values are */
};

/* One summary; values borrow from the answer's row. */
struct summary {
	const xt_value *by; /* values of the group */
	xt_value count, nulls;
	xt_value mean, std, min, max, quantiles;	 /* of numbers */
	xt_value distinct, top, freq, shortest, longest; /* of others */
};

/* ---- printing --------------------------------------------------------- */

static void add_names(struct summaries *s, const char *const *names, size_t n)
{
	memcpy(s->names + s->n, names, n * sizeof(*names));
	s->n += n;
}

/* Begins a table of the layout. */
static int begin(struct summaries *s, struct layout layout)
{
	static const char *const all[] = {"column", "count"}, *const nulls[] = {"nulls"};
	static const char *const mean[] = {"mean"}, *const std[] = {"std"};
	static const char *const min[] = {"min"}, *const max[] = {"max"};
	static const char *const others[] = {"distinct", "top", "freq", "shortest", "longest"};
	const struct describe *d = s->d;
	struct format_options how = ctl_how_to_print(d->ctl);

	how.digits = layout.narrow ? DIGITS - 1 : DIGITS;
	s->layout = layout;
	s->begun = false;
	s->n = 0;
	for (size_t i = 0; i < d->n_by + MOST_FIELDS; i++)
		s->types[i] = i < d->n_by ? d->by[i]->type : "";
	for (size_t i = 0; i < d->n_by; i++)
		s->names[s->n++] = d->by[i]->name;
	add_names(s, all, 2);
	if (!layout.narrow)
		add_names(s, nulls, 1);
	if (layout.numbers) {
		add_names(s, mean, 1);
		if (!layout.tight)
			add_names(s, std, 1);
		add_names(s, min, 1);
		for (size_t i = 0; i < d->n_quantiles; i++) {
			if (layout.narrow && i != d->n_quantiles / 2)
				continue;
			snprintf(s->quantile_names[i], QUANTILE_NAME, "%g%%", d->quantiles[i] * 100);
			s->names[s->n++] = s->quantile_names[i];
		}
		add_names(s, max, 1);
	}
	if (layout.others)
		add_names(s, others, 5);
	s->format = format_new(&d->ctl->out, &how, s->n, s->names, s->types);
	return s->format ? CTL_OK : ctl_no_memory(d->ctl);
}

/* A head above nothing says that there is nothing, which who stopped it did not learn. */
static int end(struct summaries *s, bool whole)
{
	int r = s->format && (whole || s->begun)
			? ctl_format_end(s->d->ctl, &s->d->ctl->out, s->format, s->n, whole)
			: 0;

	format_free(s->format);
	s->format = NULL;
	return r < 0 ? ctl_no_memory(s->d->ctl) : CTL_OK;
}

static int64_t integer_of(const xt_value *v)
{
	return v->type == XT_T_INT ? v->as.integer : v->type == XT_T_UINT ? (int64_t)v->as.uinteger : 0;
}

/* The list "[1.5,2]" that approx_quantile() answers with. */
static size_t put_quantiles(const struct summaries *s, const xt_value *list, xt_value *row)
{
	size_t n = 0;
	const char *at = list->type == XT_T_TEXT && list->n > 0 ? list->as.text + 1 : NULL;

	for (size_t i = 0; i < s->d->n_quantiles; i++) {
		char *after = NULL;
		xt_value x = at ? xt_real(strtod(at, &after)) : xt_null();
		at = at && *after ? after + 1 : NULL;
		if (!s->layout.narrow || i == s->d->n_quantiles / 2)
			row[n++] = x;
	}
	return n;
}

static int print(struct summaries *s, const struct relation_column *c, const struct summary *x)
{
	xt_value *row = s->row;
	size_t n = 0;

	s->begun = true;
	for (; n < s->d->n_by; n++)
		row[n] = x->by[n];
	row[n++] = xt_text(c->name);
	row[n++] = x->count;
	if (!s->layout.narrow)
		row[n++] = x->nulls;
	if (s->layout.numbers) {
		row[n++] = x->mean;
		if (!s->layout.tight)
			row[n++] = x->std;
		row[n++] = x->min;
		n += put_quantiles(s, &x->quantiles, row + n);
		row[n++] = x->max;
	}
	if (s->layout.others) {
		row[n++] = x->distinct;
		row[n++] = x->top;
		row[n++] = x->freq;
		row[n++] = x->shortest;
		row[n++] = x->longest;
	}
	if (integer_of(&x->count) > MOST_EXACT && x->quantiles.type != XT_T_NULL)
		s->approximate = true;
	if (integer_of(&x->distinct) > MOST_COUNTED)
		s->estimated = true;
	return format_row(s->format, row) < 0 ? ctl_no_memory(s->d->ctl) : CTL_OK;
}

/* ---- numbers ---------------------------------------------------------- */

/* Columns of one statement. */
struct batch {
	const struct relation_column *const *columns;
	size_t n;
	bool exact; /* values that are no numbers are left out; else a statement that meets one fails */
};

#define NUMBER_FIELDS 8

static void put_number(FILE *f, const struct describe *d, const struct relation_column *c, bool exact)
{
	char *x = sql_format(exact ? "CASE WHEN typeof(%n) IN ('integer', 'real') THEN %n END" : "%n",
			     c->name, c->name);

	if (!x)
		return; /* the statement is refused then */
	sql_print(f,
		  ", count(%s), count(*) - count(%n), count(%n) - count(%s), avg(%s), stddev(%s), min(%s), ",
		  x, c->name, c->name, x, x, x, x);
	sql_print(f, "approx_quantile(%s, '", x);
	for (size_t i = 0; i < d->n_quantiles; i++)
		fprintf(f, "%c%.17g", i == 0 ? '[' : ',', d->quantiles[i]);
	sql_print(f, "]'), max(%s)", x);
	free(x);
}

/* What the groups are by, or NULL in its place. */
static void put_groups(FILE *f, const struct describe *d)
{
	for (size_t i = 0; i < d->n_by; i++)
		sql_print(f, i > 0 ? ", %n" : "%n", d->by[i]->name);
	if (d->n_by == 0)
		fputs("NULL", f);
}

/* The figures in a row, behind those. */
static const xt_value *figures(const struct describe *d, const xt_value *row)
{
	return row + (d->n_by > 0 ? d->n_by : 1);
}

/* A statement with what `put` writes for each column. NULL: out of memory. */
static char *batch_sql(const struct describe *d, const struct batch *b,
		       void put(FILE *f, const struct describe *d, const struct relation_column *c,
				bool exact))
{
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	fputs("SELECT ", f);
	put_groups(f, d);
	for (size_t i = 0; i < b->n; i++)
		put(f, d, b->columns[i], b->exact);
	sql_print(f, " FROM %n WHERE %s", d->rel->name, d->where);
	if (d->n_by > 0) {
		fputs(" GROUP BY ", f);
		put_groups(f, d);
		fputs(" ORDER BY ", f);
		put_groups(f, d);
	}
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

static int print_numbers(struct summaries *s, const struct batch *b, const xt_value *row)
{
	int status = CTL_OK;

	for (size_t i = 0; i < b->n && status == CTL_OK; i++) {
		const xt_value *v = figures(s->d, row) + i * NUMBER_FIELDS;
		const struct summary x = {.by = row,
					  .count = v[0],
					  .nulls = v[1],
					  .mean = v[3],
					  .std = v[4],
					  .min = v[5],
					  .quantiles = v[6],
					  .max = v[7]};
		s->left_out[i] += integer_of(&v[2]);
		status = print(s, b->columns[i], &x);
	}
	return status;
}

/* Runs a statement and hands each row over. The library's status; *ret_status: ours, once it went wrong. */
static int each_row(struct summaries *s, const struct batch *b, char *sql,
		    int take(struct summaries *s, const struct batch *b, const xt_value *row),
		    int *ret_status)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ctl_summarise(s->d->client, sql, &cursor);
	free(sql);
	while (r == XT_OK && *ret_status == CTL_OK && s->d->ctl->out.error == 0 &&
	       (r = ctl_next(cursor, &row)) == XT_OK)
		*ret_status = take(s, b, row);
	xt_cursor_close(cursor);
	return r == XT_DONE ? XT_OK : r;
}

static void tell_left_out(const struct summaries *s, const struct batch *b)
{
	char count[COUNT_BYTES];

	for (size_t i = 0; i < b->n; i++)
		if (s->left_out[i] > 0)
			ctl_note(s->d->ctl, "%s %s of '%s' %s no number and left out",
				 text_count(count, (uint64_t)s->left_out[i]),
				 s->left_out[i] == 1 ? "value" : "values", b->columns[i]->name,
				 s->left_out[i] == 1 ? "is" : "are");
}

static int describe_numbers(struct summaries *s, struct batch *b)
{
	const struct describe *d = s->d;
	int status = CTL_OK;

	/* Looking at the type of each value takes a fifth of the time. Declared as numbers, they are. */
	for (size_t i = 0; i < b->n; i++)
		b->exact = b->exact || !relation_is_number(b->columns[i]);
	memset(s->left_out, 0, sizeof(s->left_out));
	int r = each_row(s, b, batch_sql(d, b, put_number), print_numbers, &status);
	if (r != XT_OK && !b->exact && strstr(xt_error(d->client), "is not a number")) {
		b->exact = true;
		r = each_row(s, b, batch_sql(d, b, put_number), print_numbers, &status);
	}
	tell_left_out(s, b);
	return r != XT_OK ? ctl_fail(d->ctl, d->client, r) : status;
}

/* ---- other values ----------------------------------------------------- */

#define OTHER_FIELDS 5

static void put_other(FILE *f, const struct describe *d, const struct relation_column *c, bool exact)
{
	(void)d;
	(void)exact;
	sql_print(f,
		  ", count(%n), count(*) - count(%n), approx_count_distinct(%n), min(length(%n)), "
		  "max(length(%n))",
		  c->name, c->name, c->name, c->name, c->name);
}

/* Prints a summary with the most frequent value. */
static int print_with_top(struct summaries *s, const struct relation_column *c, struct summary *x)
{
	const struct describe *d = s->d;
	xt_cursor *cursor = NULL;
	const xt_value *row;

	char *sql = sql_format("SELECT CASE typeof(%n) WHEN 'text' THEN substr(%n, 1, " TOP_CHARS
			       ") ELSE %n END, count(*)"
			       " FROM %n WHERE %n IS NOT NULL AND %s GROUP BY %n ORDER BY 2 DESC, 1 LIMIT 1",
			       c->name, c->name, c->name, d->rel->name, c->name, d->where, c->name);
	int r = ctl_summarise(d->client, sql, &cursor);
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK) {
		x->top = row[0];
		x->freq = row[1];
	}
	int status = r == XT_OK || r == XT_DONE ? print(s, c, x) : ctl_fail(d->ctl, d->client, r);
	xt_cursor_close(cursor);
	return status;
}

static int print_others(struct summaries *s, const struct batch *b, const xt_value *row)
{
	int status = CTL_OK;

	for (size_t i = 0; i < b->n && status == CTL_OK; i++) {
		const xt_value *v = figures(s->d, row) + i * OTHER_FIELDS;
		struct summary x = {.by = row,
				    .count = v[0],
				    .nulls = v[1],
				    .distinct = v[2],
				    .shortest = v[3],
				    .longest = v[4]};
		int64_t count = integer_of(&v[0]);
		bool repeats = integer_of(&v[2]) < count;
		s->skipped = s->skipped || (s->d->n_by == 0 && repeats && count > MOST_GROUPED);
		if (s->d->n_by == 0 && repeats && count <= MOST_GROUPED)
			status = print_with_top(s, b->columns[i], &x);
		else
			status = print(s, b->columns[i], &x);
	}
	return status;
}

static int describe_others(struct summaries *s, struct batch *b)
{
	int status = CTL_OK;
	int r = each_row(s, b, batch_sql(s->d, b, put_other), print_others, &status);

	return r != XT_OK ? ctl_fail(s->d->ctl, s->d->client, r) : status;
}

/* ---- which is which --------------------------------------------------- */

/* A column without a type has numbers when there is one in it. `number` has n entries. */
static int look_for_numbers(const struct describe *d, bool *number)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return ctl_no_memory(d->ctl);
	fputs("SELECT NULL", f);
	for (size_t i = 0; i < d->n; i++)
		if (d->columns[i]->type[0])
			fputs(", NULL", f);
		else
			sql_print(f, ", max(typeof(%n) IN ('integer', 'real'))", d->columns[i]->name);
	sql_print(f, " FROM %n WHERE %s", d->rel->name, d->where);
	int r = fclose(f) == 0 ? ctl_summarise(d->client, sql, &cursor) : XT_ENOMEM;
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	for (size_t i = 0; i < d->n && r == XT_OK; i++)
		number[i] = d->columns[i]->type[0] ? relation_is_number(d->columns[i])
						   : integer_of(&row[i + 1]) == 1;
	xt_cursor_close(cursor);
	free(sql);
	return r == XT_OK ? CTL_OK : ctl_fail(d->ctl, d->client, r);
}

static int judge(const struct describe *d, bool *number)
{
	bool typed = true;

	for (size_t i = 0; i < d->n; i++) {
		number[i] = relation_is_number(d->columns[i]);
		typed = typed && d->columns[i]->type[0];
	}
	return typed ? CTL_OK : look_for_numbers(d, number);
}

/* Those of one kind, some at once. */
static int describe_kind(struct summaries *s, const bool *number, bool kind)
{
	const struct relation_column *some[AT_ONCE];
	struct batch b = {.columns = some, .exact = s->d->n_by > 0};
	int status = CTL_OK;

	for (size_t i = 0; i < s->d->n && status == CTL_OK; i++) {
		if (number[i] == kind)
			some[b.n++] = s->d->columns[i];
		if (b.n == 0 || (b.n < AT_ONCE && i + 1 < s->d->n))
			continue;
		status = kind ? describe_numbers(s, &b) : describe_others(s, &b);
		b = (struct batch){.columns = some, .exact = s->d->n_by > 0};
	}
	return status;
}

/* ---- all -------------------------------------------------------------- */

/* Numbers and other values have a table each, where people read them; programs get one. */
static int print_all(struct summaries *s, const bool *number)
{
	struct ctl *ctl = s->d->ctl;
	bool tables = ctl->options.format == FORMAT_TABLE || ctl->options.format == FORMAT_MD;
	bool narrow = ctl->out.columns > 0 && ctl->out.columns < NARROW;
	bool tight = narrow && s->d->n_by > 1, has[2] = {false, false};
	int status = CTL_OK;

	for (size_t i = 0; i < s->d->n; i++)
		has[number[i]] = true;
	if (!tables || s->d->n == 0)
		status = begin(s, (struct layout){true, true, false, false});
	for (int kind = 1; kind >= 0 && status == CTL_OK && ctl->out.error == 0; kind--) {
		if (!has[kind])
			continue;
		if (tables)
			status = begin(s, (struct layout){kind == 1, kind == 0, narrow && kind == 1,
							  tight && kind == 1});
		if (status == CTL_OK)
			status = describe_kind(s, number, kind == 1);
		if (tables && end(s, status == CTL_OK) != CTL_OK)
			status = CTL_FAILED;
		if (tables && kind == 1 && has[0] && status == CTL_OK)
			fputc('\n', ctl->out.file);
	}
	if (s->format && end(s, status == CTL_OK) != CTL_OK)
		status = CTL_FAILED;
	if (tables && narrow && has[1] && status == CTL_OK && ctl->out.error == 0)
		ctl_note(ctl,
			 "a line of %d columns has no room for NULLs%s and more quantiles; --format json has "
			 "them",
			 ctl->out.columns, tight ? ", std" : "");
	return status;
}

int describe_columns(const struct describe *d)
{
	struct summaries s = {.d = d};
	bool *number = calloc(d->n + 1, sizeof(*number));
	size_t fields = d->n_by + MOST_FIELDS;
	int status;

	s.names = calloc(fields, sizeof(*s.names));
	s.types = calloc(fields, sizeof(*s.types));
	s.row = calloc(fields, sizeof(*s.row));
	if (!number || !s.names || !s.types || !s.row) {
		status = ctl_no_memory(d->ctl);
		goto out;
	}
	status = judge(d, number);
	if (status == CTL_OK)
		status = print_all(&s, number);
	if (s.approximate)
		ctl_note(d->ctl, "quantiles of more than 262,144 values are approximate: off by less than "
				 "0.03 %% in rank");
	if (s.skipped)
		ctl_note(d->ctl, "among more than 1,000,000 values the most frequent one is not looked for");
	if (s.estimated)
		ctl_note(d->ctl,
			 "of more than 8,192 different values their number is approximate, by 1 %% or so");
out:
	free(number);
	free(s.names);
	free(s.types);
	free(s.row);
	return status;
}
