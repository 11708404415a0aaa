/* Why a call is not the one in the cache: what it differs in from the entry that is most like it. */
#include <limits.h>
#include <stdlib.h>

#include "buf.h"
#include "cached.h"
#include "near.h"
#include "canon.h"
#include "parts.h"
#include "value.h"

#define WHY_BYTES 400
#define NEAR	  5   /* function names that are told */
#define NAME	  256 /* bytes of one, of longer ones the beginning */

/* An entry or a call, and the entry of the same function that is most like it. */
struct search {
	struct buf bytes;	   /* owned: parts of what is compared */
	struct parts parts;	   /* of them */
	uint8_t key[XT_KEY_BYTES]; /* of them */
	bool is_call;		   /* not an entry: to be looked for itself */
	bool cached;		   /* it is there … */
	char origin[512];	   /* … computed by this run */
	int64_t created_us;	   /* … then */
	uint64_t hits;		   /* … and used so often */
	uint64_t others;	   /* other entries of the function */
	struct buf near_bytes;	   /* owned: parts of the nearest … */
	uint8_t near_key[XT_KEY_BYTES];
	char near_origin[512];
	int64_t near_created_us;
	struct likeness likeness;
};

/* ---- looking ---------------------------------------------------------- */

static void take_self(struct search *s, const xt_cache_item *item)
{
	s->cached = true;
	s->created_us = item->created_us;
	s->hits = item->hits;
	snprintf(s->origin, sizeof(s->origin), "%s", item->origin);
}

static bool look(const xt_cache_item *item, void *data)
{
	struct search *s = data;
	struct parts parts;

	if (memcmp(item->key, s->key, sizeof(s->key)) == 0) {
		take_self(s, item);
		return !ctl_interrupted();
	}
	if (parts_read(span_of(item->parts, item->parts_size), &parts) < 0)
		return !ctl_interrupted();
	struct likeness likeness = parts_compare(&s->parts, &parts, NULL, NULL);
	bool nearer = s->others == 0 || likeness_more(likeness, s->likeness) ||
		      (!likeness_more(s->likeness, likeness) && item->created_us > s->near_created_us);
	s->others++;
	if (!nearer)
		return !ctl_interrupted();
	s->likeness = likeness;
	s->near_created_us = item->created_us;
	memcpy(s->near_key, item->key, sizeof(s->near_key));
	snprintf(s->near_origin, sizeof(s->near_origin), "%s", item->origin);
	buf_clear(&s->near_bytes);
	buf_add(&s->near_bytes, item->parts, item->parts_size);
	return !buf_failed(&s->near_bytes) && !ctl_interrupted();
}

/* ---- functions of close names ----------------------------------------- */

struct names {
	const char *wanted;
	char name[NEAR][NAME];
	unsigned far[NEAR]; /* how much they differ, least first */
	size_t n;
	bool any; /* there is an entry */
};

/* How far a name is from another; UINT_MAX: not close. `train` is close to `model.train` too. */
static unsigned distance_of(const char *wanted, const char *name)
{
	if (strcasestr(name, wanted) || strcasestr(wanted, name))
		return 0;
	unsigned far = near_distance(wanted, name);
	return far <= 2 || far <= strlen(wanted) / 3 ? far : UINT_MAX;
}

static bool collect(const xt_cache_item *item, void *data)
{
	struct names *c = data;
	char name[NAME];

	c->any = true;
	snprintf(name, sizeof(name), "%s", item->function ? item->function : "");
	unsigned far = name[0] ? distance_of(c->wanted, name) : UINT_MAX;
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->name[i], name) == 0)
			return !ctl_interrupted();
	if (far == UINT_MAX || (c->n == NEAR && far >= c->far[NEAR - 1]))
		return !ctl_interrupted();
	size_t at = c->n < NEAR ? c->n++ : NEAR - 1;
	for (; at > 0 && c->far[at - 1] > far; at--) {
		memcpy(c->name[at], c->name[at - 1], NAME);
		c->far[at] = c->far[at - 1];
	}
	memcpy(c->name[at], name, NAME);
	c->far[at] = far;
	return !ctl_interrupted();
}

/* No entry of the function is there. */
static int no_function(struct ctl *ctl, xt_client *client, const char *function)
{
	struct names names = {.wanted = function};
	struct cache_facts facts;
	char list[NEAR * (NAME + 4) + 1] = "";
	size_t len = 0;

	int status = cached_facts(ctl, client, &facts);
	if (status != CTL_OK || cached_is_off(ctl, &facts))
		return CTL_FAILED;
	int r = xt_cache_each(client, NULL, collect, &names);
	if (r != XT_OK || ctl_interrupted())
		return ctl_fail(ctl, client, r);
	if (!names.any)
		return ctl_error(ctl, "no entry of function '%s': the cache is empty", function);
	for (size_t i = 0; i < names.n; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s'%s'", i > 0 ? ", " : "",
					names.name[i]);
	if (names.n > 0)
		return ctl_error(ctl, "no entry of function '%s' is in the cache; there are entries of %s",
				 function, list);
	return ctl_error(ctl, "no entry of function '%s' is in the cache; '%s cache ls %s' lists what is",
			 function, ctl->program, ctl_db(ctl));
}

/* ---- printing --------------------------------------------------------- */

struct output {
	struct ctl *ctl;
	struct format *format; /* NULL: JSON */
	size_t n;	       /* differences so far */
	bool failed;	       /* out of memory */
	bool only_params;      /* all of them are parameters that the call has not */
};

static xt_value component_value(struct buf *text, struct span component)
{
	if (!component.data)
		return xt_null();
	parts_put_component(text, component, false);
	return xt_textn((const char *)text->data, text->len);
}

static void put_row(struct output *o, const struct difference *d)
{
	struct buf a = {0}, b = {0};
	xt_value row[] = {xt_text(d->part),
			  d->name.data ? xt_textn((const char *)d->name.data, d->name.len) : xt_null(),
			  component_value(&a, d->a), component_value(&b, d->b)};

	if (buf_failed(&a) || buf_failed(&b) || format_row(o->format, row) < 0)
		o->failed = true;
	buf_done(&a);
	buf_done(&b);
}

/* A member of the object; what is not there has none. */
static void put_member(struct output *o, const char *name, struct span component)
{
	struct buf text = {0};

	if (!component.data)
		return;
	buf_printf(&text, ", \"%s\": ", name);
	parts_put_component(&text, component, true);
	if (buf_failed(&text))
		o->failed = true;
	else
		cached_put_json(o->ctl, text.data, text.len);
	buf_done(&text);
}

static void put_difference(const struct difference *d, void *data)
{
	struct output *o = data;
	FILE *f = o->ctl->out.file;

	o->only_params = o->only_params && !d->a.data && strcmp(d->part, "parameter") == 0;
	if (o->format) {
		put_row(o, d);
	} else {
		fprintf(f, "%s{\"part\": \"%s\", \"name\": ", o->n > 0 ? ", " : "", d->part);
		xt_value name = d->name.data ? xt_textn((const char *)d->name.data, d->name.len) : xt_null();
		json_print(f, &name);
		put_member(o, "this", d->a);
		put_member(o, "nearest", d->b);
		putc('}', f);
	}
	o->n++;
}

/* What the rows are about, for people: on top of a table, else beside the data. */
static void introduce(struct ctl *ctl, const struct search *s)
{
	char key[KEY_TEXT], near[KEY_TEXT], count[COUNT_BYTES], time[TIME_BYTES], *line = NULL;

	key_text(key, s->key, KEY_SHORT);
	key_text(near, s->near_key, KEY_SHORT);
	text_count(count, s->others);
	text_time(time, s->near_created_us);
	int n = s->is_call && s->cached ? asprintf(&line, "in the cache: %s of run %s, hits: %llu", key,
						   s->origin, (unsigned long long)s->hits)
		: s->others == 0 ? asprintf(&line, "%s of run %s is the only entry of '%.*s'", key, s->origin,
					    SPAN_ARG(s->parts.function))
				 : asprintf(&line, "%s%s; nearest of %s %s of '%.*s': %s of run %s, %s",
					    s->is_call ? "not in the cache: " : "", key, count,
					    s->is_call ? "entries" : "other entries",
					    SPAN_ARG(s->parts.function), near, s->near_origin, time);
	if (n < 0)
		return;
	if (ctl->options.format == FORMAT_TABLE) {
		text_put(ctl->out.file, line, strlen(line), SIZE_MAX);
		putc('\n', ctl->out.file);
	} else {
		ctl_note(ctl, "%s", line);
	}
	free(line);
}

static void put_json_head(struct ctl *ctl, const struct search *s, bool compared)
{
	char key[KEY_TEXT], time[TIME_BYTES];
	FILE *f = ctl->out.file;
	xt_value origin = xt_text(s->near_origin);

	fprintf(f, "{\"key\": \"%s\", \"function\": ", key_text(key, s->key, KEY_TEXT - 1));
	xt_value function = xt_textn((const char *)s->parts.function.data, s->parts.function.len);
	json_print(f, &function);
	fprintf(f, ", \"cached\": %s, \"nearest\": ", s->cached ? "true" : "false");
	if (compared) {
		fprintf(f, "{\"key\": \"%s\", \"track_id\": ", key_text(key, s->near_key, KEY_TEXT - 1));
		json_print(f, &origin);
		fprintf(f, ", \"created\": \"%s\"}", text_time(time, s->near_created_us));
	} else {
		fputs("null", f);
	}
	fputs(", \"differences\": [", f);
}

static int print(struct ctl *ctl, const struct search *s)
{
	static const char *const names[] = {"part", "name", "this", "nearest"};
	static const char *const types[] = {"TEXT", "TEXT", "TEXT", "TEXT"};
	bool json = ctl->options.format == FORMAT_JSON;
	bool compared = s->others > 0 && !(s->is_call && s->cached);
	struct format_options how = ctl_how_to_print(ctl);
	struct output o = {.ctl = ctl, .only_params = s->is_call};
	struct parts near;

	if (compared && parts_read(buf_span(&s->near_bytes), &near) < 0)
		return ctl_no_memory(ctl);
	if (!json)
		introduce(ctl, s);
	if (!compared && how.kind == FORMAT_TABLE)
		return CTL_OK;
	if (json)
		put_json_head(ctl, s, compared);
	else if (!(o.format = format_new(&ctl->out, &how, 4, names, types)))
		return ctl_no_memory(ctl);
	if (compared)
		(void)parts_compare(&s->parts, &near, put_difference, &o);
	if (json)
		fputs("]}\n", ctl->out.file);
	else
		o.failed = ctl_format_end(ctl, &ctl->out, o.format, 4, !o.failed) < 0 || o.failed;
	format_free(o.format);
	if (o.failed)
		return ctl_no_memory(ctl);
	if (o.n > 0 && o.only_params)
		ctl_note(ctl, "a run's parameters are part of its keys: --param KEY=VALUE gives them");
	return CTL_OK;
}

/* ---- what is compared ------------------------------------------------- */

/* Looks for the nearest of the function's entries, and prints what there is to say. */
static int explain(struct ctl *ctl, xt_client *client, struct search *s)
{
	xt_cache_filter filter = {.parts = true};

	char *function = strndup((const char *)s->parts.function.data, s->parts.function.len);
	if (!function)
		return ctl_no_memory(ctl);
	filter.function = function;
	int r = xt_cache_each(client, &filter, look, s), status;
	if (r != XT_OK || ctl_interrupted())
		status = ctl_fail(ctl, client, r);
	else if (buf_failed(&s->near_bytes))
		status = ctl_no_memory(ctl);
	else if (s->others == 0 && !s->cached)
		status = no_function(ctl, client, function);
	else
		status = print(ctl, s);
	free(function);
	return status;
}

/* Takes over what the key was made from. */
static int take_parts(struct ctl *ctl, struct search *s, struct span parts)
{
	buf_add(&s->bytes, parts.data, parts.len);
	if (buf_failed(&s->bytes))
		return ctl_no_memory(ctl);
	if (parts_read(buf_span(&s->bytes), &s->parts) < 0)
		return ctl_error(ctl,
				 "what the key was made from is not told or damaged: nothing to compare");
	return CTL_OK;
}

static int why_key(struct ctl *ctl, xt_client *client, struct search *s)
{
	xt_cache_item item;
	xt_cached cached;

	int status = key_find_one(ctl, client, ctl->args[0], s->key);
	if (status != CTL_OK)
		return status;
	int r = xt_cache_read(client, s->key, &item, &cached);
	if (r == XT_DONE)
		return ctl_error(ctl, "the entry '%s' was deleted meanwhile", ctl->args[0]);
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	status = take_parts(ctl, s, span_of(item.parts, item.parts_size));
	return status == CTL_OK ? explain(ctl, client, s) : status;
}

/* Pairs of the command line. */
struct given {
	xt_field *fields;     /* owned, with their keys: n of them */
	struct value *values; /* owned */
	size_t n;
};

static void given_done(struct given *g)
{
	for (size_t i = 0; i < g->n; i++) {
		free((void *)(uintptr_t)g->fields[i].key); /* ours: xt_field only borrows it */
		value_done(&g->values[i]);
	}
	free(g->fields);
	free(g->values);
}

static int given_read(const struct ctl *ctl, struct given *g, const char *const *words, size_t n)
{
	char why[WHY_BYTES];

	g->fields = calloc(n + 1, sizeof(*g->fields));
	g->values = calloc(n + 1, sizeof(*g->values));
	if (!g->fields || !g->values)
		return ctl_no_memory(ctl);
	for (size_t i = 0; i < n; i++) {
		char *key;
		g->n = i + 1;
		if (pair_parse(&key, &g->values[i], words[i], why, sizeof(why)) < 0)
			return ctl_usage(ctl, "%s", why);
		g->fields[i] = xt_field_of(key, g->values[i].is);
		for (size_t j = 0; j < i; j++)
			if (strcmp(g->fields[j].key, key) == 0)
				return ctl_usage(ctl, "'%s' is given twice", key);
	}
	return CTL_OK;
}

static int why_call(struct ctl *ctl, xt_client *client, struct search *s)
{
	const struct options *o = &ctl->options;
	xt_call_options how = {.version = o->version, .round_digits = (int)o->round_decimals + 1};
	struct given args = {0}, params = {0};
	const uint8_t *parts;
	size_t size;

	s->is_call = true;
	int status = given_read(ctl, &args, (const char *const *)ctl->args + 1, ctl->n_args - 1);
	if (status == CTL_OK)
		status = given_read(ctl, &params, o->params.items, o->params.n);
	if (status == CTL_OK) {
		how.params = params.fields;
		how.n_params = params.n;
		int r = xt_cache_parts(client, ctl->args[0], args.fields, args.n, &how, &parts, &size);
		status = r == XT_OK ? take_parts(ctl, s, span_of(parts, size)) : ctl_fail(ctl, client, r);
	}
	if (status == CTL_OK) {
		canon_key(buf_span(&s->bytes), s->key);
		status = explain(ctl, client, s);
	}
	given_done(&args);
	given_done(&params);
	return status;
}

/* ---- the command ------------------------------------------------------ */

/* Hexadecimal digits alone are a key, unless there is none that begins so: then a function may be called so.
 */
static bool is_key(const struct ctl *ctl, xt_client *client)
{
	uint8_t key[XT_KEY_BYTES];
	struct prefix p;

	return ctl->n_args == 1 && !ctl->options.version && ctl->options.params.n == 0 &&
	       prefix_read(&p, ctl->args[0]) &&
	       (strlen(ctl->args[0]) >= KEY_SHORT || key_find(client, &p, key, NULL) > 0);
}

static int why(struct ctl *ctl, xt_client *client)
{
	struct search s = {0};

	int status = is_key(ctl, client) ? why_key(ctl, client, &s) : why_call(ctl, client, &s);
	buf_done(&s.bytes);
	buf_done(&s.near_bytes);
	return status;
}

static int cache_why(struct ctl *ctl)
{
	return ctl_with_client(ctl, why);
}

const struct command cache_why_command = {
	.name = "cache why",
	.usage = "KEY | FUNCTION [ARGUMENT=VALUE...]",
	.summary = "what sets a call apart from the nearest one",
	.help = "Of an entry, or of a call: is it in the cache, and if not, in which argument, parameter or "
		"version does it differ from the entry of that function which has most parts in common with "
		"it, the newest among equals? Values are typed as by 'log'; ARGUMENT:=JSON gives one "
		"exactly. A run's parameters are part of its keys:\n"
		"--param. A value of more than 128 bytes is known by its digest only. Where no entry of the "
		"function is there, functions of close names are told.",
	.examples = (const struct example[]){{"why was this call computed anew?",
					      "cache why demo.db compress codec=lz4 level=9"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_PARAM | OPT_VERSION | OPT_ROUND,
	.least = 1,
	.most = -1,
	.is_arg = ctl_is_no_database,
	.run = cache_why,
};
