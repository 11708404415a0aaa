#include "table.h"

#include <stdlib.h>
#include <strings.h>

#include "fit.h"
#include "text.h"

#define PAGE_ROWS     1000
#define PAGE_BYTES    (1u << 20)
#define BLOB_BYTES    32 /* bytes of a blob that a table shows */
#define TRACK_ID_ROOM 24 /* the longest that are made of words */
#define LEAST_RULE    3	 /* dashes below a name of Markdown */

struct cell {
	size_t at;	     /* in page->bytes */
	size_t len;	     /* bytes, already escaped */
	size_t width;	     /* columns of the terminal */
	enum cell_kind kind; /* decides alignment, and how it is shortened */
};

struct table {
	FILE *out; /* borrowed */
	struct table_style style;
	size_t n;		  /* columns */
	const char *const *names; /* borrowed */
	struct fit *fit;	  /* owned: n columns' widths */
	char *bytes;		  /* owned by `text`: the page's cells, end to end */
	size_t size;		  /* open_memstream wants a place for it; not used */
	FILE *text;		  /* owned: writes to bytes */
	struct cell *cells;	  /* owned: rows * n in use */
	size_t rows, cap;	  /* in the page; allocated */
	bool began;		  /* the head is printed */
};

struct table *table_new(FILE *out, size_t n, const char *const *names, const struct table_style *style)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct table){.out = out, .style = *style, .n = n, .names = names};
	t->fit = calloc(n ? n : 1, sizeof(*t->fit));
	t->text = open_memstream(&t->bytes, &t->size);
	if (!t->fit || !t->text) {
		table_free(t);
		return NULL;
	}
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	if (t->text)
		fclose(t->text);
	for (size_t i = 0; t->fit && i < t->n; i++)
		free(t->fit[i].name);
	free(t->bytes);
	free(t->fit);
	free(t->cells);
	free(t);
}

size_t table_hidden(const struct table *t)
{
	size_t hidden = 0;

	for (size_t i = 0; i < t->n; i++)
		hidden += t->fit[i].hidden;
	return hidden;
}

/* ---- cells ------------------------------------------------------------ */

/* Text whose Markdown characters mean themselves. */
static void put_markdown(FILE *f, const char *s, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\0' || !strchr("|\\`*<[", s[i]))
			continue;
		text_put(f, s + from, i - from, SIZE_MAX);
		putc_unlocked('\\', f);
		from = i;
	}
	text_put(f, s + from, n - from, SIZE_MAX);
}

static enum cell_kind put_value(struct table *t, const xt_value *v)
{
	char real[REAL_BYTES];

	switch (v->type) {
	case XT_T_NULL:
		fputs_unlocked("NULL", t->text);
		return CELL_NULL;
	case XT_T_REAL:
		if (t->style.digits > 0)
			text_digits(real, v->as.real, t->style.digits);
		else
			text_real(real, v->as.real);
		fputs_unlocked(real, t->text);
		return CELL_REAL;
	case XT_T_TEXT:
		if (t->style.markdown)
			put_markdown(t->text, v->as.text, v->n);
		else
			text_put(t->text, v->as.text, v->n, t->style.columns ? t->style.columns : SIZE_MAX);
		return fit_is_time(v->as.text, v->n) ? CELL_TIME : CELL_TEXT;
	case XT_T_BLOB:
		fputs_unlocked("x'", t->text);
		hex_put(t->text, v->as.blob, v->n, BLOB_BYTES);
		if (v->n > BLOB_BYTES)
			fprintf(t->text, "' and %zu bytes more", v->n - BLOB_BYTES);
		else
			putc_unlocked('\'', t->text);
		return CELL_TEXT;
	default:
		json_print(t->text, v);
		return v->type == XT_T_INT || v->type == XT_T_UINT ? CELL_INTEGER : CELL_TEXT;
	}
}

static int grow(struct table *t)
{
	size_t cap = t->cap ? t->cap * 2 : 16;

	if (cap > PAGE_ROWS)
		cap = PAGE_ROWS;
	struct cell *cells = reallocarray(t->cells, cap, (t->n ? t->n : 1) * sizeof(*cells));
	if (!cells)
		return -1;
	t->cells = cells;
	t->cap = cap;
	return 0;
}

static int print_page(struct table *t);

int table_row(struct table *t, const xt_value *row)
{
	if (t->rows == t->cap && grow(t) < 0)
		return -1;
	struct cell *cells = t->cells + t->rows * t->n;
	for (size_t i = 0; i < t->n; i++) {
		cells[i].at = (size_t)ftello(t->text);
		cells[i].kind = put_value(t, &row[i]);
	}
	if (fflush(t->text) != 0 || ferror(t->text))
		return -1;
	size_t end = (size_t)ftello(t->text), bytes = end;
	for (size_t i = t->n; i-- > 0; end = cells[i].at) {
		cells[i].len = end - cells[i].at;
		cells[i].width = text_width(t->bytes + cells[i].at, cells[i].len);
		fit_cell(&t->fit[i], cells[i].kind, t->bytes + cells[i].at, cells[i].len, cells[i].width);
	}
	t->rows++;
	return t->rows == PAGE_ROWS || bytes >= PAGE_BYTES ? print_page(t) : 0;
}

/* ---- printing --------------------------------------------------------- */

static void fill(FILE *f, const char *s, size_t n)
{
	while (n-- > 0)
		fputs_unlocked(s, f);
}

/* A real rounded until it fits: a cut one could lose its exponent. */
static void shorten_real(char *text, size_t columns)
{
	double d = strtod(text, NULL);

	for (int digits = 15; digits > 0; digits--)
		if ((size_t)snprintf(text, REAL_BYTES, "%.*g", digits, d) <= columns)
			return;
}

/* One cell in exactly its column's width, more only for whole numbers that need it. */
static void put_cell(const struct table *t, const struct fit *f, const char *s, const struct cell *c,
		     bool right, bool last)
{
	size_t columns = f->width, from = 0;
	const char *faint = t->style.colour && c->kind == CELL_NULL ? "\033[2m" : "";
	const char *cut = t->style.utf8 ? "…" : "~";
	size_t len = c->len, width = c->width;
	char real[REAL_BYTES];
	bool is_cut = false;

	if (width > columns && t->style.columns > 0 && c->kind == CELL_REAL && len < REAL_BYTES) {
		memcpy(real, s, len);
		real[len] = '\0';
		shorten_real(real, columns);
		s = real;
		len = width = strlen(real);
	} else if (width > columns && t->style.columns > 0 && c->kind == CELL_TIME &&
		   fit_time(f, len, columns, &from, &len)) {
		s += from;
		width = len;
	} else if (width > columns && t->style.columns > 0 && c->kind != CELL_INTEGER) {
		len = text_fit(s, len, columns - 1, &width);
		width++;
		is_cut = true;
	}
	size_t pad = width < columns ? columns - width : 0;
	if (right)
		fill(t->out, " ", pad);
	fputs_unlocked(faint, t->out);
	fwrite_unlocked(s, 1, len, t->out);
	if (is_cut)
		fputs_unlocked(cut, t->out);
	if (faint[0])
		fputs_unlocked("\033[0m", t->out);
	if (!right && !last)
		fill(t->out, " ", pad);
}

/* Before column i, shown already or not. */
static void put_separator(const struct table *t, bool first, bool gap)
{
	const char *line = t->style.markdown ? "|" : t->style.utf8 ? "│" : "|";

	if (!first)
		fputs_unlocked(" ", t->out);
	if (!first || t->style.markdown)
		fputs_unlocked(line, t->out);
	if (gap)
		fprintf(t->out, " %s %s", t->style.utf8 ? "…" : "~", line);
	fputs_unlocked(" ", t->out);
}

/* A line of cells; cells NULL: the names. */
static void put_line(const struct table *t, const struct cell *cells)
{
	const char *line = t->style.utf8 ? "│" : "|", *sign = t->style.utf8 ? "…" : "~";
	bool first = true, gap = false;

	for (size_t i = 0; i < t->n; i++) {
		const struct fit *f = &t->fit[i];
		gap = gap || f->hidden;
		if (f->hidden)
			continue;
		put_separator(t, first, gap);
		bool last = i + 1 == t->n && !t->style.markdown;
		if (cells) {
			const struct cell *c = &cells[i];
			bool number = c->kind == CELL_INTEGER || c->kind == CELL_REAL;
			put_cell(t, f, t->bytes + c->at, c,
				 number || (c->kind == CELL_NULL && fit_is_number(f)), last);
		} else {
			size_t len = strlen(f->name);
			struct cell head = {.len = len, .width = text_width(f->name, len), .kind = CELL_TEXT};
			put_cell(t, f, f->name, &head, fit_is_number(f), last);
		}
		first = gap = false;
	}
	if (gap)
		fprintf(t->out, " %s %s", line, sign);
	fputs_unlocked(t->style.markdown ? " |\n" : "\n", t->out);
}

static void put_rule(const struct table *t)
{
	const char *dash = t->style.utf8 ? "─" : "-", *cross = t->style.utf8 ? "┼" : "+";
	bool first = true, gap = false;

	for (size_t i = 0; i < t->n; i++) {
		const struct fit *f = &t->fit[i];
		gap = gap || f->hidden;
		if (f->hidden)
			continue;
		if (t->style.markdown) {
			fputs_unlocked("| ", t->out);
			fill(t->out, "-", f->width - 1);
			fputs_unlocked(fit_is_number(f) ? ": " : "- ", t->out);
		} else {
			fputs_unlocked(first ? "" : cross, t->out);
			fill(t->out, dash, gap ? 3 : 0);
			fputs_unlocked(gap ? cross : "", t->out);
			fill(t->out, dash, f->width + (i + 1 == t->n ? 1 : 2));
		}
		first = gap = false;
	}
	if (gap) {
		fputs_unlocked(cross, t->out);
		fill(t->out, dash, 2);
	}
	fputs_unlocked(t->style.markdown ? "|\n" : "\n", t->out);
}

/* Names are escaped once, for the first page. */
static int escape_names(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t size = 0;
		FILE *f = open_memstream(&t->fit[i].name, &size);
		if (!f)
			return -1;
		if (t->style.markdown)
			put_markdown(f, t->names[i], strlen(t->names[i]));
		else
			text_put(f, t->names[i], strlen(t->names[i]), SIZE_MAX);
		if (fclose(f) != 0)
			return -1;
		t->fit[i].head = t->style.no_head ? 0 : text_width(t->fit[i].name, size);
		if (t->style.markdown && t->fit[i].head < LEAST_RULE)
			t->fit[i].head = LEAST_RULE;
	}
	return 0;
}

/* Keeps the room that a track_id may need. */
static void keep_room(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcasecmp(t->names[i], "track_id") == 0)
			fit_add(&t->fit[i], CELL_TEXT, TRACK_ID_ROOM);
}

/* Sets the widths. Whether the head is to be printed: above the first page, and where other columns are shown
 * than before, since those no longer fit or one that was left out has something to tell by now; and where
 * rows are followed, also when a width is another. */
static bool set_widths(struct table *t, bool first)
{
	size_t columns = t->style.markdown ? 0 : t->style.columns;
	bool choose = first || (columns > 0 && (fit_overflows(t->fit, t->n, columns) ||
						(t->style.follows && fit_has_news(t->fit, t->n))));
	bool head = first;

	for (size_t i = 0; i < t->n; i++) {
		t->fit[i].before = t->fit[i].width;
		t->fit[i].hidden_before = t->fit[i].hidden;
	}
	fit_columns(t->fit, t->n, columns, choose);
	for (size_t i = 0; i < t->n; i++) {
		const struct fit *f = &t->fit[i];
		head = head || f->hidden != f->hidden_before ||
		       (t->style.follows && !f->hidden && f->width != f->before);
	}
	return head;
}

static int print_page(struct table *t)
{
	bool first = !t->began;

	if (first && escape_names(t) < 0)
		return -1;
	if (first && t->style.follows)
		keep_room(t);
	t->began = true;
	if (set_widths(t, first) && t->n > 0 && !t->style.no_head) {
		put_line(t, NULL);
		put_rule(t);
	}
	for (size_t r = 0; r < t->rows; r++)
		put_line(t, t->cells + r * t->n);
	t->rows = 0;
	return fseeko(t->text, 0, SEEK_SET) == 0 ? 0 : -1;
}

int table_flush(struct table *t)
{
	return t->rows > 0 ? print_page(t) : 0;
}

int table_end(struct table *t)
{
	return t->rows > 0 || !t->began ? print_page(t) : 0;
}
