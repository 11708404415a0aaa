/*
 * Standard output as a stdio stream that knows why it failed.
 *
 * stdio alone loses the reason of a failed write and goes on after a signal; here the first
 * failure is kept and nothing is written after it, so that callers look once, at the end.
 */
#ifndef XTCTL_OUT_H
#define XTCTL_OUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

struct out {
	FILE *file;		/* owned: write here */
	const atomic_int *stop; /* borrowed: once it is set, a write that a signal interrupts is given up */
	int fd;			/* borrowed */
	int error;		/* errno of the first write that failed; EINTR: given up; 0: none */
	bool terminal;		/* fd is a terminal */
	int columns;		/* of the terminal; 0: not a terminal, lines may be of any length */
};

/* The columns of a terminal; 0: the descriptor is none. */
int out_columns(int fd);

/* Opens a stream over a descriptor. 0, or -1 when out of memory. */
int out_open(struct out *o, int fd, const atomic_int *stop) __attribute__((warn_unused_result));

/* Writes what is buffered and frees the stream; the descriptor stays open. Returns o->error. */
int out_close(struct out *o);

#endif
