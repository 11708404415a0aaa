#include "xtctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "copy.h"
#include "lines.h"
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
	struct out file;

	int fd = open(copy->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return ctl_error(ctl, "cannot write '%s': %s", copy->file, strerror(errno));
	if (out_open(&file, fd, ctl_stop_flag()) < 0) {
		close(fd);
		return ctl_no_memory(ctl);
	}
	int status = ctl_print_to(ctl, &file, &copy->how, client, cursor);
	int error = out_close(&file);
	if (close(fd) < 0 && error == 0)
		error = errno;
	if (error == EINTR)
		status = CTL_INTERRUPTED;
	else if (error && status == CTL_OK)
		status = ctl_error(ctl, "cannot write '%s': %s", copy->file, strerror(error));
	if (status == CTL_OK)
		ctl_note(ctl, "written to '%s'", copy->file);
	else
		ctl_note(ctl, "'%s' is incomplete", copy->file);
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

static int cmd_sql(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	struct statement s = {0};
	struct copy copy = {0};
	char why[WHY_BYTES];
	xt_client *client;

	int status = read_args(ctl, &s);
	if (status == CTL_OK)
		status = read_sql(ctl, &s.sql);
	if (status == CTL_OK && s.sql[strspn(s.sql, " \t\r\n")] == '\0')
		status = ctl_usage(ctl, "the statement is empty");
	if (status == CTL_OK && copy_parse(&copy, s.sql, why, sizeof(why)) < 0)
		status = ctl_error(ctl, "%s", why);
	if (status == CTL_OK)
		status = ctl_open(ctl, &options, &client);
	if (status == CTL_OK)
		status = ctl_close(ctl, client, run(ctl, client, &s, &copy));
	statement_done(&s);
	copy_done(&copy);
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
		"CSV) writes a file as DuckDB would, in CSV or, for FORMAT JSON, as one object a line.",
	.examples =
		(const struct example[]){
			{"an average for each codec, as Markdown",
			 "sql demo.db 'SELECT codec, avg(ratio) FROM predictions GROUP BY 1' --format md"},
			{"a value that is given apart",
			 "sql demo.db 'SELECT count(*) FROM predictions WHERE size > ?' --arg 100000"},
			{NULL, NULL}},
	.options = OPT_ROWS | OPT_ARG | OPT_WRITE | OPT_TIMEOUT,
	.least = 1,
	.most = 1,
	.run = cmd_sql,
};
