/* Who is at the other end of a socket, and what /proc says about that process. */
#ifndef XT_PEER_H
#define XT_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a connection may do; decided once, when it is accepted. */
enum role {
	ROLE_NONE,   /* nothing: it is turned away */
	ROLE_READER, /* what has no WRITE flag in methods.def */
	ROLE_WRITER, /* everything */
};

struct peer {
	uid_t uid; /* of the connecting process */
	gid_t gid;
	pid_t pid; /* 0 when it is in another pid namespace */
	enum role role;
};

/* Who is served besides the daemon's own user, the database's owner and root. */
struct peer_access {
	gid_t group, readers;	     /* members may log and query; may only query */
	bool has_group, has_readers; /* the one above is set */
};

/* From the socket's credentials (SO_PEERCRED, SO_PEERGROUPS), which the kernel took when it was connected.
 * database: its path. 0 or -errno. */
int peer_of(int fd, const char *database, const struct peer_access *access, struct peer *ret)
	__attribute__((warn_unused_result));

struct peer_process {
	char executable[512];	 /* "" where it cannot be read */
	char command_line[1024]; /* arguments with spaces between, cut */
	char directory[512];
};

/* Whether a process of that number lives that is older than this one: so it is the one that had it before we
 * started, and not another that was given its number since. */
bool peer_outlived_us(pid_t pid);

/* Leaves empty what cannot be read. */
void peer_read_process(pid_t pid, struct peer_process *ret);

#endif
