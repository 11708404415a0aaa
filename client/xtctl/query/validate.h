/*
 * What `validate` needs in more than one place: the command, and what it says of inputs.
 */
#ifndef XTCTL_VALIDATE_H
#define XTCTL_VALIDATE_H

#include "findings.h"
#include "relation.h"

#define MOST_KEYS 64 /* columns that tell executions apart */

struct validate_options {
	const char *input;
	const char *params;
	double max_failed;
};

struct validation {
	struct ctl *ctl;
	xt_client *client;
	const struct validate_options *opt;
	struct relation rel;
	struct findings found;
	const char *prefix;		       /* of statements over our own tables */
	const struct relation_column *input;   /* NULL: there is none */
	const struct relation_column **params; /* owned: those whose values must be there, n_params of them */
	size_t n_params;
	const struct relation_column *keys[MOST_KEYS]; /* what tells executions of one input apart */
	size_t n_keys;
	bool guessed; /* the keys are what the rows of one input differ in: nobody said that they are
			 parameters */
	char *failed,
		*once; /* owned SQL: true of failed executions; of those that were computed and went well */
	char *where;   /* owned SQL: true of the rows that are looked at */
	bool failures_known;
	int64_t rows;
	int64_t combinations; /* of v->params */
};

/* Asks for one row, whose values are handed over; frees the statement. CTL_OK, or the failure is reported. */
int validate_ask(struct validation *v, char *sql, void (*take)(void *data, const xt_value *row), void *data)
	__attribute__((warn_unused_result));

/* Adds a column to the keys, as far as there is room; NULL adds none. */
void validate_add_key(struct validation *v, const struct relation_column *c);

/* Finds inputs that were evaluated more than once: by one run, by several, in several splits. Needs
 * v->input. CTL_OK, or the failure is reported. */
int validate_inputs(struct validation *v) __attribute__((warn_unused_result));

/* Notes combinations of parameters that lack inputs which others have. Needs v->input, v->params and
 * v->combinations. CTL_OK, or the failure is reported. */
int validate_missing(struct validation *v) __attribute__((warn_unused_result));

#endif
