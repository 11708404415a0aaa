#include "findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "prose.h"
#include "text.h"

void findings_add(struct findings *f, bool wrong, const char *code, const char *table, const char *column,
		  uint64_t count, const char *fmt, ...)
{
	struct finding *more = reallocarray(f->list, f->n + 1, sizeof(*more));
	va_list ap;

	if (!more) {
		f->failed = true;
		return;
	}
	f->list = more;
	struct finding *one = &f->list[f->n];
	*one = (struct finding){.code = code, .count = count, .wrong = wrong};
	one->table = table ? strdup(table) : NULL;
	one->column = column ? strdup(column) : NULL;
	va_start(ap, fmt);
	if (vasprintf(&one->sentence, fmt, ap) < 0)
		one->sentence = NULL;
	va_end(ap);
	f->failed = f->failed || !one->sentence || (table && !one->table) || (column && !one->column);
	f->n++;
	f->wrong += wrong;
}

void findings_sort(struct findings *f)
{
	size_t notes = 0;

	/* Few enough for the plain way. */
	for (size_t i = 0; i < f->n; i++) {
		struct finding one = f->list[i];
		if (one.wrong)
			continue;
		memmove(&f->list[notes + 1], &f->list[notes], (i - notes) * sizeof(one));
		f->list[notes++] = one;
	}
}

static void put_text(FILE *out, const char *label, const char *text)
{
	fprintf(out, ", \"%s\": ", label);
	if (text)
		json_print_text(out, text, strlen(text));
	else
		fputs("null", out);
}

static void print_json(const struct findings *f, FILE *out)
{
	fprintf(out, "{\"ok\": %s, \"findings\": [", f->wrong ? "false" : "true");
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *one = &f->list[i];
		fprintf(out, "%s{\"code\": \"%s\", \"wrong\": %s", i ? ",\n " : "", one->code,
			one->wrong ? "true" : "false");
		put_text(out, "table", one->table);
		put_text(out, "column", one->column);
		fprintf(out, ", \"count\": %" PRIu64, one->count);
		put_text(out, "message", one->sentence);
		putc('}', out);
	}
	fputs("]}\n", out);
}

#define LABEL 7 /* columns of "wrong: " */

static void print_sentence(const struct finding *one, struct out *out)
{
	const struct prose where = {.begin = LABEL, .indent = LABEL, .columns = (size_t)out->columns};

	fputs(one->wrong ? "wrong: " : "note:  ", out->file);
	prose_put(out->file, one->sentence, &where);
	fputc('\n', out->file);
}

static void print_words(const struct findings *f, struct out *to, const char *all_well)
{
	char count[COUNT_BYTES];
	FILE *out = to->file;

	for (size_t i = 0; i < f->n; i++)
		print_sentence(&f->list[i], to);
	if (f->wrong)
		fprintf(out, "%s %s wrong\n", text_count(count, f->wrong),
			f->wrong == 1 ? "thing is" : "things are");
	else
		fprintf(out, "%s\n", all_well);
}

int findings_print(struct findings *f, struct out *out, const char *all_well)
{
	if (f->failed)
		return ctl_no_memory(f->ctl);
	if (f->ctl->options.json)
		print_json(f, out->file);
	else
		print_words(f, out, all_well);
	return f->wrong ? CTL_FAILED : CTL_OK;
}

void findings_done(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->list[i].table);
		free(f->list[i].column);
		free(f->list[i].sentence);
	}
	free(f->list);
	*f = (struct findings){0};
}
