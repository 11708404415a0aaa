#include "feed.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "text.h"

#define SHOWN	 10 /* rejections and warnings that are told one by one */
#define FLUSH_MS 60000

/* ---- what the daemon says --------------------------------------------- */

static uint64_t line_of(const struct feed *f, uint64_t seq)
{
	for (size_t i = f->n; i-- > 0;)
		if (f->stretches[i].seq <= seq)
			return f->stretches[i].line + (seq - f->stretches[i].seq) * f->stretches[i].step;
	return 0;
}

static void on_reject(const xt_rejection *rejection, void *user)
{
	struct feed *f = user;
	uint64_t line = line_of(f, rejection->seq);

	if (f->rejected++ >= SHOWN)
		return;
	progress_hide(&f->progress);
	if (line > 0)
		ctl_error(f->ctl, "%s %" PRIu64 ": rejected: %s (%s)", f->place, line, rejection->message,
			  rejection->code);
	else
		ctl_error(f->ctl, "rejected: %s (%s)", rejection->message, rejection->code);
}

static void on_warning(const char *code, const char *message, void *user)
{
	struct feed *f = user;

	(void)code;
	if (f->warned++ >= SHOWN)
		return;
	progress_hide(&f->progress);
	ctl_note(f->ctl, "%s", message);
}

int feed_open(struct feed *f, struct ctl *ctl, const char *place)
{
	xt_options options = {.on_reject = on_reject, .on_warning = on_warning, .user = f};

	f->ctl = ctl;
	f->place = place;
	return ctl_open(ctl, &options, &f->client);
}

/* ---- runs ------------------------------------------------------------- */

/* Where the run is in the list, or would be. */
static size_t place_of(const struct feed *f, const char *id, bool *ret_found)
{
	size_t low = 0, high = f->n_runs;

	*ret_found = false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const char *there = f->runs[middle]->id;
		int order = !id || !there ? (id != NULL) - (there != NULL) : strcmp(id, there);
		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* True when the run is recorded; *ret_status is the library's. */
static bool is_recorded(const struct feed *f, const char *track_id, int *ret_status)
{
	xt_value arg = xt_text(track_id);
	xt_cursor *cursor;
	const xt_value *row;

	*ret_status = ctl_query(f->client, "SELECT 1 FROM xt_runs WHERE track_id = ?", &arg, 1, 0, &cursor);
	if (*ret_status != XT_OK)
		return false;
	int r = ctl_next(cursor, &row);
	xt_cursor_close(cursor);
	*ret_status = r == XT_DONE ? XT_OK : r;
	return r == XT_OK;
}

/* A run that is there is joined: starting it again would set it to running, and ending it here to
 * finished, while its worker goes on. */
static int begin(const struct feed *f, struct feed_run *run)
{
	const char *track_id = run->id ? run->id : f->ctl->options.track_id;
	xt_run_options options = {
		.table = f->ctl->table, .track_id = track_id, .params = f->params, .n_params = f->n_params};
	int r = XT_OK;

	if (track_id && is_recorded(f, track_id, &r)) {
		if (run->id && f->new_runs)
			return ctl_error(f->ctl,
					 "run '%s' is in the database already, and its rows may be there "
					 "too; '%s delete %s %s --table %s' takes away what a broken import "
					 "left in this table, then --force adds all the same",
					 track_id, f->ctl->program, ctl_db(f->ctl), track_id, f->ctl->table);
		run->joined = true;
		r = xt_run_join(&run->run, f->client, track_id, &options);
	} else if (r == XT_OK) {
		r = run->start == FEED_NOW ? xt_run_start(&run->run, f->client, &options)
					   : xt_run_start_at(&run->run, f->client, &options, run->start);
	}
	return r == XT_OK ? CTL_OK : ctl_fail(f->ctl, f->client, r);
}

static int add_run(struct feed *f, const char *id, int64_t time_us, size_t at)
{
	struct feed_run **more = reallocarray(f->runs, f->n_runs + 1, sizeof(struct feed_run *));
	struct feed_run *run = calloc(1, sizeof(*run));

	if (more)
		f->runs = more;
	if (!more || !run || (id && !(run->id = strdup(id)))) {
		free(run);
		return ctl_no_memory(f->ctl);
	}
	run->start = run->first = run->last = time_us;
	int status = begin(f, run);
	if (status != CTL_OK) {
		free(run->id);
		free(run);
		return status;
	}
	memmove(f->runs + at + 1, f->runs + at, (f->n_runs - at) * sizeof(struct feed_run *));
	f->runs[at] = run;
	f->n_runs++;
	f->seq = xt_last_seq(f->client);
	return CTL_OK;
}

/* Makes f->last the run of that name, whose first row is of that time. */
static int find_run(struct feed *f, const char *id, int64_t time_us)
{
	bool found;

	if (f->last && (id && f->last->id ? strcmp(id, f->last->id) == 0 : id == f->last->id))
		return CTL_OK;
	size_t at = place_of(f, id, &found);
	int status = found ? CTL_OK : add_run(f, id, time_us, at);
	if (status == CTL_OK)
		f->last = f->runs[at];
	return status;
}

/* ---- rows ------------------------------------------------------------- */

/* Notes that the next row comes from this line: a rejection may arrive while it is logged. */
static int remember_line(struct feed *f, uint64_t line)
{
	struct stretch *last = f->n > 0 ? &f->stretches[f->n - 1] : NULL;

	assert(f->n == 0 || f->stretches);
	if (last && last->seq == f->seq && line >= last->line)
		last->step = line - last->line; /* its second row tells */
	if (last && line_of(f, f->seq + 1) == line)
		return CTL_OK;
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 16;
		struct stretch *grown = reallocarray(f->stretches, cap, sizeof(*grown));
		if (!grown)
			return ctl_no_memory(f->ctl);
		f->stretches = grown;
		f->cap = cap;
	}
	f->stretches[f->n++] = (struct stretch){f->seq + 1, line, 1};
	return CTL_OK;
}

int feed_bad(struct feed *f, uint64_t line, const char *why)
{
	if (f->bad++ < SHOWN) {
		progress_hide(&f->progress);
		ctl_error(f->ctl, "%s %" PRIu64 ": %s", f->place, line, why);
	}
	return f->ctl->options.skip_bad ? CTL_OK : CTL_FAILED;
}

int feed_row(struct feed *f, uint64_t line, const char *track_id, int64_t time_us, const xt_field *fields,
	     size_t n)
{
	int r, status = find_run(f, track_id, time_us);

	if (status == CTL_OK && line > 0)
		status = remember_line(f, line);
	if (status != CTL_OK)
		return status;
	do
		r = time_us == FEED_NOW ? xt_log_fields(f->last->run, fields, n)
					: xt_log_fields_at(f->last->run, fields, n, time_us);
	while (ctl_again(r));
	if (r == XT_EINVAL && line > 0)
		return feed_bad(f, line, xt_error(f->client));
	if (r != XT_OK)
		return ctl_fail(f->ctl, f->client, r);
	if (time_us == FEED_NOW || f->last->start == FEED_NOW) {
		f->last->start = FEED_NOW; /* one without a time is of now, and so the run's end is */
	} else {
		f->last->first = time_us < f->last->first ? time_us : f->last->first;
		f->last->last = time_us > f->last->last ? time_us : f->last->last;
	}
	f->seq++;
	f->rows++;
	return CTL_OK;
}

/* ---- the end ---------------------------------------------------------- */

/* With the times of its rows, where they have any. Their order is that of the file: an earlier one than the
 * first moves the start. */
static int finish_run(const struct feed *f, struct feed_run *run, enum xt_run_status how)
{
	xt_run_options options = {.table = f->ctl->table, .track_id = xt_run_id(run->run)};
	xt_run *again;

	if (run->start == FEED_NOW)
		return xt_run_finish(run->run, how);
	if (run->first < run->start && xt_run_start_at(&again, f->client, &options, run->first) == XT_OK)
		xt_run_free(again);
	return xt_run_finish_at(run->run, how, run->last);
}

static int end_run(const struct feed *f, struct feed_run *run, int status)
{
	char id[512];

	snprintf(id, sizeof(id), "%s", xt_run_id(run->run));
	if (run->joined)
		xt_run_free(run->run);
	else if (finish_run(f, run, status == CTL_OK ? XT_FINISHED : XT_FAILED) < 0 && status == CTL_OK)
		status = ctl_error(f->ctl, "cannot end run '%s': %s", id, xt_error(f->client));
	if (!run->id && f->rows > f->rejected)
		fprintf(f->ctl->out.file, "%s\n", id);
	return status;
}

static int flush(struct feed *f, int status)
{
	char count[COUNT_BYTES];
	int r;

	do
		r = xt_flush(f->client, FLUSH_MS);
	while (ctl_again(r));
	progress_hide(&f->progress);
	if (r == XT_EREJECTED || f->rejected > 0)
		status = status == CTL_OK ? CTL_FAILED : status;
	else if (r != XT_OK && status == CTL_OK)
		status = ctl_fail(f->ctl, f->client, r);
	if (f->rejected > SHOWN)
		ctl_error(f->ctl, "%s rows were rejected in all", text_count(count, f->rejected));
	return status;
}

int feed_end(struct feed *f, int status)
{
	char stored[COUNT_BYTES], rate[COUNT_BYTES], count[COUNT_BYTES];

	if (f->n_runs > 0)
		status = flush(f, status);
	if (f->ctl->options.skip_bad && f->bad + f->rejected > 0)
		ctl_note(f->ctl, "bad %ss that were left out: %s", f->place,
			 text_count(count, f->bad + f->rejected));
	for (size_t i = 0; i < f->n_runs; i++) {
		status = end_run(f, f->runs[i], status);
		free(f->runs[i]->id);
		free(f->runs[i]);
	}
	if (f->progress.on && f->rows > 0)
		ctl_note(f->ctl, "%s rows stored, %s rows/s", text_count(stored, f->rows - f->rejected),
			 text_count(rate, (uint64_t)((double)f->rows / progress_seconds(&f->progress))));
	free(f->runs);
	free(f->stretches);
	return ctl_close(f->ctl, f->client, status);
}
