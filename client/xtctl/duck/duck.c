#include "duck.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LIBRARY	  "libduckdb.so"
#define STATEMENT "\nLINE " /* what the part of an error begins with that repeats the statement */
#define MOST_SAID 1000	    /* of an error: a function may have very many candidates */
#define PAUSE_NS  1000000   /* between looks at tasks that other threads have */

/* What it may take: its own limit is four fifths of the machine. */
static const char *const settings[][2] = {
	{"memory_limit", "512MB"},
	{"autoinstall_known_extensions", "false"}, /* nothing is fetched from anywhere */
	{"autoload_known_extensions", "false"},
};

/* ---- the library ------------------------------------------------------ */

static const struct symbol {
	const char *name;
	size_t offset; /* of its member in struct duck_api */
	bool optional;
} symbols[] = {
#define REQUIRED(type, name, params) {"duckdb_" #name, offsetof(struct duck_api, name), false},
#define OPTIONAL(type, name, params) {"duckdb_" #name, offsetof(struct duck_api, name), true},
	DUCK_FUNCTIONS(REQUIRED) DUCK_OPTIONAL(OPTIONAL)
#undef REQUIRED
#undef OPTIONAL
};

static int load(struct duck *d)
{
	const char *named = getenv("XETRACK_DUCKDB");

	/* Global: the callbacks of duck_rows.c find it again by that. */
	d->library = dlopen(named && named[0] ? named : LIBRARY, RTLD_NOW | RTLD_GLOBAL);
	if (!d->library) {
		if (named && named[0])
			snprintf(d->error, sizeof(d->error),
				 "cannot load DuckDB's library, which XETRACK_DUCKDB names: %s", dlerror());
		else
			snprintf(d->error, sizeof(d->error),
				 "this needs DuckDB, and " LIBRARY
				 " was not found: install libduckdb, or set XETRACK_DUCKDB to its path");
		return -ENOENT;
	}
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *found = dlsym(d->library, symbols[i].name);
		if (!found && !symbols[i].optional) {
			snprintf(d->error, sizeof(d->error),
				 "DuckDB's library has no '%s': it is too old, 1.1 is needed",
				 symbols[i].name);
			return -ENOENT;
		}
		memcpy((char *)&d->api + symbols[i].offset, &found, sizeof(found));
	}
	return 0;
}

/* ---- its pages -------------------------------------------------------- */

/* Whether the loader wrote to text, as it does in libraries that were not made to lie anywhere. */
static bool has_written_text(const struct dl_phdr_info *info)
{
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		const ElfW(Dyn) *d = (const ElfW(Dyn) *)(info->dlpi_addr + h->p_vaddr);
		for (; h->p_type == PT_DYNAMIC && d->d_tag != DT_NULL; d++)
			if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL)))
				return true;
	}
	return false;
}

static bool holds(const struct dl_phdr_info *info, uintptr_t address)
{
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		if (h->p_type == PT_LOAD && address - (info->dlpi_addr + h->p_vaddr) < h->p_memsz)
			return true;
	}
	return false;
}

/* Of segments that are never written to: their pages come back from the file as they were. */
static int give_back(struct dl_phdr_info *info, size_t size, void *data)
{
	const uintptr_t *function = data, page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	if (!holds(info, *function))
		return 0;
	for (size_t i = 0; i < info->dlpi_phnum && !has_written_text(info); i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t start = (info->dlpi_addr + h->p_vaddr + page - 1) & ~(page - 1);
		uintptr_t end = (info->dlpi_addr + h->p_vaddr + h->p_filesz) & ~(page - 1);
		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W) && start < end)
			(void)madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 1;
}

/* Its names and relocations, and what it starts with, are half of what is in memory of the library by now,
 * and are not looked at again. */
static void forget_start(const struct duck *d)
{
	uintptr_t function;

	memcpy(&function, &d->api.connect, sizeof(function));
	dl_iterate_phdr(give_back, &function);
}

/* ---- the database ----------------------------------------------------- */

static int make_spill(struct duck *d)
{
	const char *temporary = getenv("TMPDIR");

	if (asprintf(&d->spill, "%s/xtctl-duckdb-XXXXXX", temporary && temporary[0] ? temporary : "/tmp") < 0)
		d->spill = NULL;
	if (d->spill && mkdtemp(d->spill))
		return 0;
	snprintf(d->error, sizeof(d->error), "cannot make a temporary directory: %s", strerror(errno));
	free(d->spill);
	d->spill = NULL;
	return -1;
}

/* It has files of DuckDB's only, and no directories. */
static void drop_spill(struct duck *d)
{
	DIR *dir = d->spill ? opendir(d->spill) : NULL;

	for (struct dirent *e; dir && (e = readdir(dir));)
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	if (d->spill)
		rmdir(d->spill);
	free(d->spill);
	d->spill = NULL;
}

static int start(struct duck *d)
{
	duck_handle config = NULL;
	char *message = NULL;
	int r = d->api.create_config(&config);

	for (size_t i = 0; r == DUCK_SUCCESS && i < sizeof(settings) / sizeof(settings[0]); i++)
		r = d->api.set_config(config, settings[i][0], settings[i][1]);
	if (r == DUCK_SUCCESS)
		r = d->api.set_config(config, "temp_directory", d->spill);
	if (r == DUCK_SUCCESS)
		r = d->api.open_ext(NULL, &d->database, config, &message);
	if (r == DUCK_SUCCESS)
		r = d->api.connect(d->database, &d->connection);
	if (r != DUCK_SUCCESS)
		snprintf(d->error, sizeof(d->error), "cannot start DuckDB: %s",
			 message ? message : "it gives no reason");
	d->api.free(message);
	d->api.destroy_config(&config);
	return r == DUCK_SUCCESS ? 0 : -1;
}

int duck_open(struct duck *d, const atomic_int *stop)
{
	*d = (struct duck){.stop = stop};
	int r = load(d);
	if (r == 0)
		r = make_spill(d);
	if (r == 0)
		r = start(d);
	if (r == 0) {
		forget_start(d);
		return 0;
	}
	char why[DUCK_ERROR_BYTES];
	memcpy(why, d->error, sizeof(why));
	duck_close(d);
	memcpy(d->error, why, sizeof(why));
	return r;
}

void duck_close(struct duck *d)
{
	if (d->connection)
		d->api.disconnect(&d->connection);
	if (d->database)
		d->api.close(&d->database);
	drop_spill(d);
	/* Not dlclose(): threads of the library may still be on their way out. */
	*d = (struct duck){0};
}

/* ---- statements ------------------------------------------------------- */

int duck_fail(struct duck *d, const char *message)
{
	const char *from = message ? message : "DuckDB gives no reason";
	const char *kind = strstr(from, " Error: ");
	size_t n = 0;

	if (kind && kind - from < 30 && !memchr(from, '\n', (size_t)(kind - from)))
		from = kind + strlen(" Error: ");
	/* Behind what is wrong come names that may be meant, and the statement with a mark under it. */
	for (; *from && n < MOST_SAID && strncmp(from, STATEMENT, strlen(STATEMENT)) != 0; from++)
		if (!strchr("\n\t", *from))
			d->error[n++] = *from;
		else if (n > 0 && d->error[n - 1] != ' ')
			d->error[n++] = ' ';
	while (n == MOST_SAID && n > 0 && (d->error[n - 1] & 0x80)) /* no half of a character */
		n--;
	while (n > 0 && d->error[n - 1] == ' ')
		n--;
	d->error[n] = '\0';
	return -1;
}

int duck_run(struct duck *d, const char *sql)
{
	struct duck_result result = {0};
	int r = d->api.query(d->connection, sql, &result);

	if (r != DUCK_SUCCESS)
		duck_fail(d, d->api.result_error(&result));
	d->api.destroy_result(&result);
	return r == DUCK_SUCCESS ? 0 : -1;
}

int duck_prepare(struct duck *d, const char *sql, duck_handle *ret)
{
	duck_handle prepared = NULL;

	if (d->api.prepare(d->connection, sql, &prepared) == DUCK_SUCCESS) {
		*ret = prepared;
		return 0;
	}
	duck_fail(d, d->api.prepare_error(prepared));
	d->api.destroy_prepare(&prepared);
	if (strcasestr(sql, "pivot") && strstr(d->error, "multiple statements"))
		snprintf(d->error, sizeof(d->error), "PIVOT needs to be told its columns: %s",
			 "PIVOT t ON c IN ('a', 'b') USING sum(x)");
	return -1;
}

/* Works on the statement, with the library's threads, until it is done or Ctrl-C ends it. */
static int work(struct duck *d, duck_handle pending)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	bool told = false;

	for (;;) {
		if (*d->stop && !told) {
			d->api.interrupt(d->connection);
			told = true;
		}
		int state = d->api.pending_execute_task(pending);
		if (state == DUCK_PENDING_ERROR)
			return duck_fail(d, d->api.pending_error(pending));
		if (d->api.pending_execution_is_finished(state))
			return 0;
		if (state == DUCK_PENDING_NO_TASKS)
			nanosleep(&pause, NULL);
	}
}

int duck_execute(struct duck *d, duck_handle prepared, struct duck_result *ret)
{
	int (*begin)(duck_handle, duck_handle *) = d->api.pending_prepared_streaming
							   ? d->api.pending_prepared_streaming
							   : d->api.pending_prepared;
	duck_handle pending = NULL;

	*ret = (struct duck_result){0};
	int r = begin(prepared, &pending) == DUCK_SUCCESS ? work(d, pending)
							  : duck_fail(d, d->api.pending_error(pending));
	if (r == 0 && d->api.execute_pending(pending, ret) != DUCK_SUCCESS)
		r = duck_fail(d, d->api.result_error(ret));
	d->api.destroy_pending(&pending);
	return r;
}
