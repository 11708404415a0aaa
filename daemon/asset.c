#include "asset.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"
#include "own.h"

#define PATH (PATH_MAX + 100)

struct assets *assets_new(const char *database)
{
	struct assets *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->database = database;
	snprintf(a->dir, sizeof(a->dir), "%s.assets", database);
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void assets_free(struct assets *a)
{
	if (!a)
		return;
	while (a->list) {
		struct asset *next = a->list->next;
		buf_done(&a->list->data);
		free(a->list);
		a->list = next;
	}
	buf_done(&a->restless);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* ---- files ------------------------------------------------------------ */

const char *asset_hex(const uint8_t *hash, char ret[ASSET_HEX])
{
	return sodium_bin2hex(ret, ASSET_HEX, hash, XT_ASSET_HASH);
}

void asset_path(const struct assets *a, enum asset_place place, const uint8_t *hash, char ret[static PATH])
{
	char hex[ASSET_HEX];

	asset_hex(hash, hex);
	if (place == ASSET_LIMBO)
		snprintf(ret, PATH, "%s/limbo/%s.zst", a->dir, hex);
	else
		snprintf(ret, PATH, "%s/%.2s/%s.zst", a->dir, hex, hex);
}

static int refuse(struct xt_err *err, const char *path, const char *why)
{
	return xt_err_set(err, XT_E_file_error, NULL, "cannot keep assets in '%.250s': %s", path, why);
}

/* A directory of a trusted owner in which nobody else may write. */
static int check_dir(const struct assets *a, const char *path, struct xt_err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return refuse(err, path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return refuse(err, path,
			      S_ISLNK(st.st_mode) ? "it is a symbolic link" : "it is not a directory");
	if (!own_trusts(st.st_uid, a->database))
		return refuse(err, path, "it belongs to another user");
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return refuse(err, path, "others may write there; chmod go-w it");
	return 0;
}

static int make_dir(const struct assets *a, const char *path, struct xt_err *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return xt_err_set(err, errno == ENOSPC ? XT_E_disk_full : XT_E_file_error, NULL,
				  "cannot make the directory '%.250s': %s", path, strerror(errno));
	return check_dir(a, path, err);
}

int assets_make_dirs(const struct assets *a, struct xt_err *err)
{
	char limbo[PATH];

	snprintf(limbo, sizeof(limbo), "%s/limbo", a->dir);
	return make_dir(a, a->dir, err) < 0 ? -1 : make_dir(a, limbo, err);
}

int asset_open(const struct assets *a, const uint8_t *hash, struct xt_err *err)
{
	static const enum asset_place order[] = {ASSET_LIMBO, ASSET_HOME, ASSET_LIMBO};
	char path[PATH];
	struct stat st;

	if (check_dir(a, a->dir, err) < 0)
		return -1;
	/* Once more in limbo: it may just have gone there. */
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		asset_path(a, order[i], hash, path);
		if (lstat(path, &st) < 0)
			continue;
		int fd = own_open(path, O_RDONLY, 0, a->database, err);
		if (fd >= 0 || lstat(path, &st) == 0)
			return fd;
	}
	asset_path(a, ASSET_HOME, hash, path);
	return xt_err_set(err, XT_E_file_error, NULL, "its file '%.250s' is missing", path);
}

bool asset_is_there(const struct assets *a, const uint8_t *hash, uint64_t stored)
{
	char path[PATH];
	struct stat st;

	for (int place = ASSET_HOME; place <= ASSET_LIMBO; place++) {
		asset_path(a, (enum asset_place)place, hash, path);
		if (lstat(path, &st) == 0)
			return S_ISREG(st.st_mode) && (uint64_t)st.st_size == stored;
	}
	return false;
}

static int sync_limbo(const struct assets *a)
{
	char limbo[PATH];

	snprintf(limbo, sizeof(limbo), "%s/limbo", a->dir);
	for (const char *dir = limbo; dir; dir = dir == limbo ? a->dir : NULL) {
		int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		int r = fd < 0 ? -1 : fsync(fd);
		if (fd >= 0)
			close(fd);
		if (r < 0)
			return -1;
	}
	return 0;
}

/* ---- who holds what --------------------------------------------------- */

/* Under the lock, as everything below that does not take it. */
static struct asset *find(const struct assets *a, const uint8_t *hash)
{
	struct asset *k = a->list;

	while (k && memcmp(k->hash, hash, XT_ASSET_HASH) != 0)
		k = k->next;
	return k;
}

/* Without memory it is settled at the next start. */
static void touch(struct assets *a, const uint8_t *hash)
{
	if (buf_reserve(&a->restless, XT_ASSET_HASH) == 0) {
		buf_add(&a->restless, hash, XT_ASSET_HASH);
		atomic_fetch_add(&a->n_restless, 1);
	}
	a->restless.failed = false;
}

static void unmark(struct assets *a, const uint8_t *hash)
{
	for (size_t i = 0; i < ASSET_MARKED; i++)
		if (memcmp(a->marked[i], hash, XT_ASSET_HASH) == 0)
			memset(a->marked[i], 0, XT_ASSET_HASH);
}

static int add(struct assets *a, const struct asset *what, struct buf *data, const char *part,
	       struct xt_err *err)
{
	char limbo[PATH];
	struct asset *k = calloc(1, sizeof(*k));

	if (!k)
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	asset_path(a, ASSET_LIMBO, what->hash, limbo);
	if (what->file && rename(part, limbo) < 0) {
		free(k);
		return refuse(err, limbo, strerror(errno));
	}
	*k = *what;
	k->holds = 1;
	k->data = *data;
	*data = (struct buf){0};
	k->next = a->list;
	a->list = k;
	unmark(a, what->hash);
	return 0;
}

int asset_hold(struct assets *a, const struct asset *what, struct buf *data, const char *part,
	       struct xt_err *err)
{
	int r = 0;

	pthread_mutex_lock(&a->lock);
	struct asset *k = find(a, what->hash);
	if (k)
		k->holds++;
	else
		r = add(a, what, data, part, err);
	pthread_mutex_unlock(&a->lock);
	if (r < 0)
		return -1;
	if (k)
		unlink(part); /* the bytes of the one that is held were synced before */
	if (what->file && sync_limbo(a) < 0) {
		refuse(err, a->dir, strerror(errno));
		asset_let_go(a, what->hash);
		return -1;
	}
	crash_point("an asset is uploaded");
	return 0;
}

void asset_let_go(struct assets *a, const uint8_t *hash)
{
	pthread_mutex_lock(&a->lock);
	struct asset *k = find(a, hash);
	if (--k->holds == 0)
		touch(a, hash);
	pthread_mutex_unlock(&a->lock);
}

const struct asset *asset_uploaded(struct assets *a, const uint8_t *hash)
{
	pthread_mutex_lock(&a->lock);
	const struct asset *k = find(a, hash);
	pthread_mutex_unlock(&a->lock);
	return k;
}

void asset_leave(struct assets *a, const uint8_t *hash, bool file)
{
	char home[PATH], limbo[PATH];
	struct stat st;

	if (!file)
		return;
	pthread_mutex_lock(&a->lock);
	asset_path(a, ASSET_HOME, hash, home);
	asset_path(a, ASSET_LIMBO, hash, limbo);
	if (lstat(limbo, &st) < 0 && rename(home, limbo) < 0 && errno == ENOENT) {
		struct xt_err ignored; /* somebody removed limbo, perhaps */
		if (assets_make_dirs(a, &ignored) == 0)
			(void)!rename(home, limbo);
	}
	touch(a, hash);
	pthread_mutex_unlock(&a->lock);
}

void asset_mark(struct assets *a, const uint8_t *hash)
{
	pthread_mutex_lock(&a->lock);
	unmark(a, hash);
	memcpy(a->marked[a->n_marked++ % ASSET_MARKED], hash, XT_ASSET_HASH);
	pthread_mutex_unlock(&a->lock);
}

bool asset_is_marked(struct assets *a, const uint8_t *hash)
{
	bool found = false;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < ASSET_MARKED; i++)
		found = found || memcmp(a->marked[i], hash, XT_ASSET_HASH) == 0;
	pthread_mutex_unlock(&a->lock);
	return found;
}
