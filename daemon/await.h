/*
 * Who waits for rows of which table: found by the table, by who waits, and by the time at which it has waited
 * long enough; so that what happens to one table costs nothing of what others are waited for. Pure data: no
 * clock, no sockets.
 */
#ifndef XT_AWAIT_H
#define XT_AWAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#define AWAIT_NEVER   UINT64_MAX
#define AWAIT_BUCKETS 1024

/* Somebody's waits. Zeroed: none. It stays where it is as long as it has any. */
struct await_owner {
	struct wait *first;
	size_t n;
};

struct wait {
	struct await_owner *owner; /* borrowed */
	struct await_table *table;
	uint64_t conn;			      /* who waits, by id … */
	uint32_t msgid;			      /* … and for the answer to which request */
	uint64_t level;			      /* that the table had */
	uint64_t until_ms;		      /* when it ends in any case; AWAIT_NEVER */
	size_t at;			      /* in await.by_time, unless it is AWAIT_NEVER */
	struct wait *prev, *next;	      /* of the same table */
	struct wait *prev_owned, *next_owned; /* of the same owner */
};

/* A table that somebody waits for; it goes with its last wait. */
struct await_table {
	struct wait *first;
	struct await_table *prev, *next; /* all of them */
	struct await_table *next_same;	 /* in its bucket */
	size_t len;			 /* bytes of: */
	uint8_t name[];			 /* as it was first spelled */
};

struct await {
	struct await_table *tables; /* owned */
	struct await_table *buckets[AWAIT_BUCKETS];
	struct wait **by_time; /* owned: a heap of n_timed; the next to end is the first */
	size_t n_timed, cap_timed;
	size_t n; /* of all */
};

/* Frees all that wait; their owners are not looked at. */
void await_done(struct await *a);

/* One more; the name is copied. NULL: out of memory. */
struct wait *await_add(struct await *a, struct await_owner *owner, struct span table, uint64_t until_ms);

/* Frees one. */
void await_end(struct await *a, struct wait *w);

/* The table of that name, however it is spelled. NULL: nobody waits for it. */
struct await_table *await_table(const struct await *a, struct span name);

/* The owner's wait of that request, or NULL. */
struct wait *await_of(const struct await_owner *owner, uint32_t msgid);

/* When the next one ends, or AWAIT_NEVER; *ret: which. */
uint64_t await_next(const struct await *a, struct wait **ret);

#endif
