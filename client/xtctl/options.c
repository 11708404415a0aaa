#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 40
#define LETTERS	    "-:hn:" /* -: other arguments come in their order; : a missing value is told apart */

enum kind { FLAG, TEXT, SPECIAL };

static const struct {
	const char *name;
	const char *value; /* what the help calls its value; NULL: takes none */
	enum opt bit;
	enum kind kind; /* FLAG and TEXT are stored at `offset`, SPECIAL by special() */
	size_t offset;
	const char *help;
} table[] = {
	{"n", "ROWS", OPT_N, SPECIAL, 0, "how many rows; also -n"},
	{"table", "TABLE", OPT_TABLE, TEXT, offsetof(struct options, table),
	 "the table, else $XETRACK_TABLE, else events"},
	{"track-id", "ID", OPT_TRACK_ID, TEXT, offsetof(struct options, track_id), "the run"},
	{"all", NULL, OPT_ALL, FLAG, offsetof(struct options, all),
	 "every run of the table, without a question"},
	{"all", NULL, OPT_EVERY, FLAG, offsetof(struct options, all),
	 "every entry, as far as nothing narrows it"},
	{"function", "NAME", OPT_FUNCTION, TEXT, offsetof(struct options, function),
	 "only what this function came to"},
	{"older-than", "AGE", OPT_OLDER_THAN, SPECIAL, 0, "only what is as old: 30s, 5m, 2h, 7d"},
	{"by", "COLUMN", OPT_BY, TEXT, offsetof(struct options, by), "the hit rate by this column"},
	{"version", "VERSION", OPT_VERSION, TEXT, offsetof(struct options, version), "of the function"},
	{"param", "KEY=VALUE", OPT_PARAM, SPECIAL, 0, "a parameter of the call, or its run; may be repeated"},
	{"round", "DECIMALS", OPT_ROUND, SPECIAL, 0, "reals count with so many decimals"},
	{"raw", NULL, OPT_RAW, FLAG, offsetof(struct options, raw), "the value's bytes as they are"},
	{"cache", NULL, OPT_CACHED, FLAG, offsetof(struct options, cached),
	 "also the results that the run cached"},
	{"where", "KEY=VALUE", OPT_WHERE, TEXT, offsetof(struct options, where),
	 "only rows that have this value"},
	{"arg", "VALUE", OPT_ARG, SPECIAL, 0, "the value of the next ? of the statement; may be repeated"},
	{"write", NULL, OPT_WRITE, FLAG, offsetof(struct options, write), "allow a statement that writes"},
	{"timeout", "SECONDS", OPT_TIMEOUT, SPECIAL, 0, "how long a page of the answer may take (60)"},
	{"jsonl", NULL, OPT_JSONL, FLAG, offsetof(struct options, jsonl),
	 "read a JSON object a line from standard input"},
	{"skip-bad", NULL, OPT_SKIP_BAD, FLAG, offsetof(struct options, skip_bad),
	 "go on after a line that cannot be read"},
	{"force", NULL, OPT_FORCE, FLAG, offsetof(struct options, force),
	 "although something speaks against it: a run that is running, messages that wait"},
	{"force", NULL, OPT_REPLACE, FLAG, offsetof(struct options, force), "replace a file that is there"},
	{"name", "NAME", OPT_ASSET, TEXT, offsetof(struct options, name),
	 "what the run calls the asset; of put, else the file's name"},
	{"column", "COLUMN", OPT_ASSET, TEXT, offsetof(struct options, column),
	 "of delete: set it NULL where it has the hash"},
	{"remove-keys", NULL, OPT_ASSET, FLAG, offsetof(struct options, remove_keys),
	 "accepted and ignored: references of what is deleted always go"},
	{"no-remove-keys", NULL, OPT_ASSET, FLAG, offsetof(struct options, remove_keys), "the same"},
	{"rate", "MIB", OPT_RATE, SPECIAL, 0, "copy no more MiB in a second"},
	{"yes", NULL, OPT_YES, FLAG, offsetof(struct options, yes), "do not ask"},
	{"format", "FORMAT", OPT_FORMAT, SPECIAL, 0, FORMAT_NAMES " (table)"},
	{"json", NULL, OPT_JSON, FLAG, offsetof(struct options, json), "the same as --format json"},
	{"no-header", NULL, OPT_NO_HEADER, FLAG, offsetof(struct options, no_header),
	 "csv without the line of names"},
	{"engine", "NAME", OPT_ENGINE, TEXT, offsetof(struct options, engine),
	 "accepted and ignored: there is one engine"},
	{"quick", NULL, OPT_QUICK, FLAG, offsetof(struct options, quick),
	 "leave out what takes long: whether indexes agree with their tables"},
	{"help", NULL, OPT_HELP, FLAG, offsetof(struct options, help), "this text"},
};

#define N_TABLE (sizeof(table) / sizeof(table[0]))

_Static_assert(N_TABLE < MAX_OPTIONS, "getopt_long needs room for all, and an end");

/* A whole number from `least` to `most`. */
static int parse_number(const char *text, int64_t least, int64_t most, int64_t *ret)
{
	char *end;

	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (errno || end == text || *end || value < least || value > most)
		return -1;
	*ret = value;
	return 0;
}

/* A whole number and its unit, as seconds. */
static int parse_age(const char *text, int64_t *ret)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
	char number[16] = "";
	size_t n = strspn(text, "0123456789");
	int64_t count;

	if (n == 0 || n >= sizeof(number) - 1 || strlen(text) != n + 1)
		return -1;
	memcpy(number, text, n);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].letter == text[n] && parse_number(number, 0, 1000000000, &count) == 0) {
			*ret = count * units[i].seconds;
			return 0;
		}
	return -1;
}

static int special(struct options *o, enum opt bit, const char *value, char *error, size_t size)
{
	int64_t number;

	switch (bit) {
	case OPT_N:
		if (parse_number(value, 0, INT64_MAX, &o->n) == 0)
			return 0;
		snprintf(error, size, "--n needs a number of rows, not '%.100s'", value);
		return -1;
	case OPT_TIMEOUT:
		if (parse_number(value, 1, 86400, &number) == 0) {
			o->timeout_ms = (int)number * 1000;
			return 0;
		}
		snprintf(error, size, "--timeout needs seconds from 1 to 86400, not '%.100s'", value);
		return -1;
	case OPT_RATE:
		if (parse_number(value, 1, 1 << 20, &o->rate) == 0)
			return 0;
		snprintf(error, size, "--rate needs MiB from 1 to 1048576, not '%.100s'", value);
		return -1;
	case OPT_FORMAT:
		if (format_find(value, &o->format))
			return 0;
		snprintf(error, size, "no format '%.100s'; there are " FORMAT_NAMES, value);
		return -1;
	case OPT_OLDER_THAN:
		if (parse_age(value, &o->older_than_s) == 0)
			return 0;
		snprintf(error, size, "--older-than needs an age such as 30s, 5m, 2h or 7d, not '%.100s'",
			 value);
		return -1;
	case OPT_ROUND:
		if (parse_number(value, 0, 15, &number) == 0) {
			o->round_digits = (int)number + 1;
			return 0;
		}
		snprintf(error, size, "--round needs decimals from 0 to 15, not '%.100s'", value);
		return -1;
	case OPT_PARAM: /* room was made for as many as there are arguments */
		o->params[o->n_params++] = value;
		return 0;
	default: /* OPT_ARG; likewise */
		o->args[o->n_args++] = value;
		return 0;
	}
}

static int apply(struct options *o, size_t i, char *value, char *error, size_t size)
{
	o->given |= table[i].bit;
	if (table[i].kind == SPECIAL)
		return special(o, table[i].bit, value, error, size);
	if (table[i].kind == TEXT && !value[0]) {
		snprintf(error, size, "--%s needs a %s", table[i].name, table[i].value);
		return -1;
	}
	if (table[i].kind == TEXT)
		*(const char **)(void *)((char *)o + table[i].offset) = value;
	else
		*(bool *)(void *)((char *)o + table[i].offset) = true;
	if (table[i].bit == OPT_JSON)
		o->format = FORMAT_JSON;
	return 0;
}

/* Their index in `table` is what getopt_long answers, above all letters. */
#define FIRST 256

static void list_long(unsigned taken, struct option *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < N_TABLE; i++)
		if (taken & table[i].bit)
			ret[n++] = (struct option){table[i].name,
						   table[i].value ? required_argument : no_argument, NULL,
						   FIRST + (int)i};
	ret[n] = (struct option){0};
}

static size_t by_letter(int letter)
{
	const char *name = letter == 'n' ? "n" : "help";
	size_t i = 0;

	while (strcmp(table[i].name, name) != 0)
		i++;
	return i;
}

static bool is_negative_number(const char *arg)
{
	return arg[0] == '-' &&
	       ((arg[1] >= '0' && arg[1] <= '9') || arg[1] == '.' || strcmp(arg, "-inf") == 0);
}

/* One option; `code` as getopt_long answered. */
static int take(struct options *o, unsigned taken, int code, char *word, char *error, size_t size)
{
	if (code == ':') {
		snprintf(error, size, "option '%.100s' needs a value", word);
		return -1;
	}
	size_t i = code >= FIRST ? (size_t)(code - FIRST) : code == '?' ? N_TABLE : by_letter(code);
	if (i == N_TABLE || !(taken & table[i].bit)) {
		snprintf(error, size, "no option '%.100s' here", word);
		return -1;
	}
	return apply(o, i, optarg, error, size);
}

int options_parse(struct options *o, unsigned taken, int argc, char **argv, char ***ret_args, size_t *ret_n,
		  char *error, size_t size)
{
	struct option known[MAX_OPTIONS];
	char **args = calloc((size_t)argc + 1, sizeof(*args));
	size_t n = 0;
	int r = 0;

	*o = (struct options){.n = -1,
			      .older_than_s = -1,
			      .args = calloc((size_t)argc + 1, sizeof(*o->args)),
			      .params = calloc((size_t)argc + 1, sizeof(*o->params))};
	if (!args || !o->args || !o->params) {
		free(args);
		snprintf(error, size, "out of memory");
		return -1;
	}
	list_long(taken, known);
	opterr = 0;
	optind = 0; /* begin anew, also when the last line ended inside a word like -xy: argv[0] is stepped
		       over */
	(void)getopt_long(1, argv, LETTERS, known, NULL);
	while (r == 0 && optind < argc) {
		char *word = argv[optind];
		if (is_negative_number(word)) {
			args[n++] = word;
			optind++;
			continue;
		}
		int code = getopt_long(argc, argv, LETTERS, known, NULL);
		if (code == -1)
			break;
		if (code == 1)
			args[n++] = optarg;
		else
			r = take(o, taken, code, word, error, size);
	}
	while (r == 0 && optind < argc)
		args[n++] = argv[optind++]; /* after -- */
	if (r < 0) {
		free(args);
		return -1;
	}
	*ret_args = args;
	*ret_n = n;
	return 0;
}

void options_done(struct options *o)
{
	free(o->args);
	free(o->params);
	o->args = o->params = NULL;
}

const char *options_name(unsigned bits)
{
	size_t i = 0;

	while (i + 1 < N_TABLE && !(bits & table[i].bit))
		i++;
	return table[i].name;
}

void options_help(FILE *out, unsigned taken)
{
	for (size_t i = 0; i < N_TABLE; i++) {
		char left[64];
		if (!(taken & table[i].bit))
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", table[i].name, table[i].value ? " " : "",
			 table[i].value ? table[i].value : "");
		fprintf(out, "  %-19s %s\n", left, table[i].help);
	}
}
