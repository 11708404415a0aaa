/* What spool files tell without being read: whose they are, and which numbers they hold. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool.h"

#define DAMAGED ".damaged"

/* ---- looking ---------------------------------------------------------- */

static bool number_at(int fd, uint64_t at, int bytes, uint64_t *ret)
{
	uint8_t b[8];

	if (pread(fd, b, (size_t)bytes, (off_t)at) != bytes)
		return false;
	*ret = spool_number(b, bytes);
	return true;
}

/* From record to record: where an end tells nothing. */
static void walk(int fd, struct spool_facts *f)
{
	uint64_t at = SPOOL_HEAD, size, rows, seq;

	while (number_at(fd, at, 4, &size) && size > 0 && at + SPOOL_OVERHEAD + size <= f->bytes &&
	       number_at(fd, at + 4, 4, &rows) && number_at(fd, at + 8, 8, &seq)) {
		if (rows > 0) {
			f->first = f->first ? f->first : seq;
			f->last = seq + rows - 1;
		}
		at += SPOOL_OVERHEAD + size;
	}
}

static void look_at_numbers(int fd, struct spool_facts *f)
{
	uint64_t size = 0, first = 0, rows = 0, seq = 0, head = 0;

	if (f->bytes < SPOOL_HEAD + SPOOL_OVERHEAD || !number_at(fd, SPOOL_HEAD + 8, 8, &first))
		return;
	f->first = first;
	uint64_t room = f->bytes - SPOOL_HEAD - SPOOL_OVERHEAD;
	bool whole = number_at(fd, f->bytes - 4, 4, &size) && size > 0 && size <= room;
	uint64_t at = f->bytes - SPOOL_OVERHEAD - size;
	if (first > 0 && whole && number_at(fd, at, 4, &head) && head == size &&
	    number_at(fd, at + 4, 4, &rows) && rows > 0 && number_at(fd, at + 8, 8, &seq) && seq >= first)
		f->last = seq + rows - 1;
	else
		walk(fd, f);
	if (f->last < f->first || f->first == 0)
		f->first = f->last = 0;
}

static void look(const char *dir, const char *name, struct spool_facts *f)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (lstat(path, &st) == 0) {
		f->bytes = (uint64_t)st.st_size;
		f->uid = st.st_uid;
	}
	if (fd < 0 || !S_ISREG(st.st_mode)) {
		f->state = SPOOL_UNREADABLE;
	} else {
		look_at_numbers(fd, f);
		if (f->state != SPOOL_DAMAGED && fcntl(fd, F_GETLK, &l) == 0 && l.l_type == F_WRLCK) {
			f->state = SPOOL_OWNED;
			f->owner = l.l_pid;
		}
	}
	if (fd >= 0)
		close(fd);
}

/* A file of ours by its name? Fills in what the name tells. */
static bool known_name(const char *name, struct spool_facts *f)
{
	char plain[SPOOL_NAME + 1];
	size_t len = strlen(name);

	*f = (struct spool_facts){.state = len == SPOOL_NAME ? SPOOL_ORPHAN : SPOOL_DAMAGED};
	if (len != SPOOL_NAME && (len <= SPOOL_NAME || strcmp(name + SPOOL_NAME, DAMAGED) != 0))
		return false;
	snprintf(plain, sizeof(plain), "%.*s", SPOOL_NAME, name);
	return spool_client(plain, f->client);
}

int spool_list(const char *dir, bool (*each)(const struct spool_facts *f, void *data), void *data)
{
	DIR *d = opendir(dir);
	struct spool_facts f;
	struct dirent *e;
	bool go_on = true;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (go_on && (e = readdir(d))) {
		if (!known_name(e->d_name, &f))
			continue;
		look(dir, e->d_name, &f);
		go_on = each(&f, data);
	}
	closedir(d);
	return 0;
}
