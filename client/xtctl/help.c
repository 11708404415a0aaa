#include "help.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "prose.h"
#include "text.h"

#define MOST_WIDTH                                                                                           \
	80		/* columns of a help text: lines that are read easily, also where there is more room \
			 */
#define LEFT	     22 /* of what stands before the sentence about an option */
#define LEFT_COMMAND 13 /* and about a command */

static size_t width_of(int columns)
{
	return columns > 0 && columns < MOST_WIDTH ? (size_t)columns : MOST_WIDTH;
}

/* A word, and at its right a sentence about it: below it where it is too long for `left` columns, and where a
 * terminal is so narrow that nothing has room beside it. */
static void put_beside(FILE *out, const char *word, const char *sentence, size_t left, size_t width)
{
	size_t taken = text_width(word, strlen(word)) + 2;

	if (width < 2 * left)
		left = 4;
	if (taken < left)
		fprintf(out, "  %s%*s", word, (int)(left - taken), "");
	else
		fprintf(out, "  %s\n%*s", word, (int)left, "");
	prose_put(out, sentence, &(struct prose){.begin = left, .indent = left, .columns = width});
	fputc('\n', out);
}

/* One line of n bytes; with two blanks in it, it is laid out already and stays as it is. */
static void put_line(FILE *out, const char *line, size_t n, size_t width)
{
	char *text = memmem(line, n, "  ", 2) ? NULL : strndup(line, n);

	if (text)
		prose_put(out, text, &(struct prose){.columns = width});
	else
		fwrite(line, 1, n, out);
	free(text);
	fputc('\n', out);
}

static void put_text(FILE *out, const char *text, size_t width)
{
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		put_line(out, line, strcspn(line, "\n"), width);
}

void help_all(FILE *out, int columns, const char *program)
{
	size_t width = width_of(columns);
	char *end;

	fprintf(out, "usage: %s ", program);
	prose_put(out, "COMMAND DB [ARGUMENTS]",
		  &(struct prose){.begin = 8 + strlen(program), .indent = 7, .columns = width});
	fputc('\n', out);
	put_text(out, "Logs, queries and administers a benchmark database that xetrackd keeps.", width);
	for (const struct section *s = sections; s->title; s++) {
		fprintf(out, "\n%s\n", s->title);
		for (const struct command *const *c = s->commands; *c; c++)
			put_beside(out, (*c)->name, (*c)->summary, LEFT_COMMAND, width);
	}
	fputc('\n', out);
	if (asprintf(&end,
		     "DB is left out when XETRACK_DB names it; XETRACK_TABLE names another table than "
		     "events.\n"
		     "'%s help COMMAND' tells more, 'man xtctl' and 'man xtctl-COMMAND' everything.",
		     program) < 0)
		return;
	put_text(out, end, width);
	free(end);
}

char *help_usage(const char *program, const struct command *c)
{
	char *usage;
	int n = asprintf(&usage, "%s %s%s%s%s", program, c->name, c->apart ? "" : " DB", c->usage ? " " : "",
			 c->usage ? c->usage : "");

	return n < 0 ? NULL : usage;
}

struct page {
	FILE *out;
	size_t width;
};

static void put_option(const struct option_def *def, void *data)
{
	const struct page *page = data;
	char left[100];

	snprintf(left, sizeof(left), "--%s%s%s", def->name, def->value ? " " : "",
		 def->value ? def->value : "");
	put_beside(page->out, left, def->help, LEFT, page->width);
}

static void put_usage(const struct page *page, const char *program, const struct command *c)
{
	char *usage = help_usage(program, c), *summary;
	size_t label = strlen("usage: ");

	if (usage) {
		fputs("usage: ", page->out);
		prose_put(page->out, usage,
			  &(struct prose){.begin = label, .indent = label, .columns = page->width});
		fputc('\n', page->out);
	}
	free(usage);
	if (asprintf(&summary, "%c%s.", toupper((unsigned char)c->summary[0]), c->summary + 1) < 0)
		return;
	put_text(page->out, summary, page->width);
	free(summary);
}

/* What is broken of it can still be copied into a shell: words that it quotes stay whole. */
static void put_example(const struct page *page, const char *program, const struct example *e)
{
	size_t begin = 3 + strlen(program);

	fputs("  # ", page->out);
	prose_put(page->out, e->shows,
		  &(struct prose){.begin = 4, .indent = 4, .columns = page->width, .lead = "  # "});
	fprintf(page->out, "\n  %s ", program);
	prose_put(page->out, e->line,
		  &(struct prose){.begin = begin, .indent = 6, .columns = page->width, .end = " \\"});
	fputc('\n', page->out);
}

void help_command(const struct out *to, const char *program, const struct command *c)
{
	struct page page = {to->file, width_of(to->columns)};
	struct option_set set = command_options(c);

	if (!(c->options & OPT_ENGINE))
		set.shared &= ~OPT_ENGINE; /* taken, but it means nothing there */
	put_usage(&page, program, c);
	if (c->help)
		fputc('\n', page.out);
	if (c->help)
		put_text(page.out, c->help, page.width);
	for (const struct command *const *part = c->parts; part && *part; part++) {
		if (part == c->parts)
			fputc('\n', page.out);
		put_beside(page.out, command_word(*part), (*part)->summary, LEFT_COMMAND, page.width);
	}
	fputc('\n', page.out);
	options_each(&set, put_option, &page);
	for (const struct example *e = c->examples; e && e->shows; e++) {
		if (e == c->examples)
			fputs("\nexamples:\n", page.out);
		put_example(&page, program, e);
	}
}
