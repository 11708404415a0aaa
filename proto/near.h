/*
 * The name that may be meant by one that there is not: "did you mean 'latency'?".
 */
#ifndef XT_NEAR_H
#define XT_NEAR_H

#include <stddef.h>

#define NEAR_SIZE 65 /* bytes of a name that is looked at, with its NUL; longer ones are not like any */

/* The best match so far. */
struct near {
	char word[NEAR_SIZE];  /* that was given; "": nothing is like it */
	char found[NEAR_SIZE]; /* the nearest name; "": none is near */
	unsigned distance;     /* letters to add, drop or change, from which on a name is not near */
};

/* How many letters must be added, dropped or changed to make one of the other, whose case does not count;
 * UINT_MAX: one of them is too long to say. */
unsigned near_distance(const char *a, const char *b);

/* Begins a search for the n bytes of `word`. */
void near_init(struct near *m, const char *word, size_t n);

/* Offers a name; the first of several that are equally near stays. Case does not count, as in SQLite. */
void near_try(struct near *m, const char *name);

#endif
