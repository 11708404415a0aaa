/*
 * Values and numbers as they stand in a sentence.
 */
#ifndef XTCTL_SAY_H
#define XTCTL_SAY_H

#include <stdint.h>

#include "xetrack.h"

#define SAY_BYTES 176

/* "12 of 300 rows (4.0 %)"; returns ret. */
const char *say_share(char ret[SAY_BYTES], int64_t n, int64_t of);

/* A value: numbers with six digits, texts in quotes and shortened; returns ret. */
const char *say_value(char ret[SAY_BYTES], const xt_value *v);

/* A whole number that an answer of SQL has, 0 for anything else. */
int64_t say_integer(const xt_value *v);

#endif
