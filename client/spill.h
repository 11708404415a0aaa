/*
 * Rows while the daemon is away: the window's numbered frames go to a spool file (proto/spool.h), and
 * come back from there, in order, once it can be reached. The file has all numbers up to spill.to that
 * are not acknowledged; the window has what follows, and those of the file that were read to be sent.
 */
#ifndef XT_SPILL_H
#define XT_SPILL_H

#include "spool.h"

struct xt_client;

struct spill {
	char *dir;	   /* owned: where files go; NULL: not known before the first hello */
	struct spool file; /* fd -1: there is none */
	uint64_t to;	   /* last number in the file; 0: none */
	bool on;	   /* new frames go to the file too */
};

/* The daemon cannot be reached: puts the window's frames into the file, where new ones will follow. False:
 * that is not possible, or turned off; rows stay in the window. */
bool spill_begin(struct xt_client *c);

/* Sees to it that a frame of `size` bytes fits into the file, waiting as the options say. */
int spill_room(struct xt_client *c, size_t size) __attribute__((warn_unused_result));

/* Moves the window's last frame to the file. On failure the frame is gone and its numbers are free. */
int spill_last(struct xt_client *c) __attribute__((warn_unused_result));

/* Connected: reads from the file what the window has room for. When all is read, new frames go to the
 * window again; when all is acknowledged, the file goes. */
void spill_load(struct xt_client *c);
void spill_settle(struct xt_client *c);

/* The connection is lost, and the window's part of the file with it: that is read again. */
void spill_rewind(struct xt_client *c);

/* Waits until the file is read, for what must come behind its frames. */
int spill_drain(struct xt_client *c, int64_t deadline) __attribute__((warn_unused_result));

/* At the end: everything that is not acknowledged goes to the file and to the disk, with a goodbye behind
 * it. Returns how many numbers there are; 0: it could not be done. */
uint64_t spill_all(struct xt_client *c, const char *status);

/* Leaves the file to the daemon, which takes it in as an orphan. */
void spill_leave(struct xt_client *c);

#endif
