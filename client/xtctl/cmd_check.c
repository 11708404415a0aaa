/* check: SQLite's own checks, then ours. Every statement answers with a sentence a row. */
#include "xtctl.h"

#include "progress.h"
#include "text.h"

static const struct check {
	const char *what; /* for the terminal */
	bool slow;	  /* not with --quick */
	bool quick;	  /* only with --quick */
	bool ours;	  /* reads our internal tables, which a foreign file that is only read has not */
	const char *sql;
} checks[] = {
	{"the pages, indexes and values", true, false, false,
	 "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'"},
	{"the pages", false, true, false,
	 "SELECT quick_check FROM pragma_quick_check WHERE quick_check <> 'ok'"},
	{"references between tables", false, false, false,
	 "SELECT 'row ' || coalesce(rowid, '?') || ' of table ''' || \"table\" || ''' refers to a row of '''"
	 " || parent || ''' that is not there' FROM pragma_foreign_key_check LIMIT 100"},
	/* A column that was dropped may still be recorded: it is found again when its key comes back. */
	{"the columns", false, false, true,
	 "SELECT 'key ''' || c.key || ''' of table ''' || c.table_name || ''' has ' || count(*) || ' "
	 "columns: '"
	 " || group_concat(c.name, ', ') FROM xt_columns c JOIN pragma_table_xinfo(c.table_name) i"
	 " ON i.name = c.name COLLATE NOCASE GROUP BY c.table_name, c.key HAVING count(*) > 1"},
	{"the clients", false, false, true,
	 "SELECT 'client ' || lower(hex(o.client)) || ' has an answer to its request ' || max(o.seq) ||"
	 " ', but its requests are recorded up to ' || coalesce(c.mark, 0) FROM xt_outbox o LEFT JOIN "
	 "xt_clients c"
	 " ON c.uid = o.uid AND c.client = o.client GROUP BY o.uid, o.client HAVING max(o.seq) > "
	 "coalesce(c.mark, "
	 "0)"},
	{"the runs", false, false, true,
	 "SELECT 'run ''' || track_id || ''' has the status ''' || status || ''', which means nothing' FROM "
	 "xt_runs"
	 " WHERE status NOT IN ('running', 'finished', 'failed', 'crashed', 'deleted')"},
	{"the database's identity", false, false, true,
	 "SELECT 'xt_meta has no database_id of 16 bytes' WHERE NOT EXISTS (SELECT 1 FROM xt_meta WHERE"
	 " key = 'database_id' AND length(value) = 16)"},
};

#define N_CHECKS (sizeof(checks) / sizeof(checks[0]))

static void put_finding(struct ctl *ctl, const char *text, size_t n, uint64_t count)
{
	FILE *f = ctl->out.file;

	if (ctl->options.json) {
		fputs(count > 0 ? ", " : "", f);
		json_print_text(f, text, n);
	} else {
		text_put(f, text, n, SIZE_MAX);
		fputc('\n', f);
	}
}

/* Counts what it finds. CTL_OK, or the failure is reported; damage that stops a check is a finding. */
static int run_check(struct ctl *ctl, xt_client *client, const struct check *check, struct progress *progress,
		     uint64_t *count)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	char say[80];

	snprintf(say, sizeof(say), "checking %s ...", check->what);
	progress_say(progress, say);
	int r = ctl_query(client, check->sql, NULL, 0, CTL_LONG_MS, &cursor);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		progress_hide(progress);
		put_finding(ctl, row[0].type == XT_T_TEXT ? row[0].as.text : "?",
			    row[0].type == XT_T_TEXT ? row[0].n : 1, (*count)++);
	}
	progress_hide(progress);
	const char *code = xt_error_code(client), *message = xt_error(client);
	if (r == XT_EREQUEST && (strcmp(code, "corrupt") == 0 || strcmp(code, "sql_error") == 0 ||
				 strcmp(code, "not_a_database") == 0)) {
		put_finding(ctl, message, strlen(message), (*count)++);
		r = XT_DONE;
	}
	xt_cursor_close(cursor);
	return r == XT_DONE ? CTL_OK : ctl_fail(ctl, client, r);
}

static int is_ours(const struct ctl *ctl, xt_client *client, bool *ret)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ctl_query(client, "SELECT count(*) FROM pragma_table_info('xt_meta')", NULL, 0, 0, &cursor);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK)
		*ret = row[0].as.integer > 0;
	xt_cursor_close(cursor);
	return r == XT_OK ? CTL_OK : ctl_fail(ctl, client, r);
}

static int run_checks(struct ctl *ctl, xt_client *client)
{
	struct progress progress;
	uint64_t found = 0;
	bool ours = true;
	int status = is_ours(ctl, client, &ours);

	if (status != CTL_OK)
		return status;
	progress_begin(&progress, -1);
	if (ctl->options.json)
		fputs("{\"findings\": [", ctl->out.file);
	for (size_t i = 0; i < N_CHECKS && status == CTL_OK; i++) {
		if ((ctl->options.quick ? checks[i].slow : checks[i].quick) || (checks[i].ours && !ours))
			continue;
		status = run_check(ctl, client, &checks[i], &progress, &found);
	}
	if (ctl->options.json)
		fprintf(ctl->out.file, "], \"ok\": %s}\n", status == CTL_OK && found == 0 ? "true" : "false");
	else if (status == CTL_OK && found == 0)
		fputs("ok\n", ctl->out.file);
	return status == CTL_OK && found > 0 ? CTL_FAILED : status;
}

static int cmd_check(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	return ctl_close(ctl, client, run_checks(ctl, client));
}

const struct command check_command = {
	.name = "check",
	.summary = "look for damage",
	.help = "SQLite's integrity check (--quick: without comparing indexes and tables), foreign keys, and "
		"what the daemon's own tables must agree on. Exit status 1 when something is found, or the "
		"database cannot be opened.",
	.examples = (const struct example[]){{"is the file sound?", "check demo.db --quick"}, {NULL, NULL}},
	.options = OPT_JSON | OPT_QUICK,
	.run = cmd_check,
};
