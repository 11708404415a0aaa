/*
 * What a word that is being typed may become: a line each for the shell, of the tables, columns, runs and
 * values that the database has. It is asked only when a daemon serves it already.
 */
#ifndef XTCTL_OFFER_H
#define XTCTL_OFFER_H

#include "xtctl.h"

/* The word, and what is known of the line that it ends. */
struct typing {
	struct ctl *ctl;
	const char *word;  /* whole */
	const char *value; /* where in it the argument begins, or an option's value: --by=… */
	const char
		*typed; /* the part of it that is to be completed, up to its end: of a list, the last item */
	const char *after;	      /* what follows a word that is offered; NULL: nothing */
	const char *database, *table; /* NULL: not named yet */
};

/* Offers a word where it begins with what is typed; means: what it is, NULL: that is plain. Whether it was.
 */
bool offer(const struct typing *t, const char *word, const char *means);

void offer_tables(const struct typing *t);

/* Those of the table, but what the list before what is typed has. */
void offer_columns(const struct typing *t);

void offer_runs(const struct typing *t);

/* Values that a column has in the first and the last rows of the table: enough to find what is often there,
 * and as cheap however large the table is. */
void offer_values(const struct typing *t, const char *column);

#endif
