/* The benchmark's inputs: real files of the machine it runs on. */
#ifndef COMPRESS_INPUTS_H
#define COMPRESS_INPUTS_H

#include <stddef.h>

enum kind { KIND_TEXT, KIND_SOURCE, KIND_LIBRARY, KIND_COMPRESSED, N_KINDS };

struct input {
	char *path; /* owned */
	enum kind kind;
};

struct inputs {
	struct input *items; /* owned */
	size_t n;
	size_t cap; /* allocated */
};

/* "text", "source", "library", "compressed". */
const char *kind_name(enum kind kind);

/*
 * Finds `want` files under the machine's documentation, word lists, licences and libraries and under
 * `source`, as evenly spread over the kinds and over each kind's sorted paths as there are files.
 * The same machine gives the same files. Fewer when there are not as many. 0, or -1 with errno: no such
 * directory, out of memory.
 */
int inputs_find(struct inputs *ret, const char *source, size_t want);

/* Adds one file, whatever it is, without looking at it; its name tells the kind. 0, or -1. */
int inputs_add(struct inputs *in, const char *path);

void inputs_done(struct inputs *in);

/*
 * Reads at most `most` bytes of a file. The number of bytes, or -1 with a sentence in `error`
 * (size bytes): it cannot be read, is no regular file, or is empty.
 */
long input_read(const char *path, void *data, size_t most, char *error, size_t size);

#endif
