#include "compress_inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEAST_BYTES  1024   /* smaller files tell little about a codec */
#define MOST_VISITED 150000 /* entries looked at under one root */

/* What an ending says. Files under the source directory without a known ending are not taken. */
static const struct {
	const char *ending;
	enum kind kind;
} endings[] = {
	{".txt", KIND_TEXT},	   {".md", KIND_TEXT},		{".rst", KIND_TEXT},
	{".html", KIND_TEXT},	   {".xml", KIND_TEXT},		{".json", KIND_TEXT},
	{".csv", KIND_TEXT},	   {".c", KIND_SOURCE},		{".h", KIND_SOURCE},
	{".cc", KIND_SOURCE},	   {".cpp", KIND_SOURCE},	{".hpp", KIND_SOURCE},
	{".py", KIND_SOURCE},	   {".pl", KIND_SOURCE},	{".pm", KIND_SOURCE},
	{".sh", KIND_SOURCE},	   {".js", KIND_SOURCE},	{".rs", KIND_SOURCE},
	{".go", KIND_SOURCE},	   {".java", KIND_SOURCE},	{".def", KIND_SOURCE},
	{".sql", KIND_SOURCE},	   {".so", KIND_LIBRARY},	{".gz", KIND_COMPRESSED},
	{".xz", KIND_COMPRESSED},  {".bz2", KIND_COMPRESSED},	{".zst", KIND_COMPRESSED},
	{".lz4", KIND_COMPRESSED}, {".zip", KIND_COMPRESSED},	{".png", KIND_COMPRESSED},
	{".jpg", KIND_COMPRESSED}, {".jar", KIND_COMPRESSED},	{".deb", KIND_COMPRESSED},
	{".whl", KIND_COMPRESSED}, {".woff2", KIND_COMPRESSED},
};

struct root {
	const char *path;
	bool plain;	/* names without a known ending are text (`copyright`, `words`, `GPL-3`) */
	bool libraries; /* nothing else is taken */
};

const char *kind_name(enum kind kind)
{
	static const char *const names[N_KINDS] = {"text", "source", "library", "compressed"};

	return names[kind];
}

/* ---- one file ----------------------------------------------------------- */

/* True when the name tells the kind. */
static bool tell_kind(const char *path, enum kind *ret)
{
	const char *name = strrchr(path, '/');
	name = name ? name + 1 : path;
	size_t len = strlen(name);

	if (strstr(name, ".so.")) { /* libz.so.1.2.13 */
		*ret = KIND_LIBRARY;
		return true;
	}
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t n = strlen(endings[i].ending);
		if (len > n && strcmp(name + len - n, endings[i].ending) == 0) {
			*ret = endings[i].kind;
			return true;
		}
	}
	return false;
}

static int add(struct inputs *in, const char *path, enum kind kind)
{
	if (in->n == in->cap) {
		size_t cap = in->cap ? in->cap * 2 : 256;
		struct input *items = realloc(in->items, cap * sizeof(*items));
		if (!items)
			return -1;
		in->items = items;
		in->cap = cap;
	}
	char *copy = strdup(path);
	if (!copy)
		return -1;
	in->items[in->n++] = (struct input){copy, kind};
	return 0;
}

int inputs_add(struct inputs *in, const char *path)
{
	enum kind kind = KIND_TEXT;

	(void)tell_kind(path, &kind);
	return add(in, path, kind);
}

void inputs_done(struct inputs *in)
{
	for (size_t i = 0; i < in->n; i++)
		free(in->items[i].path);
	free(in->items);
	*in = (struct inputs){0};
}

long input_read(const char *path, void *data, size_t most, char *error, size_t size)
{
	struct stat st;
	size_t len = 0;
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us */

	if (fd < 0 || fstat(fd, &st) < 0) {
		snprintf(error, size, "cannot open: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(error, size, "not a regular file");
		close(fd);
		return -1;
	}
	while (len < most && (n = read(fd, (char *)data + len, most - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		snprintf(error, size, "cannot read: %s", strerror(errno));
	else if (len == 0)
		snprintf(error, size, "the file is empty");
	close(fd);
	return n < 0 || len == 0 ? -1 : (long)len;
}

/* ---- finding ------------------------------------------------------------ */

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_ascii(const char *path)
{
	for (; *path; path++)
		if (*path < ' ' || *path > '~')
			return false;
	return true;
}

/* Adds a file that suits. Names outside of ASCII are left: they print differently here and there. */
static int consider(struct inputs *found, const struct root *root, const FTSENT *e)
{
	enum kind kind = KIND_TEXT;

	if (e->fts_statp->st_size < LEAST_BYTES || !is_ascii(e->fts_path))
		return 0;
	if (!tell_kind(e->fts_path, &kind) && !root->plain)
		return 0;
	if (root->libraries && kind != KIND_LIBRARY)
		return 0;
	return add(found, e->fts_path, kind);
}

static bool is_skipped_dir(const FTSENT *e)
{
	return e->fts_level > 0 && (e->fts_name[0] == '.' || strncmp(e->fts_name, "build", 5) == 0);
}

static int walk(struct inputs *found, const struct root *root)
{
	char *paths[2] = {(char *)(size_t)root->path, NULL}; /* fts does not write to them */
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	size_t visited = 0;
	FTSENT *e;
	int r = 0;

	if (!fts)
		return -1;
	while (r == 0 && visited++ < MOST_VISITED && (e = fts_read(fts))) {
		if (e->fts_info == FTS_D && is_skipped_dir(e))
			fts_set(fts, e, FTS_SKIP);
		else if (e->fts_info == FTS_F)
			r = consider(found, root, e);
	}
	fts_close(fts);
	return r;
}

static int by_kind_and_path(const void *a, const void *b)
{
	const struct input *x = a, *y = b;

	return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->path, y->path);
}

/* Roots may lie inside each other. */
static void sort_unique(struct inputs *in)
{
	size_t kept = 0;

	if (in->n)
		qsort(in->items, in->n, sizeof(*in->items), by_kind_and_path);
	for (size_t i = 0; i < in->n; i++) {
		if (kept && strcmp(in->items[kept - 1].path, in->items[i].path) == 0)
			free(in->items[i].path);
		else
			in->items[kept++] = in->items[i];
	}
	in->n = kept;
}

/* How many of each kind: even shares; what one kind lacks, the others give. */
static void share(const size_t there[N_KINDS], size_t want, size_t quota[N_KINDS])
{
	bool grew = true;

	memset(quota, 0, N_KINDS * sizeof(*quota));
	while (want > 0 && grew) {
		grew = false;
		for (size_t k = 0; k < N_KINDS && want > 0; k++)
			if (quota[k] < there[k]) {
				quota[k]++;
				want--;
				grew = true;
			}
	}
}

/* How many files of a kind there are in a sorted list, and where they begin. */
static size_t count_kind(const struct inputs *in, size_t kind, size_t *ret_first)
{
	size_t first = 0, n = 0;

	while (first < in->n && in->items[first].kind < kind)
		first++;
	while (first + n < in->n && in->items[first + n].kind == kind)
		n++;
	*ret_first = first;
	return n;
}

/* Takes n files of a kind, at even distances. */
static int pick(struct inputs *ret, const struct inputs *from, size_t kind, size_t n)
{
	size_t first, there = count_kind(from, kind, &first);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = add(ret, from->items[first + i * there / n].path, (enum kind)kind);
	return r;
}

/* The source directory gives half of what it can: the machine may have thousands of sources of its own. */
static int choose(struct inputs *ret, const struct inputs *machine, const struct inputs *own, size_t want)
{
	size_t there[N_KINDS], quota[N_KINDS], first;
	int r = 0;

	for (size_t k = 0; k < N_KINDS; k++)
		there[k] = count_kind(machine, k, &first) + count_kind(own, k, &first);
	share(there, want, quota);
	for (size_t k = 0; k < N_KINDS && r == 0; k++) {
		size_t mine = count_kind(own, k, &first), others = there[k] - mine, most = quota[k] / 2;
		if (most + others < quota[k])
			most = quota[k] - others;
		if (mine > most)
			mine = most;
		r = pick(ret, own, k, mine);
		if (r == 0)
			r = pick(ret, machine, k, quota[k] - mine);
	}
	sort_unique(ret); /* the source directory may lie under another root */
	return r;
}

int inputs_find(struct inputs *ret, const char *source, size_t want)
{
	static const struct root roots[] = {{"/usr/share/doc", true, false},
					    {"/usr/share/dict", true, false},
					    {"/usr/share/common-licenses", true, false},
					    {"/usr/lib", false, true}};
	char *real = realpath(source, NULL);
	struct inputs machine = {0}, own = {0};
	int r = real ? walk(&own, &(struct root){real, false, false}) : -1;

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]) && r == 0; i++)
		r = walk(&machine, &roots[i]);
	sort_unique(&machine);
	sort_unique(&own);
	if (r == 0)
		r = choose(ret, &machine, &own, want);
	inputs_done(&machine);
	inputs_done(&own);
	free(real);
	return r;
}
