/*
 * What looks wrong in the values of a table: one pass over its rows, in pieces where it has very many
 * columns.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "failed.h"
#include "findings.h"
#include "meaning.h"
#include "say.h"
#include "sql.h"
#include "text.h"
#include "where.h"

#define AT_ONCE	 60 /* columns that one statement looks at */
#define FEW_ROWS 10 /* below that a column that never changes tells nothing */

/* What is counted of each column, in this order; C stands for its name, F for "the row's execution failed".
 */
enum count {
	COUNT_VALUES,
	COUNT_TEXTS,
	COUNT_BLOBS,
	COUNT_INFINITE,
	COUNT_MISSING, /* NULL though the execution did not fail */
	COUNT_NEGATIVE,
	COUNT_OUTSIDE, /* of 0 to 1 */
	COUNT_EMPTY,   /* text of nothing but spaces, though the execution did not fail */
	COUNT_SAME,    /* 1: all values are one */
	COUNT_LEAST,   /* the least value, a text shortened */
	COUNT_LOW,     /* the least and the greatest number */
	COUNT_HIGH,
	N_COUNTS
};

#define NUMBER	  "typeof(%n) IN ('integer', 'real')"
#define HOW_MANY  "count(*) FILTER (WHERE "
#define WENT_WELL " AND NOT coalesce(F, 0))"

/* The SQL of each count, with the column's name at every %n; and of columns of which meaning it is made, 0:
 * of all. Of the others it is 0. */
static const struct {
	const char *sql;
	unsigned meaning;
} counts[N_COUNTS] = {
	[COUNT_VALUES] = {"count(%n)", 0},
	[COUNT_TEXTS] = {HOW_MANY "typeof(%n) = 'text')", 0},
	[COUNT_BLOBS] = {HOW_MANY "typeof(%n) = 'blob')", 0},
	[COUNT_INFINITE] = {HOW_MANY "%n = 9e999 OR %n = -9e999)", 0},
	[COUNT_MISSING] = {HOW_MANY "%n IS NULL" WENT_WELL, MEANS_RESULT | MEANS_PARAMETER},
	[COUNT_NEGATIVE] = {HOW_MANY NUMBER " AND %n < 0)", MEANS_AMOUNT},
	[COUNT_OUTSIDE] = {HOW_MANY NUMBER " AND %n NOT BETWEEN 0 AND 1)", MEANS_SHARE},
	[COUNT_EMPTY] = {HOW_MANY "typeof(%n) = 'text' AND trim(%n, char(9, 10, 13, 32)) = ''" WENT_WELL,
			 MEANS_ANSWER},
	[COUNT_SAME] = {"min(%n) = max(%n)", 0},
	[COUNT_LEAST] = {"CASE WHEN typeof(min(%n)) = 'text' THEN substr(min(%n), 1, 41) ELSE min(%n) END",
			 0},
	[COUNT_LOW] = {"min(CASE WHEN " NUMBER " THEN %n END)", MEANS_AMOUNT | MEANS_SHARE},
	[COUNT_HIGH] = {"max(CASE WHEN " NUMBER " THEN %n END)", MEANS_SHARE},
};

struct inspection {
	struct ctl *ctl;
	xt_client *client;
	struct relation rel;
	struct findings found;
	char *failed; /* owned: SQL that is true of failed executions */
	char *where;  /* owned: SQL that is true of the rows that are looked at */
	int64_t rows, failures;
	int status; /* the library's, of questions about single columns */
};

/* ---- what is wrong with a column --------------------------------------- */

static void look_at_nulls(struct inspection *s, const struct relation_column *c, unsigned meaning,
			  const xt_value *v)
{
	int64_t nulls = s->rows - say_integer(&v[COUNT_VALUES]), missing = say_integer(&v[COUNT_MISSING]);
	bool needed = (meaning & (MEANS_RESULT | MEANS_PARAMETER)) && missing > 0;
	char text[SAY_BYTES], count[COUNT_BYTES];

	if (nulls == 0 || meaning & MEANS_FAILURE)
		return;
	if (needed)
		findings_add(&s->found, true, "missing_values", s->rel.name, c->name, (uint64_t)missing,
			     "'%s' is NULL in %s%s", c->name, say_share(text, missing, s->rows - s->failures),
			     s->failures ? " whose execution did not fail" : "");
	else if (nulls == s->rows)
		findings_add(&s->found, false, "null_column", s->rel.name, c->name, (uint64_t)nulls,
			     "'%s' is NULL in all %s rows", c->name, text_count(count, (uint64_t)nulls));
	else
		findings_add(&s->found, false, "null_values", s->rel.name, c->name, (uint64_t)nulls,
			     "'%s' is NULL in %s", c->name, say_share(text, nulls, s->rows));
}

static void look_at_range(struct inspection *s, const struct relation_column *c, const xt_value *v)
{
	int64_t outside = say_integer(&v[COUNT_OUTSIDE]), negative = say_integer(&v[COUNT_NEGATIVE]),
		infinite = say_integer(&v[COUNT_INFINITE]);
	char text[SAY_BYTES], low[SAY_BYTES], high[SAY_BYTES];

	if (outside > 0)
		findings_add(&s->found, true, "out_of_range", s->rel.name, c->name, (uint64_t)outside,
			     "'%s' is outside 0 to 1 in %s: from %s to %s; percentages are better called so: "
			     "'%s_percent'",
			     c->name, say_share(text, outside, s->rows), say_value(low, &v[COUNT_LOW]),
			     say_value(high, &v[COUNT_HIGH]), c->name);
	if (negative > 0 && outside == 0)
		findings_add(&s->found, true, "negative_values", s->rel.name, c->name, (uint64_t)negative,
			     "'%s' is negative in %s, down to %s", c->name,
			     say_share(text, negative, s->rows), say_value(low, &v[COUNT_LOW]));
	if (infinite > 0)
		findings_add(&s->found, true, "infinite_values", s->rel.name, c->name, (uint64_t)infinite,
			     "'%s' is infinite in %s", c->name, say_share(text, infinite, s->rows));
}

/* Whether a column has no text that is not a number; it has one as a rule in the first row that is looked at.
 */
static bool all_are_numbers(struct inspection *s, const struct relation_column *c)
{
	char *sql = sql_format("SELECT 1 FROM %n WHERE %s AND typeof(%n) = 'text' AND NOT (NOT %n GLOB "
			       "'*[^0-9.eE+-]*' AND json_valid(%n)) LIMIT 1",
			       s->rel.name, s->where, c->name, c->name, c->name);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(s->client, sql, NULL, 0, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	xt_cursor_close(cursor);
	s->status = r == XT_OK || r == XT_DONE ? s->status : r;
	return r == XT_DONE;
}

static void look_at_types(struct inspection *s, const struct relation_column *c, unsigned meaning,
			  const xt_value *v)
{
	int64_t texts = say_integer(&v[COUNT_TEXTS]), blobs = say_integer(&v[COUNT_BLOBS]),
		numbers = say_integer(&v[COUNT_VALUES]) - texts - blobs;
	char a[COUNT_BYTES], b[COUNT_BYTES], d[COUNT_BYTES];

	if ((numbers > 0) + (texts > 0) + (blobs > 0) > 1)
		findings_add(&s->found, true, "mixed_types", s->rel.name, c->name,
			     (uint64_t)(numbers < texts ? numbers : texts) + (uint64_t)blobs,
			     "'%s' has %s numbers, %s texts and %s blobs; they do not sort or compare with "
			     "each other",
			     c->name, text_count(a, (uint64_t)numbers), text_count(b, (uint64_t)texts),
			     text_count(d, (uint64_t)blobs));
	else if (texts > 0 && all_are_numbers(s, c))
		findings_add(
			&s->found, meaning & MEANS_NUMBER, "numbers_as_text", s->rel.name, c->name,
			(uint64_t)texts,
			meaning & MEANS_NUMBER
				? "'%s' has its numbers as text, which sorts '10' before '9'; log numbers"
				: "all texts of '%s' are numbers",
			c->name);
	else if (texts > 0 && meaning & MEANS_NUMBER)
		findings_add(&s->found, true, "text_for_number", s->rel.name, c->name, (uint64_t)texts,
			     "'%s' should have numbers by its name, and has text", c->name);
}

static void look_at_texts(struct inspection *s, const struct relation_column *c, const xt_value *v)
{
	int64_t empty = say_integer(&v[COUNT_EMPTY]);
	char text[SAY_BYTES];

	if (empty > 0)
		findings_add(&s->found, true, "empty_text", s->rel.name, c->name, (uint64_t)empty,
			     "'%s' is empty in %s%s: is the model's answer kept?", c->name,
			     say_share(text, empty, s->rows - s->failures),
			     s->failures ? " whose execution did not fail" : "");
}

/* 0 and 1 can be true of all: an accuracy, a flag. */
static bool is_whole(const xt_value *v)
{
	return v->type == XT_T_INT || (v->type == XT_T_REAL && (v->as.real == 0 || v->as.real == 1));
}

/* The only value of a column. */
static const char *say_only(char ret[SAY_BYTES], const struct relation_column *c, const xt_value *v)
{
	if (strcasecmp(c->type, "BOOLEAN") == 0 && v->type == XT_T_INT)
		return v->as.integer ? "true" : "false";
	return say_value(ret, v);
}

/* A result that is always the same is suspicious; of other columns that is only worth knowing. */
static void look_at_change(struct inspection *s, const struct relation_column *c, unsigned meaning,
			   const xt_value *v)
{
	bool result = meaning & (MEANS_RESULT | MEANS_ANSWER);
	bool wrong = result || (meaning & MEANS_SHARE && !is_whole(&v[COUNT_LEAST]));
	int64_t n = say_integer(&v[COUNT_VALUES]);
	char text[SAY_BYTES], count[COUNT_BYTES];

	if (say_integer(&v[COUNT_SAME]) == 0 || n < FEW_ROWS || meaning & MEANS_FAILURE)
		return;
	findings_add(&s->found, wrong && !(meaning & MEANS_PARAMETER), "constant", s->rel.name, c->name,
		     (uint64_t)n, "'%s' is %s in all %s rows that have it", c->name,
		     say_only(text, c, &v[COUNT_LEAST]), text_count(count, (uint64_t)n));
}

static void look_at_column(struct inspection *s, const struct relation_column *c, const xt_value *v)
{
	unsigned meaning = meaning_of(c->name);

	look_at_nulls(s, c, meaning, v);
	if (meaning & MEANS_SYSTEM)
		return;
	look_at_range(s, c, v);
	look_at_types(s, c, meaning, v);
	look_at_texts(s, c, v);
	look_at_change(s, c, meaning, v);
}

/* ---- asking ----------------------------------------------------------- */

/* One count of a column; F is the condition of failure. */
static void put_count(const struct inspection *s, FILE *sql, enum count count, const char *name)
{
	unsigned meaning = meaning_of(name);
	bool made = counts[count].meaning == 0 || counts[count].meaning & meaning;

	made = made && (count == COUNT_VALUES || !(meaning & MEANS_SYSTEM));

	fputs(", ", sql);
	if (!made) {
		fputc('0', sql);
		return;
	}
	for (const char *at = counts[count].sql; *at; at++) {
		if (at[0] == '%' && at[1] == 'n') {
			sql_put_name(sql, name);
			at++;
		} else if (at[0] == 'F' && at[1] == ',') {
			fputs(s->failed, sql);
		} else {
			fputc(*at, sql);
		}
	}
}

static char *make_statement(const struct inspection *s, size_t from, size_t to)
{
	char *text = NULL;
	size_t size;
	FILE *sql = open_memstream(&text, &size);

	if (!sql)
		return NULL;
	fprintf(sql, "SELECT count(*), sum(coalesce(%s, 0))", s->failed);
	for (size_t i = from; i < to; i++)
		for (enum count k = 0; k < N_COUNTS; k++)
			put_count(s, sql, k, s->rel.columns[i].name);
	sql_print(sql, " FROM %n WHERE %s", s->rel.name, s->where);
	if (fclose(sql) == 0)
		return text;
	free(text);
	return NULL;
}

static int look_at_columns(struct inspection *s, size_t from, size_t to)
{
	char *sql = make_statement(s, from, to);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(s->client, sql, NULL, 0, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK) {
		s->rows = say_integer(&row[0]);
		s->failures = say_integer(&row[1]);
		for (size_t i = from; i < to && s->rows > 0; i++)
			look_at_column(s, &s->rel.columns[i], row + 2 + (i - from) * N_COUNTS);
	}
	xt_cursor_close(cursor);
	r = r == XT_OK ? s->status : r;
	return r == XT_OK ? CTL_OK : r == XT_ENOMEM ? ctl_no_memory(s->ctl) : ctl_fail(s->ctl, s->client, r);
}

/* What concerns the table as a whole. */
static void look_at_rows(struct inspection *s, bool failures_known)
{
	bool some = s->ctl->options.track_id || s->ctl->options.filter.n;
	char text[SAY_BYTES];

	if (s->rows == 0)
		findings_add(&s->found, true, "no_rows", s->rel.name, NULL, 0,
			     some ? "table '%s' has no such rows"
				  : "table '%s' has no rows: did anything log to it?",
			     s->rel.name);
	else if (s->failures > 0)
		findings_add(&s->found, false, "failed_executions", s->rel.name, NULL, (uint64_t)s->failures,
			     "the execution failed in %s; '%s errors %s' tells more",
			     say_share(text, s->failures, s->rows), s->ctl->program, ctl_db(s->ctl));
	else if (!failures_known && relation_find(&s->rel, "input_id"))
		findings_add(&s->found, false, "no_error_column", s->rel.name, NULL, 0,
			     "there is no column 'error': a failure leaves no trace; log 'error' and "
			     "'error_type'");
}

static int inspect(struct ctl *ctl, xt_client *client)
{
	struct inspection s = {.ctl = ctl, .client = client, .found = {.ctl = ctl}};
	bool known = false;

	int status = relation_open(ctl, client, &s.rel);
	if (status == CTL_OK && !(s.failed = failed_condition(&s.rel, &known)))
		status = ctl_no_memory(ctl);
	if (status == CTL_OK)
		status = where_make(&s.rel, &s.where);
	for (size_t from = 0; from < s.rel.n && status == CTL_OK; from += AT_ONCE)
		status = look_at_columns(&s, from, from + AT_ONCE < s.rel.n ? from + AT_ONCE : s.rel.n);
	if (status == CTL_OK) {
		char well[100], count[COUNT_BYTES];
		if (s.rows == 0)
			status = where_tell_none(&s.rel, client, s.where, NULL);
		look_at_rows(&s, known);
		snprintf(well, sizeof(well), "nothing is wrong in %s %s of %zu columns",
			 text_count(count, (uint64_t)s.rows), s.rows == 1 ? "row" : "rows", s.rel.n);
		if (status == CTL_OK)
			status = findings_print(&s.found, &ctl->out, well);
	}
	findings_done(&s.found);
	free(s.failed);
	free(s.where);
	relation_done(&s.rel);
	return status;
}

static int cmd_inspect(struct ctl *ctl)
{
	return ctl_with_client(ctl, inspect);
}

const struct command inspect_command = {
	.name = "inspect",
	.summary = "what looks wrong in a table's values; exit status 1 when something does",
	.help = "Wrong are: NULL where a value must be (params_…, prediction, ground_truth, raw_response, "
		"input_id; not in failed "
		"executions); values outside 0 to 1 in columns named for probabilities; negative ones in "
		"columns named for "
		"times, costs and counts; infinite values; empty answers; results that are always the same; "
		"numbers kept as "
		"text; numbers and text in one column.\n"
		"Worth a note: how much of each other column is NULL, columns that never change, failed "
		"executions.\n"
		"A column is named for something when a part of its name, between '_' or before a capital, "
		"is one of these "
		"words, and none is log, delta, diff, change, offset or percent:\n"
		"probabilities: " MEANING_SHARES "\n"
		"amounts: " MEANING_AMOUNTS "\n"
		"answers: " MEANING_ANSWERS ", text\n"
		"One pass over the table.",
	.examples = (const struct example[]){{"the table with the most rows", "inspect demo.db"},
					     {"the roll-up, for a program",
					      "inspect demo.db --table metrics --json"},
					     {0}},
	.options = OPT_JSON | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER,
	.run = cmd_inspect,
};
