/* export: rows into a file. */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "export.h"
#include "text.h"
#include "where.h"

/* Options of its own. */
struct export_options {
	const char *format;    /* NULL: by the file's name */
	const char *delimiter; /* of csv; NULL: a comma */
	struct select_options select;
	bool summary;
	const char *by; /* columns by which the summary groups; NULL: params_… */
};

/* A form that a file can have. */
static const struct form {
	const char *name;
	const char *endings[3]; /* of files that have it; NULL: no more */
	int (*write)(struct export_job *job);
	enum format_kind kind; /* of text */
	bool binary;	       /* is not for standard output */
	bool database;	       /* the ending does not tell such a file from the database */
} forms[] = {
	{"csv", {".csv", ".tsv"}, export_text, FORMAT_CSV, false, false},
	{"json", {".json"}, export_text, FORMAT_JSON, false, false},
	{"jsonl", {".jsonl", ".ndjson"}, export_text, FORMAT_JSONL, false, false},
	{"md", {".md", ".markdown"}, export_text, FORMAT_MD, false, false},
	{"parquet", {".parquet"}, export_parquet, FORMAT_TABLE, true, false},
	{"sqlite", {".sqlite", ".sqlite3", ".db"}, export_sqlite, FORMAT_TABLE, true, true},
};

#define N_FORMS (sizeof(forms) / sizeof(forms[0]))

static const struct form *form_of_file(const char *file)
{
	for (size_t i = 0; i < N_FORMS; i++)
		for (size_t k = 0; k < 3 && forms[i].endings[k]; k++)
			if (text_ends(file, forms[i].endings[k]))
				return &forms[i];
	return NULL;
}

static const struct form *form_of_name(const char *name)
{
	for (size_t i = 0; i < N_FORMS; i++)
		if (strcmp(forms[i].name, name) == 0)
			return &forms[i];
	return NULL;
}

static bool is_file(const char *word)
{
	const struct form *form = form_of_file(word);

	return strcmp(word, "-") == 0 || (form && !form->database);
}

/* ---- what is asked for ------------------------------------------------ */

/* Where it goes; NULL: standard output. */
static const char *file_of(const struct ctl *ctl)
{
	return ctl->n_args > 0 && strcmp(ctl->args[0], "-") != 0 ? ctl->args[0] : NULL;
}

static int find_form(const struct ctl *ctl, const struct export_options *o, const struct form **ret)
{
	const char *file = file_of(ctl);
	const struct form *form = o->format ? form_of_name(o->format)
				  : file    ? form_of_file(file)
					    : form_of_name("csv");

	if (o->summary && (o->format || o->select.sql || o->select.columns))
		return ctl_usage(ctl, "--summary is Markdown of a whole table, and takes no --%s",
				 o->format	 ? "format"
				 : o->select.sql ? "sql"
						 : "columns");
	if (o->by && !o->summary)
		return ctl_usage(ctl, "--by goes with --summary");
	if (!form && !o->summary)
		return ctl_usage(ctl, "the name '%s' does not tell the format: give --format", file);
	if (!file && form && form->binary)
		return ctl_usage(ctl, "--format %s needs a FILE to write to", form->name);
	*ret = form;
	return CTL_OK;
}

static int find_delimiter(const struct ctl *ctl, const struct export_options *o, struct format_options *how)
{
	const char *file = file_of(ctl);

	if (o->delimiter && strlen(o->delimiter) == 1 && !strchr("\"\r\n", o->delimiter[0]))
		how->delimiter = o->delimiter[0];
	else if (o->delimiter && strcmp(o->delimiter, "\\t") == 0)
		how->delimiter = '\t';
	else if (o->delimiter)
		return ctl_usage(ctl, "--delimiter needs one character, or \\t, not '%s'", o->delimiter);
	else if (file && text_ends(file, ".tsv"))
		how->delimiter = '\t';
	return CTL_OK;
}

/* A file that takes the place of a database would be lost rows. */
static int check_place(const struct ctl *ctl, const char *file)
{
	struct stat have, database;
	char lock[NEWFILE_ERROR_BYTES];

	if (stat(file, &have) < 0)
		return CTL_OK;
	if (stat(ctl->database, &database) == 0 && have.st_dev == database.st_dev &&
	    have.st_ino == database.st_ino)
		return ctl_error(ctl, "'%s' is the database itself", file);
	snprintf(lock, sizeof(lock), "%s.lock", file);
	if (stat(lock, &have) == 0)
		return ctl_error(ctl, "'%s' is a database that xetrackd keeps; export to another file", file);
	return CTL_OK;
}

/* ---- writing it ------------------------------------------------------- */

int export_failed(const struct export_job *job, int error)
{
	if (error == EINTR || ctl_interrupted())
		return CTL_INTERRUPTED;
	return ctl_error(job->ctl, "cannot write '%s': %s", job->file ? job->file->path : "standard output",
			 strerror(error));
}

static void show(void *data, const xt_value *row, uint64_t n)
{
	struct export_job *job = data;

	(void)row;
	if (n % SHOW_EVERY == 0)
		progress_show(&job->progress, n, 0);
}

int export_text(struct export_job *job)
{
	const struct select *from = job->from;
	xt_cursor *cursor = NULL;
	struct out file;
	int error = 0;

	int r = ctl_query(job->client, from->sql, NULL, 0, (int)job->ctl->options.timeout_s * 1000, &cursor);
	if (r != XT_OK)
		return ctl_fail(job->ctl, job->client, r);
	if (job->file && out_open(&file, job->file->fd, ctl_stop_flag()) < 0) {
		xt_cursor_close(cursor);
		return ctl_no_memory(job->ctl);
	}
	int status = ctl_print_rows(job->ctl, job->file ? &file : &job->ctl->out, &job->how, job->client,
				    cursor, show, job, &job->rows);
	if (job->file)
		error = out_close(&file);
	xt_cursor_close(cursor);
	return error && status == CTL_OK ? export_failed(job, error) : status;
}

static void tell(const struct export_job *job, const char *path)
{
	char rows[COUNT_BYTES], bytes[COUNT_BYTES];
	FILE *out = job->ctl->out.file;
	struct stat st;

	text_put(out, path, strlen(path), SIZE_MAX);
	fputc(':', out);
	if (!job->summary)
		fprintf(out, " %s %s,", text_count(rows, job->rows), job->rows == 1 ? "row" : "rows");
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		fprintf(out, " %s", text_bytes(bytes, (uint64_t)st.st_size));
	fprintf(out, " in %.1f s\n", progress_seconds(&job->progress));
}

static int write_to(struct export_job *job, const char *path, int write(struct export_job *job))
{
	struct newfile file;
	char why[NEWFILE_ERROR_BYTES];

	if (!path)
		return write(job);
	if (newfile_begin(&file, path, job->ctl->options.force, why, sizeof(why)) < 0)
		return ctl_error(job->ctl, "%s", why);
	job->file = &file;
	int status = write(job);
	job->file = NULL;
	progress_hide(&job->progress);
	bool was_whole = status == CTL_OK;
	if (newfile_end(&file, was_whole, why, sizeof(why)) < 0 && was_whole)
		return ctl_error(job->ctl, "%s", why);
	if (was_whole)
		tell(job, path);
	return status;
}

static int export(struct ctl *ctl, xt_client *client)
{
	const struct export_options *o = ctl->own;
	const struct form *form = NULL;
	const char *path = file_of(ctl);
	struct select from = {0};
	struct export_job job = {
		.ctl = ctl,
		.client = client,
		.from = &from,
		.by = o->by,
		.summary = o->summary,
		.how = {.no_header = ctl->options.no_header, .utf8 = ctl->utf8, .crlf = true}};

	int status = find_form(ctl, o, &form);
	if (status == CTL_OK)
		status = find_delimiter(ctl, o, &job.how);
	if (status == CTL_OK && path)
		status = check_place(ctl, path);
	if (status == CTL_OK)
		status = select_make(ctl, client, &o->select, &from);
	if (status == CTL_OK && (form || o->summary)) {
		if (path || !ctl->out.terminal)
			progress_begin(&job.progress, -1);
		if (form)
			job.how.kind = form->kind;
		status = write_to(&job, path, form && !o->summary ? form->write : export_summary);
		progress_hide(&job.progress);
		if (status == CTL_OK && job.rows == 0 && from.where)
			status = where_tell_none(&from.relation, client, from.where, NULL);
	}
	select_done(&from);
	return status;
}

static int run_export(struct ctl *ctl)
{
	return ctl_with_client(ctl, export);
}

#define OWN(member) offsetof(struct export_options, member)

static const struct option_def own[] = {
	{"format", "csv|json|jsonl|md|parquet|sqlite", OPTION_CHOICE, OWN(format),
	 .help = "instead of what FILE's name ends in; standard output: csv"},
	{"columns", "COLUMN,...", OPTION_TEXT, OWN(select.columns), .help = "only these, in this order"},
	{"sql", "STATEMENT", OPTION_TEXT, OWN(select.sql), .help = "what this answers, instead of a table"},
	{"delimiter", "CHARACTER", OPTION_TEXT, OWN(delimiter),
	 .help = "of csv, in place of the comma; \\t: a tab"},
	{"summary", NULL, OPTION_FLAG, OWN(summary), .help = "a report in Markdown instead of the rows"},
	{"by", "COLUMN,...", OPTION_TEXT, OWN(by),
	 .help = "of --summary: the columns to group by; else those named params_..."},
	{0},
};

static const struct example examples[] = {
	{"the whole table as CSV", "export demo.db results.csv"},
	{"two columns of some rows, on standard output",
	 "export demo.db - --columns file,ratio --where codec=zstd"},
	{"what a statement answers, a JSON object a line",
	 "export demo.db best.jsonl --sql 'SELECT codec, max(ratio) AS best FROM predictions GROUP BY "
	 "codec'"},
	{"a database of its own, to give away", "export demo.db part.sqlite --where codec=zstd"},
	{"a report to put in a README", "export demo.db RESULTS.md --summary --by codec,level"},
	{0},
};

const struct command export_command = {
	.name = "export",
	.usage = "[FILE|-]",
	.summary = "write rows into a file: csv, json, jsonl, md, parquet or sqlite",
	.help = "The rows are those of one moment; others may go on logging. FILE appears when it is whole "
		"and on "
		"disk; Ctrl-C leaves nothing behind. CSV is that of RFC 4180, with lines that end in CR LF: "
		"NULL "
		"is empty, and an empty text \"\". Parquet is compressed, takes the declared types, and "
		"needs "
		"DuckDB's library: libduckdb.so where the loader finds it, or where XETRACK_DUCKDB says.\n"
		"\n"
		"--summary: counts, means and accuracy by parameters, quantiles of times (by the columns of "
		"--by), errors, of which those that differ in their numbers only are one line, and what came "
		"from the cache, as Markdown. Means over several versions of code or data are told.",
	.examples = examples,
	.options = OPT_TABLE | OPT_TRACK_ID | OPT_FILTER | OPT_NO_HEADER | OPT_REPLACE | OPT_TIMEOUT,
	.own = own,
	.own_size = sizeof(struct export_options),
	.least = 0,
	.most = 1,
	.is_arg = is_file,
	.run = run_export,
};
