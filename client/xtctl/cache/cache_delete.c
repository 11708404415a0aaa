/* Deletes entries of the cache: of a run, of a function, by age, by key. */
#include <inttypes.h>
#include <stdlib.h>

#include "cached.h"
#include "chosen.h"

#define PIECE 1024 /* keys that are deleted at once: the library's most */

/* Which entries, and what became of them. */
struct job {
	struct ctl *ctl;
	xt_client *client;
	const char *track_id; /* of this run; NULL: any */
	uint8_t *keys;	      /* owned: n_keys of them, end to end; NULL: any */
	size_t n_keys;
	int64_t now_us;
	bool counting;		     /* nothing is deleted yet */
	uint64_t found, found_bytes; /* while counting */
	uint64_t deleted, bytes;
	uint8_t piece[PIECE * XT_KEY_BYTES]; /* n of them are still to be deleted */
	size_t n;
	int status; /* the library's */
};

/* ---- deleting --------------------------------------------------------- */

static void delete_piece(struct job *job)
{
	uint64_t deleted, bytes;

	if (job->n == 0)
		return;
	do
		job->status = xt_cache_delete(job->client, job->piece, job->n, &deleted, &bytes);
	while (ctl_again(job->status)); /* twice is as good as once */
	job->n = 0;
	if (job->status != XT_OK)
		return;
	job->deleted += deleted;
	job->bytes += bytes;
}

static bool take(const xt_cache_item *item, void *data)
{
	struct job *job = data;

	if (!cached_is_old(&job->ctl->options, item, job->now_us))
		return !ctl_interrupted();
	if (job->counting) {
		job->found++;
		job->found_bytes += item->size;
		return !ctl_interrupted();
	}
	memcpy(job->piece + job->n++ * XT_KEY_BYTES, item->key, XT_KEY_BYTES);
	if (job->n == PIECE)
		delete_piece(job);
	return job->status == XT_OK && !ctl_interrupted();
}

/* Walks over all that is meant, to count or to delete it. The library's status. */
static int walk(struct job *job, bool counting)
{
	xt_cache_filter filter = {.function = job->ctl->options.function, .track_id = job->track_id};
	int r = XT_OK;

	job->counting = counting;
	if (!job->keys)
		r = xt_cache_each(job->client, &filter, take, job);
	filter.prefix_size = XT_KEY_BYTES;
	for (size_t i = 0; i < job->n_keys && r == XT_OK && job->status == XT_OK; i++) {
		filter.prefix = job->keys + i * XT_KEY_BYTES;
		r = xt_cache_each(job->client, &filter, take, job);
	}
	if (!counting && r == XT_OK && job->status == XT_OK && !ctl_interrupted())
		delete_piece(job);
	return r == XT_OK ? job->status : r;
}

static void report(const struct job *job, bool of_run)
{
	char count[COUNT_BYTES], size[COUNT_BYTES];
	FILE *f = job->ctl->out.file;

	if (job->ctl->options.json) {
		fprintf(f, "{\"deleted\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n", job->deleted, job->bytes);
	} else if (of_run) { /* as the seed says it */
		fprintf(f, "Deleted %" PRIu64 " cache entries for track_id '", job->deleted);
		text_put(f, job->track_id, strlen(job->track_id), SIZE_MAX);
		fputs("'\n", f);
	} else {
		fprintf(f, "Deleted %s cache %s (%s)\n", text_count(count, job->deleted),
			job->deleted == 1 ? "entry" : "entries", text_bytes(size, job->bytes));
	}
}

/* ---- what is meant ---------------------------------------------------- */

static bool count_one(const xt_cache_item *item, void *data)
{
	(void)item;
	*(bool *)data = true;
	return false;
}

/* Whether the cache has an entry of this run. The library's status. */
static int has_run(xt_client *client, const char *track_id, bool *ret)
{
	xt_cache_filter filter = {.track_id = track_id};

	*ret = false;
	return xt_cache_each(client, &filter, count_one, ret);
}

/* A single word is the run's name, unless it is the beginning of a key. CTL_OK; else it is reported. */
static int is_run(struct job *job, const char *word, bool *ret_run)
{
	struct ctl *ctl = job->ctl;
	uint8_t key[XT_KEY_BYTES];
	struct prefix p;

	*ret_run = !prefix_read(&p, word);
	if (*ret_run)
		return CTL_OK;
	int r = has_run(job->client, word, ret_run);
	int n = r == XT_OK ? key_find(job->client, &p, key, NULL) : r;
	if (n < 0)
		return ctl_fail(ctl, job->client, n);
	if (*ret_run && n > 0)
		return ctl_error(
			ctl,
			"'%s' is a run and the beginning of a key too: --track-id names a run, more digits "
			"a key",
			word);
	return CTL_OK;
}

static int read_keys(struct job *job)
{
	struct ctl *ctl = job->ctl;

	job->keys = calloc(ctl->n_args, XT_KEY_BYTES);
	if (!job->keys)
		return ctl_no_memory(ctl);
	for (size_t i = 0; i < ctl->n_args; i++) {
		uint8_t *key = job->keys + job->n_keys * XT_KEY_BYTES;
		bool twice = false;
		int status = key_find_one(ctl, job->client, ctl->args[i], key);
		if (status != CTL_OK)
			return status;
		for (size_t j = 0; j < job->n_keys; j++)
			twice = twice || memcmp(job->keys + j * XT_KEY_BYTES, key, XT_KEY_BYTES) == 0;
		job->n_keys += !twice;
	}
	return CTL_OK;
}

/* A run may be called so. */
static int check_last(struct job *job)
{
	bool is_one;
	int r = has_run(job->client, job->track_id, &is_one);

	return r != XT_OK ? ctl_fail(job->ctl, job->client, r) : is_one ? CTL_OK : chosen_no_last(job->ctl);
}

static int read_words(struct job *job)
{
	struct ctl *ctl = job->ctl;
	bool run = false;

	if (ctl->n_args == 0)
		return CTL_OK;
	if (ctl->n_args == 1) {
		int status = is_run(job, ctl->args[0], &run);
		if (status != CTL_OK)
			return status;
	}
	if (!run)
		return read_keys(job);
	if (job->track_id)
		return ctl_usage(ctl, "TRACK_ID and --track-id exclude each other");
	job->track_id = ctl->args[0];
	return CTL_OK;
}

/* ---- the command ------------------------------------------------------ */

/* Asks, where there is somebody to ask. CTL_OK: it is meant. */
static int confirm(struct job *job)
{
	struct ctl *ctl = job->ctl;
	char count[COUNT_BYTES], size[COUNT_BYTES];

	if (ctl->options.yes || ctl->xt || !ctl_can_ask())
		return CTL_OK;
	int r = walk(job, true);
	if (r != XT_OK || ctl_interrupted())
		return ctl_fail(ctl, job->client, r);
	if (job->found == 0 ||
	    ctl_confirm(ctl, "delete %s cached %s (%s)?", text_count(count, job->found),
			job->found == 1 ? "result" : "results", text_bytes(size, job->found_bytes)))
		return CTL_OK;
	return ctl_interrupted() ? CTL_INTERRUPTED : ctl_error(ctl, "nothing was deleted");
}

static int delete (struct job *job)
{
	struct ctl *ctl = job->ctl;
	const struct options *o = &ctl->options;

	int r = walk(job, false);
	if (job->deleted > 0 || (r == XT_OK && !ctl_interrupted())) /* also what was done before it failed */
		report(job, job->track_id && !job->keys && !o->function && o->older_than_s < 0);
	return r == XT_OK && !ctl_interrupted() ? CTL_OK : ctl_fail(ctl, job->client, r);
}

static int run(struct ctl *ctl, xt_client *client)
{
	struct job *job = calloc(1, sizeof(*job));
	struct cache_facts facts;

	if (!job)
		return ctl_no_memory(ctl);
	job->ctl = ctl;
	job->client = client;
	job->track_id = ctl->options.track_id;
	job->now_us = cached_now();
	int status = cached_facts(ctl, client, &facts);
	if (status == CTL_OK && cached_is_off(ctl, &facts))
		status = CTL_FAILED;
	if (status == CTL_OK)
		status = read_words(job);
	if (status == CTL_OK && chosen_is_last(job->track_id))
		status = check_last(job);
	if (status == CTL_OK)
		status = confirm(job);
	if (status == CTL_OK)
		status = delete (job);
	free(job->keys);
	free(job);
	return status;
}

static int cache_delete(struct ctl *ctl)
{
	const struct options *o = &ctl->options;

	if (ctl->n_args == 0 && !o->track_id && !o->function && o->older_than_s < 0 && !o->all)
		return ctl_usage(ctl,
				 "say what: TRACK_ID, KEY, --track-id, --function, --older-than or --all");
	if (ctl->n_args == 1 && !ctl->args[0][0])
		return ctl_usage(ctl, "TRACK_ID is empty");
	return ctl_with_client(ctl, run);
}

/* ---- of a run that is deleted ----------------------------------------- */

/* Whether the results go too: as told, else as answered; where nobody can be asked they stay. */
static bool is_meant(struct ctl *ctl, const char *track_id, const char *count, bool one)
{
	if (ctl->options.cached)
		return true;
	if (!ctl->options.yes && !ctl->xt && ctl_can_ask())
		return ctl_confirm(ctl, "%s cached %s of it %s: delete %s too?", count,
				   one ? "result" : "results", one ? "is left" : "are left",
				   one ? "it" : "them");
	ctl_note(ctl, "%s cached %s of it %s; '%s cache delete %s --track-id %s' deletes %s", count,
		 one ? "result" : "results", one ? "stays" : "stay", ctl->program, ctl_db(ctl), track_id,
		 one ? "it" : "them");
	return false;
}

int cache_delete_of_run(struct ctl *ctl, xt_client *client, const char *track_id)
{
	struct job *job = calloc(1, sizeof(*job));
	char count[COUNT_BYTES];

	if (!job)
		return ctl_no_memory(ctl);
	job->ctl = ctl;
	job->client = client;
	job->track_id = track_id;
	int r = walk(job, true);
	text_count(count, job->found);
	if (r == XT_OK && job->found > 0 && is_meant(ctl, track_id, count, job->found == 1)) {
		r = walk(job, false);
		if (r == XT_OK)
			ctl_note(ctl, "%s cached %s deleted", text_count(count, job->deleted),
				 job->deleted == 1 ? "result" : "results");
	}
	free(job);
	return r == XT_OK && !ctl_interrupted() ? CTL_OK : ctl_fail(ctl, client, r);
}

const struct command cache_delete_command = {
	.name = "cache delete",
	.usage = "[TRACK_ID | KEY...]",
	.summary = "delete entries; the rows that they came from stay",
	.help = "Of a run, of a function, by age, by the beginnings of keys, or --all; together they narrow. "
		"Asks on a terminal, unless --yes is given or it is called as xt.",
	.options = OPT_JSON | OPT_TRACK_ID | OPT_FUNCTION | OPT_OLDER_THAN | OPT_EVERY | OPT_YES,
	.most = -1,
	.is_arg = ctl_is_no_database,
	.run = cache_delete,
};
