/*
 * What one process holds of everything that is bounded. A process may hold as much of a thing as it leaves
 * to the others: one alone gets half, the next half of the rest. So whoever takes all there is to get never
 * takes it from everybody, and nobody needs a limit of its own while there is plenty.
 */
#ifndef XT_SHARE_H
#define XT_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum share_kind {
	SHARE_CONNS,   /* connections */
	SHARE_CURSORS, /* open queries */
	SHARE_QUEUED,  /* bytes of messages that wait for the writer */
	SHARE_READING, /* bytes of messages that wait for the readers */
	SHARE_ROOM,    /* bytes of large messages that have come in part */
	SHARE_UNREAD,  /* bytes of answers that are not read */
	SHARE_ASSETS,  /* assets that are being put or read */
	SHARE_SAMPLED, /* calls that are sampled */
	SHARE_WAITS,   /* requests that wait for rows */
	SHARE_KINDS
};

struct shares;

/* Of one process; kept as long as somebody holds a reference. The loop's alone. */
struct share {
	struct shares *all; /* borrowed */
	struct share *next; /* in its bucket */
	unsigned refs;
	uid_t uid;
	pid_t pid; /* 0: processes of other pid namespaces count as one of their user */
	size_t held[SHARE_KINDS];
};

#define SHARE_BUCKETS 256

struct shares {
	struct share *buckets[SHARE_BUCKETS];
	size_t used[SHARE_KINDS]; /* of all */
	size_t max[SHARE_KINDS];
};

/* The process's share, one reference more; NULL: out of memory. */
struct share *share_of(struct shares *all, uid_t uid, pid_t pid);
struct share *share_ref(struct share *s);
void share_unref(struct share *s); /* takes NULL */

/* May it take so much more? */
bool share_allows(const struct share *s, enum share_kind k, size_t more);

void share_take(struct share *s, enum share_kind k, size_t n);
void share_give(struct share *s, enum share_kind k, size_t n);

#endif
