/*
 * Processes at the other end: one descriptor of each (pidfd_open(2)), so that a death is known at once,
 * also where a forked child keeps the socket open, with its cause where the kernel tells it. On the loop.
 */
#ifndef XT_WATCH_H
#define XT_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "peer.h"

#define WATCH_BUCKETS 1024

struct watch {
	uv_poll_t poll;
	pid_t pid;
	int fd;		    /* owned: of the process */
	unsigned refs;	    /* connections, and clients that have just gone */
	bool died;	    /* the process has ended */
	char cause[64];	    /* what ended it; "" when the kernel does not tell */
	char events[256];   /* path of its memory cgroup's events; "" for none */
	uint64_t oom_kills; /* counted there at the beginning */
	struct watch_list *list;
	struct watch *next; /* in its bucket */
};

struct watch_list {
	uv_loop_t *loop; /* borrowed */
	void (*on_death)(struct watch *w, void *data);
	void *data; /* for on_death */
	struct watch *buckets[WATCH_BUCKETS];
	size_t count;
};

/* Watches the peer of a connected socket, counting the reference. NULL: it cannot be watched. */
struct watch *watch_peer(struct watch_list *l, int socket, const struct peer *peer);

struct watch *watch_ref(struct watch *w);

/* Gives a reference back; NULL is allowed. */
void watch_unref(struct watch *w);

#endif
