#include "help.h"

#include <ctype.h>

#include "commands.h"

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
	if (strlen(left) > 19)
		fprintf(out, "  %s\n  %-19s %s\n", left, "", def->help);
	else
		fprintf(out, "  %-19s %s\n", left, def->help);
}

void help_command(FILE *out, const char *program, const struct command *c)
{
	struct option_set set = command_options(c);

	fprintf(out, "usage: %s %s%s%s%s\n%c%s.\n", program, c->name, c->apart ? "" : " DB",
		c->usage ? " " : "", c->usage ? c->usage : "", toupper((unsigned char)c->summary[0]),
		c->summary + 1);
	if (c->help)
		fprintf(out, "\n%s\n", c->help);
	for (const struct command *const *part = c->parts; part && *part; part++)
		fprintf(out, "%s  %-10s %s\n", part == c->parts ? "\n" : "", command_word(*part),
			(*part)->summary);
	fputc('\n', out);
	options_each(&set, put_option, out);
	for (const struct example *e = c->examples; e && e->shows; e++)
		fprintf(out, "%s  # %s\n  %s %s\n", e == c->examples ? "\nexamples:\n" : "", e->shows,
			program, e->line);
}
