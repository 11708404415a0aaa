#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire.h"

#define MAX_GROUPS 65536 /* NGROUPS_MAX: more the kernel does not have */

/* In its first group or a supplementary one. */
static bool in_group(int fd, const struct peer *p, gid_t group)
{
	socklen_t len = 0;
	bool found = p->gid == group;

	/* The first call tells the size. A process without supplementary groups makes it succeed. */
	if (found || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE ||
	    len > MAX_GROUPS * sizeof(gid_t))
		return found;
	gid_t *groups = malloc(len);
	if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
		for (size_t i = 0; i < len / sizeof(gid_t); i++)
			found = found || groups[i] == group;
	free(groups);
	return found;
}

static enum role role_of(int fd, const char *database, const struct peer_access *a, const struct peer *p)
{
	struct stat st;

	if (p->uid == geteuid() || p->uid == 0 || (stat(database, &st) == 0 && st.st_uid == p->uid))
		return ROLE_WRITER;
	if (a->has_group && in_group(fd, p, a->group))
		return ROLE_WRITER;
	return a->has_readers && in_group(fd, p, a->readers) ? ROLE_READER : ROLE_NONE;
}

int peer_of(int fd, const char *database, const struct peer_access *access, struct peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret = (struct peer){.uid = cred.uid, .gid = cred.gid, .pid = cred.pid};
	ret->role = role_of(fd, database, access, ret);
	return 0;
}

static void read_link(pid_t pid, const char *name, char *ret, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	ssize_t n = readlink(path, ret, size - 1);
	ret[n > 0 ? n : 0] = '\0';
	if (!utf8_valid(span_str(ret)))
		ret[0] = '\0';
}

void peer_read_process(pid_t pid, struct peer_process *ret)
{
	char path[64];

	*ret = (struct peer_process){0};
	read_link(pid, "exe", ret->executable, sizeof(ret->executable));
	read_link(pid, "cwd", ret->directory, sizeof(ret->directory));
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, ret->command_line, sizeof(ret->command_line) - 1);
	close(fd);
	for (ssize_t i = 0; i < n - 1; i++)
		if (ret->command_line[i] == '\0')
			ret->command_line[i] = ' ';
	if (!utf8_valid(span_str(ret->command_line)))
		ret->command_line[0] = '\0';
}

/* When a process started, in ticks since the machine did: field 22 of /proc/PID/stat. 0: there is none. */
static unsigned long long start_time(pid_t pid)
{
	char path[64], text[2048];
	unsigned long long ticks = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	const char *at = strrchr(text, ')'); /* the name before it may hold anything */
	if (!at || at[1] != ' ' || at[2] == 'Z')
		return 0; /* a zombie has ended */
	at++;
	for (int field = 2; at && field < 21; field++)
		at = strchr(at + 1, ' ');
	return at && sscanf(at, "%llu", &ticks) == 1 ? ticks : 0;
}

bool peer_outlived_us(pid_t pid)
{
	unsigned long long theirs = pid > 0 ? start_time(pid) : 0;

	return theirs > 0 && theirs <= start_time(getpid());
}
