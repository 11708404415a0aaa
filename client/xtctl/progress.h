/*
 * A line on the terminal that tells how far a stream of rows has come.
 */
#ifndef XTCTL_PROGRESS_H
#define XTCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: shows nothing. */
struct progress {
	bool on;	/* stderr is a terminal */
	bool shown;	/* the line stands there */
	int64_t began;	/* milliseconds of a clock that only runs forward */
	int64_t due;	/* when to show it again */
	uint64_t total; /* bytes of the input; 0: not known */
};

/* Begins; input: the descriptor that is read, whose size is the whole where it is a file. */
void progress_begin(struct progress *p, int input);

/* Shows the state, now and then. */
void progress_show(struct progress *p, uint64_t rows, uint64_t bytes);

/* Takes the line away, so that something else can be written. */
void progress_hide(struct progress *p);

/* Seconds since the beginning. */
double progress_seconds(const struct progress *p);

#endif
