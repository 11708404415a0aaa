/* In the place of repo.c and repo_history.c where the program is built without libgit2. */
#include <assert.h>
#include <stdio.h>

#include "repo.h"

int repo_open(const char *dir, const atomic_int *stop, struct repo **ret, char error[REPO_ERROR])
{
	(void)dir;
	(void)stop;
	(void)ret;
	snprintf(error, REPO_ERROR, "built without libgit2");
	return REPO_UNABLE;
}

void repo_free(struct repo *r)
{
	assert(!r);
}

/* Nobody has a repository to ask about. */

const struct repo_facts *repo_facts(const struct repo *r)
{
	assert(r && !r);
	return NULL;
}

int repo_changes(struct repo *r, repo_seen *seen, void *data, char error[REPO_ERROR])
{
	(void)r;
	(void)seen;
	(void)data;
	(void)error;
	return -1;
}

int repo_tracked(struct repo *r, const char *ending, repo_seen *seen, void *data, char error[REPO_ERROR])
{
	(void)ending;
	return repo_changes(r, seen, data, error);
}

int repo_find(struct repo *r, const char *text, char ret[REPO_HASH], char error[REPO_ERROR])
{
	(void)text;
	(void)ret;
	return repo_changes(r, NULL, NULL, error);
}

int repo_count(struct repo *r, const char *from, const char *to, uint64_t *ret, char error[REPO_ERROR])
{
	(void)from;
	(void)to;
	(void)ret;
	return repo_changes(r, NULL, NULL, error);
}

int repo_differ(struct repo *r, const char *from, const char *to, repo_seen *seen, void *data,
		char error[REPO_ERROR])
{
	(void)from;
	(void)to;
	return repo_changes(r, seen, data, error);
}

int repo_last_change(struct repo *r, const char *path, char ret[REPO_HASH], char error[REPO_ERROR])
{
	return repo_find(r, path, ret, error);
}
