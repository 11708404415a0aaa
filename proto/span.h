/* Borrowed bytes: a pointer and a length that live as long as what they were cut from. */
#ifndef XT_SPAN_H
#define XT_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *data; /* not NUL-terminated; NULL when len is 0 and nothing was given */
	size_t len;          /* bytes */
};

static inline struct span span_of(const void *data, size_t len)
{
	return (struct span){.data = data, .len = len};
}

static inline struct span span_str(const char *s)
{
	return span_of(s, s ? strlen(s) : 0);
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
	return span_eq(a, span_str(s));
}

/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).len, (const char *)(s).data

#endif
