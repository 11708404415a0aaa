/*
 * How many different values there are: exactly up to DISTINCT_EXACT, then by HyperLogLog, whose standard
 * error is 0.8 %. Memory is SQLite's, so that it is counted for the statement (mem.h).
 */
#ifndef XT_DISTINCT_H
#define XT_DISTINCT_H

#include <stddef.h>
#include <stdint.h>

#define DISTINCT_EXACT 8192

/* Zeroed to begin with. */
struct distinct {
	uint64_t *set;	    /* owned: hashes, at places that they choose; 0: a free place. NULL: too many */
	size_t cap;	    /* of the set: a power of two */
	size_t n;	    /* in the set */
	uint8_t *registers; /* owned: of HyperLogLog; NULL: the set has all */
};

/* Adds a value by its hash. 0, or -1 when out of memory. */
int distinct_add(struct distinct *d, uint64_t hash) __attribute__((warn_unused_result));
int64_t distinct_count(const struct distinct *d);
void distinct_done(struct distinct *d);

/* A hash of which every bit depends on every bit of the value. */
uint64_t distinct_hash(const void *data, size_t n);

#endif
