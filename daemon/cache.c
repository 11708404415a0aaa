#include "cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "entries.h"
#include "log.h"
#include "own.h"
#include "store.h"

#define MAP_BYTES (UINT64_C(1) << 40) /* of address space: the file is as large as what is in it */
#define LEAST_MAP (UINT64_C(1) << 24)
#define LAYOUT	  1

static const char *const db_names[CACHE_DBS] = {"entries", "uses",    "recency", "functions",
						"runs",	   "pending", "meta"};

/* ---- faults in the map ------------------------------------------------ */

/* The marker of the cache that this thread uses at the moment. */
static _Thread_local const char *volatile watched;

void cache_watch(const struct cache *c)
{
	watched = c->marker;
}

void cache_unwatch(void)
{
	watched = NULL;
}

/* A damaged or truncated map ends the process; the next one is told by the marker. */
static void on_fault(int number)
{
	const char *marker = watched;

	if (marker) {
		int fd = open(marker, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (fd >= 0)
			close(fd);
	}
	raise(number); /* the handler was taken away when it was called */
}

static void catch_faults(void)
{
	static const int faults[] = {SIGBUS, SIGSEGV, SIGABRT, SIGFPE};
	struct sigaction old, a = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (sigaction(faults[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(faults[i], &a, NULL); /* a sanitizer has its own */
}

int cache_fail(struct cache *c, int rc, const char *what, struct xt_err *err)
{
	bool full = rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT || rc == MDB_TXN_FULL;
	bool damaged = rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID ||
		       rc == MDB_VERSION_MISMATCH || rc == MDB_PANIC || rc == MDB_NOTFOUND ||
		       rc == MDB_INCOMPATIBLE || rc == MDB_BAD_DBI;

	if (damaged)
		atomic_store(&c->damaged, true);
	return xt_err_set(err,
			  full	    ? XT_E_cache_full
			  : damaged ? XT_E_cache_damaged
				    : XT_E_cache_off,
			  NULL, "cannot %s the cache '%.200s': %s%s", what, c->path[0] ? c->path : c->dir,
			  mdb_strerror(rc),
			  full ? "; make room on the disk, delete entries, or raise cache_map_mib" : "");
}

/* ---- opening ---------------------------------------------------------- */

/* LMDB trusts its file; one that ends before its last page would fault. */
static int check_size(struct cache *c, struct xt_err *err)
{
	char file[sizeof(c->path) + 16];
	MDB_envinfo info;
	MDB_stat page;
	struct stat st;

	snprintf(file, sizeof(file), "%s/data.mdb", c->path);
	if (stat(file, &st) < 0 || mdb_env_info(c->env, &info) != 0 || mdb_env_stat(c->env, &page) != 0)
		return cache_fail(c, errno, "look at", err);
	if ((uint64_t)st.st_size < (info.me_last_pgno + 1) * (uint64_t)page.ms_psize) {
		atomic_store(&c->damaged, true);
		return xt_err_set(err, XT_E_cache_damaged, NULL, "the cache '%.200s' is cut short", file);
	}
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	return 0;
}

static int open_dbs(struct cache *c, struct xt_err *err)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(c->env, NULL, 0, &txn);

	if (rc != 0)
		return cache_fail(c, rc, "open", err);
	for (int i = 0; i < CACHE_DBS && rc == 0; i++)
		rc = mdb_dbi_open(txn, db_names[i], MDB_CREATE, &c->db[i]);
	if (rc == 0)
		rc = entries_check_meta(c, txn, LAYOUT);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return cache_fail(c, rc, "open", err);
	}
	rc = mdb_txn_commit(txn);
	return rc == 0 ? 0 : cache_fail(c, rc, "open", err);
}

/* As much address space as can be had: a limit may be set on it (RLIMIT_AS). */
static int open_env(struct cache *c)
{
	int rc = ENOMEM;

	for (uint64_t size = c->map_bytes; size >= LEAST_MAP && rc == ENOMEM; size /= 2) {
		mdb_env_close(c->env);
		c->env = NULL;
		rc = mdb_env_create(&c->env);
		if (rc == 0)
			rc = mdb_env_set_maxdbs(c->env, CACHE_DBS);
		if (rc == 0)
			rc = mdb_env_set_maxreaders(c->env, CACHE_READERS);
		if (rc == 0)
			rc = mdb_env_set_mapsize(c->env, size);
		if (rc == 0)
			rc = mdb_env_open(c->env, c->path, c->env_flags, 0600);
	}
	return rc;
}

static void close_env(struct cache *c)
{
	if (c->reader)
		mdb_txn_abort(c->reader);
	c->reader = NULL;
	if (c->env)
		mdb_env_close(c->env);
	c->env = NULL;
}

/* What LMDB reads at a start, in a child: a damaged map ends that one. */
static void probe_in_child(struct cache *c)
{
	struct xt_err ignored;

	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	int rc = open_env(c);
	if (rc == 0 && check_size(c, &ignored) == 0 && open_dbs(c, &ignored) == 0)
		rc = entries_probe(c);
	_exit(rc == 0 ? 0 : 1);
}

/* Whether the generation that was found can be opened without dying of it: what else is wrong with it is
 * found when it is opened. Before there are threads. */
static bool survives(struct cache *c)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		probe_in_child(c);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return pid < 0 || WIFEXITED(status);
}

/* Opens the generation at c->path, which is a directory. Under the lock. */
static int open_generation(struct cache *c, struct xt_err *err)
{
	int dead = 0;

	snprintf(c->marker, sizeof(c->marker), "%s/faulted", c->path);
	if (access(c->marker, F_OK) == 0) {
		atomic_store(&c->damaged, true);
		return xt_err_set(err, XT_E_cache_damaged, NULL,
				  "the daemon died while it read the cache '%.200s'", c->path);
	}
	cache_watch(c);
	int rc = open_env(c), r = -1;
	if (rc != 0)
		cache_fail(c, rc, "open", err);
	else if (check_size(c, err) == 0 && open_dbs(c, err) == 0)
		r = 0;
	if (r == 0)
		mdb_reader_check(c->env, &dead);
	if (r == 0 && (rc = mdb_txn_begin(c->env, NULL, MDB_RDONLY, &c->reader)) != 0)
		r = cache_fail(c, rc, "read", err);
	cache_unwatch();
	if (r == 0)
		mdb_txn_reset(c->reader);
	else
		close_env(c);
	return r;
}

/* The number of the newest generation in the directory; aside: those set aside count too. 0: there is none.
 */
static unsigned newest(const struct cache *c, bool aside)
{
	DIR *d = opendir(c->dir);
	unsigned most = 0;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char *end;
		unsigned long n = e->d_name[0] == 'g' ? strtoul(e->d_name + 1, &end, 10) : 0;
		if (n > most && n < UINT32_MAX && (*end == '\0' || (aside && *end == '.')))
			most = (unsigned)n;
	}
	if (d)
		closedir(d);
	return most;
}

/* A directory of ours, that no other user can write. */
static int check_owner(const char *path, struct xt_err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return xt_err_set(err, XT_E_cache_off, NULL, "cannot look at '%.200s': %s", path,
				  strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return xt_err_set(
			err, XT_E_cache_off, NULL,
			"'%.200s' is not a directory that only this user can write; there is no cache "
			"until it is moved away",
			path);
	return 0;
}

/* ---- generations ------------------------------------------------------ */

static void note(struct cache *c, const struct xt_err *err)
{
	pthread_rwlock_wrlock(&c->lock);
	c->why = *err;
	pthread_rwlock_unlock(&c->lock);
}

int cache_set_aside(struct cache *c, const char *what, const char *why, char ret_aside[PATH_MAX + 64],
		    struct xt_err *err)
{
	int r = 0;

	ret_aside[0] = '\0';
	pthread_rwlock_wrlock(&c->lock);
	close_env(c);
	if (c->path[0])
		snprintf(ret_aside, PATH_MAX + 64, "%s.%s", c->path, what);
	if (c->path[0] && rename(c->path, ret_aside) < 0 && errno != ENOENT)
		r = xt_err_set(err, XT_E_cache_off, NULL, "cannot move '%.200s' away: %s", c->path,
			       strerror(errno));
	c->path[0] = '\0';
	atomic_store(&c->damaged, false);
	atomic_store(&c->entries, 0);
	atomic_store(&c->bytes, 0);
	atomic_fetch_add(&c->generation, 1);
	pthread_rwlock_unlock(&c->lock);
	if (ret_aside[0] && r == 0 && access(ret_aside, F_OK) < 0)
		log_warn("the cache has gone path=\"%s\" why=\"%s\"", ret_aside, why);
	else if (ret_aside[0] && r == 0)
		log_warn("the cache was set aside path=\"%s\" why=\"%s\"", ret_aside, why);
	return r;
}

int cache_make(struct cache *c, struct xt_err *err)
{
	int r = 0;

	if (c->env)
		return 0;
	if (c->off)
		return xt_err_set(err, XT_E_cache_off, NULL, "there is no cache: %s",
				  c->why.code ? c->why.message : "the database is read-only");
	catch_faults();
	pthread_rwlock_wrlock(&c->lock);
	if (mkdir(c->dir, 0700) < 0 && errno != EEXIST)
		r = xt_err_set(err, errno == ENOSPC ? XT_E_cache_full : XT_E_cache_off, NULL,
			       "cannot make '%.200s': %s", c->dir, strerror(errno));
	if (r == 0)
		r = check_owner(c->dir, err);
	if (r == 0) {
		unsigned n = newest(c, true);
		do
			snprintf(c->path, sizeof(c->path), "%s/g%u", c->dir, ++n);
		while (mkdir(c->path, 0700) < 0 && errno == EEXIST);
		r = open_generation(c, err);
	}
	if (r < 0) {
		if (c->path[0])
			rmdir(c->path);
		c->path[0] = '\0';
		c->why = *err;
	} else {
		c->why = (struct xt_err){0};
	}
	atomic_fetch_add(&c->generation, 1);
	pthread_rwlock_unlock(&c->lock);
	return r;
}

int cache_open(struct cache *c, const struct cache_options *o)
{
	char aside[PATH_MAX + 64];
	struct xt_err err = {0}, ignored;

	*c = (struct cache){.off = o->read_only,
			    .map_bytes = !o->map_bytes		    ? MAP_BYTES
					 : o->map_bytes < LEAST_MAP ? LEAST_MAP
								    : o->map_bytes,
			    .env_flags = MDB_NOTLS | MDB_NORDAHEAD |
					 (o->durability == DURABILITY_FULL     ? 0
					  : o->durability == DURABILITY_NORMAL ? MDB_NOMETASYNC
									       : MDB_NOSYNC)};
	pthread_rwlock_init(&c->lock, NULL);
	memcpy(c->database_id, o->database_id, XT_CLIENT_ID);
	snprintf(c->dir, sizeof(c->dir), "%s.cache", o->database);
	c->writes = entries_writes_new();
	if (!c->writes)
		return -1;
	unsigned n = c->off ? 0 : newest(c, false);
	if (n == 0)
		return 0;
	catch_faults();
	snprintf(c->path, sizeof(c->path), "%s/g%u", c->dir, n);
	if (check_owner(c->dir, &err) < 0 || check_owner(c->path, &err) < 0) {
		c->path[0] = '\0';
		c->off = true;
		log_warn("there is no cache error=\"%s\"", err.message);
	} else if (!survives(c) || open_generation(c, &err) < 0) {
		if (!err.code) {
			atomic_store(&c->damaged, true);
			xt_err_set(&err, XT_E_cache_damaged, NULL, "LMDB dies of the cache '%.200s'",
				   c->path);
		}
		log_error("the cache cannot be used error=\"%s\"", err.message);
		if (!atomic_load(&c->damaged)) {
			c->path[0] = '\0';
			c->off = true;
		} else if (cache_set_aside(c, "damaged", err.message, aside, &ignored) < 0) {
			c->off = true;
		}
	} else if (!entries_are_of(c, c->database_id) &&
		   cache_set_aside(c, "other", "it belongs to another database", aside, &err) < 0) {
		c->off = true;
	}
	note(c, &err);
	return 0;
}

void cache_done(struct cache *c)
{
	if (!c->writes)
		return;
	entries_flush(c);
	close_env(c);
	entries_writes_free(c->writes);
	pthread_rwlock_destroy(&c->lock);
	*c = (struct cache){0};
}

bool cache_path(struct cache *c, char ret[PATH_MAX + 32])
{
	pthread_rwlock_rdlock(&c->lock);
	bool open = c->env && !atomic_load(&c->damaged);
	memcpy(ret, c->path, sizeof(c->path));
	pthread_rwlock_unlock(&c->lock);
	return open;
}

void cache_describe(struct cache *c, char *ret, size_t size)
{
	pthread_rwlock_rdlock(&c->lock);
	const char *why = c->why.code ? c->why.message : "nothing is written here";
	bool off = !c->env && atomic_load(&c->off);
	snprintf(ret, size, "%s%s",
		 atomic_load(&c->damaged) ? "damaged, about to be set aside"
		 : c->env		  ? "ok"
		 : off			  ? "off: "
					  : "empty",
		 off ? why : "");
	pthread_rwlock_unlock(&c->lock);
}

/* Of mdb_reader_list: a line a slot, below a head without numbers. Our own is none. */
static int count_reader(const char *line, void *data)
{
	uint64_t *readers = data;
	char *end;
	long pid = strtol(line, &end, 10);

	*readers += end > line && pid != (long)getpid();
	return 0;
}

void cache_sizes(struct cache *c, uint64_t *ret_file, uint64_t *ret_map, uint64_t *ret_readers)
{
	char file[sizeof(c->path) + 16];
	MDB_envinfo info = {0};
	struct stat st = {0};

	pthread_rwlock_rdlock(&c->lock);
	if (c->env)
		mdb_env_info(c->env, &info);
	snprintf(file, sizeof(file), "%s/data.mdb", c->path);
	if (!c->env || stat(file, &st) < 0)
		st.st_size = 0;
	*ret_readers = 0;
	if (c->env)
		mdb_reader_list(c->env, count_reader, ret_readers);
	pthread_rwlock_unlock(&c->lock);
	*ret_file = (uint64_t)st.st_size;
	*ret_map = info.me_mapsize;
}

void cache_check_readers(struct cache *c)
{
	int dead;

	pthread_rwlock_rdlock(&c->lock);
	if (c->env)
		mdb_reader_check(c->env, &dead);
	pthread_rwlock_unlock(&c->lock);
}

void cache_configure(struct cache *c, const struct store *s)
{
	atomic_store(&c->ttl_us, (uint64_t)s->config[CONFIG_CACHE_TTL] * 1000000);
	atomic_store(&c->max_bytes, (uint64_t)s->config[CONFIG_CACHE_MAX] << 20);
}

bool cache_is_in_place(const struct cache *c)
{
	char file[sizeof(c->path) + 16];
	struct stat st;

	if (!c->env)
		return true;
	snprintf(file, sizeof(file), "%s/data.mdb", c->path);
	return stat(file, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino;
}

bool cache_grow(struct cache *c)
{
	MDB_envinfo info;
	bool grown = false;

	if (!c->env || mdb_env_info(c->env, &info) != 0 || 2 * info.me_mapsize > c->map_bytes)
		return false;
	pthread_rwlock_wrlock(&c->lock);
	if (c->reader)
		mdb_txn_abort(c->reader); /* none may be there while the map moves */
	c->reader = NULL;
	grown = mdb_env_set_mapsize(c->env, 2 * info.me_mapsize) == 0;
	if (mdb_txn_begin(c->env, NULL, MDB_RDONLY, &c->reader) == 0)
		mdb_txn_reset(c->reader);
	pthread_rwlock_unlock(&c->lock);
	return grown;
}

/* ---- the epoch -------------------------------------------------------- */

static void epoch_path(const struct cache *c, char ret[PATH_MAX + 16])
{
	snprintf(ret, PATH_MAX + 16, "%s/epoch", c->dir);
}

bool cache_has_epoch(const struct cache *c)
{
	char path[PATH_MAX + 16];

	epoch_path(c, path);
	return access(path, F_OK) == 0;
}

static uint64_t read_epoch(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? strtoull(text, NULL, 10) : 0;
}

uint64_t cache_draw_epoch(struct cache *c)
{
	char path[PATH_MAX + 16], fresh[PATH_MAX + 32], text[32];
	struct xt_err ignored;

	if (c->off || (mkdir(c->dir, 0700) < 0 && errno != EEXIST) || check_owner(c->dir, &ignored) < 0)
		return 0;
	epoch_path(c, path);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	uint64_t epoch = read_epoch(path) + 1;
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)epoch);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool written = fd >= 0 && write(fd, text, (size_t)n) == n && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return written && rename(fresh, path) == 0 ? epoch : 0;
}
