/*
 * What the files of repo share.
 */
#ifndef XT_REPO_GIT_H
#define XT_REPO_GIT_H

#include <limits.h>

#include "gitlib.h"
#include "repo.h"

struct repo {
	struct gitlib git;
	git_repository *handle; /* owned */
	git_reference *head;	/* owned; NULL: HEAD is on no commit */
	const atomic_int *stop; /* borrowed; NULL: nothing stops it */
	char root[PATH_MAX];	/* of the work tree; of a bare one where it lies */
	struct repo_facts facts;
};

/* Whether to give up. */
bool repo_stopped(const struct repo *r);

/* Writes "cannot <what>: <why>" with libgit2's reason; returns -1. */
int repo_fail(const struct repo *r, char error[REPO_ERROR], const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* What a change of a file means; REPO_NOTHING: nothing. */
#define REPO_NOTHING ((enum repo_change) - 1)
enum repo_change repo_change_of(const git_diff_delta *delta);

/* The tree of a commit; owned. 0, or what libgit2 says. */
int repo_tree(const struct repo *r, const char *commit, git_tree **ret);

/* Has a diff give up when the user wants to. */
void repo_stoppable(const struct repo *r, git_diff_options *options);

#endif
