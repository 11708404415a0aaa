/* Records of the runs that are copied: what xt_runs and xt_workers say of those that have ended. */
#include <stdlib.h>

#include "sql.h"
#include "text.h"
#include "transfer.h"

/* What ended and was not deleted. A run with a worker that goes on is not at its end either. */
#define IS_OPEN                                                                                          \
	"(r.status = 'running' OR EXISTS (SELECT 1 FROM xt_workers w WHERE w.track_id = r.track_id AND " \
	"w.status = 'running'))"

/* ---- one record ------------------------------------------------------- */

enum {
	STATUS,
	START,
	END,
	REJECTS,
	UID,
	PID,
	BAD_PARAMS,
	PARAMS, /* texts from here on */
	CAUSE,
	TABLE,
	HOST,
	EXECUTABLE,
	COMMAND_LINE,
	DIRECTORY,
	N_VALUES
};

static const char record_sql[] =
	"SELECT status, start_time, end_time, rejects + coalesce((SELECT sum(run_rejects) FROM xt_clients c "
	"WHERE c.run = r.track_id), 0), uid, pid, CASE WHEN params IS NULL THEN 0 WHEN json_valid(params) "
	"THEN "
	"json_type(params) <> 'object' ELSE 1 END, params, cause, table_name, host, executable, "
	"command_line, "
	"directory FROM xt_runs r WHERE track_id = ?1 AND status <> 'deleted' AND NOT " IS_OPEN;

static const char workers_sql[] =
	"SELECT uid, pid, status, start_time, end_time, cause FROM xt_workers WHERE track_id = ?1 ORDER BY "
	"start_time, client";

/* A record that is read, and what its pointers point to. */
struct record {
	struct source *to; /* borrowed */
	xt_run_record run;
	bool found, bad_params;
	char *texts[N_VALUES]; /* owned */
	struct group workers;  /* their rows … */
	xt_run_worker *list;   /* … and owned: what is made of them */
	char **causes;	       /* owned, each owned: of the list */
};

static int64_t time_of(const xt_value *v, int64_t otherwise)
{
	int64_t us;

	return v->type == XT_T_TEXT && time_parse(v->as.text, v->n, &us) ? us : otherwise;
}

static int64_t number_of(const xt_value *v, int64_t otherwise)
{
	return v->type == XT_T_INT ? v->as.integer : otherwise;
}

static enum xt_run_status status_of(const xt_value *v)
{
	bool text = v->type == XT_T_TEXT;

	if (text && v->n == 8 && memcmp(v->as.text, "finished", 8) == 0)
		return XT_FINISHED;
	return text && v->n == 7 && memcmp(v->as.text, "crashed", 7) == 0 ? XT_CRASHED : XT_FAILED;
}

static int take_record(const xt_value *row, void *data)
{
	struct record *r = data;

	for (size_t i = PARAMS; i < N_VALUES; i++)
		if (row[i].type == XT_T_TEXT && !(r->texts[i] = strndup(row[i].as.text, row[i].n)))
			return ctl_no_memory(&r->to->ctl);
	r->found = true;
	r->bad_params = number_of(&row[BAD_PARAMS], 0) != 0;
	int64_t start = time_of(&row[START], 0), uid = number_of(&row[UID], -1);
	r->run.status = status_of(&row[STATUS]);
	r->run.start_us = start;
	r->run.end_us = time_of(&row[END], XT_NO_TIME);
	r->run.rejects = (uint64_t)number_of(&row[REJECTS], 0);
	r->run.uid = uid <= UINT32_MAX ? uid : -1;
	r->run.pid = (int32_t)number_of(&row[PID], 0);
	r->run.cause = r->texts[CAUSE];
	r->run.table = r->texts[TABLE];
	r->run.params = r->bad_params ? NULL : r->texts[PARAMS];
	r->run.host = r->texts[HOST];
	r->run.executable = r->texts[EXECUTABLE];
	r->run.command_line = r->texts[COMMAND_LINE];
	r->run.directory = r->texts[DIRECTORY];
	return CTL_OK;
}

static int take_worker(const xt_value *row, void *data)
{
	struct record *r = data;

	return group_add(&r->workers, row, 6) == 0 ? CTL_OK : ctl_no_memory(&r->to->ctl);
}

static int make_workers(struct record *r)
{
	size_t n = r->workers.n < XT_MOST_WORKERS ? r->workers.n : XT_MOST_WORKERS;

	r->list = calloc(n + 1, sizeof(*r->list));
	r->causes = calloc(n + 1, sizeof(*r->causes));
	if (!r->list || !r->causes)
		return ctl_no_memory(&r->to->ctl);
	r->run.workers = r->list;
	r->run.n_workers = n;
	for (size_t i = 0; i < n; i++) {
		const xt_value *row = r->workers.rows[i];
		if (row[5].type == XT_T_TEXT && !(r->causes[i] = strndup(row[5].as.text, row[5].n)))
			return ctl_no_memory(&r->to->ctl);
		r->list[i] = (xt_run_worker){.uid = (uint32_t)number_of(&row[0], 0),
					     .pid = (int32_t)number_of(&row[1], 0),
					     .status = status_of(&row[2]),
					     .start_us = time_of(&row[3], 0),
					     .end_us = time_of(&row[4], XT_NO_TIME),
					     .cause = r->causes[i]};
	}
	return CTL_OK;
}

static void record_done(struct record *r)
{
	for (size_t i = 0; i < N_VALUES; i++)
		free(r->texts[i]);
	for (size_t i = 0; r->causes && i < r->run.n_workers; i++)
		free(r->causes[i]);
	free(r->causes);
	free(r->list);
	group_done(&r->workers);
}

static void note_left_out(const struct record *r)
{
	if (r->bad_params)
		ctl_note(&r->to->ctl, "the parameters of run '%s' are no JSON object and were not copied",
			 r->run.track_id);
	if (r->workers.n > XT_MOST_WORKERS)
		ctl_note(&r->to->ctl, "of the %zu workers of run '%s' the first %d were copied", r->workers.n,
			 r->run.track_id, XT_MOST_WORKERS);
}

static int import(struct record *r)
{
	bool imported = false;

	int status = xt_run_import(r->to->client, &r->run, &imported);
	if (imported)
		note_left_out(r);
	/* One that was deleted meanwhile is left out, as its rows are. */
	if (status == XT_EREQUEST && strcmp(xt_error_code(r->to->client), "run_deleted") == 0)
		return CTL_OK;
	return status == XT_OK ? CTL_OK : source_fail(r->to, status);
}

static int copy_record(struct source *from, struct source *to, const xt_value *run)
{
	struct record r = {.to = to};
	char *id = strndup(run->as.text, run->n);

	if (!id)
		return ctl_no_memory(&to->ctl);
	r.run.track_id = id;
	int status = source_each(from, record_sql, run, 1, take_record, &r);
	if (status == CTL_OK && r.found)
		status = source_each(from, workers_sql, run, 1, take_worker, &r);
	if (status == CTL_OK && r.found)
		status = make_workers(&r);
	if (status == CTL_OK && r.found)
		status = import(&r);
	record_done(&r);
	free(id);
	return status;
}

/* ---- all of them ------------------------------------------------------ */

static int add_run(const xt_value *row, void *data)
{
	return group_add(data, row, 2) == 0 ? CTL_OK : CTL_FAILED;
}

/* All runs, or those with rows in the tables, and whether they go on. */
static char *statement(const struct group *tables)
{
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	fputs("SELECT track_id, " IS_OPEN " FROM xt_runs r WHERE status <> 'deleted' AND (", f);
	fputs(tables ? "0" : "1", f);
	for (size_t i = 0; tables && i < tables->n; i++) {
		char *name = strndup(tables->rows[i][0].as.text, tables->rows[i][0].n);
		if (name)
			sql_print(f, " OR track_id IN (SELECT track_id FROM %n)", name);
		free(name);
	}
	fputs(") ORDER BY start_time, track_id", f);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

int transfer_runs(struct source *from, struct source *to, const struct group *tables)
{
	struct group runs = {0};
	size_t open = 0;
	int status = CTL_OK;

	if (!from->client) /* the Python library knows no more of a run than its rows */
		return CTL_OK;
	char *sql = statement(tables);
	status = sql ? source_each(from, sql, NULL, 0, add_run, &runs) : ctl_no_memory(&to->ctl);
	for (size_t i = 0; i < runs.n && status == CTL_OK; i++) {
		bool known, goes_on = number_of(&runs.rows[i][1], 0) != 0;
		status = source_has(to, "SELECT 1 FROM xt_runs WHERE track_id = ?", runs.rows[i], 1, &known);
		open += status == CTL_OK && !known && goes_on;
		if (status == CTL_OK && !known && !goes_on)
			status = copy_record(from, to, runs.rows[i]);
	}
	if (open > 0 && status == CTL_OK)
		ctl_note(&to->ctl,
			 "runs that are still running: %zu; their rows were copied, and their records and "
			 "assets come when they have ended and this is repeated",
			 open);
	group_done(&runs);
	free(sql);
	return status;
}
