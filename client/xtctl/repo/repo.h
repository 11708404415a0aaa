/*
 * What a git repository says of the code and data in it: which commit is checked out, what is not committed,
 * what changed between two commits, which of them last changed a file. It is only read, and no git process is
 * started; libgit2 is loaded when the first repository is opened. Knows nothing of who asks: errors are
 * sentences, what is found goes to callbacks. A repository may be used by one thread at a time.
 */
#ifndef XT_REPO_H
#define XT_REPO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REPO_HASH  65  /* bytes of a commit's or file's hash as hexadecimal digits, with the NUL */
#define REPO_ERROR 600 /* bytes of a sentence */

/* Expected answers; 0 is success, -1 a failure that `error` explains. */
enum {
	REPO_NONE = 1,	/* there is no repository */
	REPO_UNABLE,	/* nothing is wrong with it, but this program cannot read it: `error` says why */
	REPO_UNKNOWN,	/* the repository has no such commit */
	REPO_AMBIGUOUS, /* several commits begin so */
	REPO_CUT,	/* what is asked for lies beyond the end of a shallow clone */
};

struct repo; /* opaque */

/* Texts live as long as the repository. */
struct repo_facts {
	const char *root;   /* of the work tree, absolute, links resolved, no slash at its end; NULL: bare */
	const char *branch; /* that is checked out; NULL: none, HEAD is detached */
	char head[REPO_HASH]; /* the commit that is checked out; "": there is none yet */
	bool shallow;	      /* a clone whose history is cut off */
};

/*
 * Opens the repository that a directory lies in. stop, which may be NULL, is borrowed: once it is set, what
 * takes long is given up with -1. *ret is owned. 0, REPO_NONE, REPO_UNABLE or -1.
 */
int repo_open(const char *dir, const atomic_int *stop, struct repo **ret, char error[REPO_ERROR])
	__attribute__((warn_unused_result));
void repo_free(struct repo *r);

const struct repo_facts *repo_facts(const struct repo *r);

/* ---- what is not committed -------------------------------------------- */

enum repo_change {
	REPO_ADDED,
	REPO_DELETED,
	REPO_MODIFIED,
	REPO_CONFLICTED,
	REPO_FILTERED,	/* perhaps modified: git would have a filter (git-lfs) look, which is not started */
	REPO_UNTRACKED, /* and not ignored; of a directory without any tracked file only its name, with a
			   slash behind it */
};

/* Sees a path, relative to the root. */
typedef void repo_seen(void *data, const char *path, enum repo_change change);

/* Shows every file in which the work tree differs from HEAD, once, staged or not. A submodule is a file here,
 * and what is untracked in it does not count. Files outside a sparse checkout are not missed. A bare
 * repository has none. 0, REPO_UNABLE or -1. */
int repo_changes(struct repo *r, repo_seen *seen, void *data, char error[REPO_ERROR])
	__attribute__((warn_unused_result));

/* Shows the tracked files whose names end so, as REPO_MODIFIED. 0, REPO_UNABLE or -1. */
int repo_tracked(struct repo *r, const char *ending, repo_seen *seen, void *data, char error[REPO_ERROR])
	__attribute__((warn_unused_result));

/* ---- history (repo_history.c) ----------------------------------------- */

/* The commit that a text names: a hash or its beginning, of at least 4 digits, also as `git describe` writes
 * it (v1.0-3-g1a2b3c4, and -dirty behind either). 0, REPO_UNKNOWN, REPO_AMBIGUOUS or -1. */
int repo_find(struct repo *r, const char *text, char ret[REPO_HASH], char error[REPO_ERROR])
	__attribute__((warn_unused_result));

#define REPO_MOST_COMMITS 10000 /* that are counted */

/* How many commits `to` has that `from` has not, up to REPO_MOST_COMMITS. 0, REPO_CUT or -1. */
int repo_count(struct repo *r, const char *from, const char *to, uint64_t *ret, char error[REPO_ERROR])
	__attribute__((warn_unused_result));

/* Shows the files in which two commits differ. 0, REPO_CUT or -1. */
int repo_differ(struct repo *r, const char *from, const char *to, repo_seen *seen, void *data,
		char error[REPO_ERROR]) __attribute__((warn_unused_result));

/* The last commit, from HEAD on, that changed a file, as `git log -n 1 -- PATH` finds it. 0, REPO_UNKNOWN
 * when none did, REPO_CUT or -1. */
int repo_last_change(struct repo *r, const char *path, char ret[REPO_HASH], char error[REPO_ERROR])
	__attribute__((warn_unused_result));

#endif
