#include "newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const struct newfile *f, char *error, size_t size, int number)
{
	snprintf(error, size, "cannot write '%s': %s", f->path, strerror(number));
	return -1;
}

static int fail_existing(const struct newfile *f, char *error, size_t size)
{
	snprintf(error, size, "'%s' is there already; --force replaces it", f->path);
	return -1;
}

/* Opens what is written, alone. -1: errno says why; EWOULDBLOCK: another one writes it. */
static int open_part(struct newfile *f)
{
	struct stat have, named;

	for (;;) {
		f->fd = open(f->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
		if (f->fd < 0)
			return -1;
		if (flock(f->fd, LOCK_EX | LOCK_NB) < 0)
			return -1;
		/* Whoever had the lock before may have renamed or removed it. */
		if (fstat(f->fd, &have) == 0 && lstat(f->part, &named) == 0 && have.st_ino == named.st_ino &&
		    have.st_dev == named.st_dev)
			return ftruncate(f->fd, 0);
		close(f->fd);
		f->fd = -1;
	}
}

static void forget(struct newfile *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->part);
	*f = (struct newfile){.fd = -1};
}

int newfile_begin(struct newfile *f, const char *path, bool replace, char *error, size_t size)
{
	struct stat st;
	bool there = stat(path, &st) == 0;

	*f = (struct newfile){.path = path, .fd = -1, .replace = replace};
	if (there && S_ISDIR(st.st_mode))
		return fail(f, error, size, EISDIR);
	if (there && !S_ISREG(st.st_mode)) {
		f->fd = open(path, O_WRONLY | O_CLOEXEC);
		return f->fd < 0 ? fail(f, error, size, errno) : 0;
	}
	if (there && !replace)
		return fail_existing(f, error, size);
	if (asprintf(&f->part, "%s.part", path) < 0) {
		f->part = NULL;
		return fail(f, error, size, ENOMEM);
	}
	if (open_part(f) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		snprintf(error, size, "another process is writing '%s' now", path);
	else
		fail(f, error, size, errno);
	forget(f);
	return -1;
}

const char *newfile_path(const struct newfile *f)
{
	return f->part ? f->part : f->path;
}

/* Its directory entry reaches the disk too. */
static int sync_directory(const char *path)
{
	char *copy = strdup(path);

	if (!copy)
		return -1;
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (fd < 0)
		return -1;
	int r = fsync(fd);
	close(fd);
	return r;
}

static int give_name(const struct newfile *f)
{
	if (f->replace)
		return rename(f->part, f->path);
	/* Somebody else may have made it meanwhile. */
	if (renameat2(AT_FDCWD, f->part, AT_FDCWD, f->path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* A file system without that. */
	return link(f->part, f->path) == 0 ? unlink(f->part) : -1;
}

int newfile_end(struct newfile *f, bool whole, char *error, size_t size)
{
	int r = 0;

	if (f->fd < 0)
		return 0;
	if (f->part && whole) {
		/* By its name: it may have been written anew there, and not through our descriptor. */
		int fd = open(f->part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || fsync(fd) < 0 || give_name(f) < 0)
			r = errno == EEXIST ? fail_existing(f, error, size) : fail(f, error, size, errno);
		else if (sync_directory(f->path) < 0)
			r = fail(f, error, size, errno);
		if (fd >= 0)
			close(fd);
	}
	if (f->part && (!whole || r < 0))
		unlink(f->part);
	forget(f);
	return r;
}
