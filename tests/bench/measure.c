#include "measure.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct samples samples_new(long cap)
{
	struct samples s = {.cap = (size_t)(cap > 0 ? cap : 1)};

	s.v = malloc(s.cap * sizeof(*s.v));
	if (!s.v)
		die("out of memory", "");
	return s;
}

void samples_free(struct samples *s)
{
	free(s->v);
	*s = (struct samples){0};
}

void samples_add(struct samples *s, double v)
{
	if (s->n == s->cap) {
		s->cap *= 2;
		s->v = realloc(s->v, s->cap * sizeof(*s->v));
		if (!s->v)
			die("out of memory", "");
	}
	s->v[s->n++] = v;
	s->sorted = 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double samples_at(struct samples *s, double q)
{
	if (s->n == 0)
		return 0;
	if (!s->sorted)
		qsort(s->v, s->n, sizeof(*s->v), compare);
	s->sorted = 1;
	return s->v[(size_t)(q * (double)(s->n - 1) + 0.5)];
}

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, what, why[0] ? ": " : "", why);
	exit(1);
}

void remove_database(const char *db)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock", ".log"};
	char path[1200];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", db, suffixes[i]);
		unlink(path);
	}
}

void remove_directory(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[1400];

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_type == DT_DIR)
			remove_directory(path);
		else
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

void find_sibling(char *ret, size_t size, const char *name)
{
	ssize_t n = readlink("/proc/self/exe", ret, size - 1);

	ret[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(ret, '/');
	size_t at = slash ? (size_t)(slash + 1 - ret) : 0;
	snprintf(ret + at, size - at, "%s", name);
}
