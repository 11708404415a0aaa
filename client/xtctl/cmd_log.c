#include "xtctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "feed.h"
#include "lines.h"
#include "value.h"

#define WHY_BYTES 400

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

/* ---- a stream --------------------------------------------------------- */

static bool is_blank(const char *line, size_t n)
{
	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	return n == 0;
}

static int send_line(struct feed *feed, struct json *json, uint64_t number, const char *line, size_t n)
{
	char why[WHY_BYTES];
	xt_value row;

	if (is_blank(line, n))
		return CTL_OK;
	if (json_read(json, line, n, &row, why, sizeof(why)) < 0)
		return feed_bad(feed, number, why);
	if (row.type != XT_T_MAP)
		return feed_bad(feed, number, "not a JSON object");
	return feed_row(feed, number, NULL, FEED_NOW, row.as.fields, row.n);
}

static int end_of_lines(const struct ctl *ctl, const struct lines *in, int r)
{
	if (r == 0)
		return CTL_OK;
	if (r == -EINTR)
		return CTL_INTERRUPTED;
	if (r == -EMSGSIZE)
		return ctl_error(ctl, "line %" PRIu64 " has more than %zu bytes", in->number + 1,
				 lines_most());
	return ctl_error(ctl, "cannot read standard input: %s", strerror(-r));
}

static int send_stream(struct feed *feed)
{
	struct lines in = {.fd = STDIN_FILENO, .stop = ctl_stop_flag()};
	struct json json = {0};
	int status = CTL_OK, r = 1;
	const char *line;
	size_t n;

	progress_begin(&feed->progress, STDIN_FILENO);
	while (status == CTL_OK && (r = lines_next(&in, &line, &n)) > 0) {
		status = send_line(feed, &json, in.number, line, n);
		progress_show(&feed->progress, feed->rows, in.bytes);
	}
	if (status == CTL_OK) {
		progress_hide(&feed->progress);
		status = end_of_lines(feed->ctl, &in, r);
	}
	json_done(&json);
	lines_done(&in);
	return status;
}

/* ---- the command ------------------------------------------------------ */

static bool cmd_log_is_arg(const char *word)
{
	return strchr(word, '=') != NULL;
}

static int log_all(struct ctl *ctl, const xt_field *fields, size_t n)
{
	struct feed feed = {0};

	int status = feed_open(&feed, ctl, "line");
	if (status != CTL_OK)
		return status;
	status = ctl->options.jsonl ? send_stream(&feed) : feed_row(&feed, 0, NULL, FEED_NOW, fields, n);
	return feed_end(&feed, status);
}

static int cmd_log(struct ctl *ctl)
{
	xt_field *fields = calloc(ctl->n_args + 1, sizeof(*fields));
	struct value *values = calloc(ctl->n_args + 1, sizeof(*values));
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
		status = log_all(ctl, fields, ctl->n_args);
	for (size_t i = 0; fields && values && i < ctl->n_args; i++) {
		free((void *)fields[i].key); /* ours: xt_field only borrows it */
		value_done(&values[i]);
	}
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
