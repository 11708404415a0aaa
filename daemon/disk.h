/*
 * Room on the database's file system: watermarks below which the daemon warns, stores slowly, and stores
 * nothing; and a reserve file, as large as what the write-ahead log still has to put into the database,
 * so that a checkpoint succeeds on a disk that others have filled.
 */
#ifndef XT_DISK_H
#define XT_DISK_H

#include <limits.h>

#include "store.h"

enum disk_level { DISK_PLENTY, DISK_WARN, DISK_SLOW, DISK_REFUSE };

/* Looks; ret_why: a sentence with the numbers and the remedy, of any level but DISK_PLENTY. */
enum disk_level disk_look(const struct store *s, struct xt_err *ret_why);

/* Bytes that are free for us; 0 when it cannot be told. */
uint64_t disk_free(const char *path);

/* True when others than rows may have more of the disk: from any thread, and so by the presets. */
bool disk_has_room(const char *path);

struct reserve {
	int fd; /* -1: none */
	char path[PATH_MAX];
	uint64_t bytes; /* that it has */
};

/* For a database; nothing is allotted yet. */
void reserve_init(struct reserve *r, const char *database);

/* Grows it to the bytes, in steps of a MiB; below one there is none. Where that fails it stays as it is. */
void reserve_keep(struct reserve *r, uint64_t bytes);

/* Gives its room back and removes it. */
void reserve_release(struct reserve *r);

#endif
