#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "own.h"

#define MAX_LINKS 40 /* as the kernel has it */

/* The real path of a file that need not exist yet. */
static int real_path(char *ret, const char *path, bool *ret_exists)
{
	*ret_exists = true;
	if (realpath(path, ret))
		return 0;
	if (errno != ENOENT)
		return -errno;
	*ret_exists = false;
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX], real_parent[PATH_MAX];
	const char *name = slash ? slash + 1 : path;
	size_t len = slash ? (size_t)(slash - path) : 0;
	if (len >= sizeof(parent) || name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (!slash)
		strcpy(parent, ".");
	else if (len == 0)
		strcpy(parent, "/");
	else
		snprintf(parent, sizeof(parent), "%.*s", (int)len, path);
	if (!realpath(parent, real_parent))
		return -errno;
	int n = snprintf(ret, PATH_MAX, "%s/%s", strcmp(real_parent, "/") == 0 ? "" : real_parent, name);
	return n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Follows the links that the last name may be, so that a database behind a link to what is not there yet gets
 * the same lock before and after it is made. -1 with the error: a stranger's link. */
static int follow(char name[PATH_MAX], struct xt_err *err)
{
	char target[PATH_MAX], joined[PATH_MAX];

	for (int links = 0; links < MAX_LINKS; links++) {
		if (own_link(name, err) < 0)
			return -1;
		ssize_t n = readlink(name, target, sizeof(target) - 1);
		if (n <= 0)
			return 0;
		target[n] = '\0';
		const char *slash = target[0] == '/' ? NULL : strrchr(name, '/');
		int len = snprintf(joined, sizeof(joined), "%.*s%s", slash ? (int)(slash + 1 - name) : 0,
				   name, target);
		if (len >= PATH_MAX)
			return 0; /* real_path() says so */
		memcpy(name, joined, (size_t)len + 1);
	}
	return 0;
}

static int append(char *ret, const char *a, const char *b)
{
	return snprintf(ret, PATH_MAX, "%s%s", a, b) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Socket and state from the lock file, where there is one. */
static void read_lock(struct place *p)
{
	char line[PATH_MAX + 16];
	struct xt_err ignored; /* the daemon says it, when it opens the file to take the lock */
	int fd = own_open(p->lock, O_RDONLY, 0, p->database, &ignored);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (!f) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "socket ", 7) == 0 && line[7] == '/')
			snprintf(p->socket, sizeof(p->socket), "%.*s", PATH_MAX - 1, line + 7);
		else if (strcmp(line, "state down") == 0)
			p->held = true;
	}
	fclose(f);
}

/* A directory that the environment names, unless it is another user's. One that is missing is not passed
 * over: that error is to be seen. */
static const char *env_directory(const char *name)
{
	const char *path = getenv(name);
	struct stat st;

	if (!path || path[0] != '/')
		return NULL;
	return stat(path, &st) == 0 && st.st_uid != geteuid() && st.st_uid != 0 ? NULL : path;
}

static const char *tmp_directory(void)
{
	const char *tmp = env_directory("TMPDIR");

	return tmp ? tmp : "/tmp";
}

static int compute_socket(struct place *p)
{
	const char *run = env_directory("XDG_RUNTIME_DIR");
	unsigned char hash[16];
	char hex[2 * sizeof(hash) + 1], name[64];
	int n;

	if (sodium_init() < 0)
		return -ENOSYS;
	crypto_generichash(hash, sizeof(hash), (const unsigned char *)p->database, strlen(p->database), NULL,
			   0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	snprintf(name, sizeof(name), "/%s.sock", hex);
	if (run)
		n = snprintf(p->dir, sizeof(p->dir), "%.4000s/xetrack", run);
	else
		n = snprintf(p->dir, sizeof(p->dir), "%.4000s/xetrack-%u", tmp_directory(),
			     (unsigned)geteuid());
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	int r = append(p->computed, p->dir, name);
	memcpy(p->socket, p->computed, sizeof(p->socket));
	return r;
}

static int check_length(const struct place *p, struct xt_err *err)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (strlen(p->socket) <= most)
		return 0;
	return xt_err_set(err, XT_E_out_of_range, "socket",
			  "the socket's path '%.200s' has %zu bytes, a socket address holds %zu; "
			  "set XETRACK_SOCKET or XDG_RUNTIME_DIR to something shorter",
			  p->socket, strlen(p->socket), most);
}

int place_find(struct place *ret, const char *database, struct xt_err *err)
{
	const char *env = getenv("XETRACK_SOCKET");
	char name[PATH_MAX];

	*ret = (struct place){.dir_mode = 0700, .socket_mode = 0600, .group = (gid_t)-1};
	if (!database || !database[0])
		return xt_err_set(err, XT_E_out_of_range, "database", "no database was named");
	snprintf(name, sizeof(name), "%s", database);
	if (strlen(database) < sizeof(name) && follow(name, err) < 0)
		return -1;
	int r = strlen(database) < sizeof(name) ? real_path(ret->database, name, &ret->exists)
						: -ENAMETOOLONG;
	if (r == 0)
		r = append(ret->lock, ret->database, ".lock");
	if (r == 0)
		r = append(ret->log, ret->database, ".log");
	if (r == 0)
		r = append(ret->spool, ret->database, ".spool");
	if (r == 0)
		r = compute_socket(ret);
	if (r < 0)
		return xt_err_set(err, XT_E_io_error, "database", "cannot find '%.200s': %s", database,
				  strerror(-r));
	read_lock(ret);
	if (env && env[0])
		snprintf(ret->socket, sizeof(ret->socket), "%s", env);
	return check_length(ret, err);
}

int place_share(struct place *p, const char *name, gid_t group, struct xt_err *err)
{
	const char *slash = strrchr(p->computed, '/');
	char file[64];

	snprintf(file, sizeof(file), "%s", slash ? slash : "/xetrack.sock");
	int n = snprintf(p->dir, sizeof(p->dir), "%.4000s/xetrack-%u-%.64s", tmp_directory(),
			 (unsigned)geteuid(), name);
	if (n >= PATH_MAX || strchr(name, '/') || append(p->computed, p->dir, file) < 0)
		return xt_err_set(err, XT_E_bad_name, "socket", "'%.64s' cannot be part of a path", name);
	memcpy(p->socket, p->computed, sizeof(p->socket));
	p->group = group;
	p->dir_mode = group == (gid_t)-1 ? 0711 : 0750;
	p->socket_mode = group == (gid_t)-1 ? 0666 : 0660;
	return check_length(p, err);
}

/* Gives a directory of ours, which may have just been made, its group and mode. */
static int settle_dir(const struct place *p, int fd, struct xt_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return xt_err_set(err, XT_E_io_error, "socket", "cannot look at '%.200s': %s", p->dir,
				  strerror(errno));
	if (st.st_uid != geteuid() || (st.st_mode & 0777 & ~p->dir_mode) != 0)
		return xt_err_set(err, XT_E_not_allowed, "socket",
				  "'%.200s' must be a directory of user %u with mode %04o; remove or mend it",
				  p->dir, (unsigned)geteuid(), (unsigned)p->dir_mode);
	if (p->group != (gid_t)-1 && st.st_gid != p->group && fchown(fd, (uid_t)-1, p->group) < 0)
		return xt_err_set(err, XT_E_not_allowed, "socket",
				  "cannot give '%.200s' to group %u: %s; only its members and root can",
				  p->dir, (unsigned)p->group, strerror(errno));
	if ((st.st_mode & 0777) != p->dir_mode && fchmod(fd, p->dir_mode) < 0)
		return xt_err_set(err, XT_E_io_error, "socket", "cannot set the mode of '%.200s': %s", p->dir,
				  strerror(errno));
	return 0;
}

int place_make_dir(const struct place *p, struct xt_err *err)
{
	char parent[PATH_MAX];

	snprintf(parent, sizeof(parent), "%s", p->dir);
	char *slash = strrchr(parent, '/');
	if (slash && slash > parent)
		*slash = '\0';
	if (mkdir(p->dir, 0700) < 0 && errno != EEXIST)
		return xt_err_set(err, XT_E_io_error, "socket", "cannot make directory '%.200s': %s", p->dir,
				  strerror(errno));
	if (own_directory(parent, err) < 0)
		return -1;
	int fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return xt_err_set(err, XT_E_not_allowed, "socket",
				  "'%.200s' must be a directory of user %u with mode %04o, and no link (%s); "
				  "remove or mend it",
				  p->dir, (unsigned)geteuid(), (unsigned)p->dir_mode, strerror(errno));
	int r = settle_dir(p, fd, err);
	close(fd);
	return r;
}

int place_write_lock(int fd, const char *socket, int pid, bool held)
{
	char text[PATH_MAX + 64];
	int n = snprintf(text, sizeof(text), "xetrackd 1\npid %d\nsocket %s\nstate %s\n", pid, socket,
			 held ? "down" : "running");

	/* Over the old text: it is never empty for a reader, nor left empty by a full disk. */
	ssize_t written = pwrite(fd, text, (size_t)n, 0);
	if (written != n)
		return written < 0 ? -errno : -ENOSPC;
	return ftruncate(fd, n) < 0 ? -errno : 0;
}
