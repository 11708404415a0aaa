#include "own.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory that holds the path's last name. False: too long. */
static bool directory_of(const char *path, char ret[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int n = !slash		? snprintf(ret, PATH_MAX, ".")
		: slash == path ? snprintf(ret, PATH_MAX, "/")
				: snprintf(ret, PATH_MAX, "%.*s", (int)(slash - path), path);

	return n < PATH_MAX;
}

bool own_trusts(uid_t uid, const char *database)
{
	char dir[PATH_MAX];
	struct stat st;

	if (uid == geteuid() || uid == 0)
		return true;
	if (stat(database, &st) == 0 && st.st_uid == uid)
		return true;
	return directory_of(database, dir) && stat(dir, &st) == 0 &&
	       (st.st_uid == uid || !(st.st_mode & S_IWOTH));
}

static int refuse(const char *path, const char *what, struct xt_err *err)
{
	return xt_err_set(err, XT_E_not_allowed, "database",
			  "'%.200s' is %s; somebody else may have put it there: look at it and remove it",
			  path, what);
}

static int judge(const char *path, const struct stat *st, const char *database, struct xt_err *err)
{
	char what[64];

	if (S_ISLNK(st->st_mode))
		return refuse(path, "a symbolic link", err);
	if (!S_ISREG(st->st_mode))
		return refuse(path, "not a regular file", err);
	if (!own_trusts(st->st_uid, database)) {
		snprintf(what, sizeof(what), "a file of user %u", (unsigned)st->st_uid);
		return refuse(path, what, err);
	}
	if (st->st_nlink > 1)
		return refuse(path, "a file that has other names too (hard links)", err);
	return 0;
}

int own_look(const char *path, const char *database, struct xt_err *err)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : judge(path, &st, database, err);
}

int own_look_beside(const char *database, struct xt_err *err)
{
	static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
	char path[PATH_MAX + 16];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", database, suffixes[i]);
		if (own_look(path, database, err) < 0)
			return -1;
	}
	return 0;
}

int own_open(const char *path, int flags, mode_t mode, const char *database, struct xt_err *err)
{
	struct stat st;
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);

	if (fd < 0) {
		int error = errno;
		if (own_look(path, database, err) < 0)
			return -1;
		return xt_err_set(err, XT_E_io_error, "database", "cannot open '%.200s': %s", path,
				  strerror(error));
	}
	if (fstat(fd, &st) == 0 && judge(path, &st, database, err) == 0)
		return fd;
	close(fd);
	return -1;
}

int own_directory(const char *path, struct xt_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return xt_err_set(err, XT_E_io_error, "socket", "cannot look at directory '%.200s': %s", path,
				  strerror(errno));
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
		return xt_err_set(err, XT_E_not_allowed, "socket",
				  "everybody may replace files in '%.200s', which is no place for a socket: "
				  "chmod o-w or +t it, or choose another",
				  path);
	return 0;
}

int own_link(const char *path, struct xt_err *err)
{
	char dir[PATH_MAX];
	struct stat link, in;

	if (lstat(path, &link) < 0 || !S_ISLNK(link.st_mode) || link.st_uid == geteuid())
		return 0;
	if (!directory_of(path, dir) || stat(dir, &in) < 0 || !(in.st_mode & S_IWOTH) ||
	    link.st_uid == in.st_uid)
		return 0;
	return xt_err_set(
		err, XT_E_not_allowed, "database",
		"'%.200s' is a link of user %u in a directory that everybody may write: name the file "
		"itself",
		path, (unsigned)link.st_uid);
}
