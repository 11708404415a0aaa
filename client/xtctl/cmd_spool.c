#include "xtctl.h"

#include <inttypes.h>
#include <stdlib.h>

#include "place.h"
#include "spool.h"
#include "text.h"

/* ---- ls --------------------------------------------------------------- */

struct listing {
	struct format *format;
	bool failed;  /* out of memory */
	bool damaged; /* there is such a file */
};

static const char *const state_names[] = {[SPOOL_OWNED] = "owned",
					  [SPOOL_ORPHAN] = "orphan",
					  [SPOOL_DAMAGED] = "damaged",
					  [SPOOL_UNREADABLE] = "unreadable"};

static bool put_file(const struct spool_facts *f, void *data)
{
	struct listing *l = data;
	char name[SPOOL_NAME + 1];

	spool_name(f->client, name);
	xt_value row[] = {xt_text(name),
			  xt_text(state_names[f->state]),
			  f->owner ? xt_int(f->owner) : xt_null(),
			  xt_int(f->uid),
			  xt_uint(f->first ? f->last - f->first + 1 : 0),
			  xt_uint(f->first),
			  xt_uint(f->last),
			  xt_uint(f->bytes)};
	l->damaged = l->damaged || f->state == SPOOL_DAMAGED;
	l->failed = format_row(l->format, row) < 0;
	return !l->failed;
}

/* Looks at the files themselves: also when no daemon runs. */
static int list(struct ctl *ctl)
{
	static const char *const names[] = {"client", "state", "pid",  "uid",
					    "rows",   "first", "last", "bytes"};
	static const char *const types[] = {"TEXT", "TEXT", "", "", "", "", "", ""};
	struct place place;
	struct xt_err err;

	if (place_find(&place, ctl->database, &err) < 0)
		return ctl_error(ctl, "%s", err.message);
	if (!place.exists)
		return ctl_error(ctl, "no database '%s'; check the path", ctl->database);
	struct format_options how = ctl_how_to_print(ctl);
	struct listing l = {.format = format_new(&ctl->out, &how, 8, names, types)};
	if (!l.format)
		return ctl_no_memory(ctl);
	int r = spool_list(place.spool, put_file, &l);
	l.failed = l.failed || format_end(l.format, r == 0) < 0;
	format_free(l.format);
	if (r < 0)
		return ctl_error(ctl, "cannot read '%s': %s", place.spool, strerror(-r));
	if (l.failed)
		return ctl_no_memory(ctl);
	return l.damaged
		       ? ctl_error(ctl,
				   "there are damaged files in '%s': what came before the damage is stored; "
				   "remove them when you need them no more",
				   place.spool)
		       : CTL_OK;
}

/* ---- replay ----------------------------------------------------------- */

static int replay(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_spool_report report = {.more = true};
	char count[COUNT_BYTES];
	uint64_t rows = 0;
	xt_client *client;
	int r = XT_OK;

	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	while (r == XT_OK && report.more && !ctl_interrupted()) {
		do
			r = xt_spool_replay(client, &report);
		while (ctl_again(r));
		rows += r == XT_OK ? report.rows : 0;
	}
	if (r != XT_OK || ctl_interrupted())
		return ctl_close(ctl, client, ctl_fail(ctl, client, r));
	fprintf(ctl->out.file, "%s rows stored\n", text_count(count, rows));
	if (report.owned)
		ctl_note(ctl, "%" PRIu64 " files belong to processes that live and send them themselves",
			 report.owned);
	if (report.damaged)
		status = ctl_error(ctl, "%" PRIu64 " files are damaged; '%s spool ls' names them",
				   report.damaged, ctl->program);
	return ctl_close(ctl, client, status);
}

static bool cmd_spool_is_arg(const char *word)
{
	return strcmp(word, "ls") == 0 || strcmp(word, "replay") == 0;
}

static int cmd_spool(struct ctl *ctl)
{
	const char *what = ctl->n_args > 0 ? ctl->args[0] : "ls";

	if (!cmd_spool_is_arg(what))
		return ctl_usage(ctl, "'%s' is neither 'ls' nor 'replay'", what);
	return strcmp(what, "ls") == 0 ? list(ctl) : replay(ctl);
}

const struct command spool_command = {
	.name = "spool",
	.usage = "[ls|replay]",
	.summary = "rows that clients kept while there was no daemon",
	.help = "ls: the files, with their owner's process while it lives; also when no daemon runs.\n"
		"replay: has the daemon take in at once those whose process has ended, which it does by "
		"itself a little later. Both end with exit status 1 when there are damaged ones.",
	.examples = (const struct example[]){{"rows that are still to come", "spool demo.db"}, {NULL, NULL}},
	.options = OPT_ROWS,
	.most = 1,
	.is_arg = cmd_spool_is_arg,
	.run = cmd_spool,
};
