/*
 * Sentences on a terminal, broken between words.
 */
#ifndef XTCTL_WRAPPED_H
#define XTCTL_WRAPPED_H

#include "out.h"

/* Prints a label and a sentence, both escaped, and a line end. Where it goes to a terminal and does not fit,
 * it goes on in lines that begin with so many blanks. 0, or -1 when out of memory. */
int wrapped_put(struct out *out, const char *label, size_t indent, const char *sentence)
	__attribute__((warn_unused_result));

#endif
