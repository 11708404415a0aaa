/*
 * What should be looked at before an experiment is started, in one call: schema, code, data, other runs,
 * room.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "near.h"
#include "preflight.h"
#include "schema.h"

/* ---- tables ----------------------------------------------------------- */

/* Reads a table's columns as if it had been named. */
static int add_table(struct preflight *p, const char *name, uint64_t rows)
{
	struct preflight_table *more = reallocarray(p->tables, p->n_tables + 1, sizeof(*more));
	struct ctl named = *p->ctl;

	if (!more)
		return ctl_no_memory(p->ctl);
	p->tables = more;
	named.table = name;
	named.table_named = true;
	struct preflight_table *t = &p->tables[p->n_tables];
	*t = (struct preflight_table){.rows = rows};
	t->looked_at = !p->only || strcasecmp(p->only, name) == 0;
	p->n_tables++;
	int status = relation_open(&named, p->client, &t->rel);
	t->rel.ctl = p->ctl;
	return status;
}

static size_t field(const xt_cursor *cursor, const char *name)
{
	size_t n = xt_cursor_columns(cursor), i = 0;

	while (i < n && strcmp(xt_cursor_name(cursor, i), name) != 0)
		i++;
	return i;
}

/* Names first: two cursors are not open at a time. */
static int read_tables(struct preflight *p)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	struct {
		char *name;
		uint64_t rows;
	} *list = NULL;
	size_t n = 0;
	int status = CTL_OK;

	int r = xt_tables(&cursor, p->client);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		void *more = reallocarray(list, n + 1, sizeof(*list));
		list = more ? more : list;
		if (!more || !(list[n].name = schema_text(&row[field(cursor, "name")]))) {
			r = XT_ENOMEM;
			break;
		}
		list[n++].rows = schema_number(&row[field(cursor, "rows")]);
	}
	xt_cursor_close(cursor);
	if (r != XT_DONE)
		status = r == XT_ENOMEM ? ctl_no_memory(p->ctl) : ctl_fail(p->ctl, p->client, r);
	for (size_t i = 0; i < n; i++) {
		if (status == CTL_OK)
			status = add_table(p, list[i].name, list[i].rows);
		free(list[i].name);
	}
	free(list);
	return status;
}

/* Before the first experiment there may be no table, nor a database: no fault, unless a name is mistyped. */
static void say_first(struct preflight *p)
{
	struct near near;

	if (!p->client) {
		findings_add(&p->found, false, "first_experiment", NULL, NULL, 0,
			     "there is no database '%s' yet: this is the first experiment", p->ctl->database);
		return;
	}
	if (!p->only) {
		findings_add(&p->found, false, "first_experiment", NULL, NULL, 0,
			     "nothing was logged yet: this is the first experiment");
		return;
	}
	near_init(&near, p->only, strlen(p->only));
	for (size_t i = 0; i < p->n_tables; i++)
		near_try(&near, p->tables[i].rel.name);
	findings_add(&p->found, false, "first_experiment", p->only, NULL, 0,
		     "there is no table '%s' yet: its first row makes it%s%s%s", p->only,
		     near.found[0] ? "; or did you mean '" : "", near.found, near.found[0] ? "'?" : "");
}

static int look_at_schema(struct preflight *p)
{
	if (p->n_tables == 0 || (p->only && !preflight_table(p, p->only))) {
		say_first(p);
		return CTL_OK;
	}
	int status = schema_findings(p->ctl, p->client, p->only, &p->found);
	return status == CTL_OK ? preflight_params(p) : status;
}

/* ---- the command ------------------------------------------------------ */

static void done(struct preflight *p)
{
	for (size_t i = 0; i < p->n_tables; i++)
		relation_done(&p->tables[i].rel);
	free(p->tables);
	repo_free(p->repo);
	free(p->database);
	names_done(&p->pointers);
	findings_done(&p->found);
}

/* client NULL: there is no database yet, and so nothing to ask it. */
static int preflight(struct ctl *ctl, xt_client *client)
{
	static const struct {
		int (*look)(struct preflight *);
		bool asks; /* the database */
	} parts[] = {
		{read_tables, true},	  {preflight_tables, true}, {look_at_schema, false},
		{preflight_code, false},  {preflight_data, false},  {preflight_runs, true},
		{preflight_daemon, true},
	};
	struct preflight p = {.ctl = ctl,
			      .client = client,
			      .opt = ctl->own,
			      .found = {.ctl = ctl},
			      .only = ctl->table_named ? ctl->table : NULL};

	int status = CTL_OK;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && status == CTL_OK; i++)
		if (client || !parts[i].asks)
			status = parts[i].look(&p);
	if (status == CTL_OK) {
		findings_sort(&p.found);
		status = findings_print(&p.found, &ctl->out, "ready: nothing is wrong");
	}
	done(&p);
	return status;
}

static int cmd_preflight(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client;
	struct stat st;

	/* One that has no directory either is a mistyped path. */
	if (stat(ctl->database, &st) < 0 && errno == ENOENT && !ctl_lacks_directory(ctl->database) &&
	    strcmp(ctl->database, ":memory:") != 0)
		return preflight(ctl, NULL);
	int status = ctl_open(ctl, &options, &client);
	return status == CTL_OK ? ctl_close(ctl, client, preflight(ctl, client)) : status;
}

static const struct option_def own[] = {
	{"params", "KEY,...", OPTION_TEXT, offsetof(struct preflight_options, params),
	 "the keys that will be logged: held against the columns", 0, 0},
	{"repo", "DIR", OPTION_TEXT, offsetof(struct preflight_options, repo),
	 "the code is in the git repository of DIR (the working directory)", 0, 0},
	{"code-column", "COLUMN", OPTION_TEXT, offsetof(struct preflight_options, code_column),
	 "where runs log the commit of the code (code_commit, git_commit, git_sha, …)", 0, 0},
	{"data-column", "COLUMN", OPTION_TEXT, offsetof(struct preflight_options, data_column),
	 "where runs log the commit of the data (data_commit, data_version)", 0, 0},
	{0}};

const struct command preflight_command = {
	.name = "preflight",
	.summary = "before an experiment: schema, code, data, other runs, room on the disk",
	.help = "Before the very first experiment the database need not be there: code and data are looked "
		"at, "
		"and nothing is made.\n"
		"Exit status 1 when something is wrong; what is wrong stands last, each with its remedy.\n"
		"Wrong are: columns that look renamed and are not judged yet, or hold several types ('schema "
		"check'); a key of --params that is no column but like one which --params lacks, or that a "
		"frozen table rejects, and one that is required and missing; tracked files with uncommitted "
		"changes; .dvc files that are not committed, and what they name when it is not there or has "
		"another size; runs that go on in the table; a daemon that cannot store, or a disk that is "
		"nearly full.\n"
		"Worth a note: what is tracked, and what is not (raw responses, errors, inputs, the commits "
		"of "
		"code and data); commits and files that changed since the last experiment; keys of --params "
		"that are new, and parameters of the last run that it lacks; files in no commit; runs that "
		"crashed or failed since one finished.\n"
		"The last experiment is the row with the latest timestamp, of any table, that has a commit "
		"in "
		"a column code_commit, git_commit, git_commit_hash, git_hash, git_sha, commit_hash or "
		"commit; "
		"of the data in data_commit or data_version. Hashes may be short. The database and what lies "
		"beside it are no code, also when git tracks them. Fields of dataclasses may be named with "
		"params_ or without.\n"
		"--table: only that one is looked at, and only its runs. The run of the program that calls "
		"this is no other one. Repositories are only read, and neither git nor dvc is needed.",
	.examples =
		(const struct example[]){{"may it start?", "preflight demo.db --table predictions"},
					 {"with what the code is going to log",
					  "preflight demo.db --table predictions --params codec,level,file"},
					 {"all tables, for a program", "preflight demo.db --json"},
					 {0}},
	.options = OPT_JSON | OPT_TABLE,
	.own = own,
	.own_size = sizeof(struct preflight_options),
	.run = cmd_preflight,
};
