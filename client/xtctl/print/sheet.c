#include "sheet.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "text.h"

#define MOST_LABEL 60 /* columns: one name alone must not push all values out of sight */

/* A value whose text or blob is its own. 0, or -1 when out of memory. */
static int copy(xt_value *ret, const xt_value *v)
{
	*ret = *v;
	if (v->type != XT_T_TEXT && v->type != XT_T_BLOB)
		return 0;
	char *bytes = malloc(v->n + 1);
	if (!bytes) {
		*ret = xt_null();
		return -1;
	}
	memcpy(bytes, v->type == XT_T_TEXT ? (const void *)v->as.text : v->as.blob, v->n);
	bytes[v->n] = '\0';
	*ret = v->type == XT_T_TEXT ? xt_textn(bytes, v->n) : xt_blob(bytes, v->n);
	return 0;
}

void sheet_add(struct sheet *s, const char *section, const char *name, const xt_value *value)
{
	struct sheet_row *more = reallocarray(s->rows, s->n + 1, sizeof(*more));

	if (!more) {
		s->failed = true;
		return;
	}
	s->rows = more;
	struct sheet_row *row = &s->rows[s->n++];
	*row = (struct sheet_row){.section = section, .name = strdup(name)};
	s->failed = copy(&row->value, value) < 0 || !row->name || s->failed;
}

void sheet_say(struct sheet *s, const char *section, const char *name, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	s->failed = s->failed || !text;
	xt_value value = xt_text(text);
	sheet_add(s, section, name, &value);
	free(text);
}

struct sheet_row *sheet_find(const struct sheet *s, const char *section, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->rows[i].section, section) == 0 && strcmp(s->rows[i].name, name) == 0)
			return &s->rows[i];
	return NULL;
}

/* ---- printing --------------------------------------------------------- */

/* A section's name as programs like it: rows_by_table. */
static void put_key(const char *section, FILE *out)
{
	fputc('"', out);
	for (; *section; section++)
		fputc(*section == ' ' ? '_' : *section, out);
	fputc('"', out);
}

static void print_json(const struct sheet *s, FILE *out)
{
	const char *open = "";

	fputc('{', out);
	for (size_t i = 0; i < s->n; i++) {
		const struct sheet_row *row = &s->rows[i];
		bool begins = strcmp(row->section, open) != 0;
		if (begins && open[0])
			fputc('}', out);
		if (i > 0)
			fputs(", ", out);
		if (begins) {
			put_key(row->section, out);
			fputs(": {", out);
		}
		open = row->section;
		json_print_text(out, row->name, strlen(row->name));
		fputs(": ", out);
		json_print(out, &row->value);
	}
	fputs(open[0] ? "}}\n" : "}\n", out);
}

/* What the longest label takes, so that all values stand below each other. */
static size_t label_width(const struct sheet *s)
{
	size_t width = FACT_LABEL;

	for (size_t i = 0; i < s->n; i++) {
		const struct sheet_row *row = &s->rows[i];
		size_t own = text_width(row->name, strlen(row->name)) + (row->section[0] ? 2 : 0);
		if (own > width)
			width = own;
	}
	return width < MOST_LABEL ? width : MOST_LABEL;
}

static void print_words(const struct sheet *s, FILE *out)
{
	size_t columns = label_width(s);
	const char *open = "";

	for (size_t i = 0; i < s->n; i++) {
		const struct sheet_row *row = &s->rows[i];
		if (strcmp(row->section, open) != 0)
			fprintf(out, "\n%s\n", row->section);
		open = row->section;
		char *label = NULL;
		if (asprintf(&label, "%s%s", open[0] ? "  " : "", row->name) >= 0)
			fact_print_at(out, columns, label, FACT_PLAIN, &row->value);
		free(label);
	}
}

static int print_rows(const struct sheet *s, struct ctl *ctl)
{
	const char *const names[] = {"section", "name", "value"}, *const types[] = {"", "", ""};
	struct format_options how = ctl_how_to_print(ctl);

	struct format *f = format_new(&ctl->out, &how, 3, names, types);
	int r = f ? 0 : -1;
	for (size_t i = 0; r == 0 && i < s->n; i++) {
		const xt_value row[] = {xt_text(s->rows[i].section), xt_text(s->rows[i].name),
					s->rows[i].value};
		r = format_row(f, row);
	}
	if (r == 0)
		r = ctl_format_end(ctl, &ctl->out, f, 3, true);
	format_free(f);
	return r < 0 ? ctl_no_memory(ctl) : CTL_OK;
}

int sheet_print(const struct sheet *s, struct ctl *ctl)
{
	if (s->failed)
		return ctl_no_memory(ctl);
	if (ctl->options.json)
		print_json(s, ctl->out.file);
	else if (ctl->options.format == FORMAT_TABLE)
		print_words(s, ctl->out.file);
	else
		return print_rows(s, ctl);
	return CTL_OK;
}

void sheet_done(struct sheet *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->rows[i].name);
		if (s->rows[i].value.type == XT_T_TEXT)
			free((char *)(uintptr_t)s->rows[i].value.as.text);
		if (s->rows[i].value.type == XT_T_BLOB)
			free((void *)(uintptr_t)s->rows[i].value.as.blob);
	}
	free(s->rows);
	*s = (struct sheet){0};
}
