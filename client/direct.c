#include "direct.h"

#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READERS	  4096 /* as the daemon has it: who opens the file first makes the table */
#define NAME_ROOM 64
#define DATABASES 8 /* named ones in the file */

struct direct_env {
	dev_t dev; /* of the file */
	ino_t ino;
	unsigned refs;
	MDB_env *env;
	MDB_dbi entries;
	struct direct_env *next;
};

/* What the process has open. In a page that is zero again in a child, and so is a table with nothing in it
 * and a mutex that nobody holds. */
struct table {
	pthread_mutex_t lock;
	struct direct_env *first;
};

static struct table *table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* What a child of fork inherited: LMDB can neither use nor free it there. Kept in sight of leak checkers. */
struct abandoned {
	struct direct_env *env;
	MDB_txn *txn;
	struct abandoned *next;
};
static struct abandoned *abandoned;

static void make_table(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	if (madvise(p, page, MADV_WIPEONFORK) == 0)
		table = p;
	else
		munmap(p, page);
}

/* ---- environments ----------------------------------------------------- */

/* The map is trusted as far as reading it goes, so it must be a file that only we and root can write. */
static bool is_ours(const char *path, struct stat *ret)
{
	char file[PATH_MAX + NAME_ROOM];
	struct stat dir;

	if (lstat(path, &dir) < 0 || !S_ISDIR(dir.st_mode) || dir.st_uid != geteuid() ||
	    (dir.st_mode & (S_IWGRP | S_IWOTH)))
		return false;
	snprintf(file, sizeof(file), "%s/data.mdb", path);
	return lstat(file, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_uid == geteuid() &&
	       !(ret->st_mode & (S_IWGRP | S_IWOTH)) && ret->st_size >= 2 * sysconf(_SC_PAGESIZE);
}

/* Does the file end where its pages do? A shorter one would fault. */
static bool is_whole(MDB_env *env, const struct stat *st)
{
	MDB_envinfo info;
	MDB_stat page;

	return mdb_env_info(env, &info) == 0 && mdb_env_stat(env, &page) == 0 &&
	       (uint64_t)st->st_size >= (info.me_last_pgno + 1) * (uint64_t)page.ms_psize;
}

static int open_entries(struct direct_env *e)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, "entries", 0, &e->entries);
	if (rc == 0)
		return mdb_txn_commit(txn); /* which keeps the handle */
	mdb_txn_abort(txn);
	return rc;
}

static struct direct_env *env_new(const char *path, const struct stat *st)
{
	struct direct_env *e = calloc(1, sizeof(*e));

	if (!e || mdb_env_create(&e->env) != 0) {
		free(e);
		return NULL;
	}
	e->dev = st->st_dev;
	e->ino = st->st_ino;
	e->refs = 1;
	if (mdb_env_set_maxdbs(e->env, DATABASES) == 0 && mdb_env_set_maxreaders(e->env, READERS) == 0 &&
	    mdb_env_open(e->env, path, MDB_RDONLY | MDB_NOTLS | MDB_NORDAHEAD, 0600) == 0 &&
	    is_whole(e->env, st) && open_entries(e) == 0)
		return e;
	mdb_env_close(e->env);
	free(e);
	return NULL;
}

/* Under the table's mutex. */
static struct direct_env *env_of(const char *path, const struct stat *st)
{
	for (struct direct_env *e = table->first; e; e = e->next)
		if (e->dev == st->st_dev && e->ino == st->st_ino) {
			e->refs++;
			return e;
		}
	struct direct_env *e = env_new(path, st);
	if (e) {
		e->next = table->first;
		table->first = e;
	}
	return e;
}

static void env_unref(struct direct_env *e)
{
	if (--e->refs > 0)
		return;
	for (struct direct_env **at = &table->first; *at; at = &(*at)->next)
		if (*at == e) {
			*at = e->next;
			break;
		}
	mdb_env_close(e->env);
	free(e);
}

/* ---- a client's reader ------------------------------------------------ */

void direct_open(struct direct *d, const char *path)
{
	struct stat st;

	pthread_once(&once, make_table);
	bool good = table && is_ours(path, &st);
	if (good && d->env && d->env->dev == st.st_dev && d->env->ino == st.st_ino)
		return; /* it is open */
	direct_close(d);
	if (!good)
		return;
	pthread_mutex_lock(&table->lock);
	d->env = env_of(path, &st);
	if (d->env && mdb_txn_begin(d->env->env, NULL, MDB_RDONLY, &d->txn) != 0) {
		env_unref(d->env);
		d->env = NULL;
	}
	pthread_mutex_unlock(&table->lock);
	if (d->env)
		mdb_txn_reset(d->txn);
	else
		d->txn = NULL;
}

void direct_close(struct direct *d)
{
	if (d->env && table) {
		pthread_mutex_lock(&table->lock);
		mdb_txn_abort(d->txn);
		env_unref(d->env);
		pthread_mutex_unlock(&table->lock);
	}
	buf_done(&d->bytes);
	*d = (struct direct){0};
}

void direct_abandon(struct direct *d)
{
	if (d->env) {
		struct abandoned *a = malloc(sizeof(*a));
		if (a) {
			*a = (struct abandoned){.env = d->env, .txn = d->txn, .next = abandoned};
			abandoned = a;
		}
	}
	buf_done(&d->bytes);
	*d = (struct direct){0};
}

/* Begins to read. The map may have grown since. */
static int begin(struct direct *d)
{
	int rc = mdb_txn_renew(d->txn);

	if (rc != MDB_MAP_RESIZED)
		return rc;
	pthread_mutex_lock(&table->lock);
	/* Others of this process may read in it at this moment: then this one asks the daemon from now on. */
	rc = d->env->refs == 1 ? mdb_env_set_mapsize(d->env->env, 0) : EBUSY;
	pthread_mutex_unlock(&table->lock);
	return rc ? rc : mdb_txn_renew(d->txn);
}

int direct_get(struct direct *d, const uint8_t *key, struct entry *ret)
{
	MDB_val k = {XT_CACHE_KEY, (void *)(uintptr_t)key}, v;

	if (!d->env)
		return -1;
	int rc = begin(d);
	if (rc != 0) {
		direct_close(d);
		return -1;
	}
	rc = mdb_get(d->txn, d->env->entries, &k, &v);
	buf_clear(&d->bytes);
	if (rc == 0)
		buf_add(&d->bytes, v.mv_data, v.mv_size);
	mdb_txn_reset(d->txn);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc == 0 && !buf_failed(&d->bytes) && entry_get(buf_span(&d->bytes), ret) == 0)
		return 1;
	direct_close(d); /* the daemon will tell */
	return -1;
}
