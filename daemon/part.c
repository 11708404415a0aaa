#include "part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(struct xt_err *err, const char *path, const char *why)
{
	return xt_err_set(err, XT_E_file_error, "path", "cannot write '%.400s': %s", path, why);
}

/* ---- where ------------------------------------------------------------ */

/* The directory resolved, so that paths can be compared. */
static int resolve(struct part *p, struct span path, struct xt_err *err)
{
	char text[PATH_MAX], dir[PATH_MAX];

	if (path.len >= sizeof(text) || memchr(path.data, 0, path.len))
		return xt_err_set(err, XT_E_file_error, "path",
				  "the path is too long, or holds a NUL character");
	memcpy(text, path.data, path.len);
	text[path.len] = '\0';
	char *slash = strrchr(text, '/');
	if (text[0] != '/')
		return refuse(err, text, "the path must be absolute");
	const char *name = slash + 1;
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return refuse(err, text, "that is a directory");
	*slash = '\0';
	if (!realpath(text[0] ? text : "/", dir)) {
		int why = errno;
		*slash = '/';
		return refuse(err, text, strerror(why));
	}
	const char *between = strcmp(dir, "/") == 0 ? "" : "/";
	if ((size_t)snprintf(p->final, sizeof(p->final), "%s%s%s", dir, between, name) >=
	    sizeof(p->final) - 5)
		return refuse(err, name, strerror(ENAMETOOLONG));
	return 0;
}

/* The database and its companions. To close any other descriptor of the database would drop the locks
 * that SQLite holds for this process. */
static bool is_databases(const char *path, const struct stat *st, const char *database)
{
	static const char *const suffixes[] = {"",     "-wal",	 "-shm",     "-journal", ".lock",
					       ".log", ".log.1", ".reserve", ".assets"};
	size_t n = strlen(database);
	struct stat db;

	if (st && stat(database, &db) == 0 && db.st_dev == st->st_dev && db.st_ino == st->st_ino)
		return true;
	if (strncmp(path, database, n) != 0)
		return false;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(path + n, suffixes[i]) == 0)
			return true;
	return false;
}

static bool has_companion(const char *path, const char *suffix)
{
	char text[PATH_MAX + 16];
	struct stat st;

	snprintf(text, sizeof(text), "%s%s", path, suffix);
	return lstat(text, &st) == 0;
}

static int check_final(const struct part *p, const char *database, struct xt_err *err)
{
	struct stat st;
	bool there = lstat(p->final, &st) == 0;

	if (is_databases(p->final, there ? &st : NULL, database))
		return refuse(err, p->final, "it belongs to the database itself");
	/* A log that is there would be taken for the new file's, and played into it. */
	if (has_companion(p->final, "-wal") || has_companion(p->final, "-journal"))
		return refuse(
			err, p->final,
			"a file of that name with -wal or -journal is beside it: a database is in use there, "
			"or was left unfinished");
	if (!there)
		return 0;
	if (!S_ISREG(st.st_mode))
		return refuse(err, p->final,
			      S_ISDIR(st.st_mode)   ? "it is a directory"
			      : S_ISLNK(st.st_mode) ? "it is a symbolic link"
						    : "it is no file");
	return p->replace ? 0 : refuse(err, p->final, "it is there already");
}

/* ---- the part --------------------------------------------------------- */

/* What a process that was killed leaves: nothing yet, zeros, or a database. */
static bool is_left_over(int fd)
{
	static const char magic[16] = "SQLite format 3", zeros[16];
	char head[16];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n == 0 || (n == (ssize_t)sizeof(head) &&
			  (memcmp(head, magic, sizeof(head)) == 0 || memcmp(head, zeros, sizeof(head)) == 0));
}

static int take_part(struct part *p, struct xt_err *err)
{
	struct stat st, named;

	if (fstat(p->fd, &st) < 0)
		return refuse(err, p->path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
		return refuse(err, p->path, "it is there already, and was not left by a backup");
	if (flock(p->fd, LOCK_EX | LOCK_NB) < 0)
		return refuse(err, p->path, "another backup writes there");
	if (stat(p->path, &named) < 0 || named.st_ino != st.st_ino || named.st_dev != st.st_dev)
		return refuse(err, p->path, "another backup has just written there; try again");
	if (!is_left_over(p->fd))
		return refuse(err, p->path, "it is there already, and was not left by a backup");
	return ftruncate(p->fd, 0) < 0 ? refuse(err, p->path, strerror(errno)) : 0;
}

int part_open(struct part *p, struct span path, const char *database, bool replace, struct xt_err *err)
{
	struct stat st;

	*p = (struct part){.replace = replace};
	if (resolve(p, path, err) < 0 || check_final(p, database, err) < 0)
		return -1;
	char part[PATH_MAX + 8];
	snprintf(part, sizeof(part), "%s.part", p->final);
	if (is_databases(part, lstat(part, &st) == 0 ? &st : NULL, database))
		return refuse(err, part, "it belongs to the database itself");
	p->fd = open(part, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (p->fd < 0)
		return refuse(err, p->final, strerror(errno));
	memcpy(p->path, part, sizeof(p->path));
	if (take_part(p, err) == 0)
		return 0;
	close(p->fd);
	p->path[0] = '\0'; /* not ours to remove */
	return -1;
}

/* ---- its end ---------------------------------------------------------- */

static int give_name(const struct part *p)
{
	if (p->replace)
		return rename(p->path, p->final);
	int r = renameat2(AT_FDCWD, p->path, AT_FDCWD, p->final, RENAME_NOREPLACE);
	if (r == 0 || (errno != EINVAL && errno != ENOSYS))
		return r;
	/* A file system that cannot promise it. */
	if (access(p->final, F_OK) == 0) {
		errno = EEXIST;
		return -1;
	}
	return rename(p->path, p->final);
}

static int sync_directory(const char *path)
{
	char dir[PATH_MAX];

	memcpy(dir, path, sizeof(dir));
	char *slash = strrchr(dir, '/');
	slash[slash == dir] = '\0';
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int r = fsync(fd);
	close(fd);
	return r;
}

int part_finish(struct part *p, const char *database, struct xt_err *err)
{
	struct stat db;

	if (stat(database, &db) == 0 && fchmod(p->fd, (db.st_mode & 0777) | 0600) < 0)
		return refuse(err, p->final, strerror(errno));
	if (fsync(p->fd) < 0 || give_name(p) < 0)
		return refuse(err, p->final, strerror(errno));
	close(p->fd);
	p->path[0] = '\0';
	return sync_directory(p->final) < 0 ? refuse(err, p->final, strerror(errno)) : 0;
}

void part_done(struct part *p)
{
	if (!p->path[0])
		return;
	unlink(p->path);
	close(p->fd);
	p->path[0] = '\0';
}
