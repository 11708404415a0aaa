#include "options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "near.h"

#define MOST_OPTIONS 80
#define LETTERS	     "-:fhn:" /* -: other arguments come in their order; : a missing value is told apart */

static const struct shared {
	uint64_t bit;
	struct option_def def;
} table[] = {
#define AT(field) offsetof(struct options, field)
	{OPT_N, {"n", "ROWS", OPTION_INT, AT(n), "how many rows; also -n 5, or -5", 0, 0}},
	{OPT_TABLE,
	 {"table", "TABLE", OPTION_TEXT, AT(table), "the table, else $XETRACK_TABLE, else events", 0, 0}},
	{OPT_ONE_TABLE, {"table", "TABLE", OPTION_TEXT, AT(table), "only in this table; else in all", 0, 0}},
	{OPT_TRACK_ID,
	 {"track-id", "ID", OPTION_TEXT, AT(track_id),
	  "the run; last for the one that began last, where it is only read", 0, 0}},
	{OPT_ALL, {"all", NULL, OPTION_FLAG, AT(all), "every run of the table, without a question", 0, 0}},
	{OPT_EVERY, {"all", NULL, OPTION_FLAG, AT(all), "every entry, as far as nothing narrows it", 0, 0}},
	{OPT_FUNCTION,
	 {"function", "NAME", OPTION_TEXT, AT(function), "only what this function came to", 0, 0}},
	{OPT_OLDER_THAN,
	 {"older-than", "AGE", OPTION_AGE, AT(older_than_s), "only what is as old: 30s, 5m, 2h, 7d", 0, 0}},
	{OPT_BY, {"by", "COLUMN", OPTION_TEXT, AT(by), "the hit rate by this column", 0, 0}},
	{OPT_VERSION, {"version", "VERSION", OPTION_TEXT, AT(version), "of the function", 0, 0}},
	{OPT_PARAM,
	 {"param", "KEY=VALUE", OPTION_LIST, AT(params),
	  "a parameter of the call, or its run; may be repeated", 0, 0}},
	{OPT_ROUND,
	 {"round", "DECIMALS", OPTION_INT, AT(round_decimals), "reals count with so many decimals", 0, 15}},
	{OPT_RAW, {"raw", NULL, OPTION_FLAG, AT(raw), "the value's bytes as they are", 0, 0}},
	{OPT_CACHED, {"cache", NULL, OPTION_FLAG, AT(cached), "also the results that the run cached", 0, 0}},
	{OPT_WHERE, {"where", "KEY=VALUE", OPTION_TEXT, AT(where), "only rows that have this value", 0, 0}},
	{OPT_FILTER,
	 {"where", "KEY=VALUE", OPTION_LIST, AT(filter),
	  "only rows for which this holds; also with != < <= > >=; may be repeated", 0, 0}},
	{OPT_ARG,
	 {"arg", "VALUE", OPTION_LIST, AT(args), "the value of the next ? of the statement; may be repeated",
	  0, 0}},
	{OPT_WRITE, {"write", NULL, OPTION_FLAG, AT(write), "allow a statement that writes", 0, 0}},
	{OPT_TIMEOUT,
	 {"timeout", "SECONDS", OPTION_INT, AT(timeout_s), "how long a page of the answer may take (60)", 1,
	  86400}},
	{OPT_JSONL,
	 {"jsonl", NULL, OPTION_FLAG, AT(jsonl), "read a JSON object a line from standard input", 0, 0}},
	{OPT_SKIP_BAD,
	 {"skip-bad", NULL, OPTION_FLAG, AT(skip_bad), "go on after a line that cannot be read", 0, 0}},
	{OPT_FORCE,
	 {"force", NULL, OPTION_FLAG, AT(force),
	  "although something speaks against it: a run that is running, messages that wait", 0, 0}},
	{OPT_REPLACE, {"force", NULL, OPTION_FLAG, AT(force), "replace a file that is there", 0, 0}},
	{OPT_ASSET,
	 {"name", "NAME", OPTION_TEXT, AT(name), "what the run calls the asset; of put, else the file's name",
	  0, 0}},
	{OPT_ASSET,
	 {"column", "COLUMN", OPTION_TEXT, AT(column), "of delete: set it NULL where it has the hash", 0, 0}},
	{OPT_ASSET,
	 {"remove-keys", NULL, OPTION_FLAG, AT(remove_keys),
	  "accepted and ignored: references of what is deleted always go", 0, 0}},
	{OPT_ASSET, {"no-remove-keys", NULL, OPTION_FLAG, AT(remove_keys), "the same", 0, 0}},
	{OPT_RATE, {"rate", "MIB", OPTION_INT, AT(rate), "copy no more MiB in a second", 1, 1 << 20}},
	{OPT_YES, {"yes", NULL, OPTION_FLAG, AT(yes), "do not ask", 0, 0}},
	{OPT_QUICK,
	 {"quick", NULL, OPTION_FLAG, AT(quick),
	  "leave out what takes long: whether indexes agree with their tables", 0, 0}},
	{OPT_FORMAT, {"format", FORMAT_CHOICES, OPTION_FORMAT, AT(format), "of the answer (table)", 0, 0}},
	{OPT_JSON, {"json", NULL, OPTION_FLAG, AT(json), "the same as --format json", 0, 0}},
	{OPT_NO_HEADER,
	 {"no-header", NULL, OPTION_FLAG, AT(no_header), "tables and csv without the line of names", 0, 0}},
	{OPT_ENGINE, {"engine", "NAME", OPTION_TEXT, AT(engine), "duckdb or sqlite (sqlite)", 0, 0}},
	{OPT_HELP, {"help", NULL, OPTION_FLAG, AT(help), "this text", 0, 0}},
#undef AT
};

#define N_TABLE (sizeof(table) / sizeof(table[0]))

/* One option of the set: its definition, and the struct that its value goes to. */
struct known {
	const struct option_def *def;
	void *into;
	uint64_t bit; /* 0: the command's own */
};

/* All options of a set; returns how many. */
static size_t list(struct options *o, const struct option_set *set, struct known ret[MOST_OPTIONS])
{
	size_t n = 0;

	for (size_t i = 0; i < N_TABLE; i++)
		if (set->shared & table[i].bit)
			ret[n++] = (struct known){&table[i].def, o, table[i].bit};
	for (const struct option_def *d = set->own; d && d->name; d++) {
		assert(n < MOST_OPTIONS);
		ret[n++] = (struct known){d, set->into, 0};
	}
	return n;
}

/* ---- values ----------------------------------------------------------- */

/* What is being read, and where a refusal is said. */
struct value_of {
	const struct option_def *def;
	const char *text;
	char *error;
	size_t size;
};

static int refuse(const struct value_of *v, const char *needs)
{
	snprintf(v->error, v->size, "--%s needs %s, not '%.100s'", v->def->name, needs, v->text);
	return -1;
}

static int64_t least_of(const struct option_def *d)
{
	return (int64_t)d->least;
}

static int64_t most_of(const struct option_def *d)
{
	return d->least < d->most ? (int64_t)d->most : INT64_MAX;
}

static int read_int(const struct value_of *v, int64_t *into)
{
	char needs[100], *end;
	int64_t least = least_of(v->def), most = most_of(v->def);

	errno = 0;
	long long value = strtoll(v->text, &end, 10);
	if (!errno && end != v->text && !*end && value >= least && value <= most) {
		*into = value;
		return 0;
	}
	if (most == INT64_MAX)
		snprintf(needs, sizeof(needs), "a whole number of %lld or more", (long long)least);
	else
		snprintf(needs, sizeof(needs), "a whole number from %lld to %lld", (long long)least,
			 (long long)most);
	return refuse(v, needs);
}

static int read_real(const struct value_of *v, double *into)
{
	const struct option_def *d = v->def;
	bool bounded = d->least < d->most;
	char needs[100] = "a number", *end;

	double value = strtod(v->text, &end);
	if (end != v->text && !*end && isfinite(value) &&
	    (!bounded || (value >= d->least && value <= d->most))) {
		*into = value;
		return 0;
	}
	if (bounded)
		snprintf(needs, sizeof(needs), "a number from %g to %g", d->least, d->most);
	return refuse(v, needs);
}

/* A whole number and its unit. */
static int read_age(const struct value_of *v, int64_t *into)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
	size_t n = strspn(v->text, "0123456789");

	for (size_t i = 0; n > 0 && n < 10 && i < sizeof(units) / sizeof(units[0]); i++)
		if (v->text[n] == units[i].letter && !v->text[n + 1]) {
			*into = strtoll(v->text, NULL, 10) * units[i].seconds;
			return 0;
		}
	return refuse(v, "an age such as 30s, 5m, 2h or 7d");
}

static int read_choice(const struct value_of *v, const char **into)
{
	size_t n = strlen(v->text);

	for (const char *word = v->def->value; word; word = strchr(word, '|') ? strchr(word, '|') + 1 : NULL)
		if (n > 0 && strcspn(word, "|") == n && strncmp(word, v->text, n) == 0) {
			*into = v->text;
			return 0;
		}
	char needs[200];
	snprintf(needs, sizeof(needs), "one of %s", v->def->value);
	return refuse(v, needs);
}

static int read_format(const struct value_of *v, enum format_kind *into)
{
	if (format_find(v->text, into))
		return 0;
	snprintf(v->error, v->size, "no format '%.100s'; there are " FORMAT_NAMES, v->text);
	return -1;
}

static int read_text(const struct value_of *v, const char **into)
{
	if (!v->text[0]) {
		snprintf(v->error, v->size, "--%s needs a %s", v->def->name, v->def->value);
		return -1;
	}
	*into = v->text;
	return 0;
}

/* Stores the value of one option; text NULL: it takes none. */
static int store(const struct known *k, const char *text, char *error, size_t size)
{
	const struct value_of v = {k->def, text, error, size};
	void *into = (char *)k->into + k->def->offset;
	struct option_list *items = into;

	switch (k->def->kind) {
	case OPTION_FLAG:
		*(bool *)into = true;
		return 0;
	case OPTION_TEXT:
		return read_text(&v, into);
	case OPTION_CHOICE:
		return read_choice(&v, into);
	case OPTION_INT:
		return read_int(&v, into);
	case OPTION_REAL:
		return read_real(&v, into);
	case OPTION_AGE:
		return read_age(&v, into);
	case OPTION_LIST: /* room was made for as many as there are arguments */
		items->items[items->n++] = text;
		return 0;
	case OPTION_FORMAT:
		return read_format(&v, into);
	}
	return -1;
}

/* ---- the command line ------------------------------------------------- */

/* Their index is what getopt_long answers, above all letters. */
#define FIRST 256

static void list_long(const struct known *known, size_t n, struct option *ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = (struct option){known[i].def->name,
					 known[i].def->value ? required_argument : no_argument, NULL,
					 FIRST + (int)i};
	ret[n] = (struct option){0};
}

static size_t by_letter(int letter, const struct known *known, size_t n)
{
	const char *name = letter == 'n' ? "n" : letter == 'f' ? "follow" : "help";
	size_t i = 0;

	while (i < n && strcmp(known[i].def->name, name) != 0)
		i++;
	return i;
}

static bool is_negative_number(const char *arg)
{
	return arg[0] == '-' &&
	       ((arg[1] >= '0' && arg[1] <= '9') || arg[1] == '.' || strcmp(arg, "-inf") == 0);
}

/* What people say elsewhere for the same thing. */
static const char *synonym(const char *name)
{
	static const char *const synonyms[][2] = {
		{"limit", "n"},	    {"rows", "n"},     {"lines", "n"},	      {"filter", "where"},
		{"group-by", "by"}, {"groupby", "by"}, {"fields", "columns"}, {"select", "columns"},
	};

	for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
		if (strncmp(name, synonyms[i][0], strcspn(name, "=")) == 0 &&
		    strlen(synonyms[i][0]) == strcspn(name, "="))
			return synonyms[i][1];
	return "";
}

static int unknown(const struct known *known, size_t n, const char *word, char *error, size_t size)
{
	const char *name = word + strspn(word, "-");
	struct near near;

	near_init(&near, name, strcspn(name, "="));
	for (size_t i = 0; i < n && word[0] == '-' && word[1] == '-'; i++)
		near_try(&near, known[i].def->name);
	for (size_t i = 0; i < n; i++)
		if (strcmp(known[i].def->name, synonym(name)) == 0)
			snprintf(near.found, sizeof(near.found), "%s", known[i].def->name);
	if (near.found[0])
		snprintf(error, size, "no option '%.100s' here; did you mean '--%s'?", word, near.found);
	else
		snprintf(error, size, "no option '%.100s' here", word);
	return -1;
}

/* One option; `code` as getopt_long answered. */
static int take(struct options *o, const struct known *known, size_t n, int code, const char *word,
		char *error, size_t size)
{
	if (code == ':') {
		snprintf(error, size, "option '%.100s' needs a value", word);
		return -1;
	}
	size_t i = code >= FIRST ? (size_t)(code - FIRST) : code == '?' ? n : by_letter(code, known, n);
	/* getopt_long() takes what begins like one option: `--n` would be `--no-header` where there is no
	 * --n. */
	if (i == n || (code >= FIRST && strcspn(word, "=") != strlen(known[i].def->name) + 2))
		return unknown(known, n, word, error, size);
	if (known[i].bit == OPT_JSON)
		o->format = FORMAT_JSON;
	return store(&known[i], optarg, error, size);
}

/* Room for lists, as long as there are arguments. */
static int make_lists(const struct known *known, size_t n, size_t most)
{
	for (size_t i = 0; i < n; i++) {
		struct option_list *items = (void *)((char *)known[i].into + known[i].def->offset);
		if (known[i].def->kind != OPTION_LIST)
			continue;
		*items = (struct option_list){calloc(most, sizeof(*items->items)), 0};
		if (!items->items)
			return -1;
	}
	return 0;
}

static int read_words(struct options *o, const struct known *known, size_t n_known, int argc, char **argv,
		      char **args, size_t *ret_n, char *error, size_t size)
{
	struct option longs[MOST_OPTIONS + 1];
	size_t n = 0;
	int r = 0;

	list_long(known, n_known, longs);
	opterr = 0;
	optind = 0; /* begin anew, also when the last line ended inside a word like -xy: argv[0] is stepped
		       over */
	(void)getopt_long(1, argv, LETTERS, longs, NULL);
	while (r == 0 && optind < argc) {
		char *word = argv[optind];
		if (is_negative_number(word)) {
			size_t rows = by_letter('n', known, n_known);
			/* -5 as head(1) has it, where rows can be counted. */
			if (rows < n_known && word[1 + strspn(word + 1, "0123456789")] == '\0')
				r = store(&known[rows], word + 1, error, size);
			else
				args[n++] = word;
			optind++;
			continue;
		}
		int code = getopt_long(argc, argv, LETTERS, longs, NULL);
		if (code == -1)
			break;
		if (code == 1)
			args[n++] = optarg;
		else
			r = take(o, known, n_known, code, word, error, size);
	}
	while (r == 0 && optind < argc)
		args[n++] = argv[optind++]; /* after -- */
	*ret_n = n;
	return r;
}

int options_parse(struct options *o, const struct option_set *set, int argc, char **argv, char ***ret_args,
		  size_t *ret_n, char *error, size_t size)
{
	struct known known[MOST_OPTIONS];
	char **args = calloc((size_t)argc + 1, sizeof(*args));
	int r = -1;

	*o = (struct options){.n = -1, .older_than_s = -1, .round_decimals = -1};
	size_t n = list(o, set, known);
	if (args && make_lists(known, n, (size_t)argc + 1) == 0)
		r = read_words(o, known, n, argc, argv, args, ret_n, error, size);
	else
		snprintf(error, size, "out of memory");
	if (r < 0)
		free(args);
	else
		*ret_args = args;
	return r;
}

void options_done(struct options *o, const struct option_set *set)
{
	struct known known[MOST_OPTIONS];
	size_t n = list(o, set, known);

	for (size_t i = 0; i < n; i++) {
		struct option_list *items = (void *)((char *)known[i].into + known[i].def->offset);
		if (known[i].def->kind != OPTION_LIST)
			continue;
		free(items->items);
		*items = (struct option_list){0};
	}
}

/* ---- looking at them -------------------------------------------------- */

void options_each(const struct option_set *set, void each(const struct option_def *def, void *data),
		  void *data)
{
	struct options unused;
	struct known known[MOST_OPTIONS];
	size_t n = list(&unused, set, known);

	for (size_t i = 0; i < n; i++)
		each(known[i].def, data);
}

struct looked_for {
	const char *name;
	const struct option_def *found;
};

static void look(const struct option_def *def, void *data)
{
	struct looked_for *l = data;

	if (strcmp(def->name, l->name) == 0)
		l->found = def;
}

const struct option_def *options_find(const struct option_set *set, const char *name)
{
	struct looked_for l = {name, NULL};

	options_each(set, look, &l);
	return l.found;
}
