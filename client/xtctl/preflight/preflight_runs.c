/*
 * What else is going on: runs that are not over or ended badly, and whether the daemon can store.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preflight.h"
#include "schema.h"
#include "text.h"

#define MOST_TOLD 5 /* runs of a kind */

/* ---- runs ------------------------------------------------------------- */

/* A row: track_id, table, start, how many there are, and of the last what more there is to say. */
struct run {
	struct preflight *p;
	uint64_t told, own, all;
};

/* The parent of a process; 0: it is not known. */
static uint64_t parent_of(uint64_t pid)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	const char *rest = strrchr(text, ')'); /* behind the name, which may be anything */

	return rest && strlen(rest) > 4 ? strtoull(rest + 4, NULL, 10) : 0; /* ") S 123" */
}

/* Whether we were started by a process, at whatever distance: a program that looks before it logs. */
static bool is_caller(uint64_t pid)
{
	uint64_t at = (uint64_t)getppid();

	while (at > 1 && at != pid)
		at = parent_of(at);
	return pid > 1 && at == pid;
}

/* After a crash of the machine the daemon waits for a while before it judges. */
static bool is_gone(uint64_t pid)
{
	return pid > 0 && pid <= INT_MAX && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

static bool take_running(const xt_value *row, void *data)
{
	struct run *r = data;
	const char *program = r->p->ctl->program, *db = ctl_db(r->p->ctl);
	char *run = schema_text(&row[0]), *table = schema_text(&row[1]), *start = schema_text(&row[2]);
	uint64_t pid = schema_number(&row[4]);
	char process[80] = "", in[300] = "";

	if (pid > 0)
		snprintf(process, sizeof(process), ", process %" PRIu64, pid);
	if (table)
		snprintf(in, sizeof(in), " in table '%s'", table);
	r->all = schema_number(&row[3]);
	if (run && is_caller(pid)) {
		r->own++;
		findings_add(&r->p->found, false, "own_run", table, NULL, 1,
			     "run '%s' is that of the program which asks", run);
	} else if (run && r->told < MOST_TOLD) {
		r->told++;
		if (is_gone(pid))
			findings_add(&r->p->found, true, "running_run", table, NULL, 1,
				     "run '%s'%s has not ended (since %s), though its process %" PRIu64
				     " is gone: ask again in a minute, when the daemon has settled that; "
				     "'%s show %s %s' tells more",
				     run, in, start ? start : "?", pid, program, db, run);
		else
			findings_add(
				&r->p->found, true, "running_run", table, NULL, 1,
				"run '%s' goes on%s (since %s%s): let it end, or end it, so that the two "
				"do not mix; '%s show %s %s' tells more",
				run, in, start ? start : "?", process, program, db, run);
	}
	r->p->found.failed = r->p->found.failed || !run;
	free(run);
	free(table);
	free(start);
	return true;
}

static bool take_ended(const xt_value *row, void *data)
{
	struct run *r = data;
	const char *program = r->p->ctl->program, *db = ctl_db(r->p->ctl);
	char *run = schema_text(&row[0]), *table = schema_text(&row[1]), *start = schema_text(&row[2]),
	     *status = schema_text(&row[4]);

	r->all = schema_number(&row[3]);
	if (run && status && r->told < MOST_TOLD) {
		r->told++;
		findings_add(&r->p->found, false, "crashed_run", table, NULL, 1,
			     "run '%s' of %s %s%s%s%s, and none finished since: '%s show %s %s' says why, "
			     "'%s delete %s %s' takes its rows out",
			     run, start ? start : "?", status, table ? ", in table '" : "",
			     table ? table : "", table ? "'" : "", program, db, run, program, db, run);
	}
	r->p->found.failed = r->p->found.failed || !run || !status;
	free(run);
	free(table);
	free(start);
	free(status);
	return true;
}

static const char running_sql[] = "SELECT track_id, table_name, substr(start_time, 1, 19), count(*) "
				  "OVER (), pid FROM xt_runs WHERE "
				  "status = 'running' AND (?1 IS NULL OR table_name = ?1 COLLATE "
				  "NOCASE) ORDER BY start_time DESC "
				  "LIMIT 50";
static const char ended_sql[] =
	"SELECT track_id, table_name, substr(start_time, 1, 19), count(*) OVER (), status FROM "
	"xt_runs r "
	"WHERE status IN ('crashed', 'failed') AND (?1 IS NULL OR table_name = ?1 COLLATE NOCASE) "
	"AND "
	"start_time > coalesce((SELECT max(start_time) FROM xt_runs f WHERE f.status = 'finished' "
	"AND "
	"f.table_name = r.table_name COLLATE NOCASE), '') ORDER BY start_time DESC LIMIT 50";

int preflight_runs(struct preflight *p)
{
	struct run running = {.p = p}, ended = {.p = p};
	char count[COUNT_BYTES];
	uint64_t more;

	int r = schema_rows(p->client, running_sql, &p->only, 1, take_running, &running);
	if (r == XT_OK && (more = running.all - running.told - running.own) > 0)
		findings_add(&p->found, true, "running_run", p->only, NULL, more,
			     "%s more runs go on; '%s runs %s --status running' lists them",
			     text_count(count, more), p->ctl->program, ctl_db(p->ctl));
	if (r == XT_OK)
		r = schema_rows(p->client, ended_sql, &p->only, 1, take_ended, &ended);
	if (r == XT_OK && (more = ended.all - ended.told) > 0)
		findings_add(&p->found, false, "crashed_run", p->only, NULL, more,
			     "%s more runs ended badly; '%s runs %s --status crashed' lists some",
			     text_count(count, more), p->ctl->program, ctl_db(p->ctl));
	return r == XT_OK ? CTL_OK : ctl_fail(p->ctl, p->client, r);
}

/* ---- the daemon and its disk -------------------------------------------- */

static const xt_value *field(const xt_cursor *cursor, const xt_value *row, const char *name)
{
	size_t n = xt_cursor_columns(cursor);

	for (size_t i = 0; i < n; i++)
		if (strcmp(xt_cursor_name(cursor, i), name) == 0)
			return &row[i];
	return NULL;
}

/* The daemon has looked at its disk when it let us in. */
static int take_status(struct preflight *p, const xt_cursor *cursor, const xt_value *row)
{
	const xt_value *state = field(cursor, row, "state"), *room = field(cursor, row, "disk_free");
	char *text = state ? schema_text(state) : NULL, bytes[COUNT_BYTES];

	if (!text)
		return XT_ENOMEM;
	if (strcmp(text, "read only") == 0)
		findings_add(&p->found, true, "read_only", NULL, NULL, 0,
			     "the database can only be read here, so nothing can be logged: is it a "
			     "copy, or "
			     "whose is it?");
	else if (strcmp(text, "ok") != 0)
		findings_add(&p->found, true, "daemon_state", NULL, NULL, 0, "the daemon is not well: %s",
			     text);
	if (room && !strstr(text, "disk_full")) /* else that says it */
		findings_add(&p->found, false, "room", NULL, NULL, schema_number(room),
			     "%s are free where the database lies", text_bytes(bytes, schema_number(room)));
	free(text);
	return XT_OK;
}

int preflight_daemon(struct preflight *p)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = xt_daemon_status(&cursor, p->client);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK)
		r = take_status(p, cursor, row);
	xt_cursor_close(cursor);
	return r == XT_OK ? CTL_OK : r == XT_ENOMEM ? ctl_no_memory(p->ctl) : ctl_fail(p->ctl, p->client, r);
}
