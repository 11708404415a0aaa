/* The group `cache`: its commands, and the short ones of them. */
#include <inttypes.h>
#include <stdlib.h>

#include "cached.h"
#include "chosen.h"
#include "facts.h"

/* ---- ls --------------------------------------------------------------- */

struct listing {
	struct ctl *ctl;
	struct format *format;
	int64_t now_us;
	int64_t left; /* how many more are to be listed; negative: all */
	bool began;   /* there was one */
	bool failed;  /* out of memory */
};

static bool put_entry(const xt_cache_item *item, void *data)
{
	struct listing *l = data;
	char key[KEY_TEXT], created[TIME_BYTES], used[TIME_BYTES];
	bool table = l->ctl->options.format == FORMAT_TABLE;

	if (l->left == 0)
		return false;
	if (!cached_is_old(&l->ctl->options, item, l->now_us))
		return !ctl_interrupted();
	l->left -= l->left > 0;
	key_text(key, item->key, table ? KEY_SHORT : KEY_TEXT - 1);
	xt_value row[] = {xt_text(key),
			  item->function && item->function[0] ? xt_text(item->function) : xt_null(),
			  xt_text(item->origin),
			  xt_text(text_time(created, item->created_us)),
			  xt_real(item->function_time),
			  xt_uint(item->size),
			  xt_uint(item->hits),
			  item->hits > 0 ? xt_text(text_time(used, item->last_use_us)) : xt_null()};
	l->began = true;
	l->failed = format_row(l->format, row) < 0;
	return !l->failed && l->ctl->out.error == 0 && !ctl_interrupted();
}

/* Nothing was listed. */
static int none(struct ctl *ctl, xt_client *client)
{
	struct cache_facts facts;

	int status = cached_facts(ctl, client, &facts);
	if (status != CTL_OK || cached_is_off(ctl, &facts))
		return CTL_FAILED;
	if (ctl->options.format == FORMAT_TABLE)
		fputs(facts.entries == 0 ? "Cache is empty\n" : "No such entries\n", ctl->out.file);
	return CTL_OK;
}

static int list_of(struct ctl *ctl, xt_client *client, const char *run)
{
	static const char *const names[] = {"key",	     "function", "track_id", "created",
					    "function_time", "size",	 "hits",     "last_use"};
	static const char *const types[] = {"TEXT", "TEXT", "TEXT", "TEXT", "REAL", "", "", "TEXT"};
	const size_t n = sizeof(names) / sizeof(names[0]);
	xt_cache_filter filter = {.function = ctl->options.function, .track_id = run};
	struct format_options how = ctl_how_to_print(ctl);
	struct listing l = {.ctl = ctl, .now_us = cached_now(), .left = ctl->options.n};

	l.format = format_new(&ctl->out, &how, n, names, types);
	if (!l.format)
		return ctl_no_memory(ctl);
	int r = xt_cache_each(client, &filter, put_entry, &l);
	if ((l.began || how.kind != FORMAT_TABLE) &&
	    ctl_format_end(ctl, &ctl->out, l.format, n, r == XT_OK && !l.failed && !ctl_interrupted()) < 0)
		l.failed = true;
	format_free(l.format);
	if (l.failed)
		return ctl_no_memory(ctl);
	if (r != XT_OK || ctl_interrupted())
		return ctl_fail(ctl, client, r);
	return l.began ? CTL_OK : none(ctl, client);
}

static int list(struct ctl *ctl, xt_client *client)
{
	char *run = NULL;

	int status = chosen_run(ctl, client, NULL, false, &run);
	if (status == CTL_OK)
		status = list_of(ctl, client, run);
	free(run);
	return status;
}

/* ---- stats ------------------------------------------------------------ */

/* The fields of `cache_stats` in docs/protocol.md; one that is not here is shown under its own name. */
static const struct fact fields[] = {
	{"state", "state", FACT_PLAIN, false},
	{"path", "directory", FACT_PLAIN, false},
	{"entries", "entries", FACT_COUNT, false},
	{"bytes", "size of them", FACT_BYTES, false},
	{"file_bytes", "size of the file", FACT_BYTES, false},
	{"map_bytes", "it can grow to", FACT_BYTES, false},
	{"max_bytes", "evicts above", FACT_BOUND, false},
	{"ttl_ms", "entries expire after", FACT_AGE, false},
	{"readers", "reader slots", FACT_COUNT, false},
	{"leases", "being computed", FACT_COUNT, false},
	{"waiters", "waiting for that", FACT_COUNT, false},
	{"finished", "results stored", FACT_COUNT, false},
	{"evicted", "evicted or expired", FACT_COUNT, false},
	{"passed_on", "leases passed on", FACT_COUNT, false},
	{"lost", "leases lost", FACT_COUNT, false},
	{"cycles", "circles cut", FACT_COUNT, false},
	{"grace_ms", "leases again in", FACT_MILLISECONDS, false},
	{"hits", "hits since start", FACT_COUNT, false},
	{"misses", "misses since start", FACT_COUNT, false},
};

static uint64_t count_of(const xt_cursor *cursor, const xt_value *row, const char *name)
{
	for (size_t i = 0; i < xt_cursor_columns(cursor); i++)
		if (strcmp(xt_cursor_name(cursor, i), name) == 0)
			return row[i].type == XT_T_UINT	 ? row[i].as.uinteger
			       : row[i].type == XT_T_INT ? (uint64_t)row[i].as.integer
							 : 0;
	return 0;
}

/* The row and `hit_rate` as one object. */
static int print_stats_json(struct ctl *ctl, const xt_cursor *cursor, const xt_value *row, xt_value rate)
{
	size_t n = xt_cursor_columns(cursor);
	FILE *f = ctl->out.file;

	putc('{', f);
	for (size_t i = 0; i < n; i++) {
		json_print_text(f, xt_cursor_name(cursor, i), strlen(xt_cursor_name(cursor, i)));
		fputs(": ", f);
		json_print(f, &row[i]);
		fputs(", ", f);
	}
	fputs("\"hit_rate\": ", f);
	json_print(f, &rate);
	fputs("}\n", f);
	return CTL_OK;
}

static int stats(struct ctl *ctl, xt_client *client)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	char text[40] = "unknown: nobody asked yet";

	int r = xt_cache_stats(&cursor, client);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK) {
		uint64_t hits = count_of(cursor, row, "hits"), all = hits + count_of(cursor, row, "misses");
		double percent = all ? 100.0 * (double)hits / (double)all : 0;
		if (all)
			snprintf(text, sizeof(text), "%.1f%%", percent);
		xt_value shown = xt_text(text);
		if (ctl->options.json)
			print_stats_json(ctl, cursor, row, all ? xt_real(percent) : xt_null());
		else
			facts_print(ctl->out.file, fields, sizeof(fields) / sizeof(fields[0]), cursor, row,
				    false);
		if (!ctl->options.json)
			fact_print(ctl->out.file, "hit rate", FACT_PLAIN, &shown);
	}
	xt_cursor_close(cursor);
	return r == XT_OK ? CTL_OK : ctl_fail(ctl, client, r);
}

/* ---- gc --------------------------------------------------------------- */

static int gc(struct ctl *ctl, xt_client *client)
{
	uint64_t deleted = 0, bytes = 0;
	char count[COUNT_BYTES], size[COUNT_BYTES];
	struct cache_facts facts;

	int status = cached_facts(ctl, client, &facts);
	if (status != CTL_OK)
		return status;
	if (cached_is_off(ctl, &facts))
		return CTL_FAILED;
	int r = strcmp(facts.state, "ok") == 0 ? xt_cache_gc(client, &deleted, &bytes) : XT_OK;
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	if (ctl->options.json)
		fprintf(ctl->out.file, "{\"deleted\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n", deleted,
			bytes);
	else
		fprintf(ctl->out.file, "Deleted %s cache %s (%s)\n", text_count(count, deleted),
			deleted == 1 ? "entry" : "entries", text_bytes(size, bytes));
	if (facts.ttl_ms == 0 && facts.max_bytes == 0)
		ctl_note(ctl,
			 "the cache has no bounds: '%s config %s cache_ttl_s SECONDS' and 'cache_max_mib "
			 "MIB' set "
			 "them",
			 ctl->program, ctl_db(ctl));
	return CTL_OK;
}

/* ---- reset ------------------------------------------------------------ */

static int reset(struct ctl *ctl, xt_client *client)
{
	char aside[4200] = "", count[COUNT_BYTES];
	struct cache_facts facts;

	int status = cached_facts(ctl, client, &facts);
	if (status != CTL_OK)
		return status;
	if (!ctl->options.yes && !ctl->xt &&
	    !ctl_confirm(ctl, "set the cache of %s entries aside and begin an empty one?",
			 text_count(count, facts.entries)))
		return ctl_interrupted() ? CTL_INTERRUPTED : ctl_error(ctl, "nothing was done");
	int r = xt_cache_reset(client, aside, sizeof(aside));
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	if (ctl->options.json) {
		fputs("{\"aside\": ", ctl->out.file);
		xt_value v = aside[0] ? xt_text(aside) : xt_null();
		json_print(ctl->out.file, &v);
		fputs("}\n", ctl->out.file);
		return CTL_OK;
	}
	if (!aside[0])
		fputs("There was no cache; an empty one is there now\n", ctl->out.file);
	else
		ctl_say(ctl, "",
			"The cache is empty; the old one lies in %s: remove it when you need it no more",
			aside);
	return CTL_OK;
}

/* ---- the table -------------------------------------------------------- */

static int cache_ls(struct ctl *ctl)
{
	return ctl_with_client(ctl, list);
}

static int cache_stats(struct ctl *ctl)
{
	return ctl_with_client(ctl, stats);
}

static int cache_gc(struct ctl *ctl)
{
	return ctl_with_client(ctl, gc);
}

static int cache_reset(struct ctl *ctl)
{
	return ctl_with_client(ctl, reset);
}

static const struct command cache_ls_command = {
	.name = "cache ls",
	.summary = "the entries",
	.help = "In the order of their keys, or of time when they are of one function or run: key (its first "
		"12 digits in a table), function, the run that computed it, when (UTC), function_time in "
		"seconds, size in bytes, how often it was used and when last. -n: only the first so many.",
	.examples = (const struct example[]){{"what one function came to first",
					      "cache ls demo.db --function compress -n 5"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_N | OPT_FUNCTION | OPT_TRACK_ID | OPT_OLDER_THAN,
	.run = cache_ls,
};

static const struct command cache_stats_command = {
	.name = "cache stats",
	.summary = "what the cache holds and does",
	.help = "The hit rate is that since the daemon's start.",
	.examples = (const struct example[]){{"is it used?", "cache stats demo.db"}, {NULL, NULL}},
	.options = OPT_JSON,
	.run = cache_stats,
};

static const struct command cache_gc_command = {
	.name = "cache gc",
	.summary = "delete what is too old, and what is above the bound, now",
	.help = "Now: what is older than the setting cache_ttl_s, and the least recently used above "
		"cache_max_mib ('config').\n"
		"Without it the latter go when a result is stored; what is too old is not taken any more, "
		"but stays.",
	.options = OPT_JSON,
	.run = cache_gc,
};

static const struct command cache_reset_command = {
	.name = "cache reset",
	.summary = "set the cache aside and begin an empty one",
	.help = "Prints where the old one lies; nothing is deleted. Asks on a terminal, unless --yes is "
		"given.",
	.options = OPT_JSON | OPT_YES,
	.run = cache_reset,
};

extern const struct command cache_delete_command, cache_get_command, cache_report_command,
	cache_verify_command, cache_why_command;

static const struct command *const parts[] = {
	&cache_ls_command,     &cache_get_command,
	&cache_why_command,    &cache_stats_command,
	&cache_report_command, &cache_verify_command,
	&cache_delete_command, &cache_gc_command,
	&cache_reset_command,  NULL,
};

const struct command cache_command = {
	.name = "cache",
	.usage = "[ls|get|why|stats|report|verify|delete|gc|reset] ...",
	.summary = "results of function calls that are kept, and what they are worth",
	.help = "The name of a part may stand before the database or behind it: 'cache ls DB', 'cache DB "
		"ls'. A KEY is the beginning of one entry's key, 4 hexadecimal digits or more; an AGE is a "
		"number with s, m, h, d or w.",
	.parts = parts,
};
