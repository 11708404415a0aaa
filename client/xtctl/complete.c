#include "complete.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "commands.h"
#include "offer.h"

/* The command, and what of its line stands before the word that is being typed. */
struct line {
	struct typing typing;
	const struct command *command; /* or the part of it that is named */
	size_t n_args; /* words that are no options, after the database and before the last one */
};

static void offer_files(const struct typing *t)
{
	fputs(":files\n", t->ctl->out.file);
}

static void offer_databases(const struct typing *t)
{
	fputs(":databases\n", t->ctl->out.file);
}

/* ---- words ------------------------------------------------------------ */

/* The words of "a|b|c"; those in capitals stand for something else. */
static void offer_choices(const struct typing *t, const char *choices, size_t n)
{
	for (size_t at = 0; at < n; at += strcspn(choices + at, "|") + 1) {
		size_t len = strcspn(choices + at, "|] ");
		char *word = strndup(choices + at, len < n - at ? len : n - at);
		if (word && (word[0] == '-' || islower((unsigned char)word[0])))
			offer(t, word, NULL);
		free(word);
	}
}

/* KEY=VALUE, or with another operator: the key, or behind it a value. */
static void offer_condition(const struct typing *t)
{
	size_t n = strcspn(t->typed, "=!<>"), op = strspn(t->typed + n, "=!<>");
	char *key = strndup(t->typed, n);
	struct typing part = *t;

	if (key && op == 0) {
		part.after = "=";
		offer_columns(&part);
	} else if (key) {
		part.typed = t->typed + n + op;
		if (strcasecmp(key, "track_id") == 0)
			offer_runs(&part);
		else
			offer_values(&part, key);
	}
	free(key);
}

/* What a placeholder of a usage line or an option stands for: "COLUMN", "[tables|runs]", "FILE". */
static void offer_placeholder(const struct typing *t, const char *word, size_t n)
{
	static const struct {
		const char *beginning;
		void (*offer)(const struct typing *t);
	} kinds[] = {
		{"COLUMN", offer_columns}, {"OLD", offer_columns},	   {"NEW", offer_columns},
		{"OTHER", offer_columns},  {"KEY=VALUE", offer_condition}, {"KEY", offer_columns},
		{"TABLE", offer_tables},   {"TRACK_ID", offer_runs},	   {"RUN", offer_runs},
		{"ID", offer_runs},	   {"FILE", offer_files},	   {"SRC", offer_files},
		{"DST", offer_files},	   {"DIR", offer_files},
	};
	size_t skip = strspn(word, "[");
	const char *comma = memmem(word, n, ",...", 4) ? strrchr(t->typed, ',') : NULL;
	struct typing item = *t;

	if (comma) /* the next one of a list */
		item.typed = comma + 1;
	word += skip;
	n -= skip < n ? skip : n;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(word, kinds[i].beginning, strlen(kinds[i].beginning)) == 0) {
			kinds[i].offer(&item);
			return;
		}
	if (memchr(word, '|', n))
		offer_choices(&item, word, n);
}

static void offer_option(const struct option_def *def, void *data)
{
	const struct typing *t = data;
	char word[100];

	snprintf(word, sizeof(word), "--%s", def->name);
	offer(t, word, def->help);
}

static void offer_parts(const struct typing *t, const struct command *group)
{
	for (const struct command *const *part = group->parts; *part; part++)
		offer(t, command_word(*part), (*part)->summary);
}

static void offer_commands(const struct typing *t)
{
	for (const struct section *s = sections; s->title; s++)
		for (const struct command *const *c = s->commands; *c; c++)
			offer(t, (*c)->name, (*c)->summary);
	offer(t, "help", "all about a command");
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
				l->typing.table = words[i];
			open = NULL;
		} else if (strncmp(words[i], "--table=", 8) == 0) {
			l->typing.table = words[i] + 8;
		} else if (words[i][0] == '-') {
			open = option_of(l->command, words[i]);
		} else if (part) {
			l->command = part;
		} else if (!l->typing.database) {
			l->typing.database = words[i];
		} else {
			l->n_args++;
		}
	}
	if (!l->typing.database && env && env[0])
		l->typing.database = env;
	return open;
}

/* The option of `--by=…`, behind whose = the typing goes on; NULL: the last word is not written so. */
static const struct option_def *attached(struct line *l)
{
	const char *word = l->typing.word, *value = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
	char *name = value ? strndup(word, (size_t)(value - word)) : NULL;
	const struct option_def *found = name ? option_of(l->command, name) : NULL;

	free(name);
	if (found)
		l->typing.typed = l->typing.value = value + 1;
	return found;
}

static void complete_argument(const struct line *l)
{
	size_t len;

	if (l->command->parts)
		offer_parts(&l->typing, l->command);
	if (!l->typing.database && !l->command->apart) {
		offer_databases(&l->typing);
		return;
	}
	const char *place = command_place(l->command, l->n_args, &len);
	offer_placeholder(&l->typing, place, len);
}

void complete(struct ctl *ctl, int n, char *const *words)
{
	const char *word = n > 0 ? words[n - 1] : "";
	struct line l = {.typing = {.ctl = ctl, .word = word, .value = word, .typed = word}};
	bool help = n > 1 && strcmp(words[0], "help") == 0;

	if (n < 2 || (help && n == 2)) {
		offer_commands(&l.typing);
		return;
	}
	l.command = command_find(words[help ? 1 : 0]);
	if (!l.command)
		return;
	if (help) {
		if (l.command->parts)
			offer_parts(&l.typing, l.command);
		return;
	}
	const struct option_def *open = read_words(&l, n, words);
	if (!open)
		open = attached(&l);
	if (open) {
		offer_placeholder(&l.typing, open->value, strlen(open->value));
	} else if (word[0] == '-') {
		struct option_set set = command_options(l.command);
		options_each(&set, offer_option, &l.typing);
	} else {
		complete_argument(&l);
	}
}
