/*
 * A file that appears under its name when it is whole and on disk; until then it is `<path>.part`.
 */
#ifndef XTCTL_NEWFILE_H
#define XTCTL_NEWFILE_H

#include <stdbool.h>
#include <stddef.h>

#define NEWFILE_ERROR_BYTES 4400 /* room for a sentence with a path in it */

/* Zeroed: none. */
struct newfile {
	const char *path; /* borrowed */
	char *part; /* owned: where it is written; NULL: path is no regular file, and is written to itself */
	int fd;	    /* of what is written, locked against others who write the same; -1: none */
	bool replace; /* a file that is there is replaced */
};

/*
 * Begins one, empty. What is there and no regular file (a pipe, a device) is written to as it is. 0, or -1
 * with a sentence in `error`, which names the file and what can be done.
 */
int newfile_begin(struct newfile *f, const char *path, bool replace, char *error, size_t size)
	__attribute__((warn_unused_result));

/* The path to write to, for who opens it by its name. */
const char *newfile_path(const struct newfile *f);

/* Ends it: whole, it is brought to disk and gets its name; else it goes. 0, or -1 with a sentence in `error`:
 * then it is gone as well. */
int newfile_end(struct newfile *f, bool whole, char *error, size_t size) __attribute__((warn_unused_result));

#endif
