#include "mem.h"

#include <assert.h>
#include <malloc.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define ACCOUNTS    1024
#define LARGE_BLOCK 262144
#define MUCH	    (16u << 20)
#define OVERHEAD    16 /* what malloc() and the header add to a block, about */
#define SIZE_SHIFT  16 /* a block's header: its size, and in the low bits its account */

/* Of the process, as SQLite's allocator is. Accounts are never freed: what SQLite shares between connections
 * may outlive the one that it was allocated for. */
static struct {
	atomic_size_t used[ACCOUNTS]; /* account 0 is not counted */
	atomic_size_t all;
	atomic_bool much[ACCOUNTS]; /* it had more than MUCH since mem_tidy() */
	pthread_mutex_t lock;	    /* guards `open` */
	bool open[ACCOUNTS];
} mem = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct {
	unsigned account; /* 0: not counted */
	bool refused;
} now;

static bool take(unsigned account, size_t n)
{
	if (account == 0 || n == 0)
		return true;
	size_t used = atomic_fetch_add_explicit(&mem.used[account], n, memory_order_relaxed) + n;
	size_t all = atomic_fetch_add_explicit(&mem.all, n, memory_order_relaxed) + n;
	if (used > MUCH)
		atomic_store_explicit(&mem.much[account], true, memory_order_relaxed);
	if (used <= MEM_SMALL || (used <= MEM_ONE && all <= MEM_ALL))
		return true;
	atomic_fetch_sub_explicit(&mem.used[account], n, memory_order_relaxed);
	atomic_fetch_sub_explicit(&mem.all, n, memory_order_relaxed);
	now.refused = true;
	return false;
}

static void give(unsigned account, size_t n)
{
	if (account == 0)
		return;
	atomic_fetch_sub_explicit(&mem.used[account], n, memory_order_relaxed);
	atomic_fetch_sub_explicit(&mem.all, n, memory_order_relaxed);
}

static uint64_t *header_of(void *p)
{
	return (uint64_t *)p - 1;
}

static size_t size_of(const uint64_t *h)
{
	return (size_t)(*h >> SIZE_SHIFT);
}

static unsigned account_of(const uint64_t *h)
{
	return (unsigned)(*h & ((1u << SIZE_SHIFT) - 1));
}

static uint64_t header(size_t size, unsigned account)
{
	return (uint64_t)size << SIZE_SHIFT | account;
}

static void *mem_malloc(int n)
{
	size_t size = (size_t)n;

	if (!take(now.account, size + OVERHEAD))
		return NULL;
	uint64_t *h = malloc(sizeof(*h) + size);
	if (!h) {
		give(now.account, size + OVERHEAD);
		return NULL;
	}
	*h = header(size, now.account);
	return h + 1;
}

static void mem_free(void *p)
{
	if (!p)
		return;
	give(account_of(header_of(p)), size_of(header_of(p)) + OVERHEAD);
	free(header_of(p));
}

/* What grows is counted where it was, but for what was not counted: that is what all share. */
static void *mem_realloc(void *p, int n)
{
	uint64_t *h = header_of(p);
	size_t old = size_of(h), size = (size_t)n;
	unsigned account = account_of(h);

	if (size > old && !take(account, size - old))
		return NULL;
	uint64_t *grown = realloc(h, sizeof(*h) + size);
	if (!grown) {
		if (size > old)
			give(account, size - old);
		return NULL;
	}
	if (size < old)
		give(account, old - size);
	*grown = header(size, account);
	return grown + 1;
}

static int mem_size(void *p)
{
	return p ? (int)size_of(header_of(p)) : 0;
}

static int mem_roundup(int n)
{
	return (n + 7) & ~7;
}

static int mem_start(void *data)
{
	(void)data;
	return SQLITE_OK;
}

static void mem_stop(void *data)
{
	(void)data;
}

void mem_init(void)
{
	static const sqlite3_mem_methods methods = {
		.xMalloc = mem_malloc,
		.xFree = mem_free,
		.xRealloc = mem_realloc,
		.xSize = mem_size,
		.xRoundup = mem_roundup,
		.xInit = mem_start,
		.xShutdown = mem_stop,
	};

	/* What is large goes back to the system when it is freed, whatever was freed before. */
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
	mallopt(M_TRIM_THRESHOLD, LARGE_BLOCK);
	sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
	/* Nobody asks SQLite's own statistics, and each allocation would take a lock. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

unsigned mem_open(void)
{
	unsigned found = 0;

	pthread_mutex_lock(&mem.lock);
	for (unsigned i = 1; i < ACCOUNTS && !found; i++)
		if (!mem.open[i])
			found = i;
	if (found)
		mem.open[found] = true;
	pthread_mutex_unlock(&mem.lock);
	return found;
}

void mem_close(unsigned account)
{
	pthread_mutex_lock(&mem.lock);
	mem.open[account] = false;
	pthread_mutex_unlock(&mem.lock);
}

void mem_enter(unsigned account)
{
	assert(account < ACCOUNTS);
	now.account = account;
	now.refused = false;
}

bool mem_refused(void)
{
	return now.refused;
}

void mem_tidy(unsigned account)
{
	if (account && atomic_exchange(&mem.much[account], false))
		malloc_trim(0);
}

void mem_leave(void)
{
	now.account = 0;
}
