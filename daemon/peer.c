#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

int peer_of(int fd, struct peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret = (struct peer){.uid = cred.uid, .gid = cred.gid, .pid = cred.pid};
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
