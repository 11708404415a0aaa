/* Files of assets go where their rows say. Part of asset.h. */
#include "asset.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"
#include "log.h"
#include "store.h"

#define PATH (PATH_MAX + 100)
#define TURN 32 /* files between two looks at what else there is to do */

struct row {
	bool there, file;
	uint64_t stored;
};

static int look_up(struct store *s, const uint8_t *hash, struct row *ret, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_ASSET_GET, err);

	*ret = (struct row){0};
	if (!st)
		return -1;
	sqlite3_bind_blob(st, 1, hash, XT_ASSET_HASH, SQLITE_STATIC);
	int r = store_step(s, st, err);
	if (r > 0)
		*ret = (struct row){.there = true,
				    .stored = (uint64_t)sqlite3_column_int64(st, 0),
				    .file = sqlite3_column_int(st, 1) != 0};
	sqlite3_reset(st);
	return r < 0 ? -1 : 0;
}

/* ---- one asset -------------------------------------------------------- */

static void go_home(const char *limbo, const char *home)
{
	char dir[PATH];

	if (rename(limbo, home) == 0 || errno != ENOENT)
		return;
	memcpy(dir, home, sizeof(dir));
	*strrchr(dir, '/') = '\0';
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		(void)!rename(limbo, home); /* else it stays in limbo, where readers find it too */
}

static void place_file(const struct assets *a, const uint8_t *hash, const struct row *row)
{
	char home[PATH], limbo[PATH];
	struct stat st, old;

	asset_path(a, ASSET_HOME, hash, home);
	asset_path(a, ASSET_LIMBO, hash, limbo);
	bool in_limbo = lstat(limbo, &st) == 0;
	if (!row->there || !row->file) {
		crash_point("before an asset's file is removed");
		if (in_limbo)
			unlink(limbo);
		unlink(home);
	} else if (in_limbo && ((uint64_t)st.st_size == row->stored || lstat(home, &old) < 0)) {
		go_home(limbo, home);
	} else if (in_limbo) {
		unlink(limbo); /* the same, not compressed to the same bytes */
	}
}

static void forget(struct assets *a, const uint8_t *hash)
{
	for (struct asset **at = &a->list; *at; at = &(*at)->next) {
		struct asset *k = *at;
		if (memcmp(k->hash, hash, XT_ASSET_HASH) != 0)
			continue;
		*at = k->next;
		buf_done(&k->data);
		free(k);
		return;
	}
}

static bool is_held(const struct assets *a, const uint8_t *hash)
{
	for (const struct asset *k = a->list; k; k = k->next)
		if (memcmp(k->hash, hash, XT_ASSET_HASH) == 0)
			return k->holds > 0;
	return false;
}

/* Who holds it touches it again when he lets go. */
static int settle(struct assets *a, struct store *s, const uint8_t *hash, struct xt_err *err)
{
	struct row row;

	if (is_held(a, hash))
		return 0;
	if (look_up(s, hash, &row, err) < 0)
		return -1;
	place_file(a, hash, &row);
	forget(a, hash);
	return 0;
}

void assets_settle(struct assets *a, struct store *s)
{
	uint8_t hash[XT_ASSET_HASH];
	struct xt_err err;
	int r = 0;

	for (int i = 0; i < TURN && r == 0; i++) {
		pthread_mutex_lock(&a->lock);
		bool any = a->restless.len >= XT_ASSET_HASH;
		if (any) {
			memcpy(hash, a->restless.data + a->restless.len - XT_ASSET_HASH, XT_ASSET_HASH);
			a->restless.len -= XT_ASSET_HASH;
			atomic_fetch_sub(&a->n_restless, 1);
			r = settle(a, s, hash, &err);
		}
		pthread_mutex_unlock(&a->lock);
		if (!any)
			return;
	}
	if (r < 0)
		log_warn("an asset's file waits for the next start error=\"%s\"", err.message);
}

/* ---- the start -------------------------------------------------------- */

/* The hash in a name such as <hash>.zst. */
static bool hash_of(const char *name, uint8_t ret[XT_ASSET_HASH])
{
	const char *end;
	size_t n;

	if (strlen(name) != ASSET_HEX - 1 + 4 || strcmp(name + ASSET_HEX - 1, ".zst") != 0)
		return false;
	return sodium_hex2bin(ret, XT_ASSET_HASH, name, ASSET_HEX - 1, NULL, &n, &end) == 0 &&
	       n == XT_ASSET_HASH;
}

static bool is_part(const char *name)
{
	size_t n = strlen(name);

	return n == 16 + 5 && strcmp(name + 16, ".part") == 0 && strspn(name, "0123456789abcdef") == 16;
}

void assets_start(struct assets *a, struct store *s)
{
	char limbo[PATH], path[PATH + 256];
	uint8_t hash[XT_ASSET_HASH];
	struct dirent *e;
	struct stat st;
	uint64_t n = 0;

	snprintf(limbo, sizeof(limbo), "%s/limbo", a->dir);
	DIR *d = lstat(a->dir, &st) == 0 && S_ISDIR(st.st_mode) ? opendir(limbo) : NULL;
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", limbo, e->d_name);
		if (is_part(e->d_name)) {
			n += unlink(path) == 0;
		} else if (hash_of(e->d_name, hash)) {
			asset_leave(a, hash, true);
			n++;
		}
	}
	if (d)
		closedir(d);
	if (n > 0)
		log_info("settling what a crash left of assets files=%llu", (unsigned long long)n);
	while (atomic_load(&a->n_restless) > 0)
		assets_settle(a, s);
}

/* ---- orphans ---------------------------------------------------------- */

static int look_at(struct assets *a, struct store *s, const char *dir, const char *name, bool remove,
		   struct asset_orphans *ret, struct xt_err *err)
{
	uint8_t hash[XT_ASSET_HASH];
	char path[PATH + 256];
	struct stat st;
	struct row row;

	if (!hash_of(name, hash))
		return 0;
	pthread_mutex_lock(&a->lock);
	int r = look_up(s, hash, &row, err);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (r == 0 && !(row.there && row.file) && !is_held(a, hash) && lstat(path, &st) == 0) {
		ret->files++;
		ret->bytes += (uint64_t)st.st_size;
		snprintf(ret->example, sizeof(ret->example), "%.*s", PATH_MAX - 1, path);
		if (remove)
			unlink(path);
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

int assets_orphans(struct assets *a, struct store *s, unsigned part, bool remove, struct asset_orphans *ret,
		   struct xt_err *err)
{
	char dir[PATH];
	struct dirent *e;
	int r = 0;

	*ret = (struct asset_orphans){0};
	snprintf(dir, sizeof(dir), "%s/%02x", a->dir, part & 0xff);
	DIR *d = opendir(dir);
	if (!d && errno != ENOENT)
		return xt_err_set(err, XT_E_file_error, NULL, "cannot read '%.250s': %s", dir,
				  strerror(errno));
	while (d && r == 0 && (e = readdir(d)))
		r = look_at(a, s, dir, e->d_name, remove, ret, err);
	if (d)
		closedir(d);
	return r;
}
