#include "xtctl.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

static const struct command commands[] = {
	{"up", "", "start the daemon, and create the database if need be",
	 "Ends what 'down' began. Prints the daemon's pid and socket.", OPT_JSON, 0, 0, NULL, NULL, cmd_up},
	{"down", "", "stop the daemon and keep it down until 'up'",
	 "Everything it received is stored first, or it goes on and says why not, unless --force is given. "
	 "When\n"
	 "none runs it sees to it that none is started.",
	 OPT_FORCE, 0, 0, NULL, NULL, cmd_down},
	{"restart", "", "stop the daemon and start it again, as after an upgrade",
	 "Workers go on meanwhile: what they log waits and is stored by the next daemon. Not while messages\n"
	 "wait that cannot be stored, unless --force is given.",
	 OPT_JSON | OPT_FORCE, 0, 0, NULL, NULL, cmd_restart},
	{"audit", "", "prove that nothing is lost and nothing is doubled",
	 "Adds up what clients numbered, what was stored, rejected, deleted and spooled, counts the rows of\n"
	 "every run, and has SQLite check the file. Exit status 1 when something does not add up.",
	 OPT_JSON | OPT_QUICK, 0, 0, NULL, NULL, cmd_audit},
	{"cache", "[ls|get|why|stats|report|verify|delete|gc|reset] ...",
	 "results of function calls that are kept, and what they are worth",
	 "Its name may stand before the database too: 'cache ls DB'. 'cache ls --help' tells more of one:\n",
	 CACHE_OPTIONS, 0, -1, NULL, NULL, NULL},
	{"spool", "[ls|replay]", "rows that clients kept while there was no daemon",
	 "ls: the files; also when no daemon runs. replay: have the daemon take in now what nobody owns.",
	 OPT_ROWS, 0, 1, cmd_spool_is_arg, NULL, cmd_spool},
	{"config", "[KEY VALUE]", "settings that are kept in the database",
	 "Without KEY: those that were changed. VALUE is a whole number, or 'default'.", OPT_ROWS, 0, 2, NULL,
	 NULL, cmd_config},
	{"status", "", "what the daemon is doing", "Exit status 1 when it is not running; never starts one.",
	 OPT_JSON, 0, 0, NULL, NULL, cmd_status},
	{"ls", "[tables|runs]", "tables, or runs",
	 "runs: all that are recorded, in the order they began; with --table those that have rows in it.\n"
	 "duration is in seconds, up to now for a run that is not ended.",
	 OPT_ROWS | OPT_TABLE, 0, 1, cmd_ls_is_arg, NULL, cmd_ls},
	{"columns", "", "columns of a table", "", OPT_ROWS | OPT_TABLE, 0, 0, NULL, NULL, cmd_columns},
	{"head", "", "first rows of a table", "", OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID, 0, 0, NULL,
	 NULL, cmd_head},
	{"tail", "", "last rows of a table, in the order they were logged", "",
	 OPT_ROWS | OPT_N | OPT_TABLE | OPT_TRACK_ID, 0, 0, NULL, NULL, cmd_tail},
	{"sql", "STATEMENT|-", "run an SQL statement",
	 "- reads it from standard input. A statement that writes needs --write, or to be called as xt.\n"
	 "COPY (SELECT ...) TO 'FILE.csv' writes a file. --arg values are typed as those of 'log'.",
	 OPT_ROWS | OPT_ARG | OPT_WRITE | OPT_TIMEOUT, 1, 1, NULL, NULL, cmd_sql},
	{"log", "KEY=VALUE... | --jsonl", "log a row, or a stream of rows; prints the track_id",
	 "Values: integers, reals (nan and inf too), true, false, null; everything else is text.\n"
	 "KEY:=JSON gives a value exactly: id:='\"007\"' is text, tags:='[\"a\"]' a list.\n"
	 "--track-id adds to that run, and starts it if there is none.",
	 OPT_TABLE | OPT_TRACK_ID | OPT_JSONL | OPT_SKIP_BAD, 0, -1, cmd_log_is_arg, NULL, cmd_log},
	{"set", "KEY VALUE", "set a value over rows that are logged already",
	 "Of one run (--track-id), where another column has a value (--where), or of the whole table.\n"
	 "VALUE is typed as by 'log'; :=JSON gives it exactly.",
	 OPT_JSON | OPT_TABLE | OPT_TRACK_ID | OPT_ALL | OPT_WHERE | OPT_YES, 2, 2, NULL, NULL, cmd_set},
	{"delete", "TRACK_ID", "delete a run's rows, in all tables or one",
	 "Asks on a terminal, unless --yes is given or it is called as xt. XETRACK_TABLE does not count "
	 "here.\n"
	 "Results that the run cached stay, and are hits of other runs, unless --cache is given.",
	 OPT_JSON | OPT_TABLE | OPT_FORCE | OPT_YES | OPT_CACHED, 1, 1, NULL, NULL, cmd_delete},
	{"backup", "FILE", "copy the database into a file, while it is written",
	 "The copy is the database of one moment. FILE appears when it is whole and on disk; Ctrl-C leaves\n"
	 "nothing behind.",
	 OPT_JSON | OPT_REPLACE | OPT_RATE, 1, 1, NULL, NULL, cmd_backup},
	{"snapshot", "FILE", "the same, written anew: compact, and made to be kept in git or DVC",
	 "Without free pages, each table in one piece. The same database gives the same bytes.",
	 OPT_JSON | OPT_REPLACE, 1, 1, NULL, NULL, cmd_snapshot},
	{"assets", "[ls|put FILE|export HASH FILE|delete HASH|verify]",
	 "models and other content that rows name by its hash",
	 "put: needs --track-id; prints the hash. HASH: its digits, or as many as tell it from others.\n"
	 "delete: the references of --track-id, --name or both, and the asset with the last one.\n"
	 "verify: reads every asset, and looks for files that belong to none, which --force removes. Exit\n"
	 "status 1 when something is found.",
	 OPT_ROWS | OPT_TABLE | OPT_TRACK_ID | OPT_ASSET | OPT_FORCE | OPT_YES, 0, 3, cmd_assets_is_arg,
	 cmd_assets_wants, cmd_assets},
	{"check", "", "look for damage",
	 "Exit status 1 when something is found, or the database cannot be opened.", OPT_JSON | OPT_QUICK, 0,
	 0, NULL, NULL, cmd_check},
	{"compact", "", "give the disk back what deleted rows left",
	 "Workers wait meanwhile and lose nothing. Takes twice the database's size for a while.", OPT_JSON, 0,
	 0, NULL, NULL, cmd_compact},
	{0},
};

/* Commands that consist of others, of which the first is meant when none is named. */
static const struct group {
	const char *name;
	const struct command *commands;
} groups[] = {{"cache", cache_commands}};

/* Its commands, ended by one without a name. NULL: it is a command itself. */
static const struct command *commands_of(const struct command *c)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (strcmp(groups[i].name, c->name) == 0)
			return groups[i].commands;
	return NULL;
}

/* The last word of its name: `ls` of `cache ls`. */
static const char *word_of(const struct command *c)
{
	const char *space = strrchr(c->name, ' ');

	return space ? space + 1 : c->name;
}

/* ---- help ------------------------------------------------------------- */

static void help(FILE *out, const char *program)
{
	fprintf(out,
		"usage: %s COMMAND DB [ARGUMENTS]\n"
		"Logs, queries and administers a benchmark database that xetrackd keeps.\n\n",
		program);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  %-9s %s\n", c->name, c->summary);
	fprintf(out,
		"\nDB is left out when XETRACK_DB names it; XETRACK_TABLE names another table than events.\n"
		"'%s COMMAND --help' tells more, 'man xtctl' everything.\n",
		program);
}

static void help_command(FILE *out, const char *program, const struct command *c)
{
	fprintf(out, "usage: %s %s DB%s%s\n%c%s.\n", program, c->name, c->usage[0] ? " " : "", c->usage,
		c->summary[0] - 'a' + 'A', c->summary + 1);
	if (c->help[0])
		fprintf(out, "\n%s\n", c->help);
	for (const struct command *part = commands_of(c); part && part->name; part++)
		fprintf(out, "  %-6s %s\n", word_of(part), part->summary);
	fputc('\n', out);
	options_help(out, c->options | OPT_ALWAYS);
}

/* ---- which command ---------------------------------------------------- */

static const struct command *find(const struct command *list, const char *word)
{
	for (const struct command *c = list; c->name; c++)
		if (strcmp(word_of(c), word) == 0)
			return c;
	return NULL;
}

/* What people say elsewhere for the same thing; else the nearest name. */
static const char *nearest(const struct command *list, const char *word)
{
	static const char *const synonyms[][2] = {
		{"start", "up"},    {"stop", "down"},	   {"query", "sql"},	{"rm", "delete"},
		{"list", "ls"},	    {"runs", "ls"},	   {"tables", "ls"},	{"schema", "columns"},
		{"copy", "backup"}, {"vacuum", "compact"}, {"verify", "check"}, {"restore", "backup"},
		{"show", "get"},    {"check", "verify"},   {"clear", "delete"}, {"explain", "why"},
		{"prune", "gc"},    {"info", "stats"},
	};
	unsigned best = 3;
	const char *found = NULL;

	for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
		if (strcmp(word, synonyms[i][0]) == 0 && find(list, synonyms[i][1]))
			return synonyms[i][1];
	for (const struct command *c = list; c->name; c++) {
		unsigned d = text_distance(word, word_of(c));
		if (d < best && d < strlen(word)) {
			best = d;
			found = word_of(c);
		}
	}
	return found;
}

static int unknown(const struct ctl *ctl, const char *name)
{
	const char *near = nearest(commands, name);

	if (name[0] == '-')
		ctl_error(ctl, "no option '%s' before the command; options follow it", name);
	else if (access(name, F_OK) == 0)
		ctl_error(ctl, "'%s' is a file; the command comes first: %s COMMAND DB", name, ctl->program);
	else if (near)
		ctl_error(ctl, "no command '%s'; did you mean '%s'?", name, near);
	else
		ctl_error(ctl, "no command '%s'; '%s help' lists them", name, ctl->program);
	return CTL_USAGE;
}

/* ---- commands of a group ---------------------------------------------- */

/* Takes the word out that names one: `cache ls DB`, or `cache DB ls`. NULL: there is none. */
static const struct command *take_word(struct ctl *ctl, const struct command *list)
{
	for (size_t i = 0; i < ctl->n_args && i < 2; i++) {
		const struct command *c = find(list, ctl->args[i]);
		if (!c)
			continue;
		ctl->args[i] = ctl->args[0];
		ctl->args++;
		ctl->n_args--;
		return c;
	}
	return NULL;
}

static int no_part(const struct ctl *ctl, const struct command *list, const char *word)
{
	const char *near = nearest(list, word);

	if (near)
		ctl_error(ctl, "no command '%s %s'; did you mean '%s %s'?", ctl->command->name, word,
			  ctl->command->name, near);
	else
		ctl_error(ctl, "no command '%s %s'; '%s %s --help' lists them", ctl->command->name, word,
			  ctl->program, ctl->command->name);
	return CTL_USAGE;
}

/* Which command of the group it is. A word that is neither one nor a file is a mistaken one, where it is not
 * the database's path. */
static int choose(struct ctl *ctl, const struct command *list)
{
	const struct command *c = take_word(ctl, list);

	if (!c && ctl->n_args > 0) {
		bool first = access(ctl->args[0], F_OK) != 0;
		const char *word = first ? ctl->args[0] : ctl->n_args > 1 ? ctl->args[1] : NULL;
		if (word && (ctl->n_args > 1 || nearest(list, word)))
			return no_part(ctl, list, word);
	}
	ctl->command = c ? c : list;
	unsigned foreign = ctl->options.given & ~(ctl->command->options | OPT_ALWAYS);
	if (foreign)
		return ctl_usage(ctl, "no option '--%s' here", options_name(foreign));
	return CTL_OK;
}

/* ---- what it is to work on -------------------------------------------- */

/* The database is the first argument, unless XETRACK_DB names it and nothing says otherwise. */
static int find_database(struct ctl *ctl)
{
	const struct command *c = ctl->command;
	const char *env = getenv("XETRACK_DB");
	size_t least = (size_t)c->least, most = c->most < 0 ? SIZE_MAX : (size_t)c->most;
	bool given = true;

	/* `spool ls DB` and `ls runs DB` are said as easily as the other way round; of a group's command the
	 * word is taken out already. */
	size_t wants = c->wants && ctl->n_args > 0 ? c->wants(ctl->args[0]) : 0;
	if (c->is_arg && word_of(c) == c->name && ctl->n_args == 2 + wants && c->most > 0 &&
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
	if (ctl->n_args < least)
		return ctl_usage(ctl, "%s is missing", c->usage);
	if (ctl->n_args > most)
		return ctl_usage(ctl, "one argument too many: '%s'", ctl->args[most]);
	return CTL_OK;
}

static void find_table(struct ctl *ctl)
{
	const char *env = getenv("XETRACK_TABLE");

	ctl->table = ctl->options.table ? ctl->options.table : env && env[0] ? env : "events";
	ctl->table_named = ctl->options.table || (env && env[0]);
}

static int run_command(struct ctl *ctl, int argc, char **argv)
{
	char error[300];
	char **args = NULL;
	int status = CTL_USAGE;

	if (options_parse(&ctl->options, ctl->command->options | OPT_ALWAYS, argc, argv, &args, &ctl->n_args,
			  error, sizeof(error)) < 0) {
		ctl_usage(ctl, "%s", error);
		goto out;
	}
	ctl->args = args;
	const struct command *list = commands_of(ctl->command);
	if (list && ctl->options.help) {
		const struct command *part = take_word(ctl, list);
		ctl->command = part ? part : ctl->command;
	} else if (list) {
		status = choose(ctl, list);
		if (status != CTL_OK)
			goto out;
	}
	if (ctl->options.help) {
		help_command(ctl->out.file, ctl->program, ctl->command);
		status = CTL_OK;
		goto out;
	}
	status = find_database(ctl);
	if (status != CTL_OK)
		goto out;
	find_table(ctl);
	if (ctl->options.engine)
		ctl_note(ctl, "--engine=%s is ignored: xetrackd has one engine, SQLite", ctl->options.engine);
	status = ctl->command->run(ctl);
out:
	options_done(&ctl->options);
	free(args);
	return status;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	bool wants_help = strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;

	if (argc < 2) {
		help(stderr, ctl->program);
		return CTL_USAGE;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0 || strcmp(word, "version") == 0) {
		fprintf(ctl->out.file, "%s %s\n", ctl->program, xt_version());
		return CTL_OK;
	}
	if (wants_help && argc < 3) {
		help(ctl->out.file, ctl->program);
		return CTL_OK;
	}
	ctl->command = find(commands, wants_help ? argv[2] : word);
	if (!ctl->command)
		return unknown(ctl, wants_help ? argv[2] : word);
	if (wants_help) {
		help_command(ctl->out.file, ctl->program, ctl->command);
		return CTL_OK;
	}
	return run_command(ctl, argc - 1, argv + 1);
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
