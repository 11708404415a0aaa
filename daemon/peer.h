/* Who is at the other end of a socket, and what /proc says about that process. */
#ifndef XT_PEER_H
#define XT_PEER_H

#include <stdint.h>
#include <sys/types.h>

struct peer {
	uid_t uid; /* of the connecting process */
	gid_t gid;
	pid_t pid; /* 0 when it is in another pid namespace */
};

/* From the socket's credentials (SO_PEERCRED). 0 or -errno. */
int peer_of(int fd, struct peer *ret) __attribute__((warn_unused_result));

struct peer_process {
	char executable[512];	 /* "" where it cannot be read */
	char command_line[1024]; /* arguments with spaces between, cut */
	char directory[512];
};

/* Leaves empty what cannot be read. */
void peer_read_process(pid_t pid, struct peer_process *ret);

#endif
