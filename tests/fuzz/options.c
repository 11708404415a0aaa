/* xtctl's command line: words that end in NUL. What is taken was given and is allowed, and the same words
 * mean the same a second time. */
#include "fuzz.h"

#include <stdlib.h>

#include "options.h"

#define MOST_WORDS 64

/* What the words came to. */
struct parsed {
	int status;
	struct options options;
	char **args;
	size_t n;
	char error[200];
};

static void parse(struct parsed *p, unsigned taken, int argc, char **argv)
{
	*p = (struct parsed){0};
	p->status =
		options_parse(&p->options, taken, argc, argv, &p->args, &p->n, p->error, sizeof(p->error));
	assert(p->status == 0 ? !p->error[0] : p->error[0] != '\0');
}

static void parsed_done(struct parsed *p)
{
	options_done(&p->options);
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

static void check_taken(const struct options *o, unsigned taken)
{
	assert(o->n == -1 || (o->n >= 0 && (taken & OPT_N)));
	assert(o->timeout_ms == 0 ||
	       (o->timeout_ms >= 1000 && o->timeout_ms <= 86400000 && (taken & OPT_TIMEOUT)));
	assert(!o->table || (o->table[0] && (taken & OPT_TABLE)));
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
	assert(o->round_digits == 0 ||
	       (o->round_digits >= 1 && o->round_digits <= 16 && (taken & OPT_ROUND)));
	assert(!o->raw || (taken & OPT_RAW));
	assert(!o->cached || (taken & OPT_CACHED));
	assert(!o->all || (taken & (OPT_ALL | OPT_EVERY)));
	assert(!o->force || (taken & (OPT_FORCE | OPT_REPLACE)));
	assert(!o->yes || (taken & OPT_YES));
	assert(!o->jsonl || (taken & OPT_JSONL));
	assert(!o->skip_bad || (taken & OPT_SKIP_BAD));
	assert(!o->help || (taken & OPT_HELP));
	assert(o->n_args == 0 || (taken & OPT_ARG));
	assert(o->n_params == 0 || (taken & OPT_PARAM));
	assert((o->given & ~taken) == 0);
}

static void check_parsed(const struct parsed *p, unsigned taken, int argc, char **argv)
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
	assert(p->n + o->n_args + o->n_params < (size_t)argc);
	for (size_t i = 0; i < o->n_params; i++)
		check_borrowed(o->params[i], argc, argv);
	for (size_t i = 0; i < o->n_args; i++)
		check_borrowed(o->args[i], argc, argv);
	for (size_t i = 0, at = 1; i < p->n; i++, at++) { /* in the order that they were given in */
		while (at < (size_t)argc && argv[at] != p->args[i])
			at++;
		assert(at < (size_t)argc);
	}
}

static void check_same(const struct parsed *a, const struct parsed *b)
{
	struct options x = a->options, y = b->options;

	assert(a->status == b->status && strcmp(a->error, b->error) == 0);
	if (a->status < 0)
		return;
	assert(a->n == b->n && memcmp(a->args, b->args, a->n * sizeof(*a->args)) == 0);
	assert(x.n_args == y.n_args && memcmp(x.args, y.args, x.n_args * sizeof(*x.args)) == 0);
	assert(x.n == y.n && x.timeout_ms == y.timeout_ms && x.format == y.format);
	assert(x.table == y.table && x.track_id == y.track_id && x.where == y.where && x.engine == y.engine);
	assert(x.json == y.json && x.no_header == y.no_header && x.write == y.write && x.all == y.all);
	assert(x.force == y.force && x.yes == y.yes && x.jsonl == y.jsonl && x.skip_bad == y.skip_bad);
	assert(x.help == y.help && x.given == y.given && x.raw == y.raw && x.cached == y.cached);
	assert(x.name == y.name && x.column == y.column && x.remove_keys == y.remove_keys);
	assert(x.function == y.function && x.by == y.by && x.version == y.version);
	assert(x.older_than_s == y.older_than_s && x.round_digits == y.round_digits);
	assert(x.n_params == y.n_params && memcmp(x.params, y.params, x.n_params * sizeof(*x.params)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	unsigned taken = take_byte(&in);
	char *argv[MOST_WORDS + 2], program[] = "xtctl", *words = malloc(in.len + 1);
	struct parsed first, second;
	int argc = 0;

	for (unsigned bits = 8; bits < 32; bits += 8)
		taken |= (unsigned)take_byte(&in) << bits;
	taken &= OPT_ASSET | (OPT_ASSET - 1);
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
