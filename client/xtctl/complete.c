#include "complete.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "text.h"

#define MOST_RUNS "200"

/* What is being typed, and what stands before it. */
struct line {
	struct ctl *ctl;
	const struct command *command; /* or the part of it that is named */
	const char *typed;	       /* the word that is to be completed; of a list, its last item */
	const char *before;	       /* what of the word stands before that, of before_n bytes */
	size_t before_n;
	const char *database, *table; /* NULL: not named yet */
	size_t n_args;	       /* words that are no options, after the database and before the last one */
	const char *first_arg; /* NULL: none */
};

static void offer(const struct line *l, const char *word, const char *means)
{
	FILE *f = l->ctl->out.file;

	if (strncmp(word, l->typed, strlen(l->typed)) == 0)
		fprintf(f, "%.*s%s%s%s\n", (int)l->before_n, l->before, word, means ? "\t" : "",
			means ? means : "");
}

static void offer_files(const struct line *l)
{
	fputs(":files\n", l->ctl->out.file);
}

static void offer_databases(const struct line *l)
{
	fputs(":databases\n", l->ctl->out.file);
}

/* ---- what the database has -------------------------------------------- */

/* Offers the first column of an answer, with the second as its meaning. */
static void offer_rows(const struct line *l, const char *sql, const char *arg)
{
	xt_options options = ctl_reading();
	xt_value value = xt_text(arg);
	xt_client *client = NULL;
	xt_cursor *cursor = NULL;
	const xt_value *row;

	l->ctl->database = l->database;
	if (!l->database || setenv("XETRACK_AUTOSTART", "0", 1) != 0 ||
	    ctl_try_open(l->ctl, &options, &client) != XT_OK ||
	    ctl_query(client, sql, &value, arg ? 1 : 0, 0, &cursor) != XT_OK)
		goto out;
	while (ctl_next(cursor, &row) == XT_OK) {
		char *word = row[0].type == XT_T_TEXT ? strndup(row[0].as.text, row[0].n) : NULL;
		char *means = row[1].type == XT_T_TEXT ? strndup(row[1].as.text, row[1].n) : NULL;
		if (word && !strpbrk(word, "\t\n"))
			offer(l, word, means);
		free(word);
		free(means);
	}
out:
	xt_cursor_close(cursor);
	xt_close(client);
}

static void offer_tables(const struct line *l)
{
	offer_rows(l,
		   "SELECT name, NULL FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE "
		   "'xt\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
		   NULL);
}

static void offer_columns(const struct line *l)
{
	const char *env = getenv("XETRACK_TABLE");

	offer_rows(l, "SELECT name, lower(type) FROM pragma_table_info(?)",
		   l->table	   ? l->table
		   : env && env[0] ? env
				   : "events");
}

static void offer_runs(const struct line *l)
{
	offer_rows(l,
		   "SELECT track_id, status || ', ' || substr(start_time, 1, 16) FROM xt_runs "
		   "WHERE status <> 'deleted' ORDER BY start_time DESC LIMIT " MOST_RUNS,
		   NULL);
}

/* ---- words ------------------------------------------------------------ */

/* The words of "a|b|c"; those in capitals stand for something else. */
static void offer_choices(const struct line *l, const char *choices, size_t n)
{
	for (size_t at = 0; at < n; at += strcspn(choices + at, "|") + 1) {
		size_t len = strcspn(choices + at, "|] ");
		char *word = strndup(choices + at, len < n - at ? len : n - at);
		if (word && (word[0] == '-' || islower((unsigned char)word[0])))
			offer(l, word, NULL);
		free(word);
	}
}

/* What a placeholder of a usage line or an option stands for: "COLUMN", "[tables|runs]", "FILE". */
static void offer_placeholder(const struct line *l, const char *word, size_t n)
{
	static const struct {
		const char *beginning;
		void (*offer)(const struct line *l);
	} kinds[] = {
		{"COLUMN", offer_columns}, {"OLD", offer_columns}, {"NEW", offer_columns},
		{"OTHER", offer_columns},  {"KEY", offer_columns}, {"TABLE", offer_tables},
		{"TRACK_ID", offer_runs},  {"RUN", offer_runs},	   {"ID", offer_runs},
		{"FILE", offer_files},	   {"SRC", offer_files},   {"DST", offer_files},
		{"DIR", offer_files},
	};
	size_t skip = strspn(word, "[");
	const char *comma = memmem(word, n, ",...", 4) ? strrchr(l->typed, ',') : NULL;
	struct line item = *l;

	if (comma) { /* the next one of a list */
		item.before = l->typed;
		item.before_n = (size_t)(comma + 1 - l->typed);
		item.typed = comma + 1;
		l = &item;
	}

	word += skip;
	n -= skip < n ? skip : n;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(word, kinds[i].beginning, strlen(kinds[i].beginning)) == 0) {
			kinds[i].offer(l);
			return;
		}
	if (memchr(word, '|', n))
		offer_choices(l, word, n);
}

static void offer_option(const struct option_def *def, void *data)
{
	const struct line *l = data;
	char word[100];

	snprintf(word, sizeof(word), "--%s", def->name);
	offer(l, word, def->help);
}

static void offer_parts(const struct line *l, const struct command *group)
{
	for (const struct command *const *part = group->parts; *part; part++)
		offer(l, command_word(*part), (*part)->summary);
}

static void offer_commands(const struct line *l)
{
	for (const struct section *s = sections; s->title; s++)
		for (const struct command *const *c = s->commands; *c; c++)
			offer(l, (*c)->name, (*c)->summary);
	offer(l, "help", "all about a command");
}

/* ---- the line --------------------------------------------------------- */

/* The option that a word names, if the next word is its value. */
static const struct option_def *option_of(const struct command *c, const char *word)
{
	struct option_set set = command_options(c);
	bool letter = strcmp(word, "-n") == 0;

	if (word[0] != '-' || (word[1] != '-' && !letter))
		return NULL;
	const struct option_def *found = options_find(&set, letter ? "n" : word + 2);
	return found && found->value ? found : NULL;
}

/* Reads the words before the last one. Returns the option whose value the last one is; NULL: of none. */
static const struct option_def *read_words(struct line *l, int n, char *const *words)
{
	const struct option_def *open = NULL;
	const char *env = getenv("XETRACK_DB");

	for (int i = 1; i + 1 < n; i++) {
		const struct command *part = command_part(l->command, words[i]);
		if (open) {
			if (strcmp(open->name, "table") == 0)
				l->table = words[i];
			open = NULL;
		} else if (words[i][0] == '-') {
			open = option_of(l->command, words[i]);
		} else if (part) {
			l->command = part;
		} else if (!l->database) {
			l->database = words[i];
		} else {
			l->first_arg = l->first_arg ? l->first_arg : words[i];
			l->n_args++;
		}
	}
	if (!l->database && env && env[0])
		l->database = env;
	return open;
}

void complete(struct ctl *ctl, int n, char *const *words)
{
	struct line l = {.ctl = ctl, .typed = n > 0 ? words[n - 1] : "", .before = ""};
	bool help = n > 1 && strcmp(words[0], "help") == 0;

	if (n < 2 || (help && n == 2)) {
		offer_commands(&l);
		return;
	}
	l.command = command_find(words[help ? 1 : 0]);
	if (!l.command)
		return;
	if (help) {
		if (l.command->parts)
			offer_parts(&l, l.command);
		return;
	}
	const struct option_def *open = read_words(&l, n, words);
	if (open) {
		offer_placeholder(&l, open->value, strlen(open->value));
		return;
	}
	if (l.typed[0] == '-') {
		struct option_set set = command_options(l.command);
		options_each(&set, offer_option, &l);
		return;
	}
	if (l.command->parts)
		offer_parts(&l, l.command);
	if (!l.database && !l.command->apart) {
		offer_databases(&l);
		return;
	}
	size_t len;
	const char *place = command_place(l.command, l.n_args, &len);
	offer_placeholder(&l, place, len);
}
