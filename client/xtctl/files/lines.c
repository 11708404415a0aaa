#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES 65536u
#define MOST_BYTES  (32u << 20) /* twice the longest message: JSON is longer than MessagePack */

size_t lines_most(void)
{
	return MOST_BYTES;
}

/* Reads more behind `end`. 1, 0 at the end, or -errno. */
static int fill(struct lines *l)
{
	if (l->start > 0 && l->end == l->cap) {
		memmove(l->data, l->data + l->start, l->end - l->start);
		l->end -= l->start;
		l->start = 0;
	}
	if (l->end == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : FIRST_BYTES;
		if (cap > MOST_BYTES)
			return -EMSGSIZE;
		char *data = realloc(l->data, cap);
		if (!data)
			return -ENOMEM;
		l->data = data;
		l->cap = cap;
	}
	for (;;) {
		if (*l->stop)
			return -EINTR;
		ssize_t n = read(l->fd, l->data + l->end, l->cap - l->end);
		if (n > 0) {
			l->end += (size_t)n;
			l->bytes += (uint64_t)n;
			return 1;
		}
		if (n == 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int lines_next(struct lines *l, const char **ret_line, size_t *ret_len)
{
	size_t seen = 0;

	for (;;) {
		const char *from = l->data ? l->data + l->start : "";
		const char *mark =
			l->end > l->start + seen ? memchr(from + seen, '\n', l->end - l->start - seen) : NULL;
		size_t left = l->end - l->start;
		if (mark || (l->eof && left > 0)) {
			size_t len = mark ? (size_t)(mark - from) : left;
			l->start += len + (mark ? 1 : 0);
			l->number++;
			*ret_line = from;
			*ret_len = len > 0 && from[len - 1] == '\r' ? len - 1 : len;
			return 1;
		}
		if (l->eof)
			return 0;
		seen = left;
		int r = fill(l);
		if (r < 0)
			return r;
		l->eof = r == 0;
	}
}

int lines_rest(struct lines *l, size_t most, const char **ret_text, size_t *ret_len)
{
	int r = 1;

	while (r > 0 && l->end - l->start <= most)
		r = fill(l);
	if (r < 0)
		return r;
	if (l->end - l->start > most)
		return -EMSGSIZE;
	*ret_text = l->data ? l->data + l->start : "";
	*ret_len = l->end - l->start;
	return 1;
}

int lines_more(struct lines *l)
{
	int r = fill(l);

	if (r == 0)
		l->eof = true;
	return r;
}

void lines_done(struct lines *l)
{
	free(l->data);
	l->data = NULL;
}
