/* Borrowed bytes: a pointer and a length that live as long as what they were cut from. */
#ifndef XT_SPAN_H
#define XT_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *data; /* not NUL-terminated; NULL when len is 0 and nothing was given */
	size_t len;	     /* bytes */
};

static inline struct span span_of(const void *data, size_t len)
{
	return (struct span){.data = data, .len = len};
}

static inline struct span span_str(const char *s)
{
	return span_of(s, s ? strlen(s) : 0);
}

/* Most spans that are compared are keys: short, so that a call would cost more than the comparison. */
static inline bool span_eq(struct span a, struct span b)
{
	uint64_t x[2], y[2];

	if (a.len != b.len)
		return false;
	if (a.len >= 8 && a.len <= 16) { /* both ends, which may overlap */
		memcpy(&x[0], a.data, 8);
		memcpy(&x[1], a.data + a.len - 8, 8);
		memcpy(&y[0], b.data, 8);
		memcpy(&y[1], b.data + b.len - 8, 8);
		return x[0] == y[0] && x[1] == y[1];
	}
	if (a.len < 8) {
		for (size_t i = 0; i < a.len; i++)
			if (a.data[i] != b.data[i])
				return false;
		return true;
	}
	return memcmp(a.data, b.data, a.len) == 0;
}

static inline bool span_is(struct span a, const char *s)
{
	return span_eq(a, span_str(s));
}

/* FNV-1a, for tables in memory. */
static inline uint32_t span_hash(struct span s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.data[i]) * 16777619u;
	return h;
}

/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).len, (const char *)(s).data

#endif
