/*
 * Numbers as the sentences of `compare` have them.
 */
#ifndef XTCTL_COMPARE_WORDS_H
#define XTCTL_COMPARE_WORDS_H

#include "compare.h"

#define WORDS_BYTES 64

/* Two significant digits, and whole ones from ten on: what a sentence needs. Returns ret. */
const char *short_number(char ret[WORDS_BYTES], double d);

/* A difference's size: "12 %" of the baseline, "3.1 points" of a proportion, or "0.12" where there is nothing
 * to take a part of. Returns ret. */
const char *size_words(char ret[WORDS_BYTES], const struct cell *c, double difference);

/* Whether the verdict tells how many rows each side lost. */
bool cell_tells_lost(const struct cell *c);

/* Adds a sentence, unless it is there already. */
void sentence_add_once(struct sentences *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
