/*
 * A disk that fails, and a memory that runs out: linked into xetrackd-fault, a daemon for tests.
 *
 * SQLite's default VFS and its allocator get a layer each. $XT_FAULT names a file with a page of numbers,
 * shared with the test, which says there at any time what fails, and reads there how often it was called.
 * $XT_FAULT_JOURNAL names a file that everything written to the database is appended to, in order and with
 * the syncs between: from it a test makes what a power failure would have left. shim.py and power.py are the
 * other side.
 */
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Kinds of calls, each counted apart. Numbers are shared with shim.py. */
enum call {
	CALL_NONE,
	CALL_OPEN,
	CALL_READ,
	CALL_WRITE,
	CALL_TRUNCATE,
	CALL_SYNC,
	CALL_SHM,
	CALL_LOCK,
	CALL_ALLOC
};

/* The shared page. */
struct control {
	atomic_uint_fast64_t call;	  /* the kind that fails */
	atomic_uint_fast64_t code;	  /* what it answers: an error of SQLite's */
	atomic_uint_fast64_t half;	  /* a write that fails has written its first half */
	atomic_uint_fast64_t first, last; /* which calls of this kind fail, counted from 1 */
	atomic_uint_fast64_t calls;	  /* of this kind so far */
	atomic_uint_fast64_t failed;	  /* how many of them failed */
	atomic_uint_fast64_t records;	  /* in the journal so far */
};

/* Files that a power failure is played on, and all others. Numbers are shared with power.py. */
enum which { FILE_OTHER, FILE_DATABASE, FILE_WAL, FILE_ROLLBACK };

/* A record of the journal, read by power.py; the bytes of a write follow it. */
struct record {
	uint8_t what;  /* 'W'rite, 'T'runcate, 'S'ync, 'D'elete */
	uint8_t which; /* enum which */
	uint8_t pad[2];
	uint32_t size; /* bytes written */
	uint64_t at;   /* W: offset; T: new size; S and D: 1 when the directory was synced with it */
};

/* What SQLite opens: our methods, and the real file behind. */
struct file {
	sqlite3_file base;   /* first: SQLite sees this */
	enum which which;    /* what it is */
	bool is_new;	     /* its first sync is one of the directory too: SQLite does so with journals */
	sqlite3_file real[]; /* of the size that the real VFS asks for */
};

static struct control *control;	   /* NULL: nothing fails */
static sqlite3_vfs *below;	   /* the real VFS */
static sqlite3_mem_methods memory; /* the real allocator */
static int journal = -1;	   /* descriptor; -1: none is kept */
static pthread_mutex_t journal_lock = PTHREAD_MUTEX_INITIALIZER;

/* Counts a call; true when it is one that fails. */
static bool fails(enum call call)
{
	if (!control || atomic_load(&control->call) != call)
		return false;
	uint64_t n = atomic_fetch_add(&control->calls, 1) + 1;
	if (n < atomic_load(&control->first) || n > atomic_load(&control->last))
		return false;
	atomic_fetch_add(&control->failed, 1);
	return true;
}

static int code(void)
{
	return (int)atomic_load(&control->code);
}

/* ---- journal ---------------------------------------------------------- */

/* A change and its record are one step, so that the journal has the order of the disk. */
static void journal_begin(void)
{
	if (journal >= 0)
		pthread_mutex_lock(&journal_lock);
}

static void journal_end(int rc, struct record r, const void *bytes)
{
	if (journal < 0)
		return;
	if (rc == SQLITE_OK && r.which != FILE_OTHER) {
		ssize_t n = write(journal, &r, sizeof(r));
		n += bytes ? write(journal, bytes, r.size) : 0;
		assert(n == (ssize_t)(sizeof(r) + r.size));
		atomic_fetch_add(&control->records, 1);
	}
	pthread_mutex_unlock(&journal_lock);
}

/* ---- files ------------------------------------------------------------ */

static sqlite3_file *real(sqlite3_file *f)
{
	return ((struct file *)f)->real;
}

static uint8_t which_of(sqlite3_file *f)
{
	return (uint8_t)((struct file *)f)->which;
}

static int close_file(sqlite3_file *f)
{
	return real(f)->pMethods->xClose(real(f));
}

static int read_file(sqlite3_file *f, void *to, int size, sqlite3_int64 at)
{
	return fails(CALL_READ) ? code() : real(f)->pMethods->xRead(real(f), to, size, at);
}

static int write_file(sqlite3_file *f, const void *from, int size, sqlite3_int64 at)
{
	bool bad = fails(CALL_WRITE);
	int rc = SQLITE_OK;

	if (bad)
		size = atomic_load(&control->half) ? size / 2 : 0;
	if (size > 0) {
		journal_begin();
		rc = real(f)->pMethods->xWrite(real(f), from, size, at);
		journal_end(rc,
			    (struct record){.what = 'W',
					    .which = which_of(f),
					    .size = (uint32_t)size,
					    .at = (uint64_t)at},
			    from);
	}
	return bad ? code() : rc;
}

static int truncate_file(sqlite3_file *f, sqlite3_int64 size)
{
	if (fails(CALL_TRUNCATE))
		return code();
	journal_begin();
	int rc = real(f)->pMethods->xTruncate(real(f), size);
	journal_end(rc, (struct record){.what = 'T', .which = which_of(f), .at = (uint64_t)size}, NULL);
	return rc;
}

static int sync_file(sqlite3_file *f, int flags)
{
	if (fails(CALL_SYNC))
		return code();
	journal_begin();
	int rc = real(f)->pMethods->xSync(real(f), flags);
	journal_end(rc, (struct record){.what = 'S', .which = which_of(f), .at = ((struct file *)f)->is_new},
		    NULL);
	if (rc == SQLITE_OK)
		((struct file *)f)->is_new = false;
	return rc;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return real(f)->pMethods->xFileSize(real(f), ret);
}

static int lock_file(sqlite3_file *f, int level)
{
	return fails(CALL_LOCK) ? code() : real(f)->pMethods->xLock(real(f), level);
}

static int unlock_file(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xUnlock(real(f), level);
}

static int check_reserved(sqlite3_file *f, int *ret)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
	return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int sector_size(sqlite3_file *f)
{
	return real(f)->pMethods->xSectorSize(real(f));
}

static int characteristics(sqlite3_file *f)
{
	return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
	if (fails(CALL_SHM)) {
		*ret = NULL;
		return code();
	}
	return real(f)->pMethods->xShmMap(real(f), region, size, extend, ret);
}

static int shm_lock(sqlite3_file *f, int from, int n, int flags)
{
	if ((flags & SQLITE_SHM_LOCK) && fails(CALL_LOCK))
		return code();
	return real(f)->pMethods->xShmLock(real(f), from, n, flags);
}

static void shm_barrier(sqlite3_file *f)
{
	real(f)->pMethods->xShmBarrier(real(f));
}

static int shm_unmap(sqlite3_file *f, int delete)
{
	return real(f)->pMethods->xShmUnmap(real(f), delete);
}

/* Version 2: with shared memory for the WAL, without files mapped into memory. */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = close_file,
	.xRead = read_file,
	.xWrite = write_file,
	.xTruncate = truncate_file,
	.xSync = sync_file,
	.xFileSize = file_size,
	.xLock = lock_file,
	.xUnlock = unlock_file,
	.xCheckReservedLock = check_reserved,
	.xFileControl = file_control,
	.xSectorSize = sector_size,
	.xDeviceCharacteristics = characteristics,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
};

/* ---- the VFS ---------------------------------------------------------- */

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct file *file = (struct file *)f;

	(void)vfs;
	f->pMethods = NULL;
	if (fails(CALL_OPEN))
		return code();
	file->which = flags & SQLITE_OPEN_MAIN_DB	 ? FILE_DATABASE
		      : flags & SQLITE_OPEN_WAL		 ? FILE_WAL
		      : flags & SQLITE_OPEN_MAIN_JOURNAL ? FILE_ROLLBACK
							 : FILE_OTHER;
	file->is_new = (flags & SQLITE_OPEN_CREATE) && file->which > FILE_DATABASE;
	int rc = below->xOpen(below, name, file->real, flags, ret_flags);
	if (rc == SQLITE_OK)
		f->pMethods = &methods;
	return rc;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
	struct record r = {.what = 'D', .at = sync_directory != 0};

	(void)vfs;
	r.which = ends_with(name, "-wal")	? FILE_WAL
		  : ends_with(name, "-journal") ? FILE_ROLLBACK
						: FILE_OTHER;
	journal_begin();
	int rc = below->xDelete(below, name, sync_directory);
	journal_end(rc, r, NULL);
	return rc;
}

/* ---- memory ----------------------------------------------------------- */

static void *allocate(int size)
{
	return fails(CALL_ALLOC) ? NULL : memory.xMalloc(size);
}

static void *reallocate(void *old, int size)
{
	return fails(CALL_ALLOC) ? NULL : memory.xRealloc(old, size);
}

/* ---- start ------------------------------------------------------------ */

/* Before main(): the first connection finds the layers in place. */
__attribute__((constructor)) static void install(void)
{
	static sqlite3_vfs vfs;
	const char *page = getenv("XT_FAULT"), *log = getenv("XT_FAULT_JOURNAL");
	sqlite3_mem_methods failing;
	int fd = page ? open(page, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	if (log)
		journal = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* as main.c does, too late now */
	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
	failing = memory;
	failing.xMalloc = allocate;
	failing.xRealloc = reallocate;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
	below = sqlite3_vfs_find(NULL);
	assert(below);
	vfs = *below;
	vfs.zName = "failing";
	vfs.szOsFile += (int)sizeof(struct file);
	vfs.xOpen = open_file;
	vfs.xDelete = delete_file;
	sqlite3_vfs_register(&vfs, 1);
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert(control != MAP_FAILED);
	close(fd);
}
