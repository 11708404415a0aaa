/*
 * A fuzz target is one file of this folder with one function, which is given any bytes and asserts what
 * must hold for all of them. libFuzzer feeds it in a build with -Dfuzz=true; in every other build replay.c
 * does, with the committed inputs in corpus/<target>/, as a unit test.
 */
#ifndef XT_FUZZ_H
#define XT_FUZZ_H

#include <assert.h>

#include "span.h"

/* Always returns 0. The bytes lie in memory of exactly their size. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts the first byte off, which chooses something; 0 when there is none. */
static inline uint8_t take_byte(struct span *in)
{
	if (in->len == 0)
		return 0;
	uint8_t b = in->data[0];
	*in = span_of(in->data + 1, in->len - 1);
	return b;
}

#endif
