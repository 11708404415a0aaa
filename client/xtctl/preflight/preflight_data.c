/*
 * The data, where .dvc files stand for it in git: whether they are committed, whether what they name is
 * there, and whether it is what the last experiment had.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dvc.h"
#include "meaning.h"
#include "preflight.h"
#include "text.h"

/* The .dvc files of the data, from the root. */
struct pointers {
	const struct preflight *p;
	char **paths; /* owned, n of them */
	size_t n;
	bool failed; /* out of memory */
};

static void take_pointer(void *data, const char *path, enum repo_change change)
{
	struct pointers *t = data;

	(void)change;
	if (!text_ends(path, POINTER) || preflight_is_results(t->p, path))
		return;
	char **more = reallocarray(t->paths, t->n + 1, sizeof(*more));
	if (more)
		t->paths = more;
	if (more && (more[t->n] = strdup(path)))
		t->n++;
	else
		t->failed = true;
}

static bool has_pointer(const struct pointers *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->paths[i], path) == 0)
			return true;
	return false;
}

static void pointers_done(struct pointers *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->paths[i]);
	free(t->paths);
}

/* ---- what they name ----------------------------------------------------- */

struct outs {
	const char *root; /* borrowed: of the repository */
	struct names missing, other;
};

/* What is shown of a path: of one outside the repository all of it. */
static const char *shown(const struct outs *o, const char *path)
{
	size_t n = strlen(o->root);

	return strncmp(path, o->root, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

static void take_out(void *data, const struct dvc_out *out)
{
	struct outs *o = data;
	struct stat st;

	if (lstat(out->path, &st) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			names_add(&o->missing, shown(o, out->path));
		return;
	}
	/* What a link of DVC's cache leads to is the file itself. */
	if (out->size >= 0 && !out->directory && stat(out->path, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size != out->size)
		names_add(&o->other, shown(o, out->path));
}

static int look_at_outs(struct preflight *p, const struct pointers *t)
{
	const char *root = repo_facts(p->repo)->root;
	struct outs o = {.root = root};
	char path[2 * PATH_MAX], error[PATH_MAX + 200], more[NAMES_BYTES], count[COUNT_BYTES];

	for (size_t i = 0; i < t->n; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, t->paths[i]);
		if (access(path, F_OK) == 0 && dvc_read(path, take_out, &o, error, sizeof(error)) < 0)
			findings_add(&p->found, true, "unreadable_pointer", NULL, NULL, 0, "%s", error);
	}
	if (o.missing.n > 0)
		findings_add(&p->found, true, "missing_data", NULL, NULL, o.missing.n,
			     "%s that .dvc files name %s not there: %s%s; 'dvc pull' fetches %s",
			     o.missing.n == 1 ? "data" : text_count(count, o.missing.n),
			     o.missing.n == 1 ? "is" : "are", o.missing.text ? o.missing.text : "",
			     names_more(more, &o.missing), o.missing.n == 1 ? "it" : "them");
	if (o.other.n > 0)
		findings_add(
			&p->found, true, "changed_data", NULL, NULL, o.other.n,
			"%s%s %s not the size that the .dvc file says, so the data is another: 'dvc add' "
			"and 'git commit' record it, 'dvc checkout' brings the old one back",
			o.other.text ? o.other.text : "", names_more(more, &o.other),
			o.other.n == 1 ? "has" : "have");
	names_done(&o.missing);
	names_done(&o.other);
	return CTL_OK;
}

/* ---- what is committed --------------------------------------------------- */

static void say_uncommitted(struct preflight *p)
{
	char more[NAMES_BYTES];

	if (p->pointers.n > 0)
		findings_add(&p->found, true, "uncommitted_data", NULL, NULL, p->pointers.n,
			     "%s%s %s not committed, so no commit stands for this data: 'git add' and 'git "
			     "commit' %s",
			     p->pointers.text ? p->pointers.text : "", names_more(more, &p->pointers),
			     p->pointers.n == 1 ? "is" : "are", p->pointers.n == 1 ? "it" : "them");
	if (p->results)
		findings_add(&p->found, false, "uncommitted_results", NULL, NULL, 1,
			     "'%s" POINTER "', which stands for this database, is not committed: 'git "
			     "commit' keeps the results so far",
			     p->database);
}

/* ---- since the last experiment -------------------------------------------- */

/* The .dvc files that differ between HEAD and a commit. 0, REPO_CUT or -1. */
static int find_changed(struct preflight *p, const char *commit, struct pointers *ret, char error[REPO_ERROR])
{
	*ret = (struct pointers){.p = p};
	return repo_differ(p->repo, commit, repo_facts(p->repo)->head, take_pointer, ret, error);
}

static int say_since(struct preflight *p, const struct logged *last, const char *commit)
{
	struct pointers data = {0}, code = {0};
	struct names changed = {0};
	char error[REPO_ERROR], latest[REPO_HASH] = "", more[NAMES_BYTES];
	const char *first = NULL;

	/* The commit that last touched one .dvc file may be older than the experiment's state of another. */
	int r = find_changed(p, commit, &data, error);
	if (r == 0 && p->last_commit[0])
		r = find_changed(p, p->last_commit, &code, error);
	for (size_t i = 0; r == 0 && i < data.n; i++) {
		if (p->last_commit[0] && !has_pointer(&code, data.paths[i]))
			continue;
		first = first ? first : data.paths[i];
		names_add(&changed, data.paths[i]);
	}
	if (r == 0 && first && repo_last_change(p->repo, first, latest, error) < 0)
		r = -1;
	if (r == 0 && first)
		findings_add(
			&p->found, false, "data_changed", last->table, last->column, changed.n,
			"the data changed since the last experiment, which had %.*s (table '%s', %.19s): "
			"%s%s%s%.*s; results are of other data",
			SHORT_HASH, commit, last->table, last->time, changed.text ? changed.text : "",
			names_more(more, &changed), latest[0] ? ", last changed by " : "", SHORT_HASH,
			latest);
	else if (r == 0)
		findings_add(&p->found, false, "data_unchanged", last->table, last->column, 0,
			     "the data is that of the last experiment: %.*s (table '%s', %.19s)", SHORT_HASH,
			     commit, last->table, last->time);
	pointers_done(&data);
	pointers_done(&code);
	names_done(&changed);
	return r < 0 ? preflight_unreadable(p, error) : CTL_OK;
}

static int say_not_tracked(struct preflight *p, const char *pointer)
{
	const char *named = p->opt->data_column ? p->opt->data_column : meaning_data_columns[0];
	char error[REPO_ERROR], latest[REPO_HASH];

	int r = repo_last_change(p->repo, pointer, latest, error);
	if (r < 0)
		return preflight_unreadable(p, error);
	findings_add(
		&p->found, false, "data_not_tracked", NULL, NULL, 0,
		"no table has a '%s', so nobody can tell the data that a result came from; log the commit "
		"that last changed '%s'%s%.*s",
		named, pointer, r == 0 ? ", which is " : "", r == 0 ? SHORT_HASH : 0, r == 0 ? latest : "");
	return CTL_OK;
}

static int look_at_history(struct preflight *p, const struct pointers *t)
{
	const char *named[] = {p->opt->data_column, NULL};
	char commit[REPO_HASH], error[REPO_ERROR];
	struct logged last = {0};

	int status = preflight_logged(p, named[0] ? named : meaning_data_columns, &last);
	int r = status == CTL_OK && last.value ? repo_find(p->repo, last.value, commit, error) : 0;
	if (status == CTL_OK && !last.value)
		status = say_not_tracked(p, t->paths[0]);
	else if (status == CTL_OK && r == 0)
		status = say_since(p, &last, commit);
	else if (r < 0)
		status = preflight_unreadable(p, error);
	else if (r > 0)
		findings_add(&p->found, false, "data_unknown", last.table, last.column, 0,
			     "the last experiment had %s '%s' (table '%s', %.19s), %s", last.column,
			     last.value, last.table, last.time,
			     r == REPO_AMBIGUOUS ? "as several commits begin; log more digits of it"
						 : "which this repository does not know");
	logged_done(&last);
	return status;
}

int preflight_data(struct preflight *p)
{
	struct pointers t = {.p = p};
	char error[REPO_ERROR];
	int status = CTL_OK;

	if (!p->repo || p->unreadable || !repo_facts(p->repo)->root)
		return CTL_OK;
	say_uncommitted(p);
	int r = repo_tracked(p->repo, POINTER, take_pointer, &t, error);
	if (r < 0)
		status = preflight_unreadable(p, error);
	else if (t.failed)
		status = ctl_no_memory(p->ctl);
	else if (r == 0 && t.n == 0 && p->pointers.n == 0) /* what cannot be read was told with the code */
		findings_add(&p->found, false, "no_data_pointers", NULL, NULL, 0,
			     "no .dvc file is in the repository, so the version of the data is not checked");
	if (status == CTL_OK && t.n > 0)
		status = look_at_outs(p, &t);
	if (status == CTL_OK && t.n > 0 && repo_facts(p->repo)->head[0])
		status = look_at_history(p, &t);
	pointers_done(&t);
	return status;
}
