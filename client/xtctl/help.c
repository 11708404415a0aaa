#include "help.h"

#include <ctype.h>
#include <string.h>

#include "commands.h"
#include "text.h"

#define MOST_WIDTH 88 /* columns of a help text */

void help_all(FILE *out, const char *program)
{
	fprintf(out,
		"usage: %s COMMAND DB [ARGUMENTS]\n"
		"Logs, queries and administers a benchmark database that xetrackd keeps.\n",
		program);
	for (const struct section *s = sections; s->title; s++) {
		fprintf(out, "\n%s\n", s->title);
		for (const struct command *const *c = s->commands; *c; c++)
			fprintf(out, "  %-10s %s\n", (*c)->name, (*c)->summary);
	}
	fprintf(out,
		"\nDB is left out when XETRACK_DB names it; XETRACK_TABLE names another table than events.\n"
		"'%s help COMMAND' tells more, 'man %s' and 'man %s-COMMAND' everything.\n",
		program, "xtctl", "xtctl");
}

static void put_option(const struct option_def *def, void *data)
{
	FILE *out = data;
	char left[100];

	snprintf(left, sizeof(left), "--%s%s%s", def->name, def->value ? " " : "",
		 def->value ? def->value : "");
	size_t width = text_width(left, strlen(left));
	if (width > 19)
		fprintf(out, "  %s\n  %-19s %s\n", left, "", def->help);
	else
		fprintf(out, "  %s%*s %s\n", left, (int)(19 - width), "", def->help);
}

/* One line of n bytes, broken between words where it is longer than `width`; with two blanks in it, it is
 * laid out already and stays as it is. */
static void put_line(FILE *out, const char *line, size_t n, size_t width)
{
	bool laid_out = memmem(line, n, "  ", 2) != NULL;
	size_t column = 0;

	for (size_t at = 0; at < n && !laid_out;) {
		const char *blank = memchr(line + at, ' ', n - at);
		size_t len = blank ? (size_t)(blank - line) - at : n - at, shown = text_width(line + at, len);
		if (column > 0 && column + 1 + shown > width) {
			fputc('\n', out);
			column = 0;
		}
		fprintf(out, "%s%.*s", column > 0 ? " " : "", (int)len, line + at);
		column += shown + (column > 0);
		at += len + 1;
	}
	if (laid_out)
		fwrite(line, 1, n, out);
	fputc('\n', out);
}

static void put_text(FILE *out, const char *text, size_t width)
{
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		put_line(out, line, strcspn(line, "\n"), width);
}

/* Lines that are read easily, also where the terminal is wide. */
static size_t width_of(const struct out *out)
{
	return out->columns > 20 && out->columns < MOST_WIDTH ? (size_t)out->columns : MOST_WIDTH;
}

void help_command(const struct out *to, const char *program, const struct command *c)
{
	FILE *out = to->file;
	struct option_set set = command_options(c);

	if (!(c->options & OPT_ENGINE))
		set.shared &= ~OPT_ENGINE; /* taken, but it means nothing there */
	fprintf(out, "usage: %s %s%s%s%s\n%c%s.\n", program, c->name, c->apart ? "" : " DB",
		c->usage ? " " : "", c->usage ? c->usage : "", toupper((unsigned char)c->summary[0]),
		c->summary + 1);
	if (c->help)
		fputc('\n', out);
	if (c->help)
		put_text(out, c->help, width_of(to));
	for (const struct command *const *part = c->parts; part && *part; part++)
		fprintf(out, "%s  %-10s %s\n", part == c->parts ? "\n" : "", command_word(*part),
			(*part)->summary);
	fputc('\n', out);
	options_each(&set, put_option, out);
	for (const struct example *e = c->examples; e && e->shows; e++)
		fprintf(out, "%s  # %s\n  %s %s\n", e == c->examples ? "\nexamples:\n" : "", e->shows,
			program, e->line);
}
