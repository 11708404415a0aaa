/*
 * Prints the sources of man pages, for scdoc; used while building, not installed.
 *
 *   xt-man COMMAND    xtctl-COMMAND(1), from the command's descriptor
 *   xt-man --list     the names of all commands, a line each
 *   xt-man --page     standard input with the list of commands at the line @COMMANDS@
 */
#include <ctype.h>
#include <string.h>

#include "commands.h"

/* ---- scdoc ------------------------------------------------------------ */

/* Text in which nothing means more than itself. */
static void put(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strchr("\\*_#`[]<>~+|.", text[i]) || (i == 0 && text[i] == '-'))
			putchar('\\');
		putchar(text[i]);
	}
}

static void put_text(const char *text)
{
	put(text, strlen(text));
}

/* Paragraphs, whose lines stay lines. */
static void put_lines(const char *text)
{
	for (const char *line = text; line;) {
		size_t n = strcspn(line, "\n");
		const char *next = line[n] ? line + n + 1 : NULL;
		put(line, n);
		fputs(n > 0 && next && next[0] != '\n' ? "++\n" : "\n", stdout);
		line = next;
	}
}

static void put_option(const struct option_def *def, void *data)
{
	(void)data;
	fputs("*--", stdout);
	put_text(def->name);
	putchar('*');
	if (def->value && strchr(def->value, '|')) {
		putchar(' ');
		put_text(def->value);
	} else if (def->value) {
		fputs(" _", stdout);
		put_text(def->value);
		putchar('_');
	}
	fputs("\n\t", stdout);
	put_text(def->help);
	fputs("\n\n", stdout);
}

/* ---- a page ----------------------------------------------------------- */

static void put_synopsis(const struct command *c)
{
	fputs("*xtctl ", stdout);
	put_text(c->name);
	fputs(c->apart ? "*" : "* _DB_", stdout);
	if (c->usage) {
		putchar(' ');
		put_text(c->usage);
	}
	fputs(" [_OPTIONS_]", stdout);
}

static void put_summary(const struct command *c)
{
	char first = (char)toupper((unsigned char)c->summary[0]);

	put(&first, 1);
	put_text(c->summary + 1);
	fputs(".\n\n", stdout);
}

static void put_options(const struct command *c)
{
	struct option_set set = command_options(c);

	set.shared &= ~OPT_HELP;
	if (!(c->options & OPT_ENGINE))
		set.shared &= ~OPT_ENGINE;
	options_each(&set, put_option, NULL);
}

static void put_parts(const struct command *group)
{
	for (const struct command *const *part = group->parts; part && *part; part++) {
		fputs("# ", stdout);
		put_text((*part)->name);
		fputs("\n\n", stdout);
		put_synopsis(*part);
		fputs("\n\n", stdout);
		put_summary(*part);
		if ((*part)->help) {
			put_lines((*part)->help);
			putchar('\n');
		}
		put_options(*part);
	}
}

static void put_examples(const struct example *e)
{
	for (; e && e->shows; e++) {
		char first = (char)toupper((unsigned char)e->shows[0]);
		put(&first, 1);
		put_text(e->shows + 1);
		/* As it is: what is copied from a page must work. */
		printf("%s\n\n```\nxtctl %s\n```\n\n",
		       strchr("?!", e->shows[strlen(e->shows) - 1]) ? "" : ":", e->line);
	}
}

static void put_page(const struct command *c)
{
	printf("xtctl-%s(1)\n\n# NAME\n\nxtctl-%s - ", c->name, c->name);
	put_text(c->summary);
	fputs("\n\n# SYNOPSIS\n\n", stdout);
	put_synopsis(c);
	fputs("\n\n# DESCRIPTION\n\n", stdout);
	put_summary(c);
	if (c->help) {
		put_lines(c->help);
		putchar('\n');
	}
	if (c->parts) {
		put_parts(c);
	} else if (c->options || c->own) {
		fputs("# OPTIONS\n\n", stdout);
		put_options(c);
		fputs("What is common to all commands, and the forms of output, stands in *xtctl*(1).\n\n",
		      stdout);
	}
	bool examples = c->examples != NULL;
	for (const struct command *const *part = c->parts; part && *part; part++)
		examples = examples || (*part)->examples;
	if (examples)
		fputs("# EXAMPLES\n\n", stdout);
	put_examples(c->examples);
	for (const struct command *const *part = c->parts; part && *part; part++)
		put_examples((*part)->examples);
	fputs("# SEE ALSO\n\n*xtctl*(1), *xetrackd*(8)\n", stdout);
}

/* ---- the page of all -------------------------------------------------- */

static void put_commands(void)
{
	for (const struct section *s = sections; s->title; s++) {
		printf("## %c%s\n\n", toupper((unsigned char)s->title[0]), s->title + 1);
		for (const struct command *const *c = s->commands; *c; c++) {
			printf("*xtctl-%s*(1)\n\t", (*c)->name);
			put_summary(*c);
		}
	}
}

static void copy_page(void)
{
	char line[1024];

	while (fgets(line, sizeof(line), stdin))
		if (strcmp(line, "@COMMANDS@\n") == 0)
			put_commands();
		else
			fputs(line, stdout);
}

static void put_list(void)
{
	for (const struct section *s = sections; s->title; s++)
		for (const struct command *const *c = s->commands; *c; c++)
			puts((*c)->name);
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	const struct command *c = command_find(what);

	if (strcmp(what, "--list") == 0) {
		put_list();
	} else if (strcmp(what, "--page") == 0) {
		copy_page();
	} else if (c) {
		put_page(c);
	} else {
		fprintf(stderr, "xt-man: no command '%s'\n", what);
		return 2;
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
