#include "xtctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "lines.h"
#include "progress.h"
#include "text.h"
#include "value.h"

#define WHY_BYTES 400
#define SHOWN	  10 /* rejections and warnings that are told one by one */
#define FLUSH_MS  60000

/* Lines from `line` on became rows from sequence number `seq` on, one each. */
struct stretch {
	uint64_t seq, line;
};

/* Rows on their way, from the command line or a stream. */
struct job {
	struct ctl *ctl;
	xt_client *client;
	xt_run *run; /* NULL until there is a row */
	bool joined; /* the run was there before: it is not ours to end */
	struct progress progress;
	uint64_t rows;		   /* logged */
	uint64_t seq;		   /* of the last one, or of what came before the first */
	uint64_t bad;		   /* lines that could not be read and were skipped */
	uint64_t rejected, warned; /* rows the daemon refused; warnings */
	struct stretch *stretches; /* owned: n of them, by seq; only kept for a stream */
	size_t n, cap;
};

/* ---- what the daemon says --------------------------------------------- */

static uint64_t line_of(const struct job *job, uint64_t seq)
{
	for (size_t i = job->n; i-- > 0;)
		if (job->stretches[i].seq <= seq)
			return job->stretches[i].line + (seq - job->stretches[i].seq);
	return 0;
}

static void on_reject(const xt_rejection *rejection, void *user)
{
	struct job *job = user;
	uint64_t line = line_of(job, rejection->seq);

	if (job->rejected++ >= SHOWN)
		return;
	progress_hide(&job->progress);
	if (line > 0)
		ctl_error(job->ctl, "line %" PRIu64 ": rejected: %s (%s)", line, rejection->message,
			  rejection->code);
	else
		ctl_error(job->ctl, "rejected: %s (%s)", rejection->message, rejection->code);
}

static void on_warning(const char *code, const char *message, void *user)
{
	struct job *job = user;

	(void)code;
	if (job->warned++ >= SHOWN)
		return;
	progress_hide(&job->progress);
	ctl_note(job->ctl, "%s", message);
}

/* ---- the run ---------------------------------------------------------- */

/* True when the run is recorded; *ret_status is the library's. */
static bool is_recorded(struct job *job, const char *track_id, int *ret_status)
{
	xt_value arg = xt_text(track_id);
	xt_cursor *cursor;
	const xt_value *row;

	*ret_status = ctl_query(job->client, "SELECT 1 FROM xt_runs WHERE track_id = ?", &arg, 1, 0, &cursor);
	if (*ret_status != XT_OK)
		return false;
	int r = ctl_next(cursor, &row);
	xt_cursor_close(cursor);
	*ret_status = r == XT_DONE ? XT_OK : r;
	return r == XT_OK;
}

/* A run that is there is joined: starting it again would set it to running, and ending it here to
 * finished, while its worker goes on. */
static int begin(struct job *job)
{
	const char *track_id = job->ctl->options.track_id;
	xt_run_options options = {.table = job->ctl->table, .track_id = track_id};
	int r = XT_OK;

	if (track_id && is_recorded(job, track_id, &r)) {
		job->joined = true;
		return xt_run_join(&job->run, job->client, track_id, &options);
	}
	return r == XT_OK ? xt_run_start(&job->run, job->client, &options) : r;
}

/* Notes that the next row comes from this line: a rejection may arrive while it is logged. */
static int remember_line(struct job *job, uint64_t line)
{
	if (job->n > 0 && line_of(job, job->seq + 1) == line)
		return XT_OK;
	if (job->n == job->cap) {
		size_t cap = job->cap ? job->cap * 2 : 16;
		struct stretch *grown = reallocarray(job->stretches, cap, sizeof(*grown));
		if (!grown)
			return XT_ENOMEM;
		job->stretches = grown;
		job->cap = cap;
	}
	job->stretches[job->n++] = (struct stretch){job->seq + 1, line};
	return XT_OK;
}

/* Logs one row, from a line of the stream, or 0; the library's status. */
static int log_row(struct job *job, uint64_t line, const xt_field *fields, size_t n)
{
	int r = XT_OK;

	if (!job->run) {
		r = begin(job);
		job->seq = xt_last_seq(job->client);
	}
	if (r == XT_OK && line > 0)
		r = remember_line(job, line);
	while (r == XT_OK) {
		r = xt_log_fields(job->run, fields, n);
		if (!ctl_again(r))
			break;
		r = XT_OK;
	}
	if (r == XT_OK) {
		job->seq++;
		job->rows++;
	}
	return r;
}

/* Waits for the disk, ends the run, and says what became of the rows. */
static int end(struct job *job, int status)
{
	char id[512], count[COUNT_BYTES];

	if (!job->run)
		return status;
	snprintf(id, sizeof(id), "%s", xt_run_id(job->run));
	int r;
	do
		r = xt_flush(job->client, FLUSH_MS);
	while (ctl_again(r));
	progress_hide(&job->progress);
	if (r == XT_EREJECTED || job->rejected > 0)
		status = status == CTL_OK ? CTL_FAILED : status;
	else if (r != XT_OK && status == CTL_OK)
		status = ctl_fail(job->ctl, job->client, r);
	if (job->rejected > SHOWN)
		ctl_error(job->ctl, "%s rows were rejected in all", text_count(count, job->rejected));
	if (job->joined)
		xt_run_free(job->run);
	else if (xt_run_finish(job->run, status == CTL_OK ? XT_FINISHED : XT_FAILED) < 0 && status == CTL_OK)
		status = ctl_error(job->ctl, "cannot end run '%s': %s", id, xt_error(job->client));
	if (job->rows > job->rejected)
		fprintf(job->ctl->out.file, "%s\n", id);
	return status;
}

/* ---- one row ---------------------------------------------------------- */

static int parse_fields(const struct ctl *ctl, xt_field *fields, struct value *values)
{
	char why[WHY_BYTES];

	for (size_t i = 0; i < ctl->n_args; i++) {
		char *key;
		if (pair_parse(&key, &values[i], ctl->args[i], why, sizeof(why)) < 0)
			return ctl_usage(ctl, "%s", why);
		fields[i] = (xt_field){key, values[i].is};
		for (size_t j = 0; j < i; j++)
			if (strcmp(fields[j].key, key) == 0)
				return ctl_usage(ctl, "'%s' is given twice", key);
	}
	return CTL_OK;
}

static int send_fields(struct job *job, const xt_field *fields, size_t n)
{
	int r = log_row(job, 0, fields, n);

	return r == XT_OK ? CTL_OK : ctl_fail(job->ctl, job->client, r);
}

/* ---- a stream --------------------------------------------------------- */

static bool is_blank(const char *line, size_t n)
{
	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	return n == 0;
}

/* A line that is no row. CTL_OK: go on. */
static int bad_line(struct job *job, uint64_t line, const char *why)
{
	if (!job->ctl->options.skip_bad || job->bad++ < SHOWN) {
		progress_hide(&job->progress);
		ctl_error(job->ctl, "line %" PRIu64 ": %s", line, why);
	}
	return job->ctl->options.skip_bad ? CTL_OK : CTL_FAILED;
}

static int send_line(struct job *job, struct json *json, uint64_t number, const char *line, size_t n)
{
	char why[WHY_BYTES];
	xt_value row;

	if (is_blank(line, n))
		return CTL_OK;
	if (json_read(json, line, n, &row, why, sizeof(why)) < 0)
		return bad_line(job, number, why);
	if (row.type != XT_T_MAP)
		return bad_line(job, number, "not a JSON object");
	int r = log_row(job, number, row.as.fields, row.n);
	if (r == XT_EINVAL)
		return bad_line(job, number, xt_error(job->client));
	return r == XT_OK ? CTL_OK : ctl_fail(job->ctl, job->client, r);
}

static int end_of_lines(const struct job *job, const struct lines *in, int r)
{
	if (r == 0)
		return CTL_OK;
	if (r == -EINTR)
		return CTL_INTERRUPTED;
	if (r == -EMSGSIZE)
		return ctl_error(job->ctl, "line %" PRIu64 " has more than %zu bytes", in->number + 1,
				 lines_most());
	return ctl_error(job->ctl, "cannot read standard input: %s", strerror(-r));
}

static int send_stream(struct job *job)
{
	struct lines in = {.fd = STDIN_FILENO, .stop = ctl_stop_flag()};
	struct json json = {0};
	int status = CTL_OK, r = 1;
	char count[COUNT_BYTES];
	const char *line;
	size_t n;

	progress_begin(&job->progress, STDIN_FILENO);
	while (status == CTL_OK && (r = lines_next(&in, &line, &n)) > 0) {
		status = send_line(job, &json, in.number, line, n);
		progress_show(&job->progress, job->rows, in.bytes);
	}
	if (status == CTL_OK) {
		progress_hide(&job->progress);
		status = end_of_lines(job, &in, r);
	}
	if (job->bad > 0)
		ctl_note(job->ctl, "%s bad lines were skipped", text_count(count, job->bad));
	json_done(&json);
	lines_done(&in);
	return status;
}

/* ---- the command ------------------------------------------------------ */

static bool cmd_log_is_arg(const char *word)
{
	return strchr(word, '=') != NULL;
}

static int log_all(struct job *job, const xt_field *fields, size_t n)
{
	xt_options options = {.on_reject = on_reject, .on_warning = on_warning, .user = job};
	char stored[COUNT_BYTES], rate[COUNT_BYTES];

	int status = ctl_open(job->ctl, &options, &job->client);
	if (status != CTL_OK)
		return status;
	status = job->ctl->options.jsonl ? send_stream(job) : send_fields(job, fields, n);
	status = end(job, status);
	if (job->progress.on && job->rows > 0)
		ctl_note(job->ctl, "%s rows stored, %s rows/s", text_count(stored, job->rows - job->rejected),
			 text_count(rate, (uint64_t)((double)job->rows / progress_seconds(&job->progress))));
	return ctl_close(job->ctl, job->client, status);
}

static int cmd_log(struct ctl *ctl)
{
	xt_field *fields = calloc(ctl->n_args + 1, sizeof(*fields));
	struct value *values = calloc(ctl->n_args + 1, sizeof(*values));
	struct job job = {.ctl = ctl};
	int status = CTL_FAILED;

	if (ctl->options.jsonl && ctl->n_args > 0)
		status = ctl_usage(ctl, "KEY=VALUE and --jsonl exclude each other");
	else if (!ctl->options.jsonl && ctl->n_args == 0)
		status = ctl_usage(ctl, "nothing to log: give KEY=VALUE, or --jsonl");
	else if (!fields || !values)
		ctl_no_memory(ctl);
	else
		status = parse_fields(ctl, fields, values);
	if (fields && values && status == CTL_OK)
		status = log_all(&job, fields, ctl->n_args);
	for (size_t i = 0; fields && values && i < ctl->n_args; i++) {
		free((void *)fields[i].key); /* ours: xt_field only borrows it */
		value_done(&values[i]);
	}
	free(job.stretches);
	free(fields);
	free(values);
	return status;
}

const struct command log_command = {
	.name = "log",
	.usage = "KEY=VALUE... | --jsonl",
	.summary = "log a row, or a stream of rows; prints the track_id",
	.help = "Integers, reals (nan, inf and -inf too), true, false and null are what they look like; "
		"everything else is text, also numbers with leading zeros. KEY:=JSON gives a value exactly: "
		"id:='\"007\"' is text, tags:='[\"a\"]' a list. --track-id adds to that run, and starts it "
		"if there is none.\n"
		"\n"
		"--jsonl: each line of standard input is a JSON object and becomes a row, all of them of one "
		"run. At a line that cannot be read it stops, stores what came before and ends with exit "
		"status 1; with --skip-bad it tells the line's number and goes on. Rows that the daemon "
		"refuses are told by line, and the rest is stored. A terminal shows the progress.",
	.examples = (const struct example[]){{"one row", "log demo.db model=zstd level=3 ratio=2.91"},
					     {"a stream of rows",
					      "log demo.db --jsonl --table results <results.jsonl"},
					     {NULL, NULL}},
	.options = OPT_TABLE | OPT_TRACK_ID | OPT_JSONL | OPT_SKIP_BAD,
	.most = -1,
	.is_arg = cmd_log_is_arg,
	.run = cmd_log,
};
