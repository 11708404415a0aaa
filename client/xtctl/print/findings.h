/*
 * What a check found: a list of sentences for people, with what programs want to know beside them.
 */
#ifndef XTCTL_FINDINGS_H
#define XTCTL_FINDINGS_H

#include "xtctl.h"

struct finding {
	const char *code; /* borrowed: a constant word such as "null_values" */
	char *table;	  /* owned; NULL: of none */
	char *column;	  /* owned; NULL: of none */
	uint64_t count;	  /* of rows, or of what the sentence counts */
	char *sentence;	  /* owned: lower case, no full stop; says the remedy too where there is one */
	bool wrong;	  /* else worth knowing only: does not make the exit status 1 */
};

/* Zeroed but for ctl to begin with. */
struct findings {
	const struct ctl *ctl; /* borrowed */
	struct finding *list;  /* owned */
	size_t n, wrong;       /* all of them; those that are wrong */
	bool failed;	       /* memory ran out: findings_print() says so */
};

/* Adds one. table and column, which may be NULL, are copied. */
void findings_add(struct findings *f, bool wrong, const char *code, const char *table, const char *column,
		  uint64_t count, const char *fmt, ...) __attribute__((format(printf, 7, 8)));

/* Puts the notes first, so that what is wrong stands right above the prompt; else they keep their order. */
void findings_sort(struct findings *f);

/*
 * Prints them: with --json one object {"ok": …, "findings": [{"code", "wrong", "table", "column", "count",
 * "message"}, …]}, else a line each, "wrong: " or "note: " before the sentence, and at the end `all_well`
 * when nothing is wrong, or how many things are; on a terminal sentences are broken between words. Returns
 * the exit status: CTL_FAILED when something is wrong.
 */
int findings_print(struct findings *f, struct out *out, const char *all_well);

void findings_done(struct findings *f);

#endif
