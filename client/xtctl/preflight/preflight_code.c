/*
 * The code: what of it is not committed, and what changed since the last experiment.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "meaning.h"
#include "preflight.h"
#include "text.h"

/* ---- what is the database's own ---------------------------------------- */

/* What lies beside a database and is not code: rows make it change. */
static bool is_database(const struct preflight *p, const char *path)
{
	static const char *const companions[] = {"-wal",   "-shm",   "-journal", ".lock",   ".log",
						 ".spool", ".cache", ".assets",	 ".reserve"};
	size_t n = p->database ? strlen(p->database) : 0;

	if (n == 0 || strncmp(path, p->database, n) != 0)
		return false;
	for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]); i++) {
		size_t len = strlen(companions[i]);
		if (strncmp(path + n, companions[i], len) == 0 && strchr("/.", path[n + len]))
			return true; /* itself, what is in it, or an older one */
	}
	return path[n] == '\0';
}

bool preflight_is_results(const struct preflight *p, const char *path)
{
	size_t n = p->database ? strlen(p->database) : 0;

	return n > 0 && strncmp(path, p->database, n) == 0 && strcmp(path + n, POINTER) == 0;
}

/* Where the database lies, from the repository's root. */
static int place_database(struct preflight *p)
{
	const char *root = repo_facts(p->repo)->root;
	size_t n = root ? strlen(root) : 0;
	char path[PATH_MAX];

	if (!root || !realpath(p->ctl->database, path) || strncmp(path, root, n) != 0 || path[n] != '/')
		return CTL_OK;
	p->database = strdup(path + n + 1);
	return p->database ? CTL_OK : ctl_no_memory(p->ctl);
}

/* ---- what is not committed ---------------------------------------------- */

struct changes {
	struct preflight *p;
	struct names changed, untracked, filtered;
};

static void take_change(void *data, const char *path, enum repo_change change)
{
	struct changes *c = data;

	if (is_database(c->p, path))
		return;
	if (preflight_is_results(c->p, path))
		c->p->results = true;
	else if (text_ends(path, POINTER))
		names_add(&c->p->pointers, path);
	else
		names_add(change == REPO_UNTRACKED  ? &c->untracked
			  : change == REPO_FILTERED ? &c->filtered
						    : &c->changed,
			  path);
}

static int look_at_changes(struct preflight *p)
{
	struct changes c = {.p = p};
	char error[REPO_ERROR], more[NAMES_BYTES], count[COUNT_BYTES];
	int status = CTL_OK;

	int r = repo_changes(p->repo, take_change, &c, error);
	if (r < 0)
		status = preflight_unreadable(p, error);
	else if (r == REPO_UNABLE)
		findings_add(&p->found, false, "no_git", NULL, NULL, 0,
			     "%s: uncommitted changes and the data are not checked", error);
	if (c.changed.n > 0)
		findings_add(&p->found, true, "uncommitted_code", NULL, NULL, c.changed.n,
			     "%s %s not committed: %s%s; no commit stands for this code: 'git commit', or "
			     "'git stash'",
			     text_count(count, c.changed.n), c.changed.n == 1 ? "file is" : "files are",
			     c.changed.text ? c.changed.text : "", names_more(more, &c.changed));
	if (c.untracked.n > 0)
		findings_add(&p->found, false, "untracked_files", NULL, NULL, c.untracked.n,
			     "%s %s in no commit: %s%s; if the experiment needs %s, 'git add'",
			     text_count(count, c.untracked.n), c.untracked.n == 1 ? "file is" : "files are",
			     c.untracked.text ? c.untracked.text : "", names_more(more, &c.untracked),
			     c.untracked.n == 1 ? "it" : "them");
	if (c.filtered.n > 0)
		findings_add(
			&p->found, false, "filtered_files", NULL, NULL, c.filtered.n,
			"%s%s may have changed: only git can tell, through a filter such as git-lfs; see "
			"'git status'",
			c.filtered.text ? c.filtered.text : "", names_more(more, &c.filtered));
	names_done(&c.changed);
	names_done(&c.untracked);
	names_done(&c.filtered);
	return status;
}

/* ---- since the last experiment ------------------------------------------ */

/* "3 commits", "10,000 or more commits", or that it cannot be told; and when HEAD lacks some of the other. */
static int say_distance(struct preflight *p, char *ret, size_t size, char error[REPO_ERROR])
{
	const char *head = repo_facts(p->repo)->head;
	uint64_t ahead = 0, behind = 0;
	char a[COUNT_BYTES], b[COUNT_BYTES];

	int r = repo_count(p->repo, p->last_commit, head, &ahead, error);
	if (r == 0)
		r = repo_count(p->repo, head, p->last_commit, &behind, error);
	if (r == REPO_CUT)
		snprintf(ret, size, "how many commits lie between cannot be told in a shallow clone");
	else if (ahead == 0 && behind > 0)
		snprintf(ret, size, "HEAD is %s %s behind it", text_count(b, behind),
			 behind == 1 ? "commit" : "commits");
	else
		snprintf(ret, size, "%s%s %s later%s%s%s", text_count(a, ahead),
			 ahead == REPO_MOST_COMMITS ? " or more" : "", ahead == 1 ? "commit" : "commits",
			 behind ? ", on another branch, without " : "", behind ? text_count(b, behind) : "",
			 behind ? " of its own" : "");
	return r == REPO_CUT ? 0 : r;
}

static void take_difference(void *data, const char *path, enum repo_change change)
{
	struct changes *c = data;

	(void)change;
	if (!is_database(c->p, path) && !text_ends(path, POINTER))
		names_add(&c->changed, path);
}

static int say_changed(struct preflight *p, const struct logged *last)
{
	struct changes c = {.p = p};
	const char *head = repo_facts(p->repo)->head;
	char error[REPO_ERROR], between[200], more[NAMES_BYTES], count[COUNT_BYTES];

	int r = say_distance(p, between, sizeof(between), error);
	if (r == 0)
		r = repo_differ(p->repo, p->last_commit, head, take_difference, &c, error);
	if (r < 0) {
		names_done(&c.changed);
		return preflight_unreadable(p, error);
	}
	if (c.changed.n == 0)
		findings_add(&p->found, false, "code_unchanged", last->table, last->column, 0,
			     "the last experiment had %.*s (%s; table '%s', %.19s), and the same files",
			     SHORT_HASH, p->last_commit, between, last->table, last->time);
	else
		findings_add(&p->found, false, "code_changed", last->table, last->column, c.changed.n,
			     "the code changed since the last experiment, which had %.*s (%s; table '%s', "
			     "%.19s): %s %s: %s%s; 'git diff %.*s HEAD' shows whether results are comparable",
			     SHORT_HASH, p->last_commit, between, last->table, last->time,
			     text_count(count, c.changed.n), c.changed.n == 1 ? "file" : "files",
			     c.changed.text ? c.changed.text : "", names_more(more, &c.changed), SHORT_HASH,
			     p->last_commit);
	names_done(&c.changed);
	return CTL_OK;
}

/* The commit that was logged is not one that the repository can show. */
static void say_unknown(struct preflight *p, const struct logged *last, int why)
{
	const char *remedy =
		why == REPO_AMBIGUOUS ? "several commits begin so; log more digits of it"
		: repo_facts(p->repo)->shallow
			? "this repository does not know it, being a shallow clone; 'git fetch --unshallow'"
			: "this repository does not know it; 'git fetch', or is it another one?";

	findings_add(&p->found, false, "code_unknown", last->table, last->column, 0,
		     "the last experiment had %s '%s' (table '%s', %.19s): %s", last->column, last->value,
		     last->table, last->time, remedy);
}

static int look_at_history(struct preflight *p)
{
	const char *named[] = {p->opt->code_column, NULL};
	const struct repo_facts *facts = repo_facts(p->repo);
	struct logged last = {0};
	char error[REPO_ERROR];

	int status = preflight_logged(p, p->opt->code_column ? named : meaning_code_columns, &last);
	int r = status == CTL_OK && last.value ? repo_find(p->repo, last.value, p->last_commit, error) : 0;
	if (r < 0)
		status = preflight_unreadable(p, error);
	else if (r > 0)
		say_unknown(p, &last, r);
	else if (status == CTL_OK && !last.value)
		findings_add(&p->found, false, "code_not_tracked", NULL, named[0], 0,
			     "no table has a '%s', so nobody can tell the code that a result came from; log "
			     "'git rev-parse HEAD' as a parameter",
			     named[0] ? named[0] : meaning_code_columns[0]);
	else if (status == CTL_OK && strcmp(p->last_commit, facts->head) == 0)
		findings_add(&p->found, false, "code_unchanged", last.table, last.column, 0,
			     "the code is that of the last experiment: %.*s (table '%s', %.19s)%s",
			     SHORT_HASH, facts->head, last.table, last.time,
			     text_ends(last.value, "-dirty") ? ", which had uncommitted changes" : "");
	else if (status == CTL_OK && facts->head[0])
		status = say_changed(p, &last);
	logged_done(&last);
	return status;
}

/* ---- the repository ----------------------------------------------------- */

static int open_repository(struct preflight *p)
{
	const char *dir = p->opt->repo ? p->opt->repo : ".";
	char error[REPO_ERROR];

	int r = repo_open(dir, ctl_stop_flag(), &p->repo, error);
	if (r == REPO_NONE)
		findings_add(&p->found, p->opt->repo != NULL, "no_repository", NULL, NULL, 0,
			     "%s%s%s in no git repository: code and data are not checked; --repo DIR names "
			     "one",
			     p->opt->repo ? "'" : "the working directory is", p->opt->repo ? dir : "",
			     p->opt->repo ? "' lies" : "");
	else if (r == REPO_UNABLE)
		findings_add(&p->found, false, "no_git", NULL, NULL, 0, "%s: code and data are not checked",
			     error);
	return r < 0 ? preflight_unreadable(p, error) : CTL_OK;
}

static void say_head(struct preflight *p)
{
	const struct repo_facts *facts = repo_facts(p->repo);

	if (!facts->root)
		findings_add(&p->found, false, "bare_repository", NULL, NULL, 0,
			     "the git repository is bare, so there are no files to check; --repo DIR names a "
			     "work tree");
	if (!facts->head[0])
		findings_add(
			&p->found, true, "nothing_committed", NULL, NULL, 0,
			"nothing is committed yet%s%s%s, so no commit stands for this code: 'git commit'",
			facts->root ? " in '" : "", facts->root ? facts->root : "", facts->root ? "'" : "");
	else
		findings_add(&p->found, false, "head", NULL, NULL, 0, "the code%s%s%s is at %.*s%s%s%s",
			     facts->root ? " in '" : "", facts->root ? facts->root : "",
			     facts->root ? "'" : "", SHORT_HASH, facts->head,
			     facts->branch ? " on '" : ", on no branch", facts->branch ? facts->branch : "",
			     facts->branch ? "'" : "");
}

int preflight_code(struct preflight *p)
{
	int status = open_repository(p);

	if (status != CTL_OK || !p->repo)
		return status;
	status = place_database(p);
	if (status == CTL_OK) {
		say_head(p);
		status = look_at_changes(p);
	}
	return status == CTL_OK ? look_at_history(p) : status;
}
