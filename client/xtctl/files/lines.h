/*
 * Lines of a stream, in bounded memory, and without losing a signal as stdio does.
 */
#ifndef XTCTL_LINES_H
#define XTCTL_LINES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed but for fd and stop to begin with. */
struct lines {
	int fd;			/* borrowed */
	const atomic_int *stop; /* borrowed: set: give up reading */
	char *data;		/* owned: bytes read; [start, end) are still to come */
	size_t cap, start, end;
	bool eof;
	uint64_t number; /* of the last line, from 1 */
	uint64_t bytes;	 /* read so far */
};

/* The next line without its end, living until the next call. 1, 0 at the end, or -errno: -EINTR:
 * stopped, -EMSGSIZE: longer than lines_most(). */
int lines_next(struct lines *l, const char **ret_line, size_t *ret_len) __attribute__((warn_unused_result));
size_t lines_most(void);

/* The rest as one text, of at most `most` bytes; the same answers, 1 for success. */
int lines_rest(struct lines *l, size_t most, const char **ret_text, size_t *ret_len)
	__attribute__((warn_unused_result));

/* Reads more bytes behind `end`, for who takes them from `start` by himself. 1, 0 at the end, or -errno;
 * `data` and `start` may have moved. */
int lines_more(struct lines *l) __attribute__((warn_unused_result));

void lines_done(struct lines *l);

#endif
