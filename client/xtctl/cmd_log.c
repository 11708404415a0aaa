#include "xtctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "chosen.h"
#include "feed.h"
#include "lines.h"
#include "text.h"
#include "value.h"

#define WHY_BYTES 400

/* Options of its own. */
struct log_options {
	struct option_list params;
};

/* ---- KEY=VALUE -------------------------------------------------------- */

/* A list of them. Zeroed: empty. */
struct pairs {
	xt_field *fields;     /* owned, with their keys: n of them */
	struct value *values; /* owned: what they point into */
	size_t n;
};

static int parse_pairs(const struct ctl *ctl, const char *const *words, size_t n, struct pairs *ret)
{
	char why[WHY_BYTES];

	ret->fields = calloc(n + 1, sizeof(*ret->fields));
	ret->values = calloc(n + 1, sizeof(*ret->values));
	if (!ret->fields || !ret->values)
		return ctl_no_memory(ctl);
	for (size_t i = 0; i < n; i++) {
		char *key;
		int r = pair_parse(&key, &ret->values[i], words[i], why, sizeof(why));
		ret->fields[ret->n++] = (xt_field){key, ret->values[i].is};
		if (r < 0)
			return ctl_usage(ctl, "%s", why);
		for (size_t j = 0; j < i; j++)
			if (strcmp(ret->fields[j].key, key) == 0)
				return ctl_usage(ctl, "'%s' is given twice", key);
	}
	return CTL_OK;
}

static void pairs_done(struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free((void *)p->fields[i].key); /* ours: xt_field only borrows it */
		value_done(&p->values[i]);
	}
	free(p->fields);
	free(p->values);
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

static int log_all(struct ctl *ctl, const struct pairs *row, const struct pairs *params)
{
	struct feed feed = {.params = params->fields, .n_params = params->n};
	char count[COUNT_BYTES];

	int status = feed_open(&feed, ctl, "line");
	if (status != CTL_OK)
		return status;
	status = ctl->options.jsonl ? send_stream(&feed)
				    : feed_row(&feed, 0, NULL, FEED_NOW, row->fields, row->n);
	bool stopped = status == CTL_FAILED && ctl->options.jsonl && !ctl->options.skip_bad && feed.bad > 0;
	status = feed_end(&feed, status);
	if (stopped)
		ctl_note(ctl, "rows stored: %s; --skip-bad goes on behind a bad line",
			 text_count(count, feed.rows - feed.rejected));
	return status;
}

static int cmd_log(struct ctl *ctl)
{
	const struct log_options *o = ctl->own;
	struct pairs row = {0}, params = {0};
	int status = CTL_OK;

	if (chosen_is_last(ctl->options.track_id))
		return chosen_no_last(ctl);
	if (ctl->options.jsonl && ctl->n_args > 0)
		return ctl_usage(ctl, "KEY=VALUE and --jsonl exclude each other");
	if (!ctl->options.jsonl && ctl->n_args == 0)
		return ctl_usage(ctl, "nothing to log: give KEY=VALUE, or --jsonl");
	status = parse_pairs(ctl, (const char *const *)ctl->args, ctl->n_args, &row);
	if (status == CTL_OK)
		status = parse_pairs(ctl, o->params.items, o->params.n, &params);
	if (status == CTL_OK)
		status = log_all(ctl, &row, &params);
	pairs_done(&row);
	pairs_done(&params);
	return status;
}

static const struct option_def own[] = {
	{"param", "KEY=VALUE", OPTION_LIST, offsetof(struct log_options, params),
	 .help = "a parameter of the run, and so a column of its rows; may be repeated"},
	{0},
};

const struct command log_command = {
	.name = "log",
	.usage = "KEY=VALUE... | --jsonl",
	.summary = "log a row, or a stream of rows; prints the track_id",
	.help = "Integers, reals (nan, inf and -inf too), true, false and null are what they look like; "
		"everything else is text, also numbers with leading zeros. KEY:=JSON gives a value exactly: "
		"id:='\"007\"' is text, tags:='[\"a\"]' a list. --track-id adds to that run, and starts it "
		"if there is none. --param gives the run parameters, as its worker would: 'runs' shows them, "
		"and "
		"'compare' tells by them which runs repeat each other.\n"
		"\n"
		"--jsonl: each line of standard input is a JSON object and becomes a row, all of them of one "
		"run. At a line that cannot be read it stops, stores what came before, says how much, and "
		"ends with exit "
		"status 1; with --skip-bad it tells the line's number and goes on. Rows that the daemon "
		"refuses are told by line, and the rest is stored. A terminal shows the progress.",
	.examples =
		(const struct example[]){
			{"one row", "log demo.db model=zstd level=3 ratio=2.91"},
			{"with a parameter of the run", "log demo.db --param model=zstd ratio=2.91"},
			{"a stream of rows", "log demo.db --jsonl --table results <results.jsonl"},
			{NULL, NULL}},
	.options = OPT_TABLE | OPT_TRACK_ID | OPT_JSONL | OPT_SKIP_BAD,
	.own = own,
	.own_size = sizeof(struct log_options),
	.most = -1,
	.is_arg = cmd_log_is_arg,
	.run = cmd_log,
};
