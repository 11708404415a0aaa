/* How alike two names are, so that a column that was renamed is noticed. Bytes only; nothing allocates. */
#ifndef XT_SIMILAR_H
#define XT_SIMILAR_H

#include "span.h"

#define SIMILAR_CHARS	     64	 /* of a name that count */
#define SIMILAR_BAGS	     32	 /* classes of characters */
#define SIMILAR_ENOUGH	     0.6 /* from which two names may mean the same column */
#define SIMILAR_ABBREVIATION 0.8 /* at least so alike are a name and its abbreviation */

/* A name made ready to be compared with many. */
struct similar {
	uint32_t
		chars[SIMILAR_CHARS]; /* code points; ASCII letters in lower case, as SQLite compares names */
	uint8_t n;		      /* how many */
	uint8_t bag[SIMILAR_BAGS];    /* how many of each class: bounds what two names can have in common */
};

/* Of UTF-8; other bytes count as characters of their own. */
void similar_of(struct similar *ret, struct span name);

/*
 * Ratcliff and Obershelp's measure ("Pattern Matching: The Gestalt Approach", Dr. Dobb's Journal, July 1988):
 * the longest piece that both have, then the same to the left and to the right of it; twice the characters of
 * these pieces, divided by those of both names. 0 to 1.
 */
double similar_ratio(const struct similar *a, const struct similar *b);

/* True when one name's parts, between '_', abbreviate the other's: `lr` learning_rate, `val_acc`
 * validation_accuracy, `n_epochs` num_epochs. */
bool similar_abbreviates(const struct similar *a, const struct similar *b);

/* The larger of both, 0 where that is below SIMILAR_ENOUGH. *budget, which may be NULL: counts down with each
 * comparison that cannot be told by a glance; at 0 the answer is 0. */
double similar_names(const struct similar *a, const struct similar *b, unsigned *budget);

#endif
