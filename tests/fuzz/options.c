/* xtctl's command line: words that end in NUL. What is taken was given and is allowed, and the same words
 * mean the same a second time. */
#include "fuzz.h"

#include <stdlib.h>

#include "options.h"

#define MOST_WORDS 64

/* A command's own options: one of each kind that the shared ones have not. */
struct own {
	const char *choice;
	double real, share;
	int64_t size;
	struct option_list items;
};

static const struct own own_preset = {.real = 7, .share = 0.5, .size = 80};

static const struct option_def own[] = {
	{"choice", "red|green", OPTION_CHOICE, offsetof(struct own, choice), "one of two", 0, 0},
	{"real", "NUMBER", OPTION_REAL, offsetof(struct own, real), "any number", 0, 0},
	{"share", "SHARE", OPTION_REAL, offsetof(struct own, share), "a share", 0, 1},
	{"size", "N", OPTION_INT, offsetof(struct own, size), "a size", 10, 400},
	{"item", "ITEM", OPTION_LIST, offsetof(struct own, items), "may be repeated", 0, 0},
	{NULL, NULL, OPTION_FLAG, 0, NULL, 0, 0},
};

/* What the words came to. */
struct parsed {
	int status;
	struct options options;
	struct own own;
	struct option_set set;
	char **args;
	size_t n;
	char error[200];
};

static void parse(struct parsed *p, uint64_t taken, int argc, char **argv)
{
	*p = (struct parsed){.own = own_preset};
	p->set = (struct option_set){taken, own, &p->own};
	p->status =
		options_parse(&p->options, &p->set, argc, argv, &p->args, &p->n, p->error, sizeof(p->error));
	assert(p->status == 0 ? !p->error[0] : p->error[0] != '\0');
}

static void parsed_done(struct parsed *p)
{
	options_done(&p->options, &p->set);
	free(p->args);
}

/* Texts are borrowed from the words, their ends included ("--table=x"). */
static void check_borrowed(const char *text, int argc, char **argv)
{
	bool found = !text;

	for (int i = 1; i < argc && !found; i++)
		found = text >= argv[i] && text <= argv[i] + strlen(argv[i]);
	assert(found);
}

static void check_taken(const struct options *o, uint64_t taken)
{
	assert(o->n == -1 || (o->n >= 0 && (taken & OPT_N)));
	assert(o->timeout_s == 0 || (o->timeout_s >= 1 && o->timeout_s <= 86400 && (taken & OPT_TIMEOUT)));
	assert(!o->table || (o->table[0] && (taken & (OPT_TABLE | OPT_ONE_TABLE))));
	assert(!o->track_id || (o->track_id[0] && (taken & OPT_TRACK_ID)));
	assert(!o->where || (o->where[0] && (taken & OPT_WHERE)));
	assert(!o->engine || (taken & OPT_ENGINE));
	assert(o->format == FORMAT_TABLE || (taken & (OPT_FORMAT | OPT_JSON)));
	assert(format_name(o->format));
	assert(!o->json || (taken & OPT_JSON));
	assert(!o->no_header || (taken & OPT_NO_HEADER));
	assert(!o->write || (taken & OPT_WRITE));
	assert((!o->name && !o->column && !o->remove_keys) || (taken & OPT_ASSET));
	assert(!o->function || (taken & OPT_FUNCTION));
	assert(!o->by || (taken & OPT_BY));
	assert(!o->version || (taken & OPT_VERSION));
	assert(o->older_than_s == -1 || (o->older_than_s >= 0 && (taken & OPT_OLDER_THAN)));
	assert(o->round_decimals == -1 ||
	       (o->round_decimals >= 0 && o->round_decimals <= 15 && (taken & OPT_ROUND)));
	assert(!o->raw || (taken & OPT_RAW));
	assert(!o->cached || (taken & OPT_CACHED));
	assert(!o->all || (taken & (OPT_ALL | OPT_EVERY)));
	assert(!o->force || (taken & (OPT_FORCE | OPT_REPLACE)));
	assert(!o->yes || (taken & OPT_YES));
	assert(!o->jsonl || (taken & OPT_JSONL));
	assert(!o->skip_bad || (taken & OPT_SKIP_BAD));
	assert(!o->help || (taken & OPT_HELP));
	assert(o->args.n == 0 || (taken & OPT_ARG));
	assert(o->params.n == 0 || (taken & OPT_PARAM));
	assert(o->filter.n == 0 || (taken & OPT_FILTER));
}

static void check_own(const struct own *o)
{
	assert(!o->choice || strcmp(o->choice, "red") == 0 || strcmp(o->choice, "green") == 0);
	assert(o->real - o->real == 0); /* finite */
	assert(o->share >= 0 && o->share <= 1);
	assert(o->size >= 10 && o->size <= 400);
}

static void check_list(const struct option_list *list, int argc, char **argv)
{
	for (size_t i = 0; i < list->n; i++)
		check_borrowed(list->items[i], argc, argv);
}

static void check_parsed(const struct parsed *p, uint64_t taken, int argc, char **argv)
{
	const struct options *o = &p->options;

	check_taken(o, taken);
	check_borrowed(o->table, argc, argv);
	check_borrowed(o->track_id, argc, argv);
	check_borrowed(o->where, argc, argv);
	check_borrowed(o->engine, argc, argv);
	check_borrowed(o->name, argc, argv);
	check_borrowed(o->column, argc, argv);
	check_borrowed(o->function, argc, argv);
	check_borrowed(o->by, argc, argv);
	check_borrowed(o->version, argc, argv);
	assert(p->n + o->args.n + o->params.n + o->filter.n + p->own.items.n < (size_t)argc);
	check_own(&p->own);
	check_borrowed(p->own.choice, argc, argv);
	check_list(&o->params, argc, argv);
	check_list(&o->args, argc, argv);
	check_list(&o->filter, argc, argv);
	check_list(&p->own.items, argc, argv);
	for (size_t i = 0, at = 1; i < p->n; i++, at++) { /* in the order that they were given in */
		while (at < (size_t)argc && argv[at] != p->args[i])
			at++;
		assert(at < (size_t)argc);
	}
}

static bool same_list(const struct option_list *a, const struct option_list *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->items, b->items, a->n * sizeof(*a->items)) == 0);
}

static void check_same(const struct parsed *a, const struct parsed *b)
{
	struct options x = a->options, y = b->options;

	assert(a->status == b->status && strcmp(a->error, b->error) == 0);
	if (a->status < 0)
		return;
	assert(a->n == b->n && (a->n == 0 || memcmp(a->args, b->args, a->n * sizeof(*a->args)) == 0));
	assert(same_list(&x.args, &y.args) && same_list(&x.params, &y.params) &&
	       same_list(&x.filter, &y.filter));
	assert(same_list(&a->own.items, &b->own.items) && a->own.choice == b->own.choice);
	assert(a->own.size == b->own.size && a->own.real == b->own.real && a->own.share == b->own.share);
	assert(x.n == y.n && x.timeout_s == y.timeout_s && x.format == y.format);
	assert(x.table == y.table && x.track_id == y.track_id && x.where == y.where && x.engine == y.engine);
	assert(x.json == y.json && x.no_header == y.no_header && x.write == y.write && x.all == y.all);
	assert(x.force == y.force && x.yes == y.yes && x.jsonl == y.jsonl && x.skip_bad == y.skip_bad);
	assert(x.help == y.help && x.raw == y.raw && x.cached == y.cached);
	assert(x.name == y.name && x.column == y.column && x.remove_keys == y.remove_keys);
	assert(x.function == y.function && x.by == y.by && x.version == y.version);
	assert(x.older_than_s == y.older_than_s && x.round_decimals == y.round_decimals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	uint64_t taken = take_byte(&in);
	char *argv[MOST_WORDS + 2], program[] = "xtctl", *words = malloc(in.len + 1);
	struct parsed first, second;
	int argc = 0;

	for (unsigned bits = 8; bits < 32; bits += 8)
		taken |= (uint64_t)take_byte(&in) << bits;
	taken &= OPT_LAST | (OPT_LAST - 1);
	assert(words);
	if (in.len > 0)
		memcpy(words, in.data, in.len);
	words[in.len] = '\0';
	argv[argc++] = program;
	for (size_t at = 0; at < in.len && argc <= MOST_WORDS; at += strlen(words + at) + 1)
		argv[argc++] = words + at;
	argv[argc] = NULL;
	parse(&first, taken, argc, argv);
	parse(&second, taken, argc, argv);
	if (first.status == 0)
		check_parsed(&first, taken, argc, argv);
	check_same(&first, &second);
	parsed_done(&first);
	parsed_done(&second);
	free(words);
	return 0;
}
