#include "format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "table.h"
#include "text.h"

struct format {
	struct out *out;	       /* borrowed */
	struct format_options options; /* delimiter filled in */
	size_t n;		       /* columns */
	const char *const *names;      /* borrowed */
	char **keys;		       /* owned: names for JSON, each once */
	bool *booleans;		       /* owned: columns declared BOOLEAN */
	xt_value *row;		       /* owned: the row with booleans put right */
	struct table *table;	       /* owned; NULL: another form */
	bool began;		       /* a row was written */
};

static const char *const names_of_kinds[] = {
	[FORMAT_TABLE] = "table", [FORMAT_CSV] = "csv", [FORMAT_JSON] = "json",
	[FORMAT_JSONL] = "jsonl", [FORMAT_MD] = "md",
};

const char *format_name(enum format_kind kind)
{
	return names_of_kinds[kind];
}

bool format_find(const char *name, enum format_kind *ret_kind)
{
	for (size_t i = 0; i < sizeof(names_of_kinds) / sizeof(names_of_kinds[0]); i++)
		if (strcmp(name, names_of_kinds[i]) == 0) {
			*ret_kind = (enum format_kind)i;
			return true;
		}
	return false;
}

/* ---- csv -------------------------------------------------------------- */

static void csv_put_text(struct format *f, const char *s, size_t n)
{
	FILE *out = f->out->file;
	bool quote = n == 0 || s[0] == ' ' || s[n - 1] == ' ';

	for (size_t i = 0; i < n && !quote; i++)
		quote = s[i] == '"' || s[i] == '\n' || s[i] == '\r' || s[i] == f->options.delimiter;
	if (quote)
		putc_unlocked('"', out);
	/* A file gets every byte as it is, a terminal nothing that could drive it. */
	for (size_t from = 0; from < n;) {
		const char *mark = memchr(s + from, '"', n - from);
		size_t len = mark ? (size_t)(mark - s) - from + 1 : n - from;
		if (f->out->terminal)
			text_put(out, s + from, len, SIZE_MAX);
		else
			fwrite_unlocked(s + from, 1, len, out);
		if (mark)
			putc_unlocked('"', out);
		from += len;
	}
	if (quote)
		putc_unlocked('"', out);
}

static void csv_put(struct format *f, const xt_value *v)
{
	char real[REAL_BYTES];

	switch (v->type) {
	case XT_T_NULL:
		break; /* empty; an empty text is "" */
	case XT_T_REAL:
		text_real(real, v->as.real);
		fputs_unlocked(real, f->out->file);
		break;
	case XT_T_TEXT:
		csv_put_text(f, v->as.text, v->n);
		break;
	case XT_T_BLOB:
		hex_put(f->out->file, v->as.blob, v->n, SIZE_MAX);
		break;
	default:
		json_print(f->out->file, v);
		break;
	}
}

static void csv_end(const struct format *f)
{
	if (f->options.crlf)
		putc_unlocked('\r', f->out->file);
	putc_unlocked('\n', f->out->file);
}

static void csv_head(struct format *f)
{
	for (size_t i = 0; i < f->n; i++) {
		if (i > 0)
			putc_unlocked(f->options.delimiter, f->out->file);
		csv_put_text(f, f->names[i], strlen(f->names[i]));
	}
	csv_end(f);
}

static void csv_row(struct format *f, const xt_value *row)
{
	for (size_t i = 0; i < f->n; i++) {
		if (i > 0)
			putc_unlocked(f->options.delimiter, f->out->file);
		csv_put(f, &row[i]);
	}
	csv_end(f);
}

/* ---- json ------------------------------------------------------------- */

static bool is_taken(char *const *keys, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

/* A join may have two columns of one name; an object would lose one of them. */
static int make_keys(struct format *f)
{
	f->keys = calloc(f->n + 1, sizeof(*f->keys));
	if (!f->keys)
		return -1;
	for (size_t i = 0; i < f->n; i++) {
		f->keys[i] = strdup(f->names[i]);
		for (unsigned k = 2; f->keys[i] && is_taken(f->keys, i, f->keys[i]); k++) {
			free(f->keys[i]);
			if (asprintf(&f->keys[i], "%s_%u", f->names[i], k) < 0)
				f->keys[i] = NULL;
		}
		if (!f->keys[i])
			return -1;
	}
	return 0;
}

static void json_row(struct format *f, const xt_value *row)
{
	FILE *out = f->out->file;

	putc_unlocked('{', out);
	for (size_t i = 0; i < f->n; i++) {
		if (i > 0)
			fputs_unlocked(", ", out);
		json_print_text(out, f->keys[i], strlen(f->keys[i]));
		fputs_unlocked(": ", out);
		if (row[i].type == XT_T_TEXT && f->options.json_column &&
		    strcmp(f->names[i], f->options.json_column) == 0)
			fwrite_unlocked(row[i].as.text, 1, row[i].n, out);
		else
			json_print(out, &row[i]);
	}
	putc_unlocked('}', out);
}

/* ---- all of them ------------------------------------------------------ */

static int begin_table(struct format *f)
{
	bool md = f->options.kind == FORMAT_MD;
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
	struct table_style style = {.markdown = md,
				    .utf8 = f->options.utf8 && !md,
				    .no_head = f->options.no_header,
				    .digits = f->options.digits,
				    .follows = f->options.follows && !md};

	style.columns = md ? 0 : (size_t)f->out->columns;
	style.colour =
		!md && f->out->terminal && !(no_colour && no_colour[0]) && term && strcmp(term, "dumb") != 0;
	f->table = table_new(f->out->file, f->n, f->names, &style);
	return f->table ? 0 : -1;
}

struct format *format_new(struct out *out, const struct format_options *options, size_t n,
			  const char *const *names, const char *const *types)
{
	struct format *f = calloc(1, sizeof(*f));
	int r = -1;

	if (!f)
		return NULL;
	*f = (struct format){.out = out, .options = *options, .n = n, .names = names};
	if (!f->options.delimiter)
		f->options.delimiter = ',';
	f->booleans = calloc(n + 1, sizeof(*f->booleans));
	f->row = calloc(n + 1, sizeof(*f->row));
	if (!f->booleans || !f->row)
		goto fail;
	for (size_t i = 0; i < n; i++)
		f->booleans[i] = strcasecmp(types[i], "BOOLEAN") == 0;
	switch (f->options.kind) {
	case FORMAT_TABLE:
	case FORMAT_MD:
		r = begin_table(f);
		break;
	case FORMAT_JSON:
	case FORMAT_JSONL:
		r = make_keys(f);
		break;
	case FORMAT_CSV:
		r = 0;
		if (!f->options.no_header)
			csv_head(f);
		break;
	}
	if (r == 0)
		return f;
fail:
	format_free(f);
	return NULL;
}

void format_free(struct format *f)
{
	if (!f)
		return;
	for (size_t i = 0; f->keys && f->keys[i]; i++)
		free(f->keys[i]);
	free(f->keys);
	table_free(f->table);
	free(f->booleans);
	free(f->row);
	free(f);
}

static const xt_value *with_booleans(struct format *f, const xt_value *row)
{
	for (size_t i = 0; i < f->n; i++) {
		f->row[i] = row[i];
		if (f->booleans[i] && row[i].type == XT_T_INT &&
		    (row[i].as.integer == 0 || row[i].as.integer == 1))
			f->row[i] = xt_bool(row[i].as.integer == 1);
	}
	return f->row;
}

int format_row(struct format *f, const xt_value *row)
{
	row = with_booleans(f, row);
	switch (f->options.kind) {
	case FORMAT_TABLE:
	case FORMAT_MD:
		return table_row(f->table, row);
	case FORMAT_CSV:
		csv_row(f, row);
		break;
	case FORMAT_JSON:
		fputs_unlocked(f->began ? ",\n " : "[", f->out->file);
		json_row(f, row);
		break;
	case FORMAT_JSONL:
		json_row(f, row);
		putc_unlocked('\n', f->out->file);
		break;
	}
	f->began = true;
	return 0;
}

int format_flush(struct format *f)
{
	int r = f->table ? table_flush(f->table) : 0;

	fflush(f->out->file);
	return r;
}

int format_end(struct format *f, bool whole)
{
	if (f->table)
		return table_end(f->table);
	if (f->options.kind == FORMAT_JSON)
		fputs_unlocked(whole ? (f->began ? "]\n" : "[]\n") : (f->began ? "\n" : ""), f->out->file);
	return 0;
}

size_t format_hidden(const struct format *f)
{
	return f->table ? table_hidden(f->table) : 0;
}
