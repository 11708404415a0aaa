#include "compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* ---- a cell as fields --------------------------------------------------- */

#define MOST_FIELDS 56

/* A cell's numbers under their names: the columns of CSV, the keys of JSON. */
struct fields {
	const char *names[MOST_FIELDS];
	xt_value values[MOST_FIELDS];
	size_t n;
};

static void add(struct fields *f, const char *name, xt_value value)
{
	if (f->n == MOST_FIELDS) /* there are never so many */
		return;
	f->names[f->n] = name;
	f->values[f->n++] = value;
}

static void add_real(struct fields *f, const char *name, double d)
{
	add(f, name, isnan(d) ? xt_null() : xt_real(d));
}

static void add_interval(struct fields *f, const char *low, const char *high, struct interval i)
{
	add_real(f, low, i.low);
	add_real(f, high, i.high);
}

static const char *const verdict_words[] = {
	[VERDICT_TOO_FEW] = "too_few", [VERDICT_EQUAL] = "equal", [VERDICT_UNSEEN] = "unseen",
	[VERDICT_UNSURE] = "unsure",   [VERDICT_NOISE] = "noise", [VERDICT_DIFFERENT] = "different",
};

static xt_value failed_of(const struct series *s)
{
	return xt_uint(s->failed + s->suspect);
}

/* The texts are borrowed from the cell, the values and `sentence`. */
static void fill_fields(struct fields *f, const struct cells *cells, const struct cell *c,
			const char *sentence)
{
	const struct values *v = cells->values;

	f->n = 0;
	add(f, "metric", xt_text(v->metrics[c->metric]->name));
	add(f, "group", xt_text(v->groups[c->group].label));
	add(f, "baseline", xt_text(v->groups[v->baseline].label));
	add(f, "paired", xt_bool(c->paired));
	add(f, "n_baseline", xt_uint(c->n_base));
	add(f, "n", xt_uint(c->n));
	add(f, "rows_baseline", xt_uint(v->groups[v->baseline].rows));
	add(f, "rows", xt_uint(v->groups[c->group].rows));
	add(f, "lacking_baseline", xt_uint(series_lacking(&v->groups[v->baseline].series[c->metric])));
	add(f, "lacking", xt_uint(series_lacking(&v->groups[c->group].series[c->metric])));
	add(f, "failed_baseline", failed_of(&v->groups[v->baseline].series[c->metric]));
	add(f, "failed", failed_of(&v->groups[c->group].series[c->metric]));
	add(f, "uneven", xt_bool(c->uneven));
	add(f, "points", xt_bool(c->points));
	add_real(f, "mean_baseline", c->mean_base);
	add_real(f, "mean", c->mean);
	add_real(f, "difference", c->difference);
	add_interval(f, "difference_low", "difference_high", c->interval);
	add_real(f, "relative", c->relative);
	add_interval(f, "relative_low", "relative_high", c->relative_interval);
	add(f, "interval_method", xt_text(c->interval_by));
	add(f, "test", xt_text(c->test));
	add_real(f, "p", c->p);
	add_real(f, "p_adjusted", c->q);
	add(f, "effect_name", xt_text(c->effect_name));
	add_real(f, "effect", c->effect);
	add_interval(f, "effect_low", "effect_high", c->effect_interval);
	add(f, "standardised_name", xt_text(c->standard_name));
	add_real(f, "standardised", c->standard);
	add(f, "effect_size", xt_text(c->size));
	add(f, "second_effect_name", xt_text(c->order_name));
	add_real(f, "second_effect", c->order);
	add_interval(f, "second_effect_low", "second_effect_high", c->order_interval);
	add_real(f, "t", c->t.t);
	add_real(f, "t_df", c->t.df);
	add_real(f, "t_p", c->t.p);
	add_interval(f, "t_low", "t_high", c->t.interval);
	add_real(f, "detectable", c->detectable);
	add_real(f, "n_needed", c->needed);
	add(f, "repeats", xt_uint(cell_noise(v, c)->repeats));
	add_real(f, "noise_floor", cell_noise(v, c)->difference);
	add(f, "verdict", xt_text(verdict_words[c->verdict]));
	add(f, "sentence", xt_text(sentence));
}

/* Calls `each` with the fields of every cell. CTL_OK, or the failure is reported. */
static int each_cell(struct ctl *ctl, const struct cells *c,
		     int each(void *data, size_t i, const struct fields *f), void *data)
{
	struct fields f;
	int r = 0;

	for (size_t i = 0; i < c->n && r == 0; i++) {
		char *sentence = say_verdict(c, &c->list[i]);
		if (!sentence)
			return ctl_no_memory(ctl);
		fill_fields(&f, c, &c->list[i], sentence);
		r = each(data, i, &f);
		free(sentence);
	}
	return r < 0 ? ctl_no_memory(ctl) : CTL_OK;
}

/* ---- rows ------------------------------------------------------------- */

/* Rows in the making. */
struct rows {
	struct ctl *ctl;
	struct format *format; /* owned; NULL: not begun */
	const char *names[MOST_FIELDS], *types[MOST_FIELDS];
};

static int put_row(void *data, size_t i, const struct fields *f)
{
	struct rows *rows = data;

	if (i == 0) {
		struct format_options how = ctl_how_to_print(rows->ctl);
		memcpy(rows->names, f->names, sizeof(rows->names));
		for (size_t k = 0; k < f->n; k++)
			rows->types[k] = "";
		rows->format = format_new(&rows->ctl->out, &how, f->n, rows->names, rows->types);
	}
	return rows->format ? format_row(rows->format, f->values) : -1;
}

static int print_rows(struct ctl *ctl, const struct cells *c)
{
	struct rows rows = {.ctl = ctl};
	int status = each_cell(ctl, c, put_row, &rows);

	if (status == CTL_OK && format_end(rows.format, true) < 0)
		status = ctl_no_memory(ctl);
	format_free(rows.format);
	return status;
}

/* ---- one object ------------------------------------------------------- */

static void put_key(FILE *out, const char *key, xt_value value)
{
	json_print_text(out, key, strlen(key));
	fputs(": ", out);
	json_print(out, &value);
}

static int put_object(void *data, size_t i, const struct fields *f)
{
	FILE *out = data;

	fputs(i ? ",\n  {" : "\n  {", out);
	for (size_t k = 0; k < f->n; k++) {
		fputs(k ? ", " : "", out);
		put_key(out, f->names[k], f->values[k]);
	}
	putc('}', out);
	return 0;
}

static void put_list(FILE *out, const char *key, const struct sentences *s)
{
	fprintf(out, ",\n \"%s\": [", key);
	for (size_t i = 0; i < s->n; i++) {
		fputs(i ? ",\n  " : "\n  ", out);
		json_print_text(out, s->list[i], strlen(s->list[i]));
	}
	putc(']', out);
}

static int print_object(struct ctl *ctl, const struct relation *r, const struct cells *c,
			const struct sentences *notes, const struct sentences *broken)
{
	const struct compare_options *o = c->options;
	const struct values *v = c->values;
	FILE *out = ctl->out.file;
	const xt_field heads[] = {
		XT("table", r->name),
		XT("by", v->by->name),
		XT("baseline", v->groups[v->baseline].label),
		XT("pair_by", v->pair && !v->unpaired ? xt_text(v->pair->name) : xt_null()),
		XT("confidence", o->confidence),
		XT("resamples", o->resamples),
		XT("seed", o->seed),
		XT("value_bytes", v->bytes),
	};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		fputs(i ? ", " : "{", out);
		put_key(out, heads[i].key, heads[i].value);
	}
	fputs(",\n \"cells\": [", out); // cppcheck-suppress constStatement
	int status = each_cell(ctl, c, put_object, out);
	putc(']', out);
	put_list(out, "notes", notes);
	put_list(out, "broken", broken);
	fputs("}\n", out);
	return status;
}

/* ---- tables for people ------------------------------------------------ */

enum {
	COLUMNS = 11,
	DIGITS = 4,
	SHORTEST_LABEL = 24 /* that a table cuts its first column to */
};

/* Texts of one line of a table. */
struct line {
	char n[48], change[48], p[32], q[32];
};

static xt_value number(double d)
{
	return isnan(d) ? xt_null() : xt_real(d);
}

static xt_value p_value(char text[32], double p)
{
	if (isnan(p))
		return xt_null();
	if (p < 0.0001)
		return xt_text("< 0.0001");
	snprintf(text, 32, "%.4f", p);
	return xt_text(text);
}

/* A proportion's change is the difference itself, a hundred times. */
static xt_value change_value(char text[48], const struct cell *c)
{
	double change = 100 * (c->points ? c->difference : c->relative);

	if (isnan(change))
		return xt_null();
	snprintf(text, 48, fabs(change) < 10 ? "%+.2f %s" : "%+.1f %s", change, c->points ? "pt" : "%");
	return xt_text(text);
}

/* The texts are borrowed from the cell, the values and `l`. */
static void fill_line(xt_value row[COLUMNS], struct line *l, const struct cells *cells, const struct cell *c)
{
	const struct group *g = &cells->values->groups[c->group];

	if (c->paired)
		snprintf(l->n, sizeof(l->n), "%zu pairs", c->n);
	else
		snprintf(l->n, sizeof(l->n), "%zu, %zu", c->n_base, c->n);
	const xt_value values[COLUMNS] = {
		xt_text(cells->values->hashes ? g->shown : g->label),
		change_value(l->change, c),
		p_value(l->q, c->q),
		number(c->difference),
		number(c->interval.low),
		number(c->interval.high),
		xt_text(l->n),
		number(c->standard),
		number(c->mean_base),
		number(c->mean),
		p_value(l->p, c->p),
	};
	memcpy(row, values, sizeof(values));
}

static size_t width_of(const xt_value *v)
{
	char real[32];

	if (v->type == XT_T_TEXT)
		return text_width(v->as.text, v->n);
	return v->type == XT_T_REAL ? (size_t)snprintf(real, sizeof(real), "%.*g", DIGITS, v->as.real) : 0;
}

/* How many columns fit, from the first on: what is read first stands first, and the table itself would leave
 * out those in the middle. */
static size_t columns_that_fit(const struct ctl *ctl, const struct cells *c, size_t from, size_t to,
			       const char *const *names)
{
	size_t widths[COLUMNS], line = 0, n = 0;
	xt_value row[COLUMNS];
	struct line l;

	if (ctl->out.columns <= 0)
		return COLUMNS;
	for (size_t k = 0; k < COLUMNS; k++)
		widths[k] = text_width(names[k], strlen(names[k]));
	for (size_t i = from; i < to; i++) {
		fill_line(row, &l, c, &c->list[i]);
		for (size_t k = 0; k < COLUMNS; k++)
			widths[k] = width_of(&row[k]) > widths[k] ? width_of(&row[k]) : widths[k];
	}
	if (widths[0] > SHORTEST_LABEL)
		widths[0] = SHORTEST_LABEL;
	while (n < COLUMNS && line + widths[n] + 1 <= (size_t)ctl->out.columns)
		line += widths[n++] + 3;
	return n < 2 ? 2 : n;
}

/* The end of a metric's cells, which begin at `from`. */
static size_t end_of_metric(const struct cells *c, size_t from)
{
	size_t to = from + 1;

	while (to < c->n && c->list[to].metric == c->list[from].metric)
		to++;
	return to;
}

static void put_text(FILE *out, const char *text)
{
	text_put(out, text, strlen(text), SIZE_MAX);
}

/* "latency, each beside 'small'" */
static void put_what(FILE *out, const struct cells *c, size_t from)
{
	const struct values *v = c->values;

	put_text(out, v->metrics[c->list[from].metric]->name);
	fputs(", each beside '", out);
	put_text(out, v->groups[v->baseline].shown);
	putc('\'', out);
}

static void put_head(FILE *out, const struct cells *c, size_t from)
{
	put_what(out, c, from);
	if (c->list[from].paired) {
		fputs(", in pairs of the same ", out);
		put_text(out, c->values->pair->name);
	}
	putc('\n', out);
}

/* *hidden becomes the most columns that a table had to leave out. */
static int put_table(struct ctl *ctl, const struct cells *c, size_t from, size_t to, size_t *hidden)
{
	struct format_options how = ctl_how_to_print(ctl);
	char low[32];
	const char *const names[COLUMNS] = {
		c->values->by->name, "change", "adjusted p", "difference", low, "to", "n", "effect",
		"baseline",	     "mean",   "p"};
	const char *types[COLUMNS];
	xt_value row[COLUMNS];
	struct line l;

	snprintf(low, sizeof(low), "%g %% from", 100 * c->options->confidence);
	for (size_t i = 0; i < COLUMNS; i++)
		types[i] = "";
	how.digits = DIGITS;
	size_t n = columns_that_fit(ctl, c, from, to, names);
	struct format *f = format_new(&ctl->out, &how, n, names, types);
	int r = f ? 0 : -1;
	for (size_t i = from; i < to && r == 0; i++) {
		fill_line(row, &l, c, &c->list[i]);
		r = format_row(f, row);
	}
	if (r == 0)
		r = format_end(f, true);
	size_t gone = COLUMNS - n + (r == 0 ? format_hidden(f) : 0);
	*hidden = gone > *hidden ? gone : *hidden;
	format_free(f);
	return r < 0 ? ctl_no_memory(ctl) : CTL_OK;
}

/* They come last, where a terminal stands when it has scrolled. */
static int put_verdicts(struct ctl *ctl, const struct cells *c)
{
	for (size_t i = 0; i < c->n; i++) {
		char *verdict = say_verdict(c, &c->list[i]);
		if (!verdict)
			return ctl_no_memory(ctl);
		if (i == 0 || c->list[i].metric != c->list[i - 1].metric) {
			put_what(ctl->out.file, c, i);
			fputs(":\n", ctl->out.file);
		}
		ctl_say(ctl, "  ", "%s: %s", c->values->groups[c->list[i].group].shown, verdict);
		free(verdict);
	}
	return CTL_OK;
}

/* What the numbers are, for who wants to look them up: of each kind of comparison once. */
static int put_foot(const struct ctl *ctl, const struct cells *c, size_t from, size_t to)
{
	char *foot = NULL;
	size_t size;
	FILE *out = open_memstream(&foot, &size);
	bool told[2][2] = {{false}};
	bool any = false;

	if (!out)
		return ctl_no_memory(ctl);
	for (size_t i = from; i < to; i++) {
		const struct cell *cell = &c->list[i];
		bool *done = &told[cell->binary][cell->paired];
		if (!cell->test || *done)
			continue;
		fprintf(out, "%s%.*s p, %s interval, %s", any ? "; " : "(", (int)strcspn(cell->test, ","),
			cell->test, cell->interval_by, cell->standard_name);
		*done = any = true;
	}
	bool failed = fclose(out) != 0;
	if (any && !failed)
		ctl_say(ctl, "  ", "%s; seed %lld, %lld resamples)", foot, (long long)c->options->seed,
			(long long)c->options->resamples);
	free(foot);
	return failed ? ctl_no_memory(ctl) : CTL_OK;
}

static int print_tables(struct ctl *ctl, const struct cells *c, const struct sentences *notes)
{
	FILE *out = ctl->out.file;
	int status = CTL_OK;
	size_t hidden = 0;

	for (size_t from = 0, to; from < c->n && status == CTL_OK; from = to) {
		to = end_of_metric(c, from);
		put_head(out, c, from);
		status = put_table(ctl, c, from, to, &hidden);
		if (status == CTL_OK)
			status = put_foot(ctl, c, from, to);
		putc('\n', out);
	}
	if (status != CTL_OK)
		return status;
	if (hidden > 0)
		ctl_say(ctl, "note: ",
			"%zu of %d columns do not fit and are left out; a wider terminal or --json shows "
			"them",
			hidden, COLUMNS);
	for (size_t i = 0; i < notes->n; i++)
		ctl_say(ctl, "note: ", "%s", notes->list[i]);
	if (hidden > 0 || notes->n > 0)
		putc('\n', out);
	return put_verdicts(ctl, c);
}

/* ---- all of it -------------------------------------------------------- */

static int print_in_form(struct ctl *ctl, const struct relation *r, const struct cells *c,
			 const struct sentences *notes, const struct sentences *broken)
{
	if (ctl->options.json)
		return print_object(ctl, r, c, notes, broken);
	if (ctl->options.format == FORMAT_TABLE)
		return print_tables(ctl, c, notes);
	for (size_t i = 0; i < notes->n; i++)
		ctl_note(ctl, "%s", notes->list[i]);
	return print_rows(ctl, c);
}

int compare_print(struct ctl *ctl, const struct relation *r, const struct cells *c, const struct rule *rules)
{
	struct sentences notes = {0}, passed = {0}, broken = {0};
	int status;

	say_notes(c, &notes);
	say_readings(c, rules, &notes);
	say_passed(c, rules, &passed);
	say_broken(c, rules, &broken);
	if (notes.failed || passed.failed || broken.failed)
		status = ctl_no_memory(ctl);
	else
		status = print_in_form(ctl, r, c, &notes, &broken);
	fflush(ctl->out.file);
	for (size_t i = 0; i < passed.n && status == CTL_OK; i++)
		ctl_note(ctl, "%s", passed.list[i]);
	for (size_t i = 0; i < broken.n && status == CTL_OK; i++)
		ctl_error(ctl, "--fail-on %s", broken.list[i]);
	if (broken.n > 0 && status == CTL_OK)
		status = CTL_FAILED;
	sentences_done(&notes);
	sentences_done(&passed);
	sentences_done(&broken);
	return status;
}
