/* What xt_runs says of the runs that are copied, as far as a client may say it: their times, parameters,
 * table, and how they ended. */
#include <stdlib.h>

#include "sql.h"
#include "text.h"
#include "transfer.h"
#include "value.h"

#define WHY_BYTES 400

enum { RUN, STATUS, START, END, TABLE, PARAMS, N_VALUES }; /* of a record */

static const char records_sql[] = "SELECT track_id, status, start_time, end_time, table_name, params FROM "
				  "xt_runs r WHERE status <> 'deleted' "
				  "AND substr(track_id, 1, length(?1)) <> ?1 AND (0";

static int add_record(const xt_value *row, void *data)
{
	return group_add(data, row, N_VALUES) == 0 ? CTL_OK : CTL_FAILED;
}

/* Records of all runs, or of those with rows in the tables. */
static char *statement(const struct group *tables)
{
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	fputs(records_sql, f);
	if (!tables)
		fputs(" OR 1", f);
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

static int64_t time_of(const xt_value *v, int64_t otherwise)
{
	int64_t us;

	return v->type == XT_T_TEXT && time_parse(v->as.text, v->n, &us) ? us : otherwise;
}

static char *text_of(const xt_value *v)
{
	return v->type == XT_T_TEXT ? strndup(v->as.text, v->n) : NULL;
}

/* Starts the run in the target, and ends it. */
static int record(struct source *to, const xt_value *row, const xt_value *params)
{
	bool finished = row[STATUS].n == 8 && memcmp(row[STATUS].as.text, "finished", 8) == 0;
	int64_t start = time_of(&row[START], 0), end = time_of(&row[END], start);
	char *id = text_of(&row[RUN]), *table = text_of(&row[TABLE]);
	xt_run_options options = {.track_id = id, .table = table};
	xt_run *run = NULL;

	if (params->type == XT_T_MAP) {
		options.params = params->as.fields;
		options.n_params = params->n;
	}
	int r = id ? xt_run_start_at(&run, to->client, &options, start) : XT_ENOMEM;
	if (r == XT_OK)
		r = xt_run_finish_at(run, finished ? XT_FINISHED : XT_FAILED, end);
	free(id);
	free(table);
	return r == XT_OK ? CTL_OK : source_fail(to, r);
}

static int copy_record(struct source *to, struct json *json, const xt_value *row)
{
	char why[WHY_BYTES] = "";
	xt_value params = xt_null();
	bool known;

	int status = source_has(to, "SELECT 1 FROM xt_runs WHERE track_id = ?", &row[RUN], 1, &known);
	if (status != CTL_OK || known)
		return status;
	if (row[PARAMS].type == XT_T_TEXT &&
	    json_read(json, row[PARAMS].as.text, row[PARAMS].n, &params, why, sizeof(why)) < 0)
		ctl_note(&to->ctl, "the parameters of run '%.*s' cannot be read and were not copied: %s",
			 (int)row[RUN].n, row[RUN].as.text, why);
	return record(to, row, &params);
}

int transfer_runs(struct source *from, struct source *to, const struct group *tables)
{
	xt_value probe = xt_text(TRANSFER_PROBE);
	struct group records = {0};
	struct json json = {0};
	size_t running = 0;
	int status = CTL_OK;

	if (!from->client) /* the Python library knows no more of a run than its rows */
		return CTL_OK;
	char *sql = statement(tables);
	status = sql ? source_each(from, sql, &probe, 1, add_record, &records) : ctl_no_memory(&to->ctl);
	for (size_t i = 0; i < records.n && status == CTL_OK; i++) {
		const xt_value *s = &records.rows[i][STATUS];
		if (s->n == 7 && memcmp(s->as.text, "running", 7) == 0)
			running++;
		else
			status = copy_record(to, &json, records.rows[i]);
	}
	if (running > 0 && status == CTL_OK)
		ctl_note(&to->ctl,
			 "runs that are still running: %zu; their rows were copied, and their times and "
			 "parameters "
			 "come when they have ended and this is repeated",
			 running);
	json_done(&json);
	group_done(&records);
	free(sql);
	return status;
}
