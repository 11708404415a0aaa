#include "temp_dir.h"

#include <assert.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[4000]; /* "" until it is made */

static void remove_all(void)
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

const char *temp_dir(void)
{
	const char *base = getenv("TMPDIR");

	if (path[0])
		return path;
	snprintf(path, sizeof(path), "%s/xt-fuzz-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(path)) {
		perror(path);
		abort();
	}
	atexit(remove_all);
	return path;
}

void temp_dir_holds(const char *const *names, int n)
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	assert(dir);
	while ((e = readdir(dir))) {
		bool known = e->d_name[0] == '.';
		for (int i = 0; i < n && !known; i++)
			known = strcmp(e->d_name, names[i]) == 0;
		assert(known);
	}
	closedir(dir);
}
