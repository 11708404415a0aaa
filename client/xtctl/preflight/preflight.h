/*
 * What the parts of `preflight` share: each looks at one subject and adds to the findings. They return
 * CTL_OK, also where much is wrong, or the failure is reported.
 */
#ifndef XTCTL_PREFLIGHT_H
#define XTCTL_PREFLIGHT_H

#include "findings.h"
#include "relation.h"
#include "repo.h"

struct preflight_options {
	const char *params;	 /* "a,b": the keys that will be logged; NULL: not given */
	const char *repo;	 /* a directory; NULL: the working directory */
	const char *code_column; /* NULL: what people call it, see meaning.h */
	const char *data_column; /* NULL: likewise */
};

/* Names for a sentence: the first few in quotes, and how many there are. Zeroed is none. */
struct names {
	char *text; /* owned: "'a', 'b'"; NULL: none, or no memory */
	uint64_t n;
};

#define NAMES_SHOWN 5

void names_add(struct names *names, const char *name);
void names_done(struct names *names);

/* " and 12 more", or ""; returns ret. */
#define NAMES_BYTES 64
const char *names_more(char ret[NAMES_BYTES], const struct names *names);

/* A table that rows are logged to. */
struct preflight_table {
	struct relation rel;
	uint64_t rows;
	bool looked_at; /* by what concerns single tables */
};

struct preflight {
	struct ctl *ctl;
	xt_client *client; /* NULL: there is no database yet */
	const struct preflight_options *opt;
	struct findings found;
	struct preflight_table *tables; /* owned: all of the database */
	size_t n_tables;
	const char *only; /* borrowed: the table that was named; NULL: all are meant */

	struct repo *repo;	     /* owned; NULL: there is none that can be read */
	char *database;		     /* owned: its path from the root; NULL: it lies outside */
	char last_commit[REPO_HASH]; /* of the last experiment's code; "": not known */
	bool unreadable;	     /* it was said that the repository cannot be read */
	struct names pointers;	     /* .dvc files that are not committed, but for … */
	bool results;		     /* … that of the database itself, which is not either */
};

/* The table of this name. NULL: there is none. */
struct preflight_table *preflight_table(const struct preflight *p, const char *name);

/* ---- its parts -------------------------------------------------------- */

/* The keys of --params, and the last run's parameters. */
int preflight_params(struct preflight *p) __attribute__((warn_unused_result));

/* Opens the repository; what is not committed, and HEAD beside the last experiment's. */
int preflight_code(struct preflight *p) __attribute__((warn_unused_result));

/* The .dvc files of the repository that preflight_code() looked at. */
int preflight_data(struct preflight *p) __attribute__((warn_unused_result));

/* Runs that go on, and those that ended badly. */
int preflight_runs(struct preflight *p) __attribute__((warn_unused_result));

/* Whether the daemon stores, and has room to. */
int preflight_daemon(struct preflight *p) __attribute__((warn_unused_result));

/* What is tracked. */
int preflight_tables(struct preflight *p) __attribute__((warn_unused_result));

/* ---- what they have in common ------------------------------------------ */

/* A value of some table that says which version of something was in use. Zeroed: there is none. */
struct logged {
	char *table, *column, *value, *time; /* owned */
};

/* The last one, by `timestamp`, of all rows of all tables in one of the columns; names ends with NULL. */
int preflight_logged(struct preflight *p, const char *const *names, struct logged *ret)
	__attribute__((warn_unused_result));
void logged_done(struct logged *l);

/* Adds that the repository cannot be read; CTL_INTERRUPTED after Ctrl-C, else CTL_OK. */
int preflight_unreadable(struct preflight *p, const char *error) __attribute__((warn_unused_result));

/* The .dvc file of the database itself: its results, not its data. path: from the root. */
bool preflight_is_results(const struct preflight *p, const char *path);

#define POINTER	   ".dvc" /* what files end with that stand for data */
#define SHORT_HASH 7	  /* how many digits of a hash are shown */

#endif
