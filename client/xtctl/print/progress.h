/*
 * A line on the terminal that tells how far a stream of rows, or a copy, has come.
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

/* Begins; input: the descriptor that is read, whose size is the whole where it is a file; -1: none. */
void progress_begin(struct progress *p, int input);

/* Shows the state, now and then. */
void progress_show(struct progress *p, uint64_t rows, uint64_t bytes);

/* Shows a bar, now and then; sizes in bytes. */
void progress_bar(struct progress *p, uint64_t done, uint64_t total);

/* Shows what is going on, at once. */
void progress_say(struct progress *p, const char *what);

/* Takes the line away, so that something else can be written. */
void progress_hide(struct progress *p);

/* Seconds since the beginning. */
double progress_seconds(const struct progress *p);

#endif
