/* CSV into the database. */
#include "import.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "csv.h"
#include "value.h"

#define WHY_BYTES 400

/* A column of the file. */
struct column {
	char *name; /* owned */
	bool text;  /* the table has it as text: cells stay as they are */
};

struct reading {
	struct import_job *job; /* borrowed */
	struct csv csv;
	struct column *columns; /* owned: n of them */
	size_t n;
};

/* ---- the header ------------------------------------------------------- */

/* A cell of a column that the table declares TEXT is one, also when it looks like a number. */
static int find_texts(struct reading *r)
{
	xt_client *client = r->job->feed.client;
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int status = xt_columns(&cursor, client, r->job->ctl->table);
	if (status != XT_OK) /* there is no such table yet */
		return ctl_no_table(client) ? CTL_OK : ctl_fail(r->job->ctl, client, status);
	while ((status = ctl_next(cursor, &row)) == XT_OK) {
		const xt_value *name = row[2].type == XT_T_TEXT ? &row[2] : &row[0];
		bool text = row[1].type == XT_T_TEXT && row[1].n == 4 &&
			    strncasecmp(row[1].as.text, "TEXT", 4) == 0;
		for (size_t i = 0; i < r->n && text; i++) {
			struct column *c = &r->columns[i];
			assert(c->name);
			if (strlen(c->name) == name->n && strncasecmp(c->name, name->as.text, name->n) == 0)
				c->text = true;
		}
	}
	xt_cursor_close(cursor);
	return status == XT_DONE ? CTL_OK : ctl_fail(r->job->ctl, client, status);
}

static int read_header(struct reading *r)
{
	const struct ctl *ctl = r->job->ctl;

	r->columns = calloc(r->csv.n + 1, sizeof(*r->columns));
	if (!r->columns)
		return ctl_no_memory(ctl);
	for (; r->n < r->csv.n; r->n++) {
		const struct csv_cell *cell = &r->csv.cells[r->n];
		if (cell->n == 0)
			return ctl_error(ctl, "column %zu has no name in the first line", r->n + 1);
		for (size_t i = 0; i < r->n; i++) {
			assert(r->columns[i].name);
			if (strcmp(r->columns[i].name, cell->text) == 0)
				return ctl_error(ctl, "the first line names '%s' twice", cell->text);
		}
		r->columns[r->n].name = strdup(cell->text);
		if (!r->columns[r->n].name)
			return ctl_no_memory(ctl);
	}
	return find_texts(r);
}

/* ---- rows ------------------------------------------------------------- */

/* Typed as by `log`. What is beyond 64 bits stays text, with all its digits. */
static xt_value value_of(const struct column *column, const struct csv_cell *cell)
{
	char why[WHY_BYTES];
	xt_value v;

	if (cell->n == 0)
		return cell->quoted ? xt_textn("", 0) : xt_null();
	if (column->text || strlen(cell->text) != cell->n || value_word(&v, cell->text, why, sizeof(why)) < 0)
		return xt_textn(cell->text, cell->n);
	return v;
}

/* Where all of the first line is one name with another sign in it that divides. */
static const char *delimiter_hint(const struct reading *r)
{
	static const struct {
		char sign;
		const char *hint;
	} known[] = {{';', "; --delimiter ';' reads what semicolons divide"},
		     {'\t', "; --delimiter '\\t' reads what tabs divide"},
		     {'|', "; --delimiter '|' reads what bars divide"},
		     {',', "; without --delimiter commas divide"}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && r->n == 1; i++)
		if (known[i].sign != r->job->delimiter && strchr(r->columns[0].name, known[i].sign))
			return known[i].hint;
	return "";
}

static int put_row(struct reading *r)
{
	struct import_job *job = r->job;
	char why[WHY_BYTES];

	if (r->csv.n == 1 && r->csv.cells[0].n == 0 && !r->csv.cells[0].quoted && r->n > 1)
		return CTL_OK; /* an empty line */
	if (r->csv.n != r->n) {
		snprintf(why, sizeof(why), "%zu cells, and the first line names %zu column%s%s", r->csv.n,
			 r->n, r->n == 1 ? "" : "s", delimiter_hint(r));
		return feed_bad(&job->feed, r->csv.line, why);
	}
	for (size_t i = 0; i < r->n; i++)
		job->fields[i] = (xt_field){r->columns[i].name, value_of(&r->columns[i], &r->csv.cells[i])};
	return import_row(job, r->csv.line, job->fields, r->n);
}

static int read_all(struct reading *r)
{
	struct import_job *job = r->job;
	int status = CTL_OK, got = 1;
	const char *why = "";

	while (status == CTL_OK) {
		got = csv_next(&r->csv, &why);
		if (got == 0)
			return r->columns
				       ? CTL_OK
				       : ctl_error(job->ctl, "the file is empty: not even columns are named");
		if (got == -EBADMSG)
			return ctl_error(job->ctl, "line %" PRIu64 ": %s", r->csv.line, why);
		if (got < 0)
			return import_failed(job, got, r->csv.line, csv_most());
		if (r->columns) {
			status = put_row(r);
		} else {
			status = read_header(r);
			if (status == CTL_OK)
				status = import_room(job, r->n);
		}
		progress_show(&job->feed.progress, job->feed.rows, r->csv.bytes);
	}
	return status;
}

int import_csv(struct import_job *job)
{
	struct reading r = {.job = job,
			    .csv = {.fd = job->fd, .stop = ctl_stop_flag(), .delimiter = job->delimiter}};

	progress_begin(&job->feed.progress, job->fd);
	int status = read_all(&r);
	for (size_t i = 0; i < r.n; i++)
		free(r.columns[i].name);
	free(r.columns);
	csv_done(&r.csv);
	return status;
}
