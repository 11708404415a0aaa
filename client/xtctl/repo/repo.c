#include "repo.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo_git.h"

bool repo_stopped(const struct repo *r)
{
	return r->stop && *r->stop;
}

/* ---- failures --------------------------------------------------------- */

/* The reason that libgit2 gives, in the form of ours. */
static const char *reason(const struct gitlib *git)
{
	const git_error *e = git->git_error_last();

	return e && e->message && e->message[0] ? e->message : "libgit2 gives no reason";
}

int repo_fail(const struct repo *r, char error[REPO_ERROR], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(error, REPO_ERROR, fmt, ap);
	va_end(ap);
	if (n >= 0 && n < REPO_ERROR)
		snprintf(error + n, (size_t)(REPO_ERROR - n), ": %s",
			 repo_stopped(r) ? "interrupted" : reason(&r->git));
	return -1;
}

/* Drops the slashes behind a path, and `.git` where it ends so. */
static void trim(char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	if (n > 5 && strcmp(path + n - 5, "/.git") == 0)
		path[n - 5] = '\0';
}

/* ---- opening ---------------------------------------------------------- */

/* Where the repository of a directory lies, whoever owns it. False: nowhere. */
static bool discover(const struct repo *r, const char *dir, char ret[PATH_MAX])
{
	git_buf found = {0};

	bool is = r->git.git_repository_discover(&found, dir, 0, NULL) == 0 && found.ptr;
	if (is)
		snprintf(ret, PATH_MAX, "%s", found.ptr);
	r->git.git_buf_dispose(&found);
	return is;
}

static bool is_ours(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 || st.st_uid == geteuid();
}

/* What somebody else's repository is configured to do is not trusted, as git does not either. */
static int not_ours(const char *found, char error[REPO_ERROR])
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", found);
	trim(path);
	snprintf(error, REPO_ERROR,
		 "the git repository '%.150s' belongs to another user; if you trust it: "
		 "'git config --global --add safe.directory %.150s'",
		 path, path);
	return -1;
}

static int refused(const struct repo *r, int code, const char *dir, char error[REPO_ERROR])
{
	char found[PATH_MAX] = "";

	if (code == GIT_ENOTFOUND && !discover(r, dir, found))
		return REPO_NONE;
	repo_fail(r, error, "cannot read the git repository of '%.200s'", dir);
	/* Where the user has no configuration at all, libgit2 says the same of both. */
	if (code == GIT_EOWNER || (code == GIT_ENOTFOUND && !is_ours(found)))
		return not_ours(found[0] || discover(r, dir, found) ? found : dir, error);
	/* A newer format, such as SHA-256: this libgit2 knows it not. */
	bool unable = strstr(error, "unsupported extension") || strstr(error, "unsupported repository") ||
		      strstr(error, "unknown object format");
	return unable ? REPO_UNABLE : -1;
}

/* Where it is, and on what. */
static int look_around(struct repo *r, char error[REPO_ERROR])
{
	const char *work = r->git.git_repository_workdir(r->handle);
	const char *path = work ? work : r->git.git_repository_path(r->handle);
	git_oid id;

	if (!realpath(path, r->root))
		snprintf(r->root, sizeof(r->root), "%s", path);
	trim(r->root);
	r->facts.root = work ? r->root : NULL;
	r->facts.shallow = r->git.git_repository_is_shallow(r->handle) == 1;
	int code = r->git.git_repository_head(&r->head, r->handle);
	if (code == GIT_EUNBORNBRANCH || code == GIT_ENOTFOUND)
		return 0;
	if (code == 0)
		code = r->git.git_reference_name_to_id(&id, r->handle, "HEAD");
	if (code != 0)
		return repo_fail(r, error, "cannot tell what HEAD is in the git repository '%.200s'",
				 r->root);
	r->git.git_oid_tostr(r->facts.head, sizeof(r->facts.head), &id);
	if (r->git.git_reference_is_branch(r->head))
		r->facts.branch = r->git.git_reference_shorthand(r->head);
	return 0;
}

int repo_open(const char *dir, const atomic_int *stop, struct repo **ret, char error[REPO_ERROR])
{
	struct repo *r = calloc(1, sizeof(*r));

	if (!r) {
		snprintf(error, REPO_ERROR, "out of memory");
		return -1;
	}
	const char *missing = gitlib_load(&r->git);
	if (missing) {
		snprintf(error, REPO_ERROR, "libgit2 cannot be loaded: %s", missing);
		free(r);
		return REPO_UNABLE;
	}
	r->stop = stop;
	r->git.git_libgit2_init();
	int code = r->git.git_repository_open_ext(&r->handle, dir, 0, NULL);
	int status = code == 0 ? look_around(r, error) : refused(r, code, dir, error);
	if (status != 0) {
		repo_free(r);
		return status;
	}
	*ret = r;
	return 0;
}

void repo_free(struct repo *r)
{
	if (!r)
		return;
	r->git.git_reference_free(r->head);
	r->git.git_repository_free(r->handle);
	r->git.git_libgit2_shutdown();
	free(r);
}

const struct repo_facts *repo_facts(const struct repo *r)
{
	return &r->facts;
}

/* ---- what is not committed -------------------------------------------- */

static int on_progress(const git_diff *diff, const char *old_path, const char *new_path, void *data)
{
	(void)diff;
	(void)old_path;
	(void)new_path;
	return repo_stopped(data) ? -1 : 0;
}

void repo_stoppable(const struct repo *r, git_diff_options *options)
{
	options->progress_cb = on_progress;
	options->payload = (void *)(uintptr_t)r;
}

enum repo_change repo_change_of(const git_diff_delta *delta)
{
	switch (delta->status) {
	case GIT_DELTA_UNMODIFIED:
	case GIT_DELTA_IGNORED:
		return REPO_NOTHING;
	case GIT_DELTA_ADDED:
		return REPO_ADDED;
	case GIT_DELTA_DELETED:
		return REPO_DELETED;
	case GIT_DELTA_CONFLICTED:
		return REPO_CONFLICTED;
	case GIT_DELTA_UNTRACKED:
		return REPO_UNTRACKED;
	default:
		return REPO_MODIFIED;
	}
}

int repo_tree(const struct repo *r, const char *commit, git_tree **ret)
{
	git_commit *found = NULL;
	git_oid id;

	int code = r->git.git_oid_fromstr(&id, commit);
	if (code == 0)
		code = r->git.git_commit_lookup(&found, r->handle, &id);
	if (code == 0)
		code = r->git.git_commit_tree(ret, found);
	r->git.git_commit_free(found);
	return code;
}

/* What libgit2 takes for a change without being one, or without being able to tell. */
static enum repo_change look_twice(const struct repo *r, git_index *index, const git_diff_delta *d)
{
	enum repo_change change = repo_change_of(d);
	const char *path = d->new_file.path ? d->new_file.path : d->old_file.path;

	if (change != REPO_DELETED && change != REPO_MODIFIED)
		return change;
	const git_index_entry *entry = r->git.git_index_get_bypath(index, path, 0);
	if (!entry || r->git.git_oid_cmp(&entry->id, &d->old_file.id) != 0)
		return change; /* it is staged */
	if (change == REPO_DELETED)
		return entry->flags_extended & GIT_INDEX_ENTRY_SKIP_WORKTREE ? REPO_NOTHING : change;
	const char *filter = NULL;
	if (r->git.git_attr_get(&filter, r->handle, GIT_ATTR_CHECK_FILE_THEN_INDEX, path, "filter") == 0 &&
	    r->git.git_attr_value(filter) == GIT_ATTR_VALUE_STRING)
		return REPO_FILTERED;
	return change;
}

/* The index, or why it cannot be read. 0, REPO_UNABLE or -1; owned. */
static int open_index(const struct repo *r, git_index **ret, char error[REPO_ERROR])
{
	if (r->git.git_repository_index(ret, r->handle) == 0)
		return 0;
	repo_fail(r, error, "cannot read the index of the git repository '%.200s'", r->root);
	/* The one of a sparse index is `sdir`. */
	if (!strstr(error, "unsupported mandatory extension"))
		return -1;
	snprintf(
		error, REPO_ERROR,
		"the index of '%.200s' is in a form that libgit2 does not know ('git sparse-checkout reapply "
		"--no-sparse-index' changes that)",
		r->root);
	return REPO_UNABLE;
}

static int compare(const struct repo *r, git_diff **ret)
{
	git_diff_options options;
	git_tree *tree = NULL;

	int code = r->git.git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
	options.flags = GIT_DIFF_INCLUDE_UNTRACKED | GIT_DIFF_INCLUDE_TYPECHANGE | GIT_DIFF_SKIP_BINARY_CHECK;
	options.ignore_submodules = GIT_SUBMODULE_IGNORE_UNTRACKED;
	repo_stoppable(r, &options);
	if (code == 0 && r->facts.head[0])
		code = repo_tree(r, r->facts.head, &tree);
	if (code == 0)
		code = r->git.git_diff_tree_to_workdir_with_index(ret, r->handle, tree, &options);
	r->git.git_tree_free(tree);
	return code;
}

int repo_changes(struct repo *r, repo_seen *seen, void *data, char error[REPO_ERROR])
{
	git_index *index = NULL;
	git_diff *diff = NULL;

	if (!r->facts.root)
		return 0;
	int status = open_index(r, &index, error);
	if (status == 0 && compare(r, &diff) != 0)
		status = repo_fail(r, error, "cannot compare the files of '%.200s' with their last commit",
				   r->root);
	size_t n = status == 0 ? r->git.git_diff_num_deltas(diff) : 0;
	for (size_t i = 0; i < n; i++) {
		const git_diff_delta *d = r->git.git_diff_get_delta(diff, i);
		enum repo_change change = look_twice(r, index, d);
		if (change != REPO_NOTHING)
			seen(data, d->new_file.path ? d->new_file.path : d->old_file.path, change);
	}
	r->git.git_diff_free(diff);
	r->git.git_index_free(index);
	return status;
}

int repo_tracked(struct repo *r, const char *ending, repo_seen *seen, void *data, char error[REPO_ERROR])
{
	git_index *index = NULL;
	const char *before = "";
	size_t len = strlen(ending);

	if (!r->facts.root)
		return 0;
	int status = open_index(r, &index, error);
	size_t n = status == 0 ? r->git.git_index_entrycount(index) : 0;
	for (size_t i = 0; i < n; i++) {
		const char *path = r->git.git_index_get_byindex(index, i)->path;
		size_t at = strlen(path);
		/* One in conflict is there as each side has it. */
		if (at > len && strcmp(path + at - len, ending) == 0 && strcmp(path, before) != 0)
			seen(data, path, REPO_MODIFIED);
		before = path;
	}
	r->git.git_index_free(index);
	return status;
}
