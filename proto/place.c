#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

static int append(char *ret, const char *a, const char *b)
{
	return snprintf(ret, PATH_MAX, "%s%s", a, b) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Socket and state from the lock file, where there is one. */
static void read_lock(struct place *p)
{
	FILE *f = fopen(p->lock, "re");
	char line[PATH_MAX + 16];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "socket ", 7) == 0 && line[7] == '/')
			snprintf(p->socket, sizeof(p->socket), "%.*s", PATH_MAX - 1, line + 7);
		else if (strcmp(line, "state down") == 0)
			p->held = true;
	}
	fclose(f);
}

static int compute_socket(struct place *p)
{
	const char *run = getenv("XDG_RUNTIME_DIR"), *tmp = getenv("TMPDIR");
	unsigned char hash[16];
	char hex[2 * sizeof(hash) + 1], name[64];
	int n;

	if (sodium_init() < 0)
		return -ENOSYS;
	crypto_generichash(hash, sizeof(hash), (const unsigned char *)p->database, strlen(p->database), NULL,
			   0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	snprintf(name, sizeof(name), "/%s.sock", hex);
	if (run && run[0] == '/')
		n = snprintf(p->dir, sizeof(p->dir), "%.4000s/xetrack", run);
	else
		n = snprintf(p->dir, sizeof(p->dir), "%s/xetrack-%u", tmp && tmp[0] == '/' ? tmp : "/tmp",
			     (unsigned)geteuid());
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	int r = append(p->computed, p->dir, name);
	memcpy(p->socket, p->computed, sizeof(p->socket));
	return r;
}

int place_find(struct place *ret, const char *database, struct xt_err *err)
{
	const char *env = getenv("XETRACK_SOCKET");

	*ret = (struct place){0};
	if (!database || !database[0])
		return xt_err_set(err, XT_E_out_of_range, "database", "no database was named");
	int r = real_path(ret->database, database, &ret->exists);
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
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	if (strlen(ret->socket) > most)
		return xt_err_set(err, XT_E_out_of_range, "socket",
				  "the socket's path '%.200s' has %zu bytes, a socket address holds %zu; "
				  "set XETRACK_SOCKET or XDG_RUNTIME_DIR to something shorter",
				  ret->socket, strlen(ret->socket), most);
	return 0;
}

int place_make_dir(const struct place *p, struct xt_err *err)
{
	struct stat st;

	if (mkdir(p->dir, 0700) < 0 && errno != EEXIST)
		return xt_err_set(err, XT_E_io_error, "socket", "cannot make directory '%.200s': %s", p->dir,
				  strerror(errno));
	if (lstat(p->dir, &st) < 0)
		return xt_err_set(err, XT_E_io_error, "socket", "cannot look at '%.200s': %s", p->dir,
				  strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return xt_err_set(err, XT_E_not_allowed, "socket",
				  "'%.200s' must be a directory of user %u with mode 0700; remove or mend it",
				  p->dir, (unsigned)geteuid());
	return 0;
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
