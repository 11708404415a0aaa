/* copy: what one database has and another has not. */
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "text.h"
#include "transfer.h"

/* Options of its own. */
struct copy_options {
	struct option_list tables;
	bool assets, no_assets; /* the first is what happens */
};

struct job {
	struct ctl *ctl; /* borrowed */
	struct source from, to;
	struct group tables;  /* of one value each: their names */
	struct group skipped; /* likewise: runs that were deleted from the target */
	struct progress progress;
	uint64_t copied; /* rows */
};

static int add(const xt_value *row, void *data)
{
	return group_add(data, row, 1) == 0 ? CTL_OK : CTL_FAILED;
}

/* ---- tables ----------------------------------------------------------- */

static const char tables_sql[] = "SELECT name FROM sqlite_schema m WHERE type = 'table' AND name NOT LIKE "
				 "'sqlite\\_%' ESCAPE '\\' AND name NOT "
				 "LIKE 'xt\\_%' ESCAPE '\\' AND 2 = (SELECT count(*) FROM "
				 "pragma_table_info(m.name) WHERE name IN ('track_id', "
				 "'timestamp')) ORDER BY name";

static char *name_at(const struct group *g, size_t i)
{
	return strndup(g->rows[i][0].as.text, g->rows[i][0].n);
}

static bool is_named(const struct group *g, const char *name, size_t *ret)
{
	for (*ret = 0; *ret < g->n; (*ret)++) {
		const xt_value *v = &g->rows[*ret][0];
		if (v->n == strlen(name) && strncasecmp(v->as.text, name, v->n) == 0)
			return true;
	}
	return false;
}

static int no_table(const struct job *job, const struct group *all, const char *name)
{
	char *list = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&list, &size);

	for (size_t i = 0; f && i < all->n; i++)
		fprintf(f, "%s%.*s", i > 0 ? ", " : "", (int)all->rows[i][0].n, all->rows[i][0].as.text);
	if (f && fclose(f) == 0)
		ctl_error(job->ctl, "'%s' has no table of rows '%s'; it has: %s", job->from.ctl.database,
			  name, size > 0 ? list : "none");
	free(list);
	return CTL_FAILED;
}

/* Those that are named, or all. */
static int find_tables(struct job *job)
{
	const struct copy_options *o = job->ctl->own;
	struct group all = {0};
	size_t at, known;

	int status = source_each(&job->from, tables_sql, NULL, 0, add, &all);
	for (size_t i = 0; i < o->tables.n && status == CTL_OK; i++) {
		if (!is_named(&all, o->tables.items[i], &at))
			status = no_table(job, &all, o->tables.items[i]);
		else if (!is_named(&job->tables, o->tables.items[i], &known) &&
			 group_add(&job->tables, all.rows[at], 1) < 0)
			status = ctl_no_memory(job->ctl);
	}
	if (o->tables.n == 0) {
		job->tables = all;
		return status;
	}
	group_done(&all);
	return status;
}

static int copy_table(struct job *job, size_t i)
{
	char *name = name_at(&job->tables, i);

	if (!name)
		return ctl_no_memory(job->ctl);
	struct transfer t = {.from = &job->from,
			     .to = &job->to,
			     .table = name,
			     .skipped = &job->skipped,
			     .progress = &job->progress,
			     .copied = &job->copied};
	int status = transfer_table(&t);
	transfer_done(&t);
	free(name);
	return status;
}

/* ---- assets ----------------------------------------------------------- */

/* One reference to an asset. */
struct reference {
	char hash[XT_HASH_SIZE];
	char *run, *name; /* owned */
};

struct references {
	struct job *job;
	struct reference *list; /* owned: n of them */
	size_t n;
};

static int add_reference(const xt_value *row, void *data)
{
	struct references *refs = data;
	struct reference *more = reallocarray(refs->list, refs->n + 1, sizeof(*more));

	if (!more)
		return ctl_no_memory(refs->job->ctl);
	refs->list = more;
	struct reference *r = &refs->list[refs->n++];
	*r = (struct reference){.run = strndup(row[1].as.text, row[1].n),
				.name = strndup(row[2].as.text, row[2].n)};
	snprintf(r->hash, sizeof(r->hash), "%.*s", (int)row[0].n, row[0].as.text);
	return r->run && r->name ? CTL_OK : ctl_no_memory(refs->job->ctl);
}

static bool has_rows_in(struct job *job, const char *run, int *status)
{
	xt_value id = xt_text(run);
	bool found = false;

	for (size_t i = 0; i < job->tables.n && !found && *status == CTL_OK; i++) {
		char *table = name_at(&job->tables, i);
		char *sql =
			table ? ctl_statement("SELECT 1 FROM %s WHERE track_id = ? LIMIT 1", table) : NULL;
		*status = sql ? source_has(&job->from, sql, &id, 1, &found) : ctl_no_memory(job->ctl);
		free(sql);
		free(table);
	}
	return found;
}

static bool was_refused(const struct job *job, int status, const char *code)
{
	return status == XT_EREQUEST && strcmp(xt_error_code(job->to.client), code) == 0;
}

/* The reference, to what is there already, else with its content; of a run that was deleted meanwhile none.
 */
static int give(struct job *job, xt_run *run, const struct reference *r)
{
	size_t size = 0;
	void *data = NULL;

	int status = xt_asset_refer(run, r->name, r->hash);
	if (status == XT_OK || was_refused(job, status, "run_deleted"))
		return CTL_OK;
	if (!was_refused(job, status, "no_such_asset"))
		return source_fail(&job->to, status);
	status = xt_asset_load(job->from.client, r->hash, &data, &size);
	if (status != XT_OK)
		return source_fail(&job->from, status);
	status = xt_asset_put(run, r->name, data, size, NULL);
	free(data);
	bool done = status == XT_OK || was_refused(job, status, "run_deleted");
	return done ? CTL_OK : source_fail(&job->to, status);
}

static int copy_reference(struct job *job, const struct reference *r)
{
	xt_value run = xt_text(r->run);
	const xt_value key[] = {xt_text(r->hash), run, xt_text(r->name)};
	bool there = false, known = false;
	xt_run *handle;

	int status = source_has(
		&job->to,
		"SELECT 1 FROM xt_asset_refs WHERE hex(hash) = upper(?) AND track_id = ? AND name = ?", key,
		3, &there);
	if (status != CTL_OK || there)
		return status;
	/* Of one that goes on, they come with its record: a reference would begin it here, as this copy's. */
	status = source_has(&job->to, "SELECT 1 FROM xt_runs WHERE track_id = ? AND status <> 'deleted'",
			    &run, 1, &known);
	if (status != CTL_OK || !known)
		return status;
	int r2 = xt_run_join(&handle, job->to.client, r->run, &(xt_run_options){.apart = true});
	if (r2 != XT_OK)
		return source_fail(&job->to, r2);
	status = give(job, handle, r);
	xt_run_free(handle);
	return status;
}

static int copy_assets(struct job *job)
{
	const struct copy_options *o = job->ctl->own;
	struct references refs = {.job = job};

	/* Those of the Python library's own tables do not come. */
	if (o->no_assets || !job->from.client)
		return CTL_OK;
	int status = source_each(&job->from, "SELECT lower(hex(hash)), track_id, name FROM xt_asset_refs",
				 NULL, 0, add_reference, &refs);
	for (size_t i = 0; i < refs.n && status == CTL_OK; i++)
		if (o->tables.n == 0 || has_rows_in(job, refs.list[i].run, &status))
			status = copy_reference(job, &refs.list[i]);
	for (size_t i = 0; i < refs.n; i++) {
		free(refs.list[i].run);
		free(refs.list[i].name);
	}
	free(refs.list);
	return status;
}

/* ---- all of it -------------------------------------------------------- */

static int copy_all(struct job *job)
{
	const struct copy_options *o = job->ctl->own;
	int status = source_each(&job->to, "SELECT track_id FROM xt_runs WHERE status = 'deleted'", NULL, 0,
				 add, &job->skipped);

	/* First, so that the daemon counts the rows with their runs. */
	if (status == CTL_OK)
		status = transfer_runs(&job->from, &job->to, o->tables.n > 0 ? &job->tables : NULL);
	for (size_t i = 0; i < job->tables.n && status == CTL_OK; i++)
		status = copy_table(job, i);
	if (status == CTL_OK)
		status = copy_assets(job);
	progress_hide(&job->progress);
	return status;
}

static int tell(struct ctl *ctl, uint64_t copied, int status)
{
	char count[COUNT_BYTES];

	if (status != CTL_OK) {
		if (copied > 0 || status == CTL_INTERRUPTED)
			ctl_note(ctl, "rows copied so far: %s or more; the same command goes on from there",
				 text_count(count, copied));
		return status;
	}
	if (!ctl->xt || ctl->options.json)
		return ctl_print_count(ctl, "copied", copied);
	fprintf(ctl->out.file, "Successfully copied %llu events\n", (unsigned long long)copied);
	return CTL_OK;
}

static bool is_same(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static int run_copy(struct ctl *ctl)
{
	const char *target = ctl->args[0];
	struct job job = {.ctl = ctl};

	if (is_same(ctl->database, target))
		return ctl_error(ctl, "source and target are the same database: '%s'", target);
	int status = source_open(&job.from, ctl, ctl->database);
	if (status == CTL_OK)
		status = find_tables(&job);
	if (status == CTL_OK)
		status = source_open_target(&job.to, ctl, target);
	if (status == CTL_OK) {
		progress_begin(&job.progress, -1);
		status = copy_all(&job);
	}
	status = source_close(&job.to, status);
	status = source_close(&job.from, status);
	group_done(&job.tables);
	group_done(&job.skipped);
	return tell(ctl, job.copied, status);
}

#define OWN(member) offsetof(struct copy_options, member)

static const struct option_def own[] = {
	{"table", "TABLE", OPTION_LIST, OWN(tables), .help = "only this table; may be repeated"},
	{"no-assets", NULL, OPTION_FLAG, OWN(no_assets), .help = "leave out what the runs refer to by hash"},
	{"assets", NULL, OPTION_FLAG, OWN(assets), .help = "accepted: they come unless --no-assets is given"},
	{0},
};

static const struct example examples[] = {
	{"everything that the other has not", "copy demo.db all.db"},
	{"one table, without assets", "copy demo.db metrics.db --table metrics --no-assets"},
	{0},
};

const struct command copy_command = {
	.name = "copy",
	.usage = "TARGET",
	.summary = "copy rows and assets that another database has not into it",
	.help = "A row is there already when TARGET has one of the same run and time with the same values: "
		"so the same "
		"command may be repeated, goes on where it was interrupted, and adds nothing the second "
		"time. Columns "
		"are united by the keys under which they were logged. Both databases may be in use. DB may "
		"also be one "
		"that the Python library xetrack made: it is only read. Runs that were deleted from TARGET "
		"are not "
		"brought back, and cached results stay behind. The record of a run, with its parameters, "
		"host, command line, workers and how it ended, comes as it is, unless TARGET knows the run; "
		"that of a run which goes on, and its assets, when it has ended and the copy is repeated.",
	.examples = examples,
	.options = OPT_JSON,
	.own = own,
	.own_size = sizeof(struct copy_options),
	.least = 1,
	.most = 1,
	.run = run_copy,
};
