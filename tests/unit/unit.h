/* What every unit test needs: cmocka with its headers, and bytes written as literals. */
#ifndef XT_UNIT_H
#define XT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "span.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A span over a string literal, which may hold NUL bytes. */
#define BYTES(literal) span_of(literal, sizeof(literal) - 1)

static inline void assert_span_equal(struct span got, struct span want)
{
	assert_int_equal(got.len, want.len);
	if (want.len > 0)
		assert_memory_equal(got.data, want.data, want.len);
}

/* A copy in memory of exactly its size, so that a sanitizer sees a read behind its end. The caller frees
 * it. */
static inline uint8_t *exact_copy(struct span s)
{
	uint8_t *p = malloc(s.len ? s.len : 1);

	assert_non_null(p);
	if (s.len > 0)
		memcpy(p, s.data, s.len);
	return p;
}

#endif
