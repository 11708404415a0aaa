#include "xtctl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "copy.h"
#include "lines.h"
#include "newfile.h"
#include "sql_duck.h"
#include "value.h"

#define MOST_BYTES 1000000 /* of a statement: the protocol's MAX_SQL */
#define WHY_BYTES  400

/* What is run, and the values of its parameters. */
struct statement {
	char *sql;	      /* owned */
	struct value *values; /* owned: n of them */
	xt_value *args;	      /* owned: the same, as the library takes them */
	size_t n;
};

/* ---- reading it ------------------------------------------------------- */

static int read_sql(const struct ctl *ctl, char **ret_sql)
{
	struct lines in = {.fd = STDIN_FILENO, .stop = ctl_stop_flag()};
	const char *text;
	size_t n;

	if (strcmp(ctl->args[0], "-") != 0) {
		*ret_sql = strdup(ctl->args[0]);
		return *ret_sql ? CTL_OK : ctl_no_memory(ctl);
	}
	int status = CTL_FAILED;
	int r = lines_rest(&in, MOST_BYTES, &text, &n);
	if (r == -EINTR)
		status = CTL_INTERRUPTED;
	else if (r == -EMSGSIZE)
		ctl_error(ctl, "the statement has more than %d bytes", MOST_BYTES);
	else if (r < 0)
		ctl_error(ctl, "cannot read standard input: %s", strerror(-r));
	else if (memchr(text, '\0', n))
		ctl_error(ctl, "the statement has a NUL byte in it");
	else if ((*ret_sql = strndup(text, n)))
		status = CTL_OK;
	else
		ctl_no_memory(ctl);
	lines_done(&in);
	return status;
}

static int read_args(const struct ctl *ctl, struct statement *s)
{
	char why[WHY_BYTES];
	size_t n = ctl->options.args.n;

	s->values = calloc(n + 1, sizeof(*s->values));
	s->args = calloc(n + 1, sizeof(*s->args));
	if (!s->values || !s->args)
		return ctl_no_memory(ctl);
	for (; s->n < n; s->n++) {
		if (value_parse(&s->values[s->n], ctl->options.args.items[s->n], why, sizeof(why)) < 0)
			return ctl_usage(ctl, "--arg: %s", why);
		s->args[s->n] = s->values[s->n].is;
	}
	return CTL_OK;
}

static void statement_done(struct statement *s)
{
	for (size_t i = 0; s->values && i <= s->n; i++)
		value_done(&s->values[i]);
	free(s->values);
	free(s->args);
	free(s->sql);
}

/* ---- running it ------------------------------------------------------- */

/* What --timeout says; 0: nothing. */
static int timeout_ms(const struct ctl *ctl)
{
	return (int)ctl->options.timeout_s * 1000;
}

static int run_copy(const struct ctl *ctl, const struct copy *copy, const xt_client *client,
		    xt_cursor *cursor)
{
	struct newfile file;
	struct out out;
	char why[NEWFILE_ERROR_BYTES];

	/* As DuckDB does: a file that is there is replaced. */
	if (newfile_begin(&file, copy->file, true, why, sizeof(why)) < 0)
		return ctl_error(ctl, "%s", why);
	if (out_open(&out, file.fd, ctl_stop_flag()) < 0) {
		(void)!newfile_end(&file, false, why, sizeof(why));
		return ctl_no_memory(ctl);
	}
	int status = ctl_print_to(ctl, &out, &copy->how, client, cursor);
	int error = out_close(&out);
	if (error == EINTR)
		status = CTL_INTERRUPTED;
	else if (error && status == CTL_OK)
		status = ctl_error(ctl, "cannot write '%s': %s", copy->file, strerror(error));
	if (newfile_end(&file, status == CTL_OK, why, sizeof(why)) < 0)
		status = ctl_error(ctl, "%s", why);
	if (status == CTL_OK)
		ctl_note(ctl, "written to '%s'", copy->file);
	return status;
}

static int run_writing(struct ctl *ctl, xt_client *client, const struct statement *s)
{
	uint64_t changed = 0;

	if (!ctl->options.write && !ctl->xt)
		return ctl_error(ctl, "the statement writes; --write allows that");
	if (!ctl->options.write)
		ctl_note(ctl, "the statement writes");
	/* Not made again after a signal: it may have been carried out. */
	int r = xt_exec(client, s->sql, s->args, s->n, timeout_ms(ctl), &changed);
	if (r == XT_EINTR) {
		ctl_error(ctl, "interrupted, but the daemon may carry out the statement; waiting for it, "
			       "Ctrl-C again leaves");
		return CTL_INTERRUPTED;
	}
	return r == XT_OK ? ctl_print_count(ctl, "changed", changed) : ctl_fail(ctl, client, r);
}

/* copy->sql NULL: the statement is no COPY. */
static int run(struct ctl *ctl, xt_client *client, const struct statement *s, const struct copy *copy)
{
	const char *sql = copy->sql ? copy->sql : s->sql;
	xt_cursor *cursor = NULL;
	int status;

	int r = ctl_query(client, sql, s->args, s->n, timeout_ms(ctl), &cursor);
	if (r == XT_OK && copy->sql)
		status = run_copy(ctl, copy, client, cursor);
	else if (r == XT_OK)
		status = ctl_print(ctl, client, cursor);
	else if (r == XT_EREQUEST && strcmp(xt_error_code(client), "sql_writes") == 0 && !copy->sql)
		status = run_writing(ctl, client, s);
	else
		status = ctl_fail(ctl, client, r);
	xt_cursor_close(cursor);
	return status;
}

/* ---- by which engine -------------------------------------------------- */

enum engine { ENGINE_SQLITE, ENGINE_DUCKDB };

static int find_engine(const struct ctl *ctl, enum engine *ret)
{
	const char *named = ctl->options.engine;

	*ret = ENGINE_SQLITE;
	if (named && strcmp(named, "duckdb") == 0)
		*ret = ENGINE_DUCKDB;
	else if (named && strcmp(named, "sqlite") != 0)
		return ctl_usage(ctl, "no engine '%s'; there are sqlite and duckdb", named);
	return CTL_OK;
}

static int run_duck(struct ctl *ctl, struct duck *duck, const struct statement *s)
{
	xt_options options = ctl_reading();
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	if (status == CTL_OK)
		status = ctl_close(ctl, client, sql_duck(ctl, client, duck, s->sql, s->args, s->n));
	return status;
}

static int run_sqlite(struct ctl *ctl, const struct statement *s, const struct copy *copy)
{
	xt_options options = ctl_reading();
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	return status == CTL_OK ? ctl_close(ctl, client, run(ctl, client, s, copy)) : status;
}

/* A COPY that is beyond us, DuckDB does where it is found, though nobody named it. */
static int run_by(struct ctl *ctl, enum engine engine, const struct statement *s)
{
	struct copy copy = {0};
	struct duck duck = {0};
	char why[WHY_BYTES];
	bool found = false;
	int status;

	int known = copy_parse(&copy, s->sql, why, sizeof(why));
	if (engine == ENGINE_DUCKDB || (known < 0 && !ctl->options.engine))
		found = duck_open(&duck, ctl_stop_flag()) == 0;
	if (found)
		status = run_duck(ctl, &duck, s);
	else if (known < 0)
		status =
			duck.error[0] ? ctl_error(ctl, "%s; %s", why, duck.error) : ctl_error(ctl, "%s", why);
	else if (engine == ENGINE_DUCKDB && !ctl->xt)
		status = ctl_error(ctl, "%s", duck.error);
	else {
		/* The seed's users write --engine=duckdb wherever they go. */
		if (engine == ENGINE_DUCKDB)
			ctl_note(ctl, "%s; SQLite runs the statement", duck.error);
		status = run_sqlite(ctl, s, &copy);
	}
	duck_close(&duck);
	copy_done(&copy);
	return status;
}

static int cmd_sql(struct ctl *ctl)
{
	struct statement s = {0};
	enum engine engine;

	int status = find_engine(ctl, &engine);
	if (status == CTL_OK)
		status = read_args(ctl, &s);
	if (status == CTL_OK)
		status = read_sql(ctl, &s.sql);
	if (status == CTL_OK && s.sql[strspn(s.sql, " \t\r\n")] == '\0')
		status = ctl_usage(ctl, "the statement is empty");
	if (status == CTL_OK)
		status = run_by(ctl, engine, &s);
	statement_done(&s);
	return status;
}

const struct command sql_command = {
	.name = "sql",
	.usage = "STATEMENT|-",
	.summary = "run an SQL statement",
	.help = "- reads it from standard input. main and db both name the database: SELECT ... FROM "
		"db.predictions.\n"
		"--arg gives the value of the next ? and is typed as by 'log'. A statement that writes needs "
		"--write, or to be called as xt. COPY (SELECT ...) TO 'FILE' (HEADER, DELIMITER ',', FORMAT "
		"CSV) writes a file as DuckDB would, in CSV or, for FORMAT JSON, as one object a line.\n"
		"--engine duckdb has DuckDB's library run the statement, over the same rows, which it only "
		"reads: its functions, its joins, COPY (SELECT ...) TO 'FILE.parquet', which needs no "
		"--engine. "
		"The library is libduckdb.so where the loader finds it, or where XETRACK_DUCKDB says.",
	.examples =
		(const struct example[]){
			{"an average for each codec, as Markdown",
			 "sql demo.db 'SELECT codec, avg(ratio) FROM predictions GROUP BY 1' --format md"},
			{"a value that is given apart",
			 "sql demo.db 'SELECT count(*) FROM predictions WHERE size > ?' --arg 100000"},
			{NULL, NULL}},
	.options = OPT_ENGINE | OPT_ROWS | OPT_ARG | OPT_WRITE | OPT_TIMEOUT,
	.engines = true,
	.least = 1,
	.most = 1,
	.run = cmd_sql,
};
