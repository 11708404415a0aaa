/* Reads every entry of the cache: are its bytes those that were stored, and its key that of its parts? */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cached.h"
#include "canon.h"

#define MOST_TRIES 3 /* to count entries while others come and go */

struct check {
	struct ctl *ctl;
	xt_client *client;
	uint64_t entries, bytes, bad;
	int status; /* the library's, of reading an entry */
};

/* Why an entry is not as it was stored; NULL: it is. */
static const char *fault_of(const uint8_t *key, const xt_cache_item *item)
{
	uint8_t made[XT_KEY_BYTES];

	if (!item->sound)
		return "checksum is wrong";
	if (item->parts_size == 0)
		return NULL;
	canon_key(span_of(item->parts, item->parts_size), made);
	return memcmp(made, key, sizeof(made)) == 0 ? NULL : "key is not that of its arguments";
}

static void tell(struct check *c, const uint8_t *key, const xt_cache_item *item, const char *fault)
{
	char text[KEY_TEXT];
	FILE *f = c->ctl->out.file;

	key_text(text, key, KEY_TEXT - 1);
	if (c->ctl->options.json) {
		fprintf(f, "%s{\"key\": \"%s\", \"fault\": \"%s\"}", c->bad > 0 ? ", " : "", text, fault);
		return;
	}
	fprintf(f, "%s: %s", text, fault);
	if (item->function[0]) {
		fputs(" (", f);
		text_put(f, item->function, strlen(item->function), SIZE_MAX);
		fputc(')', f);
	}
	fputc('\n', f);
}

static bool check_entry(const xt_cache_item *listed, void *data)
{
	struct check *c = data;
	xt_cache_item item;
	xt_cached cached;

	do
		c->status = xt_cache_read(c->client, listed->key, &item, &cached);
	while (ctl_again(c->status));
	if (c->status == XT_DONE) { /* deleted meanwhile */
		c->status = XT_OK;
		return true;
	}
	if (c->status != XT_OK)
		return false;
	const char *fault = fault_of(listed->key, &item);
	if (fault) {
		tell(c, listed->key, &item, fault);
		c->bad++;
	}
	c->entries++;
	c->bytes += cached.size;
	return !ctl_interrupted();
}

/* Generations that were set aside lie beside the one in use. */
static void note_aside(struct ctl *ctl, const char *path)
{
	char directory[4096];

	snprintf(directory, sizeof(directory), "%s", path);
	char *slash = strrchr(directory, '/');
	if (slash && slash[1] == 'g') /* a generation, not the directory of all */
		*slash = '\0';
	DIR *dir = opendir(directory);
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_name[0] == 'g' && strchr(e->d_name, '.'))
			ctl_note(ctl,
				 "a cache was set aside and is not used: '%s/%s'; remove it when you need it "
				 "no more",
				 directory, e->d_name);
	if (dir)
		closedir(dir);
}

/* ---- the whole -------------------------------------------------------- */

static bool count_entry(const xt_cache_item *item, void *data)
{
	(void)item;
	++*(uint64_t *)data;
	return !ctl_interrupted();
}

/* How many entries a walk does not find: then the tree that leads to them is damaged. What comes and goes
 * meanwhile can look so once, hardly again and again; those that are too old are never found. CTL_OK, or the
 * failure is reported. */
static int count_missing(struct check *c, const struct cache_facts *facts, uint64_t *ret_missing)
{
	uint64_t before = facts->entries, found = c->entries;
	struct cache_facts after;

	*ret_missing = 0;
	for (int tries = 0;; tries++) {
		int status = cached_facts(c->ctl, c->client, &after);
		if (status != CTL_OK)
			return status;
		uint64_t least = before < after.entries ? before : after.entries;
		if (found >= least || after.ttl_ms > 0)
			return CTL_OK;
		if (tries == MOST_TRIES) {
			*ret_missing = least - found;
			return CTL_OK;
		}
		before = after.entries;
		found = 0;
		int r = xt_cache_each(c->client, NULL, count_entry, &found);
		if (r != XT_OK || ctl_interrupted())
			return ctl_fail(c->ctl, c->client, r);
	}
}

/* What is wrong with the whole, once its entries are read. CTL_OK: nothing. */
static int check_whole(struct check *c, const struct cache_facts *before)
{
	struct ctl *ctl = c->ctl;
	char count[COUNT_BYTES];
	struct cache_facts after;
	uint64_t missing;

	int status = cached_facts(ctl, c->client, &after);
	if (status != CTL_OK || cached_is_off(ctl, &after))
		return CTL_FAILED;
	/* Damage that the daemon comes upon makes it set the whole aside, with what was not read yet. */
	if (strcmp(before->path, after.path) != 0 && strcmp(before->state, "empty") != 0)
		return ctl_error(ctl,
				 "the cache '%s' is damaged, or was set aside while it was read: '%s cache "
				 "verify %s' again tells more",
				 before->path, ctl->program, ctl_db(ctl));
	status = count_missing(c, before, &missing);
	if (status != CTL_OK)
		return status;
	if (missing > 0)
		return ctl_error(
			ctl, "%s entries cannot be found: '%s' is damaged; '%s cache reset %s' sets it aside",
			text_count(count, missing), before->path, ctl->program, ctl_db(ctl));
	return CTL_OK;
}

/* ---- the command ------------------------------------------------------ */

/* The answer. status: of the whole. */
static int conclude(const struct check *c, int status)
{
	char entries[COUNT_BYTES], bad[COUNT_BYTES], bytes[COUNT_BYTES];
	struct ctl *ctl = c->ctl;

	if (ctl->options.json)
		fprintf(ctl->out.file,
			"], \"entries\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"bad\": %" PRIu64 "}\n",
			c->entries, c->bytes, c->bad);
	else if (c->bad == 0 && status == CTL_OK)
		fprintf(ctl->out.file, "ok: %s %s, %s of values\n", text_count(entries, c->entries),
			c->entries == 1 ? "entry" : "entries", text_bytes(bytes, c->bytes));
	if (c->bad == 0)
		return status;
	return ctl_error(
		ctl,
		"%s of %s entries are damaged; '%s cache delete %s KEY' deletes one, '%s cache reset "
		"%s' sets all of them aside",
		text_count(bad, c->bad), text_count(entries, c->entries), ctl->program, ctl_db(ctl),
		ctl->program, ctl_db(ctl));
}

static int verify(struct ctl *ctl, xt_client *client)
{
	struct check c = {.ctl = ctl, .client = client};
	struct cache_facts facts;

	int status = cached_facts(ctl, client, &facts);
	if (status != CTL_OK)
		return status;
	note_aside(ctl, facts.path);
	if (cached_is_off(ctl, &facts))
		return CTL_FAILED;
	if (ctl->options.json)
		fputs("{\"damaged\": [", ctl->out.file);
	int r = xt_cache_each(client, NULL, check_entry, &c);
	r = r == XT_OK ? c.status : r;
	if (r != XT_OK || ctl_interrupted())
		return ctl_fail(ctl, client, r);
	return conclude(&c, check_whole(&c, &facts));
}

static int cache_verify(struct ctl *ctl)
{
	return ctl_with_client(ctl, verify);
}

const struct command cache_verify_command = {
	.name = "cache verify",
	.summary = "read every entry and check it",
	.help = "Is its checksum right, its key that of its parts, and are there as many as are counted? "
		"Exit status 1, with the keys of those that are damaged, when not, or when there is no cache "
		"to check. Caches that were set aside are told.",
	.examples =
		(const struct example[]){{"is every result sound?", "cache verify demo.db"}, {NULL, NULL}},
	.options = OPT_JSON,
	.run = cache_verify,
};
