/* import: rows out of a file, as a worker would log them. */
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "chosen.h"
#include "text.h"

#define WHY_BYTES 400

/* Options of its own. */
struct import_options {
	const char *format;    /* NULL: by the file's name */
	const char *delimiter; /* of csv; NULL: a comma, or a tab of a .tsv */
	bool force;
};

static const struct form {
	const char *name;
	const char *endings[2]; /* of files that have it; NULL: no more */
	int (*read)(struct import_job *job);
	bool needs_path; /* not from standard input */
} forms[] = {
	{"csv", {".csv", ".tsv"}, import_csv, false},
	{"jsonl", {".jsonl", ".ndjson"}, import_jsonl, false},
	{"json", {".json", NULL}, import_json, false},
	{"parquet", {".parquet", NULL}, import_parquet, true},
};

#define N_FORMS (sizeof(forms) / sizeof(forms[0]))

static const struct form *form_of_file(const char *file)
{
	for (size_t i = 0; i < N_FORMS; i++)
		for (size_t k = 0; k < 2 && forms[i].endings[k]; k++)
			if (text_ends(file, forms[i].endings[k]))
				return &forms[i];
	return NULL;
}

static bool is_file(const char *word)
{
	return strcmp(word, "-") == 0 || form_of_file(word);
}

/* ---- a row ------------------------------------------------------------ */

/* The value of a key that a row has for itself. NULL: none. */
static const xt_value *value_of(const xt_field *fields, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(fields[i].key, key) == 0 && fields[i].value.type != XT_T_NULL)
			return &fields[i].value;
	return NULL;
}

int import_row(struct import_job *job, uint64_t line, const xt_field *fields, size_t n)
{
	const xt_value *run = value_of(fields, n, "track_id"), *when = value_of(fields, n, "timestamp");
	int64_t time_us = FEED_NOW;
	char id[WHY_BYTES] = "", why[WHY_BYTES];
	size_t kept = 0;

	if (run && (run->type != XT_T_TEXT || run->n == 0 || run->n >= sizeof(id)))
		return feed_bad(&job->feed, line, "its track_id is no text that can be one");
	if (run)
		memcpy(id, run->as.text, run->n);
	if (when && (when->type != XT_T_TEXT || !time_parse(when->as.text, when->n, &time_us))) {
		snprintf(why, sizeof(why),
			 "its timestamp is not of the form 2026-07-31 08:15:00.123456 (UTC)");
		return feed_bad(&job->feed, line, why);
	}
	int status = import_room(job, n);
	if (status != CTL_OK)
		return status;
	for (size_t i = 0; i < n; i++) /* over themselves, where they are ours */
		if (strcmp(fields[i].key, "track_id") != 0 && strcmp(fields[i].key, "timestamp") != 0)
			job->fields[kept++] = fields[i];
	return feed_row(&job->feed, line, run && !job->ctl->options.track_id ? id : NULL, time_us,
			job->fields, kept);
}

int import_room(struct import_job *job, size_t n)
{
	if (n <= job->fields_cap)
		return CTL_OK;
	xt_field *more = reallocarray(job->fields, n, sizeof(*more));
	if (!more)
		return ctl_no_memory(job->ctl);
	job->fields = more;
	job->fields_cap = n;
	return CTL_OK;
}

int import_failed(const struct import_job *job, int error, uint64_t line, size_t most)
{
	if (error == -EINTR)
		return CTL_INTERRUPTED;
	if (error == -ENOMEM)
		return ctl_no_memory(job->ctl);
	if (error == -EMSGSIZE)
		return ctl_error(job->ctl, "line %" PRIu64 " has more than %zu bytes", line, most);
	return ctl_error(job->ctl, "cannot read '%s': %s", job->path ? job->path : "standard input",
			 strerror(-error));
}

/* ---- the command ------------------------------------------------------ */

static bool is_database(const char *file)
{
	static const char *const endings[] = {".db", ".sqlite", ".sqlite3", ".db3"};
	size_t n = strlen(file);

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t len = strlen(endings[i]);
		if (n > len && strcasecmp(file + n - len, endings[i]) == 0)
			return true;
	}
	return false;
}

static int find_form(const struct ctl *ctl, const struct import_options *o, const struct form **ret)
{
	const char *file = ctl->args[0];
	const struct form *form = form_of_file(file);

	for (size_t i = 0; i < N_FORMS && o->format; i++)
		if (strcmp(forms[i].name, o->format) == 0)
			form = &forms[i];
	if (!form && is_database(file))
		return ctl_usage(ctl, "'%s' is a database by its name: '%s copy %s DB' copies its rows", file,
				 ctl->program, file);
	if (!form)
		return ctl_usage(ctl, "the name '%s' does not tell the format: give --format", file);
	if (form->needs_path && strcmp(file, "-") == 0)
		return ctl_usage(ctl, "--format %s needs a FILE to read", form->name);
	*ret = form;
	return CTL_OK;
}

static int find_delimiter(const struct ctl *ctl, const struct import_options *o, char *ret)
{
	*ret = text_ends(ctl->args[0], ".tsv") ? '\t' : ',';
	if (!o->delimiter)
		return CTL_OK;
	*ret = strcmp(o->delimiter, "\\t") == 0 ? '\t' : o->delimiter[0];
	if ((o->delimiter[1] && *ret != '\t') || strchr("\"\r\n", *ret))
		return ctl_usage(ctl, "--delimiter needs one character, or \\t, not '%s'", o->delimiter);
	return CTL_OK;
}

static int import(struct import_job *job, const struct form *form)
{
	struct feed *feed = &job->feed;
	char rows[COUNT_BYTES];

	int status = feed_open(feed, job->ctl, form->needs_path ? "row" : "line");
	if (status != CTL_OK)
		return status;
	status = form->read(job);
	progress_hide(&feed->progress);
	uint64_t logged = feed->rows;
	bool named = feed->n_runs == 0 || feed->runs[0]->id; /* one without a name comes first */
	status = feed_end(feed, status);
	if (status != CTL_OK && logged > feed->rejected)
		ctl_note(job->ctl, "rows stored: %s", text_count(rows, logged - feed->rejected));
	else if (status == CTL_OK && logged == 0)
		ctl_note(job->ctl, "there are no rows in it");
	else if (status == CTL_OK && named) /* else feed_end() has printed the run's name */
		status = ctl_print_count(job->ctl, "imported", logged);
	return status;
}

static int run_import(struct ctl *ctl)
{
	const struct import_options *o = ctl->own;
	struct import_job job = {.ctl = ctl, .fd = STDIN_FILENO, .feed = {.new_runs = !o->force}};
	const struct form *form = NULL;

	if (chosen_is_last(ctl->options.track_id))
		return chosen_no_last(ctl);
	int status = find_form(ctl, o, &form);
	if (status == CTL_OK)
		status = find_delimiter(ctl, o, &job.delimiter);
	if (status != CTL_OK || !form)
		return status;
	if (strcmp(ctl->args[0], "-") != 0) {
		job.path = ctl->args[0];
		job.fd = open(job.path, O_RDONLY | O_CLOEXEC);
		if (job.fd < 0)
			return import_failed(&job, -errno, 0, 0);
	}
	status = import(&job, form);
	if (job.path)
		close(job.fd);
	free(job.fields);
	return status;
}

#define OWN(member) offsetof(struct import_options, member)

static const struct option_def own[] = {
	{"format", "csv|json|jsonl|parquet", OPTION_CHOICE, OWN(format),
	 .help = "instead of what FILE's name ends in"},
	{"delimiter", "CHARACTER", OPTION_TEXT, OWN(delimiter),
	 .help = "of csv, in place of the comma; \\t: a tab"},
	{"force", NULL, OPTION_FLAG, OWN(force), .help = "add to runs that are in the database already"},
	{0},
};

static const struct example examples[] = {
	{"a JSON object a line, into a table of its own", "import demo.db results.jsonl --table results"},
	{"what another command writes, as one run",
	 "export demo.db - --columns codec,ratio | xtctl import demo.db - --format csv --table ratios"},
	{0},
};

const struct command import_command = {
	.name = "import",
	.usage = "FILE|-",
	.summary = "log the rows of a file: csv, json, jsonl or parquet",
	.help = "Rows go in as a worker logs them, and cells of CSV are typed as by 'log', but stay text "
		"where the table "
		"has text; an empty cell is NULL, a quoted one an empty text. A column track_id names the "
		"runs of the "
		"rows, and timestamp their times (UTC); without the first all rows are of one new run, or of "
		"that of "
		"--track-id, which is printed.\n"
		"\n"
		"To import a file again would double its rows: a run of the file that is in the database "
		"already "
		"is refused, unless --force is given ('copy' brings over only what is missing). What comes "
		"before a line that cannot be "
		"read is stored. Parquet needs DuckDB's library, as 'export' does. json is an array "
		"of objects, or objects one after another, written on one line or on many; jsonl has an "
		"object a line.",
	.examples = examples,
	.options = OPT_TABLE | OPT_TRACK_ID | OPT_SKIP_BAD,
	.own = own,
	.own_size = sizeof(struct import_options),
	.least = 1,
	.most = 1,
	.is_arg = is_file,
	.run = run_import,
};
