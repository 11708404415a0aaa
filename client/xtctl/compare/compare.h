/*
 * What `compare` works with: the values of each group, and what came of holding a group against the
 * baseline. compare_groups.c and compare_read.c fill the first, compare_cell.c computes the second,
 * compare_rule.c holds it against limits; compare_say.c, compare_notes.c, compare_limits.c and
 * compare_print.c show it.
 */
#ifndef XTCTL_COMPARE_H
#define XTCTL_COMPARE_H

#include "means.h"
#include "relation.h"

/* As given on the command line. */
struct compare_options {
	const char *metric, *by, *baseline, *pair_by, *detect, *fail_when;
	struct option_list fail_on;
	bool unpaired, cached, despite_failures;
	double confidence;
	int64_t resamples, seed;
};

/* ---- the values ------------------------------------------------------- */

#define NO_UNIT UINT32_MAX

/* One metric of one group: a value for each unit, in the order of the units. A unit is what may be measured
 * in several groups, the rows of one input; without that a row. Of several rows of a unit it is the mean. */
struct series {
	double *values;	 /* owned */
	uint32_t *units; /* owned: which one; NO_UNIT: one that no other group can share */
	size_t n, cap;
	uint64_t missing, /* rows left out: NULL, which is also what NaN is stored as */
		infinite, /* likewise */
		odd;	  /* likewise: text or blob */
	uint64_t failed;  /* of all these, rows of executions that failed */
	uint64_t suspect; /* further ones that failed, but have a number, which counts */
	uint64_t folded;  /* units of several rows */
	bool binary;	  /* all values are 0 or 1 */
	bool fractional;  /* not all rows' are: else a value that is neither is the share of an input's 1s */
};

struct group {
	char *label;	       /* owned: its value of --by, as text */
	char *shown;	       /* owned: the same, cut short for people */
	xt_value value;	       /* borrows from `kept` */
	char *kept;	       /* owned */
	struct series *series; /* owned: one a metric */
	uint64_t rows;	       /* that it has */
	uint64_t copies;       /* further ones that came from the cache, left out */
};

/* How far repeated runs of the same configuration differ, of a metric, in a group and in the baseline. */
struct noise {
	size_t repeats;	   /* that there were */
	double difference; /* below which 95 % of the differences of their means are; NAN: no repeats */
};

struct values {
	struct group *groups; /* owned */
	size_t n_groups;
	size_t baseline;			/* which group */
	const struct relation_column **metrics; /* owned; the columns are the relation's */
	size_t n_metrics;
	const struct relation_column *by, *pair; /* borrowed; pair NULL: no column tells the inputs apart */
	bool pair_named;			 /* by --pair-by */
	bool unpaired;				 /* inputs are told apart, but not held against each other */
	bool hashes;				 /* all labels are, and shown as their first digits */
	uint64_t nameless;			 /* rows without a value of --by, left out */
	char *settings;	     /* owned: "'level', 'window'", in which averaged rows differ; NULL: in none */
	struct noise *noise; /* owned: metric by metric, one a group */
	size_t bytes;	     /* of memory that the values take */
};

/* The parts of it that compare_groups.c does: which groups the rows that fit `where` have, and which of them
 * the baseline is; NULL: the first. */
int groups_read(struct values *v, const struct ctl *ctl, xt_client *client, const struct relation *r,
		const char *where) __attribute__((warn_unused_result));
int groups_find_baseline(struct values *v, const struct ctl *ctl, const char *name)
	__attribute__((warn_unused_result));

/* Questions about the rows that fit `where`, in compare_ask.c. CTL_OK, or the failure is reported. How many
 * have no value of --by. */
int ask_nameless(struct values *v, const struct ctl *ctl, xt_client *client, const struct relation *r,
		 const char *where) __attribute__((warn_unused_result));

/* Which columns that look like a setting differ in most lots of rows that are averaged. */
int ask_settings(struct values *v, const struct ctl *ctl, xt_client *client, const struct relation *r,
		 const char *where) __attribute__((warn_unused_result));

/* Rows without a number; and these with those of failed executions that have one. */
uint64_t series_lacking(const struct series *s);
uint64_t series_lost(const struct series *s);

/* Whether a metric is of outcomes, 0 or 1, in all groups, so that it is told in points. */
bool metric_in_points(const struct values *v, size_t metric);

/* Reads them all. CTL_OK, or the failure is reported; values_done() is due in any case. */
int values_read(struct values *v, const struct ctl *ctl, xt_client *client, const struct relation *r)
	__attribute__((warn_unused_result));
void values_done(struct values *v);

/* ---- what came of it -------------------------------------------------- */

enum verdict {
	VERDICT_TOO_FEW,   /* there is nothing to tell it by */
	VERDICT_EQUAL,	   /* all pairs are equal, or all values the same */
	VERDICT_UNSEEN,	   /* neither the test nor the interval sees a difference */
	VERDICT_UNSURE,	   /* one of them does, or they see opposite ones */
	VERDICT_NOISE,	   /* both do, but repeated runs differ as much */
	VERDICT_DIFFERENT, /* both do */
};

/* A metric of a group beside the baseline's. Numbers that there are not are NAN. */
struct cell {
	size_t metric, group;
	bool paired, binary;
	bool points;	  /* told in points: of outcomes, or of shares of them */
	bool uneven;	  /* one side failed or has no number in clearly more of its rows than the other */
	bool alike;	  /* the differences of all pairs are the same, or each side's values are */
	size_t n_base, n; /* values compared; of pairs both the same */
	size_t alone_base, alone; /* units without a partner, left out */
	double mean_base, mean;
	double difference, relative; /* relative: over the baseline's mean */
	struct interval interval, relative_interval;
	const char *interval_by; /* the method */
	const char *effect_name; /* "Hedges' g", … */
	double effect;
	struct interval effect_interval;
	const char *standard_name;
	double standard;	/* the same as of two samples, so that pairs do not change it */
	const char *size;	/* that in a word; NULL: none */
	const char *order_name; /* a second one, that looks at the order or the odds only; NULL: none */
	double order;
	struct interval order_interval;
	const char *test;  /* of p */
	double p, q;	   /* q: adjusted for all cells */
	double least_p;	   /* that so few values can give */
	struct t_test t;   /* of the means, beside */
	double detectable; /* the smallest difference that n would most likely show */
	double needed;	   /* n for the difference of --detect */
	enum verdict verdict;
};

struct cells {
	struct cell *list; /* owned: metric by metric, group by group without the baseline */
	size_t n;
	const struct values *values; /* borrowed, as the next */
	const struct compare_options *options;
};

/* Computes them all. CTL_OK, or the failure is reported; cells_done() is due in any case. */
int cells_compute(struct cells *c, const struct ctl *ctl, const struct values *v)
	__attribute__((warn_unused_result));
void cells_done(struct cells *c);
bool cell_leans_apart(const struct cell *c);

/* What the repeated runs of a cell's two sides show; borrowed from the values. */
const struct noise *cell_noise(const struct values *v, const struct cell *c);

/* ---- limits ----------------------------------------------------------- */

/* An amount such as 5%, 5pt or 0.1. */
struct amount {
	double size; /* of 5% and 5pt it is 0.05 */
	bool percent, points;
};

/* Reads one from a whole text. 0, or -1. */
int amount_read(const char *text, struct amount *ret) __attribute__((warn_unused_result));

/* METRIC>AMOUNT or METRIC<AMOUNT. */
struct rule {
	const char *text; /* borrowed */
	size_t metric;
	bool above;
	struct amount limit;
};

enum ruling { RULE_KEPT, RULE_BROKEN, RULE_UNKNOWN /* there is no number to hold against it */ };

/* Reads all --fail-on; *ret is owned by the caller. CTL_OK, or the mistake is reported. */
int rules_read(const struct ctl *ctl, const struct values *v, struct rule **ret)
	__attribute__((warn_unused_result));

/* What a rule says of a cell of its metric; and whether the difference as measured passes its limit. */
enum ruling rule_judge(const struct rule *rule, const struct cell *cell, const struct compare_options *o);
bool rule_is_passed(const struct rule *rule, const struct cell *cell);

/* ---- sentences -------------------------------------------------------- */

/* A list of sentences; zeroed to begin with. */
struct sentences {
	char **list; /* owned */
	size_t n;
	bool failed; /* memory ran out */
};

void sentence_add(struct sentences *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sentences_done(struct sentences *s);

/* What a cell comes to: "12 % slower, sure (p 0.0003)". Owned by the caller; NULL: out of memory. */
char *say_verdict(const struct cells *c, const struct cell *cell);

/* What must be known beside the numbers. */
void say_notes(const struct cells *c, struct sentences *s);

/* How rules were read whose unit is not that of the metric's sentences. */
void say_readings(const struct cells *c, const struct rule *rules, struct sentences *s);

/* Where a difference passes a limit as measured, and breaks no rule all the same: why. */
void say_passed(const struct cells *c, const struct rule *rules, struct sentences *s);

/* What the broken rules are. */
void say_broken(const struct cells *c, const struct rule *rules, struct sentences *s);

/* ---- printing --------------------------------------------------------- */

/* Prints it all in the form asked for. CTL_OK, or the failure is reported. */
int compare_print(struct ctl *ctl, const struct relation *r, const struct cells *c, const struct rule *rules)
	__attribute__((warn_unused_result));

#endif
