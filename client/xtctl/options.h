/*
 * The options of all commands, in one table; a command says which of them it takes.
 */
#ifndef XTCTL_OPTIONS_H
#define XTCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "format.h"

/* Bits of command->options. */
enum opt {
	OPT_N = 1 << 0,
	OPT_TABLE = 1 << 1,
	OPT_TRACK_ID = 1 << 2,
	OPT_FORMAT = 1 << 3,
	OPT_JSON = 1 << 4,
	OPT_NO_HEADER = 1 << 5,
	OPT_ARG = 1 << 6,
	OPT_WRITE = 1 << 7,
	OPT_TIMEOUT = 1 << 8,
	OPT_ALL = 1 << 9,
	OPT_WHERE = 1 << 10,
	OPT_FORCE = 1 << 11,
	OPT_YES = 1 << 12,
	OPT_JSONL = 1 << 13,
	OPT_SKIP_BAD = 1 << 14,
	OPT_ENGINE = 1 << 15,
	OPT_HELP = 1 << 16,
	OPT_RATE = 1 << 17,
	OPT_QUICK = 1 << 18,
	OPT_REPLACE = 1 << 19,
	OPT_FUNCTION = 1 << 20,
	OPT_OLDER_THAN = 1 << 21,
	OPT_BY = 1 << 22,
	OPT_VERSION = 1 << 23,
	OPT_PARAM = 1 << 24,
	OPT_ROUND = 1 << 25,
	OPT_RAW = 1 << 26,
	OPT_CACHED = 1 << 27,
	OPT_EVERY = 1 << 28,
	OPT_ASSET = 1 << 29, /* --name, --column, and the seed's --remove-keys and --no-remove-keys */

	OPT_ROWS = OPT_FORMAT | OPT_JSON | OPT_NO_HEADER, /* of every command that prints rows */
	OPT_ALWAYS = OPT_ENGINE | OPT_HELP,		  /* of every command */
};

/* What was given. Texts are borrowed from argv or the environment. */
struct options {
	unsigned given;		 /* enum opt of all that were */
	int64_t n;		 /* rows; -1: not given */
	const char *table;	 /* NULL: not given */
	const char *track_id;	 /* NULL: not given */
	const char *where;	 /* KEY=VALUE; NULL: not given */
	const char *function;	 /* NULL: not given */
	const char *by;		 /* a column; NULL: not given */
	const char *version;	 /* of a function; NULL: not given */
	const char *name;	 /* of references to an asset; NULL: not given */
	const char *column;	 /* that names an asset; NULL: not given */
	const char *engine;	 /* accepted and ignored; NULL: not given */
	enum format_kind format; /* table when not given */
	bool json;		 /* --json: one object for a command that answers with one */
	bool no_header;
	bool write;
	bool all;
	bool force; /* of delete, and of backup and snapshot */
	bool quick;
	bool yes;
	bool jsonl;
	bool skip_bad;
	bool raw;
	bool cached;	  /* --cache of delete: what the run cached too */
	bool remove_keys; /* accepted: the keys are the references, which always go */
	bool help;
	int timeout_ms;	   /* 0: not given */
	int64_t rate;	   /* MiB in a second; 0: not given */
	const char **args; /* owned: values of --arg, in order */
	size_t n_args;
	const char **params; /* owned: values of --param, in order */
	size_t n_params;
	int64_t older_than_s; /* -1: not given */
	int round_digits;     /* decimals and 1 more, as in xt_call_options; 0: not given */
};

/*
 * Parses argv[1…] (argv[0] is the command), options in any place, `taken` being those that the
 * command knows. *ret_args: the other arguments, n of them, owned. A negative number is no option.
 * 0, or -1 with a sentence in `error`.
 */
int options_parse(struct options *o, unsigned taken, int argc, char **argv, char ***ret_args, size_t *ret_n,
		  char *error, size_t size) __attribute__((warn_unused_result));

void options_done(struct options *o);

/* The name of one of the options in `bits`. */
const char *options_name(unsigned bits);

/* Prints the options in `taken`, one a line. */
void options_help(FILE *out, unsigned taken);

#endif
