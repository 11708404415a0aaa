#include "xtctl.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "help.h"
#include "prose.h"

/* A signal handler can reach nothing else; threads look at it, too. */
static atomic_int interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

void ctl_catch_signals(void)
{
	/* No SA_RESTART: waiting calls must return. SA_RESETHAND: who presses again means it. */
	struct sigaction stop = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

bool ctl_interrupted(void)
{
	return interrupted != 0;
}

const atomic_int *ctl_stop_flag(void)
{
	return &interrupted;
}

bool ctl_again(int status)
{
	return status == XT_EINTR && !interrupted;
}

/* ---- messages --------------------------------------------------------- */

/* Writes a text to stderr behind a label, of whose first `indent` columns further lines keep clear. */
static void put_behind(const char *label, size_t indent, const char *text, const char *end)
{
	const struct prose where = {
		.begin = strlen(label), .indent = indent, .columns = (size_t)out_columns(STDERR_FILENO)};
	char *all = NULL;
	size_t size;
	FILE *f = open_memstream(&all, &size); /* stderr has no buffer: in one piece */

	if (!f)
		return;
	fputs(label, f);
	prose_put(f, text, &where);
	fputs(end, f);
	if (fclose(f) == 0)
		fwrite(all, 1, size, stderr);
	free(all);
}

static void say(const struct ctl *ctl, const char *kind, const char *end, const char *fmt, va_list ap)
{
	char *message = NULL;
	char label[32];

	if (vasprintf(&message, fmt, ap) < 0)
		return;
	fflush(ctl->out.file); /* on a terminal the data that came before stands before */
	snprintf(label, sizeof(label), "%s: %s", ctl->program, kind);
	put_behind(label, strlen(ctl->program) + 2, message, end);
	free(message);
}

void ctl_say(const struct ctl *ctl, const char *label, const char *fmt, ...)
{
	const struct prose where = {
		.begin = strlen(label), .indent = strlen(label), .columns = (size_t)ctl->out.columns};
	char *sentence = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&sentence, fmt, ap) >= 0) {
		fputs(label, ctl->out.file);
		prose_put(ctl->out.file, sentence, &where);
		fputc('\n', ctl->out.file);
		free(sentence);
	}
	va_end(ap);
}

int ctl_error(const struct ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(ctl, "", "\n", fmt, ap);
	va_end(ap);
	return CTL_FAILED;
}

void ctl_note(const struct ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(ctl, "note: ", "\n", fmt, ap);
	va_end(ap);
}

int ctl_usage(const struct ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(ctl, "", "\n", fmt, ap);
	va_end(ap);
	char *usage = ctl->command ? help_usage(ctl->program, ctl->command) : NULL;
	if (usage) {
		put_behind("usage: ", strlen("usage: "), usage, "\n");
		fprintf(stderr, "try '%s %s --help'\n", ctl->program, ctl->command->name);
	}
	free(usage);
	return CTL_USAGE;
}

int ctl_no_memory(const struct ctl *ctl)
{
	return ctl_error(ctl, "out of memory");
}

/* What can be done about an error of the daemon, by its code. */
static const struct remedy {
	const char *code, *command;
	bool db; /* the database follows */
	const char *does;
} remedies[] = {
	{"no_such_table", "ls", true, "lists the tables"},
	{"no_such_column", "columns", true, "lists a table's columns"},
	{"no_such_run", "runs", true, "lists the runs"},
	{"run_running", "delete --force", false, "deletes it all the same"},
	{"timed_out", "sql --timeout SECONDS", false, "gives a statement more time"},
	{"unknown_method", "restart", true, "helps where the daemon is of an older version"},
	{"disk_full", "status", true, "tells when there is room again; down and restart take --force"},
};

bool ctl_lacks_directory(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	char *directory = slash && slash > path ? strndup(path, (size_t)(slash - path)) : NULL;
	struct stat st;

	bool lacks = directory && (stat(directory, &st) < 0 || !S_ISDIR(st.st_mode));
	free(directory);
	return lacks;
}

int ctl_fail(const struct ctl *ctl, const xt_client *client, int status)
{
	const char *message = xt_error(client)[0] ? xt_error(client) : xt_status_name(status);

	if (ctl_interrupted())
		return CTL_INTERRUPTED;
	if (status == XT_ENODB && ctl_lacks_directory(ctl->database))
		return ctl_error(ctl,
				 "%s: its directory does not exist; check the path, or make it with mkdir -p",
				 message);
	if (status == XT_ENODB)
		return ctl_error(ctl, "%s; check the path ('%s up', 'log', 'import' and 'copy' create one)",
				 message, ctl->program);
	bool asks = message[0] && message[strlen(message) - 1] == '?'; /* the remedy is in it already */
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]) && !asks; i++)
		if (strcmp(remedies[i].code, xt_error_code(client)) == 0)
			return ctl_error(ctl, "%s; '%s %s%s%s' %s", message, ctl->program,
					 remedies[i].command, remedies[i].db ? " " : "",
					 remedies[i].db ? ctl_db(ctl) : "", remedies[i].does);
	if (strstr(message, "no such function"))
		return ctl_error(ctl,
				 "%s; where this program is newer than the daemon, '%s restart %s' helps",
				 message, ctl->program, ctl_db(ctl));
	if (ctl_no_table(client) && !asks)
		return ctl_error(ctl, "%s; '%s ls %s' lists the tables", message, ctl->program, ctl_db(ctl));
	return ctl_error(ctl, "%s", message);
}

const char *ctl_db(const struct ctl *ctl)
{
	return ctl->database_word ? ctl->database_word : ctl->database ? ctl->database : "DB";
}

bool ctl_can_ask(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool ctl_is_no_database(const char *word)
{
	struct stat st;

	return stat(word, &st) < 0 || S_ISDIR(st.st_mode);
}

bool ctl_confirm(const struct ctl *ctl, const char *fmt, ...)
{
	char answer[16];
	va_list ap;

	if (!ctl_can_ask())
		return true;
	va_start(ap, fmt);
	say(ctl, "", " [y/N] ", fmt, ap);
	va_end(ap);
	return fgets(answer, sizeof(answer), stdin) && tolower((unsigned char)answer[0]) == 'y';
}

/* ---- the client ------------------------------------------------------- */

xt_options ctl_reading(void)
{
	return (xt_options){.read_only = true};
}

/* What keeps the daemon from storing, and so us from going on. */
static void note_trouble(const char *code, const char *message, void *user)
{
	if (strcmp(code, "disk_full") == 0 || strcmp(code, "database_locked") == 0)
		ctl_note(user, "%s", message);
}

/* A signal wakes one thread only, which need not be the one that waits. */
static bool must_stop(void *user)
{
	struct ctl *ctl = user;

	return ctl_interrupted() || atomic_load(&ctl->leaving) > 0;
}

int ctl_try_open(const struct ctl *ctl, const xt_options *options, xt_client **ret_client)
{
	xt_options named = *options;
	int r;

	named.name = ctl->program;
	if (!named.on_warning) {
		named.on_warning = note_trouble;
		named.user = (void *)(uintptr_t)ctl;
		if (!named.interrupted)
			named.interrupted = must_stop;
	}
	for (;;) {
		r = xt_open(ret_client, ctl->database, &named);
		if (!ctl_again(r))
			return r;
		xt_close(*ret_client);
	}
}

/* Who meant another file sees that there is a new one. */
static void note_created(const struct ctl *ctl)
{
	char *path = realpath(ctl->database, NULL);

	if (path)
		ctl_note(ctl, "created '%s'", path);
	free(path);
}

int ctl_open(const struct ctl *ctl, const xt_options *options, xt_client **ret_client)
{
	bool creates = !options->read_only && access(ctl->database, F_OK) < 0;
	xt_client *client = NULL;
	int r = ctl_try_open(ctl, options, &client);

	*ret_client = client;
	if (r == XT_OK && creates)
		note_created(ctl);
	if (r == XT_OK)
		return CTL_OK;
	*ret_client = NULL;
	int status = ctl_fail(ctl, client, r);
	xt_close(client);
	return status;
}

bool ctl_nobody(const xt_client *client, int status)
{
	/* The library has no status of its own for it: XT_ECONNECT is also a daemon that hangs. */
	return status == XT_EDOWN || (status == XT_ECONNECT && strstr(xt_error(client), "turned off"));
}

int ctl_close(const struct ctl *ctl, xt_client *client, int status)
{
	char message[1000];
	int r = xt_close_message(client, message, sizeof(message));

	if (r == XT_OK || status != CTL_OK)
		return status;
	if (r == XT_SPOOLED) {
		ctl_note(ctl, "%s", message);
		return status;
	}
	return ctl_error(ctl, "%s", message[0] ? message : xt_status_name(r));
}

int ctl_with_client(struct ctl *ctl, int run(struct ctl *ctl, xt_client *client))
{
	xt_options options = ctl_reading();
	xt_client *client;

	int status = ctl_open(ctl, &options, &client);
	return status == CTL_OK ? ctl_close(ctl, client, run(ctl, client)) : status;
}
