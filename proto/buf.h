/*
 * A growable byte buffer with a hard maximum and a sticky error.
 *
 * Appending after a failure does nothing; callers append freely and ask
 * buf_failed() once at the end. A zeroed struct is a valid buffer with no maximum.
 */
#ifndef XT_BUF_H
#define XT_BUF_H

#include "span.h"

struct buf {
	uint8_t *data; /* owned; NULL until something is appended */
	size_t len;    /* bytes in use */
	size_t cap;    /* bytes allocated */
	size_t max;    /* hard limit of len; 0: none */
	bool failed;   /* sticky: the maximum was passed, or memory ran out */
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);

/* Empties the buffer and clears its error; keeps its memory. */
void buf_clear(struct buf *b);

/* Room for n more bytes. 0, or -1 with the error set. */
int buf_reserve(struct buf *b, size_t n);

/* The same, for many small appends: where the bytes go, to be counted in `len` by the caller; NULL: the error
 * is set. */
static inline uint8_t *buf_room(struct buf *b, size_t n)
{
	bool fits = !b->failed && n <= b->cap - b->len && (b->max == 0 || b->cap <= b->max);

	return fits || buf_reserve(b, n) == 0 ? b->data + b->len : NULL;
}

/* Copies n bytes to the end. */
void buf_add(struct buf *b, const void *data, size_t n);
void buf_add_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Drops n bytes from the front. */
void buf_consume(struct buf *b, size_t n);

static inline bool buf_failed(const struct buf *b)
{
	return b->failed;
}

static inline struct span buf_span(const struct buf *b)
{
	return span_of(b->data, b->len);
}

#endif
