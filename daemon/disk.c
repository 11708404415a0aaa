#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* ---- watermarks ------------------------------------------------------- */

/* What a setting means on a disk of that size, bytes. */
static uint64_t mark(int64_t setting, uint64_t total, unsigned per_mille, uint64_t most)
{
	if (setting >= 0)
		return (uint64_t)setting * MIB;
	uint64_t share = total / 1000 * per_mille;
	return share < most ? share : most;
}

uint64_t disk_free(const char *path)
{
	struct statvfs v;

	return statvfs(path, &v) == 0 ? (uint64_t)v.f_bavail * v.f_frsize : 0;
}

bool disk_has_room(const char *path)
{
	struct statvfs v;

	if (statvfs(path, &v) < 0)
		return true; /* what is written will tell */
	uint64_t total = (uint64_t)v.f_blocks * v.f_frsize, free = (uint64_t)v.f_bavail * v.f_frsize;
	return free >= mark(-1, total, 5, 32 * MIB);
}

enum disk_level disk_look(const struct store *s, struct xt_err *ret_why)
{
	static const char *const says[] = {
		[DISK_WARN] = "the disk is getting full",
		[DISK_SLOW] = "the disk is nearly full and rows are stored slowly",
		[DISK_REFUSE] = "the disk is full and nothing is stored",
	};
	struct statvfs v;

	if (statvfs(s->path, &v) < 0 || v.f_blocks == 0)
		return DISK_PLENTY;
	uint64_t total = (uint64_t)v.f_blocks * v.f_frsize, free = (uint64_t)v.f_bavail * v.f_frsize;
	uint64_t wal = store_wal_bytes(s), used = store_wal_used(s);
	free += wal > used ? wal - used : 0; /* what is next written goes there */
	const int64_t *c = s->config;
	enum disk_level level = free < mark(c[CONFIG_DISK_REFUSE], total, 5, 32 * MIB)	  ? DISK_REFUSE
				: free < mark(c[CONFIG_DISK_SLOW], total, 20, 256 * MIB)  ? DISK_SLOW
				: free < mark(c[CONFIG_DISK_WARN], total, 50, 1024 * MIB) ? DISK_WARN
											  : DISK_PLENTY;
	bool small = free < 10 * MIB;
	if (level != DISK_PLENTY)
		xt_err_set(ret_why, XT_E_disk_full, NULL,
			   "%s: %llu %s are free where '%.200s' lies; make room", says[level],
			   (unsigned long long)(free / (small ? 1024 : MIB)), small ? "KiB" : "MiB", s->path);
	return level;
}

/* ---- reserve ---------------------------------------------------------- */

void reserve_init(struct reserve *r, const char *database)
{
	*r = (struct reserve){.fd = -1};
	snprintf(r->path, sizeof(r->path), "%s.reserve", database);
	unlink(r->path); /* of a daemon that was killed */
}

void reserve_keep(struct reserve *r, uint64_t bytes)
{
	bytes = bytes / MIB * MIB;
	if (bytes <= r->bytes || !r->path[0])
		return;
	if (r->fd < 0)
		r->fd = open(r->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (r->fd >= 0 && fallocate(r->fd, 0, (off_t)r->bytes, (off_t)(bytes - r->bytes)) == 0)
		r->bytes = bytes;
}

void reserve_release(struct reserve *r)
{
	if (r->fd < 0)
		return;
	unlink(r->path);
	close(r->fd);
	r->fd = -1;
	r->bytes = 0;
}
