/*
 * Options: those that several commands have, in one table here, and those of a command's own, which its
 * descriptor declares.
 */
#ifndef XTCTL_OPTIONS_H
#define XTCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "format.h"

/* ---- what an option is ------------------------------------------------ */

enum option_kind {
	OPTION_FLAG,   /* bool: takes no value */
	OPTION_TEXT,   /* const char *: any text but an empty one; NULL: not given */
	OPTION_CHOICE, /* const char *: one of the words of `value`, which `|` divides; NULL: not given */
	OPTION_INT,    /* int64_t from `least` to `most` */
	OPTION_REAL,   /* double from `least` to `most` */
	OPTION_AGE,    /* int64_t: seconds, given as 30s, 5m, 2h, 7d or 3w */
	OPTION_LIST,   /* struct option_list: may be repeated */
	OPTION_FORMAT, /* enum format_kind */
};

struct option_def {
	const char *name;      /* without its dashes */
	const char *value;     /* what the help calls its value; of a choice "a|b|c"; NULL of a flag */
	enum option_kind kind; /* and so the type of what lies at `offset` */
	size_t offset;	       /* in the struct that its values go to */
	const char *help;      /* a line */
	double least, most;    /* bounds of numbers; both 0: 0 and more for OPTION_INT, any number for
				  OPTION_REAL */
};

/* Values of an option that was repeated, in order. */
struct option_list {
	const char **items; /* owned by options_parse and options_done; the texts are borrowed from argv */
	size_t n;
};

/* ---- options that several commands have ------------------------------- */

/* Bits of command->options. */
#define OPT(bit)       (UINT64_C(1) << (bit))
#define OPT_N	       OPT(0)
#define OPT_TABLE      OPT(1)
#define OPT_TRACK_ID   OPT(2)
#define OPT_FORMAT     OPT(3)
#define OPT_JSON       OPT(4)
#define OPT_NO_HEADER  OPT(5)
#define OPT_ARG	       OPT(6)
#define OPT_WRITE      OPT(7)
#define OPT_TIMEOUT    OPT(8)
#define OPT_ALL	       OPT(9)
#define OPT_WHERE      OPT(10)
#define OPT_FORCE      OPT(11)
#define OPT_YES	       OPT(12)
#define OPT_JSONL      OPT(13)
#define OPT_SKIP_BAD   OPT(14)
#define OPT_ENGINE     OPT(15)
#define OPT_HELP       OPT(16)
#define OPT_RATE       OPT(17)
#define OPT_QUICK      OPT(18)
#define OPT_REPLACE    OPT(19)
#define OPT_FUNCTION   OPT(20)
#define OPT_OLDER_THAN OPT(21)
#define OPT_BY	       OPT(22)
#define OPT_VERSION    OPT(23)
#define OPT_PARAM      OPT(24)
#define OPT_ROUND      OPT(25)
#define OPT_RAW	       OPT(26)
#define OPT_CACHED     OPT(27)
#define OPT_EVERY      OPT(28)
#define OPT_ASSET      OPT(29) /* --name, --column, and the seed's --remove-keys and --no-remove-keys */
#define OPT_FILTER     OPT(30)
#define OPT_ONE_TABLE  OPT(31) /* --table of a command that means all tables without it */
#define OPT_LAST       OPT_ONE_TABLE

#define OPT_ROWS   (OPT_FORMAT | OPT_JSON | OPT_NO_HEADER) /* of every command that prints rows */
#define OPT_ALWAYS (OPT_ENGINE | OPT_HELP)		   /* of every command */

/* What was given of them. Texts are borrowed from argv or the environment. */
struct options {
	int64_t n;		 /* rows; -1: not given */
	const char *table;	 /* NULL: not given */
	const char *track_id;	 /* NULL: not given */
	const char *where;	 /* KEY=VALUE of set; NULL: not given */
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
	int64_t timeout_s;	   /* 0: not given */
	int64_t rate;		   /* MiB in a second; 0: not given */
	struct option_list args;   /* of --arg */
	struct option_list params; /* of --param */
	struct option_list filter; /* of --where, but of set: see where.h */
	int64_t older_than_s;	   /* -1: not given */
	int64_t round_decimals;	   /* -1: not given */
};

/* ---- reading them ----------------------------------------------------- */

/* What a command takes, and where it goes. */
struct option_set {
	uint64_t shared;	      /* bits */
	const struct option_def *own; /* ended by one without a name; NULL: none */
	void *into;		      /* the struct of its own options, preset by the caller; NULL: none */
};

/*
 * Parses argv[1…] (argv[0] is the command), options in any place. *ret_args: the other arguments, *ret_n of
 * them, owned. A negative number is no option. 0, or -1 with a sentence in `error`. options_done() is due
 * in any case.
 */
int options_parse(struct options *o, const struct option_set *set, int argc, char **argv, char ***ret_args,
		  size_t *ret_n, char *error, size_t size) __attribute__((warn_unused_result));

void options_done(struct options *o, const struct option_set *set);

/* The option of this name; NULL: it takes none. */
const struct option_def *options_find(const struct option_set *set, const char *name);

/* Calls `each` for the options of a set, the shared ones first. */
void options_each(const struct option_set *set, void each(const struct option_def *def, void *data),
		  void *data);

#endif
