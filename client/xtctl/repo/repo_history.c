/*
 * Commits: which one is meant, how far two lie apart, what differs, which one changed a file.
 */
#include <ctype.h>
#include <string.h>

#include "repo_git.h"

#define LEAST_DIGITS 4
#define MOST_DIGITS  40	    /* of a SHA-1 */
#define MOST_WALKED  200000 /* commits that are looked at for the one that changed a file */

/* ---- which one -------------------------------------------------------- */

static size_t digits(const char *s)
{
	size_t n = 0;

	while (isxdigit((unsigned char)s[n]))
		n++;
	return n;
}

/* The hash in a text, and how many digits it has; 0: there is none. `git describe` writes a tag, a count and
 * a g before it. */
static size_t find_hash(const char *text, const char **ret)
{
	const char *at = text;

	for (const char *g = text; (g = strstr(g, "-g")); g += 2)
		at = g + 2;
	size_t n = digits(at);
	if (n < LEAST_DIGITS || n > MOST_DIGITS || (at[n] != '\0' && strcmp(at + n, "-dirty") != 0))
		return 0;
	*ret = at;
	return n;
}

int repo_find(struct repo *r, const char *text, char ret[REPO_HASH], char error[REPO_ERROR])
{
	const char *hash = NULL;
	git_object *found = NULL;
	git_oid prefix;

	size_t n = find_hash(text, &hash);
	if (n == 0)
		return REPO_UNKNOWN;
	int code = r->git.git_oid_fromstrn(&prefix, hash, n);
	if (code == 0)
		code = r->git.git_object_lookup_prefix(&found, r->handle, &prefix, n, GIT_OBJECT_COMMIT);
	if (code == 0)
		r->git.git_oid_tostr(ret, REPO_HASH, r->git.git_object_id(found));
	r->git.git_object_free(found);
	if (code == GIT_ENOTFOUND || code == GIT_EAMBIGUOUS)
		return code == GIT_ENOTFOUND ? REPO_UNKNOWN : REPO_AMBIGUOUS;
	return code == 0 ? 0 : repo_fail(r, error, "cannot look commit '%.60s' up", text);
}

/* ---- how far apart ---------------------------------------------------- */

/* A commit that is missing in a shallow clone is no damage. */
static int cut_or_fail(const struct repo *r, int code, char error[REPO_ERROR])
{
	if (code == GIT_ENOTFOUND && r->facts.shallow)
		return REPO_CUT;
	return repo_fail(r, error, "cannot read the history of the git repository '%.200s'", r->root);
}

int repo_count(struct repo *r, const char *from, const char *to, uint64_t *ret, char error[REPO_ERROR])
{
	git_revwalk *walk = NULL;
	git_oid id;
	uint64_t n = 0;

	int code = r->git.git_revwalk_new(&walk, r->handle);
	if (code == 0)
		code = r->git.git_oid_fromstr(&id, to);
	if (code == 0)
		code = r->git.git_revwalk_push(walk, &id);
	if (code == 0)
		code = r->git.git_oid_fromstr(&id, from);
	if (code == 0)
		code = r->git.git_revwalk_hide(walk, &id);
	while (code == 0 && n < REPO_MOST_COMMITS && !repo_stopped(r) &&
	       (code = r->git.git_revwalk_next(&id, walk)) == 0)
		n++;
	r->git.git_revwalk_free(walk);
	if (repo_stopped(r) || (code != 0 && code != GIT_ITEROVER))
		return cut_or_fail(r, code, error);
	*ret = n;
	return 0;
}

int repo_differ(struct repo *r, const char *from, const char *to, repo_seen *seen, void *data,
		char error[REPO_ERROR])
{
	git_tree *a = NULL, *b = NULL;
	git_diff_options options;
	git_diff *diff = NULL;

	int code = r->git.git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
	options.flags = GIT_DIFF_INCLUDE_TYPECHANGE | GIT_DIFF_SKIP_BINARY_CHECK;
	repo_stoppable(r, &options);
	if (code == 0)
		code = repo_tree(r, from, &a);
	if (code == 0)
		code = repo_tree(r, to, &b);
	if (code == 0)
		code = r->git.git_diff_tree_to_tree(&diff, r->handle, a, b, &options);
	r->git.git_tree_free(a);
	r->git.git_tree_free(b);
	if (code != 0)
		return cut_or_fail(r, code, error);
	size_t n = r->git.git_diff_num_deltas(diff);
	for (size_t i = 0; i < n; i++) {
		const git_diff_delta *d = r->git.git_diff_get_delta(diff, i);
		enum repo_change change = repo_change_of(d);
		if (change != REPO_NOTHING)
			seen(data, d->new_file.path ? d->new_file.path : d->old_file.path, change);
	}
	r->git.git_diff_free(diff);
	return 0;
}

/* ---- which one changed a file ------------------------------------------ */

/* What a commit has at a path; *ret_there false: nothing. 0, or what libgit2 says. */
static int entry_of(const struct repo *r, const git_commit *commit, const char *path, git_oid *ret,
		    bool *ret_there)
{
	git_tree_entry *entry = NULL;
	git_tree *tree = NULL;

	*ret_there = false;
	int code = r->git.git_commit_tree(&tree, commit);
	if (code == 0)
		code = r->git.git_tree_entry_bypath(&entry, tree, path);
	if (code == 0) {
		r->git.git_oid_cpy(ret, r->git.git_tree_entry_id(entry));
		*ret_there = true;
	}
	r->git.git_tree_entry_free(entry);
	r->git.git_tree_free(tree);
	return code == GIT_ENOTFOUND ? 0 : code;
}

/* The first parent that has the same at the path: history is followed there, as git does. NULL: none has. */
static int same_parent(const struct repo *r, const git_commit *commit, const char *path, git_commit **ret)
{
	git_oid here, there;
	bool is_here, is_there;

	*ret = NULL;
	int code = entry_of(r, commit, path, &here, &is_here);
	unsigned n = r->git.git_commit_parentcount(commit);
	for (unsigned i = 0; i < n && code == 0; i++) {
		git_commit *parent = NULL;
		code = r->git.git_commit_parent(&parent, commit, i);
		if (code == 0)
			code = entry_of(r, parent, path, &there, &is_there);
		if (code == 0 && is_here == is_there &&
		    (!is_here || r->git.git_oid_cmp(&here, &there) == 0)) {
			*ret = parent;
			return 0;
		}
		r->git.git_commit_free(parent);
	}
	return code;
}

/* Where the history of a file ends: what it is there, and whether it was made by that commit. */
static int settle(const struct repo *r, git_commit *commit, const char *path, char ret[REPO_HASH])
{
	git_oid id;
	bool there;

	int code = entry_of(r, commit, path, &id, &there);
	if (code != 0)
		return code;
	if (!there && r->git.git_commit_parentcount(commit) == 0)
		return REPO_UNKNOWN; /* it was never there */
	r->git.git_oid_tostr(ret, REPO_HASH, r->git.git_object_id((const git_object *)commit));
	return 0;
}

int repo_last_change(struct repo *r, const char *path, char ret[REPO_HASH], char error[REPO_ERROR])
{
	git_commit *commit = NULL, *parent = NULL;
	git_oid id;
	unsigned walked = 0;

	if (!r->facts.head[0])
		return REPO_UNKNOWN;
	int code = r->git.git_oid_fromstr(&id, r->facts.head);
	if (code == 0)
		code = r->git.git_commit_lookup(&commit, r->handle, &id);
	while (code == 0 && (code = same_parent(r, commit, path, &parent)) == 0 && parent) {
		r->git.git_commit_free(commit);
		commit = parent;
		if (repo_stopped(r) || ++walked > MOST_WALKED)
			break;
	}
	bool given_up = repo_stopped(r) || walked > MOST_WALKED;
	if (code == 0 && !given_up)
		code = settle(r, commit, path, ret);
	r->git.git_commit_free(commit);
	if (code == REPO_UNKNOWN || (given_up && !repo_stopped(r)))
		return REPO_UNKNOWN;
	return code == 0 && !given_up ? 0 : cut_or_fail(r, code, error);
}
