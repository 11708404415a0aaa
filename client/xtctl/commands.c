#include "commands.h"

#include <string.h>

#include "near.h"

/* Each stands at the end of the file that is named for it. */
extern const struct command assets_command, audit_command, backup_command, cache_command, check_command,
	columns_command, compact_command, compare_command, completion_command, config_command, copy_command,
	delete_command, diff_command, down_command, errors_command, export_command, head_command,
	import_command, inspect_command, log_command, ls_command, plot_command, preflight_command,
	restart_command, runs_command, schema_command, set_command, show_command, snapshot_command,
	spool_command, sql_command, stats_command, status_command, tail_command, up_command, validate_command,
	watch_command;

static const struct command *const look[] = {&ls_command,      &runs_command, &show_command, &diff_command,
					     &columns_command, &head_command, &tail_command, &watch_command,
					     &sql_command,     NULL};

static const struct command *const judge[] = {
	&inspect_command, &validate_command, &preflight_command, &errors_command,
	&stats_command,	  &plot_command,     &compare_command,	 NULL};

static const struct command *const change[] = {
	&log_command, &set_command, &delete_command, &schema_command, &assets_command, &cache_command, NULL};

static const struct command *const files[] = {&export_command, &import_command, &copy_command, NULL};

static const struct command *const keep[] = {&backup_command, &snapshot_command, &check_command,
					     &audit_command,  &compact_command,	 NULL};

static const struct command *const serve[] = {
	&up_command,	 &down_command,	 &restart_command,    &status_command,
	&config_command, &spool_command, &completion_command, NULL};

const struct section sections[] = {
	{"look", look},
	{"judge", judge},
	{"log and change", change},
	{"files in and out", files},
	{"keep safe", keep},
	{"the daemon", serve},
	{NULL, NULL},
};

const char *command_word(const struct command *c)
{
	const char *space = strrchr(c->name, ' ');

	return space ? space + 1 : c->name;
}

static const struct command *find(const struct command *const *list, const char *word)
{
	for (; *list; list++)
		if (strcmp(command_word(*list), word) == 0)
			return *list;
	return NULL;
}

const struct command *command_find(const char *name)
{
	const struct command *found = NULL;

	for (const struct section *s = sections; s->title && !found; s++)
		found = find(s->commands, name);
	return found;
}

const struct command *command_part(const struct command *group, const char *word)
{
	return group->parts ? find(group->parts, word) : NULL;
}

struct option_set command_options(const struct command *c)
{
	return (struct option_set){c->parts ? OPT_ALWAYS : c->options | OPT_ALWAYS, c->own, NULL};
}

const char *command_place(const struct command *c, size_t n, size_t *ret_len)
{
	const char *at = c->usage ? c->usage : "";

	for (;; n--) {
		at += strspn(at, " ");
		size_t len = strcspn(at, " ");
		if (len == 0 || n == 0 || (len > 3 && strncmp(at + len - 3, "...", 3) == 0)) {
			*ret_len = len;
			return at;
		}
		at += len;
	}
}

/* ---- mistaken names --------------------------------------------------- */

static void try_all(struct near *near, const struct command *const *list)
{
	for (; *list; list++)
		near_try(near, command_word(*list));
}

/* What people say elsewhere for the same thing, and it is a command here. */
static const char *synonym(const struct command *group, const char *word)
{
	static const char *const synonyms[][2] = {
		{"list", "show"},      {"ls", "show"},	       {"start", "up"},		{"stop", "down"},
		{"query", "sql"},      {"rm", "delete"},       {"list", "ls"},		{"tables", "ls"},
		{"verify", "check"},   {"restore", "backup"},  {"vacuum", "compact"},	{"show", "get"},
		{"check", "verify"},   {"clear", "delete"},    {"explain", "why"},	{"prune", "gc"},
		{"info", "stats"},     {"describe", "stats"},  {"top", "stats"},	{"bottom", "stats"},
		{"hist", "plot"},      {"histogram", "plot"},  {"scatter", "plot"},	{"follow", "watch"},
		{"save", "export"},    {"load", "import"},     {"merge", "copy"},	{"report", "export"},
		{"lint", "inspect"},   {"ready", "preflight"}, {"doctor", "preflight"}, {"anova", "compare"},
		{"ttest", "compare"},  {"failures", "errors"}, {"histogram", "hist"},	{"boxplot", "box"},
		{"points", "scatter"}, {"barplot", "bar"},
	};

	for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++) {
		const char *name = synonyms[i][1];
		if (strcmp(word, synonyms[i][0]) == 0 &&
		    (group ? command_part(group, name) : command_find(name)))
			return name;
	}
	return NULL;
}

const char *command_nearest(const struct command *group, const char *word)
{
	const char *known = synonym(group, word);
	const struct command *found;
	struct near near;

	if (known)
		return known;
	near_init(&near, word, strlen(word));
	if (group)
		try_all(&near, group->parts);
	for (const struct section *s = sections; !group && s->title; s++)
		try_all(&near, s->commands);
	found = !near.found[0] ? NULL : group ? command_part(group, near.found) : command_find(near.found);
	return found ? command_word(found) : NULL;
}
