#include "xtctl.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "complete.h"
#include "help.h"
#include "shell.h"

/* ---- which command ---------------------------------------------------- */

static int unknown(const struct ctl *ctl, const char *name)
{
	const char *near = command_nearest(NULL, name);
	const struct command *group = near ? command_find(near) : NULL;

	if (name[0] == '-')
		ctl_error(ctl, "no option '%s' before the command; options follow it", name);
	else if (access(name, F_OK) == 0)
		ctl_error(ctl, "'%s' is a file; the command comes first: %s COMMAND DB", name, ctl->program);
	else if (group && command_part(group, name))
		ctl_error(ctl, "no command '%s'; did you mean '%s %s'?", name, near, name);
	else if (near)
		ctl_error(ctl, "no command '%s'; did you mean '%s'?", name, near);
	else
		ctl_error(ctl, "no command '%s'; '%s help' lists them", name, ctl->program);
	return CTL_USAGE;
}

/* ---- commands of a group ---------------------------------------------- */

static int no_part(const struct ctl *ctl, const struct command *group, const char *word)
{
	const char *near = command_nearest(group, word);

	if (near)
		ctl_error(ctl, "no command '%s %s'; did you mean '%s %s'?", group->name, word, group->name,
			  near);
	else
		ctl_error(ctl, "no command '%s %s'; '%s %s --help' lists them", group->name, word,
			  ctl->program, group->name);
	return CTL_USAGE;
}

/* Whether some part of the group takes a value for an option that is written so. */
static bool takes_value(const struct command *group, const char *word)
{
	const struct option_def *found = NULL;

	if (word[0] != '-' || strchr(word, '='))
		return false;
	if (word[1] != '-')
		return strcmp(word, "-n") == 0;
	for (const struct command *const *part = group->parts; *part && !found; part++) {
		struct option_set set = command_options(*part);
		found = options_find(&set, word + 2);
	}
	return found && found->value;
}

/* Where the group's next word is that is neither an option nor the value of one; argc: there is none. */
static int next_word(const struct command *group, int argc, char *const *argv, int at)
{
	for (; at < argc; at++) {
		if (strcmp(argv[at], "--") == 0)
			return argc;
		if (argv[at][0] != '-')
			return at;
		at += takes_value(group, argv[at]);
	}
	return argc;
}

/* Takes the word out of the line that names a part: `cache ls DB`, or `cache DB ls`; without one it is the
 * first part. A word that is neither one nor a file is a mistaken one, where it is not the database's path.
 */
static int choose(struct ctl *ctl, int *argc, char **argv)
{
	const struct command *group = ctl->command;
	int first = next_word(group, *argc, argv, 1), second = next_word(group, *argc, argv, first + 1);

	for (int at = first; at < *argc; at = at == first ? second : *argc) {
		const struct command *part = command_part(group, argv[at]);
		if (!part)
			continue;
		memmove(argv + at, argv + at + 1, (size_t)(*argc - at) * sizeof(*argv));
		(*argc)--;
		ctl->command = part;
		return CTL_OK;
	}
	if (first < *argc) {
		bool at_first = access(argv[first], F_OK) != 0;
		const char *word = at_first ? argv[first] : second < *argc ? argv[second] : NULL;
		if (word && (second < *argc || command_nearest(group, word)))
			return no_part(ctl, group, word);
	}
	ctl->command = group->parts[0];
	return CTL_OK;
}

static bool asks_for_help(int argc, char *const *argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

/* ---- what it is to work on -------------------------------------------- */

static size_t most_of(const struct command *c)
{
	return c->most < 0 ? SIZE_MAX : (size_t)c->most;
}

static int check_count(const struct ctl *ctl)
{
	const struct command *c = ctl->command;

	if (ctl->n_args < (size_t)c->least) {
		size_t len;
		const char *place = command_place(c, ctl->n_args, &len);
		return ctl_usage(ctl, "%.*s is missing", len > 0 ? (int)len : 11,
				 len > 0 ? place : "an argument");
	}
	if (ctl->n_args > most_of(c))
		return ctl_usage(ctl, "one argument too many: '%s'", ctl->args[most_of(c)]);
	return CTL_OK;
}

/* The database is the first argument, unless XETRACK_DB names it and nothing says otherwise. */
static int find_database(struct ctl *ctl)
{
	const struct command *c = ctl->command;
	const char *env = getenv("XETRACK_DB");
	size_t least = (size_t)c->least, most = most_of(c);
	bool given = true;

	/* `spool ls DB` and `ls runs DB` are said as easily as the other way round; of a group's command the
	 * word is taken out already. */
	size_t wants = c->wants && ctl->n_args > 0 ? c->wants(ctl->args[0]) : 0;
	if (c->is_arg && command_word(c) == c->name && ctl->n_args == 2 + wants && c->most > 0 &&
	    c->is_arg(ctl->args[0]) && !c->is_arg(ctl->args[1])) {
		char *word = ctl->args[0];
		ctl->args[0] = ctl->args[1];
		ctl->args[1] = word;
	}
	if (env && env[0]) {
		bool without = ctl->n_args <= most;
		bool with = ctl->n_args > least && ctl->n_args - 1 <= most;
		given = with && (!without || !c->is_arg || !c->is_arg(ctl->args[0]));
	}
	ctl->database = given ? (ctl->n_args > 0 ? ctl->args[0] : NULL) : env;
	if (!ctl->database || !ctl->database[0])
		return ctl_usage(ctl, "no database: give its path, or set XETRACK_DB");
	if (given) {
		ctl->args++;
		ctl->n_args--;
	}
	return check_count(ctl);
}

static void find_table(struct ctl *ctl)
{
	const char *env = getenv("XETRACK_TABLE");

	ctl->table = ctl->options.table ? ctl->options.table : env && env[0] ? env : "events";
	ctl->table_named = ctl->options.table || (env && env[0]);
}

/* The database for hints; NULL: out of memory. */
static char *word_of(const char *database)
{
	size_t size = SHELL_BYTES(strlen(database));
	char *word = malloc(size);

	if (word && shell_word(word, size, database) == 0)
		return word;
	free(word);
	return NULL;
}

/* The line as the command takes it: its part, options, database, table. */
static int read_line(struct ctl *ctl, const struct option_set *set, int argc, char **argv, char ***ret_args)
{
	char error[300];

	if (options_parse(&ctl->options, set, argc, argv, ret_args, &ctl->n_args, error, sizeof(error)) < 0)
		return ctl_usage(ctl, "%s", error);
	ctl->args = *ret_args;
	if (ctl->options.help)
		return CTL_OK;
	if (ctl->command->apart)
		return check_count(ctl);
	int status = find_database(ctl);
	if (status == CTL_OK && ctl->database)
		ctl->database_word = word_of(ctl->database);
	find_table(ctl);
	return status;
}

static int run_command(struct ctl *ctl, int argc, char **argv)
{
	bool help = asks_for_help(argc, argv);
	char **args = NULL;

	if (ctl->command->parts && !(help && next_word(ctl->command, argc, argv, 1) == argc)) {
		int status = choose(ctl, &argc, argv);
		if (status != CTL_OK)
			return status;
	}
	const struct command *c = ctl->command;
	void *own = c->own_size ? calloc(1, c->own_size) : NULL;
	struct option_set set = command_options(c);
	if (c->own_size && !own)
		return ctl_no_memory(ctl);
	if (own && c->own_preset)
		memcpy(own, c->own_preset, c->own_size);
	set.into = own;
	ctl->own = own;
	int status = read_line(ctl, &set, argc, argv, &args);
	if (status == CTL_OK && ctl->options.help)
		help_command(&ctl->out, ctl->program, c);
	else if (status == CTL_OK) {
		if (ctl->options.engine && !c->engines)
			ctl_note(ctl, "--engine=%s is ignored: xetrackd has one engine, SQLite",
				 ctl->options.engine);
		status = c->run(ctl);
	}
	options_done(&ctl->options, &set);
	free(ctl->database_word);
	free(own);
	free(args);
	return status;
}

/* `help`, `help COMMAND`, `help COMMAND PART`. */
static int run_help(struct ctl *ctl, int argc, char **argv)
{
	if (argc < 3) {
		help_all(ctl->out.file, ctl->out.columns, ctl->program);
		return CTL_OK;
	}
	ctl->command = command_find(argv[2]);
	if (!ctl->command)
		return unknown(ctl, argv[2]);
	const struct command *part = argc > 3 ? command_part(ctl->command, argv[3]) : NULL;
	if (argc > 3 && ctl->command->parts && !part)
		return no_part(ctl, ctl->command, argv[3]);
	help_command(&ctl->out, ctl->program, part ? part : ctl->command);
	return CTL_OK;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	if (argc < 2) {
		help_all(stderr, out_columns(STDERR_FILENO), ctl->program);
		return CTL_USAGE;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0 || strcmp(word, "version") == 0) {
		fprintf(ctl->out.file, "%s %s\n", ctl->program, xt_version());
		return CTL_OK;
	}
	if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return run_help(ctl, argc, argv);
	if (strcmp(word, "complete") == 0) {
		complete(ctl, argc - 2, argv + 2);
		return CTL_OK;
	}
	ctl->command = command_find(word);
	return ctl->command ? run_command(ctl, argc - 1, argv + 1) : unknown(ctl, word);
}

/* The output's own failures decide where the command had none. */
static int finish(struct ctl *ctl, int status)
{
	int error = out_close(&ctl->out);

	if (error == EPIPE) /* the reader has seen enough: `| head` */
		return status;
	if (ctl_interrupted() && status != CTL_USAGE)
		return CTL_INTERRUPTED;
	if (error == 0 || error == EINTR)
		return status;
	fprintf(stderr, "%s: cannot write to standard output: %s\n", ctl->program, strerror(error));
	return CTL_FAILED;
}

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	struct ctl ctl = {.program = "xtctl"};

	setlocale(LC_CTYPE, "");
	ctl_catch_signals();
	if (argc > 0 && strcmp(slash ? slash + 1 : argv[0], "xt") == 0) {
		ctl.program = "xt";
		ctl.xt = true;
	}
	ctl.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (out_open(&ctl.out, STDOUT_FILENO, ctl_stop_flag()) < 0) {
		fprintf(stderr, "%s: out of memory\n", ctl.program);
		return CTL_FAILED;
	}
	return finish(&ctl, run(&ctl, argc, argv));
}
