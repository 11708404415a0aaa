#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "log.h"
#include "own.h"

/* ---- lock ------------------------------------------------------------- */

static int busy(const struct place *p, int fd, struct xt_err *err)
{
	char text[256] = "";
	int pid = 0;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	const char *line = n > 0 ? strstr(text, "\npid ") : NULL;

	if (line)
		(void)!sscanf(line, "\npid %d", &pid);
	return xt_err_set(err, XT_E_busy, "database", "'%.200s' is served by process %d already", p->database,
			  pid);
}

/* What the last daemon left there when it let the lock go: place_find() may have looked before that. */
static bool says_down(int fd)
{
	char text[PATH_MAX + 64];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, "\nstate down\n");
}

int launch_lock(const struct place *p, bool read_only, bool revive, struct xt_err *err)
{
	char other[PATH_MAX + 8];
	int fd = own_open(p->lock, O_RDWR | O_CREAT, 0644, p->database, err);

	if (fd < 0 && err->code == XT_E_io_error && read_only) {
		/* In a directory that cannot be written the lock lies beside the socket. */
		snprintf(other, sizeof(other), "%s.lock", p->socket);
		fd = own_open(other, O_RDWR | O_CREAT, 0600, p->database, err);
	}
	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		busy(p, fd, err);
		close(fd);
		return -1;
	}
	if (says_down(fd) && !revive) {
		close(fd);
		return xt_err_set(err, XT_E_stopping, "database",
				  "'%.200s' was stopped by `xtctl down`; start it with `xtctl up`",
				  p->database);
	}
	return fd;
}

/* ---- socket ----------------------------------------------------------- */

/* Its directory is there and ours, so a socket can be made in it. */
static bool usable(const char *path)
{
	char dir[PATH_MAX];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return false;
	*slash = '\0';
	return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && access(dir, W_OK) == 0;
}

/* Where the socket was asked for. */
static int take_wanted(struct place *p, const char *wanted, struct xt_err *err)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	char *cwd = wanted[0] == '/' ? NULL : getcwd(NULL, 0);
	int n = snprintf(p->socket, sizeof(p->socket), "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", wanted);

	free(cwd);
	if (n < 0 || (size_t)n > most)
		return xt_err_set(err, XT_E_out_of_range, "socket",
				  "the socket's path '%.200s' has %d bytes, a socket address holds "
				  "%zu; choose a shorter one",
				  wanted, n, most);
	return 0;
}

static const char *group_name(gid_t gid, char *text, size_t size)
{
	const struct group *g = getgrgid(gid);

	snprintf(text, size, "%u", (unsigned)gid);
	return g && !strchr(g->gr_name, '/') ? g->gr_name : text;
}

/* With one group the socket is that group's. A file has one group only: with two anybody may connect, and
 * who is in neither is turned away. */
static int share(struct place *p, const struct peer_access *a, struct xt_err *err)
{
	gid_t one = a->has_group ? a->group : a->readers;
	bool two = a->has_group && a->has_readers && a->group != a->readers;
	char text[16], name[80];

	snprintf(name, sizeof(name), "%s", group_name(one, text, sizeof(text)));
	if (two) {
		size_t n = strnlen(name, 30);
		snprintf(name + n, sizeof(name) - n, "-%.30s", group_name(a->readers, text, sizeof(text)));
	}
	return place_share(p, name, two ? (gid_t)-1 : one, err);
}

int launch_socket(struct place *p, const char *wanted, const struct peer_access *access, struct xt_err *err)
{
	const char *env = getenv("XETRACK_SOCKET");
	bool shared = access->has_group || access->has_readers;
	char dir[PATH_MAX];

	if (!wanted && env && env[0])
		wanted = env;
	if (shared && share(p, access, err) < 0)
		return -1;
	if (wanted) {
		if (take_wanted(p, wanted, err) < 0)
			return -1;
	} else if (!shared && strcmp(p->socket, p->computed) != 0 && !usable(p->socket)) {
		memcpy(p->socket, p->computed, sizeof(p->socket)); /* of a daemon in another environment */
	}
	if (strcmp(p->socket, p->computed) == 0)
		return place_make_dir(p, err);
	snprintf(dir, sizeof(dir), "%s", p->socket);
	char *slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	return own_directory(slash ? dir : ".", err);
}

/* Removes what a daemon that was killed has left. */
static int remove_left_over(const char *path, struct xt_err *err)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return xt_err_set(
			err, XT_E_not_allowed, "socket",
			"'%.200s' is no socket, and is left as it is; remove it, or choose another path",
			path);
	unlink(path);
	return 0;
}

/* A socket of our own: the lock is ours, so what is at the path is left over. */
int launch_bind(const struct place *p, struct xt_err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (remove_left_over(p->socket, err) < 0)
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return xt_err_set(err, XT_E_io_error, "socket", "cannot make a socket: %s", strerror(errno));
	memcpy(a.sun_path, p->socket, strnlen(p->socket, sizeof(a.sun_path) - 1));
	mode_t old = umask(0777 & ~p->socket_mode);
	int r = bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
	umask(old);
	/* Nobody connects before it listens. */
	if (r == 0 && p->group != (gid_t)-1 && lchown(p->socket, (uid_t)-1, p->group) < 0) {
		r = errno;
		unlink(p->socket);
	}
	if (r == 0)
		return fd;
	close(fd);
	return xt_err_set(err, XT_E_io_error, "socket", "cannot bind '%.200s': %s", p->socket, strerror(r));
}

int launch_inherited_socket(struct place *p)
{
#ifdef HAVE_SYSTEMD
	struct sockaddr_un a = {0};
	socklen_t len = sizeof(a);

	if (sd_listen_fds(1) < 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0)
		return -1;
	if (getsockname(SD_LISTEN_FDS_START, (struct sockaddr *)&a, &len) == 0 && a.sun_path[0] == '/')
		snprintf(p->socket, sizeof(p->socket), "%.*s", (int)sizeof(a.sun_path), a.sun_path);
	return SD_LISTEN_FDS_START;
#else
	(void)p;
	return -1;
#endif
}

void launch_spool_dir(const struct place *p, gid_t group)
{
	int fd = -1;

	if ((mkdir(p->spool, 0700) < 0 && errno != EEXIST) ||
	    (fd = open(p->spool, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0 ||
	    fchown(fd, (uid_t)-1, group) < 0 || fchmod(fd, 03770) < 0)
		log_warn("members of the group cannot spool path=\"%s\" error=\"%s\"", p->spool,
			 strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* ---- process ---------------------------------------------------------- */

int launch_detach(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		_exit(0);
	setsid(); /* fails when the starter did it already */
	return chdir("/") < 0 ? -errno : 0;
}

void launch_ready(int fd, const struct xt_err *err)
{
	char line[600];

	if (fd >= 0) {
		int n = err ? snprintf(line, sizeof(line), "%s %s\n", proto_error_name(err->code),
				       err->message)
			    : snprintf(line, sizeof(line), "ok\n");
		(void)!write(fd, line, (size_t)n);
		close(fd);
	}
#ifdef HAVE_SYSTEMD
	if (err)
		sd_notifyf(0, "STATUS=%s", err->message);
	else
		sd_notify(0, "READY=1");
#endif
}

void launch_stopping(void)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, "STOPPING=1");
#endif
}

const char *launch_network_fs(const char *path)
{
	static const struct {
		unsigned long type;
		const char *name;
	} known[] = {
		/* From linux/magic.h and statfs(2). */
		{0x6969, "NFS"},     {0x517b, "SMB"},	   {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"},
		{0x5346414f, "AFS"}, {0x00c36400, "Ceph"}, {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},
		{0x01021997, "9P"},  {0x65735546, "FUSE"},
	};
	struct statfs st;

	if (statfs(path, &st) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if ((unsigned long)st.f_type == known[i].type)
			return known[i].name;
	return NULL;
}

void launch_raise_limits(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}
