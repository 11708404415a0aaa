/*
 * xtctl: one invocation, and what its commands share.
 */
#ifndef XTCTL_H
#define XTCTL_H

#include <stdatomic.h>

#include "options.h"
#include "xetrack.h"

/* Exit statuses. */
enum {
	CTL_OK = 0,
	CTL_FAILED = 1,	       /* the request failed */
	CTL_USAGE = 2,	       /* the command line makes no sense */
	CTL_INTERRUPTED = 130, /* Ctrl-C, as shells say it */
};

struct ctl;

/* A command line that shows something, and works on the database of `make demo` as demo.db. */
struct example {
	const char *shows; /* a phrase, lower case; NULL ends a list of them */
	const char *line;  /* what follows the program's name, as typed in a shell */
};

/* One command. It stands at the end of the file that carries it out; commands.c lists them all. The help, the
 * man page and what shells complete are made from it. */
struct command {
	const char *name;    /* of a part of a group with the group's: "cache ls" */
	const char *usage;   /* what follows the database; NULL: nothing */
	const char *summary; /* a line, lower case, without a full stop */
	const char *help;    /* more; a line end ends a line, others are broken to fit; NULL: nothing */
	const struct example *examples;	    /* NULL: none */
	uint64_t options;		    /* OPT_… */
	const struct option_def *own;	    /* options of its own, ended by one without a name; NULL: none */
	size_t own_size;		    /* of the struct that their values go to */
	const void *own_preset;		    /* such a struct to begin with; NULL: zeroed */
	int least, most;		    /* arguments after the database; most -1: any number */
	bool apart;			    /* works on no database */
	bool engines;			    /* --engine means something to it */
	const struct command *const *parts; /* of a group: its commands, ended by NULL, of which the first is
					       meant when none is named; it has no options itself then */
	bool (*is_arg)(
		const char *word); /* tells a first argument from a database where counting cannot; or NULL */
	size_t (*wants)(const char *word); /* how many more such an argument needs; NULL: none */
	int (*run)(struct ctl *ctl);	   /* the exit status; says itself what went wrong */
};

/* One invocation. Texts are borrowed from argv and the environment. */
struct ctl {
	const char *program;	       /* "xtctl" or "xt", for messages */
	bool xt;		       /* called by its second name: the seed's commands run as written */
	const struct command *command; /* which one */
	const char *database;	       /* its path */
	char *database_word; /* owned by main.c: the same as a shell takes it; NULL: out of memory */
	char **args;	     /* what follows the database, n_args of them */
	size_t n_args;
	struct options options; /* the shared ones */
	const void *own;	/* the command's own: the struct that its descriptor tells the size of */
	const char *table;	/* --table, or XETRACK_TABLE, or "events" */
	bool table_named;	/* by one of the first two */
	bool utf8;		/* the locale can show it */
	struct out out;		/* standard output */
	atomic_uint leaving;	/* threads that read for who needs no more rows: while there are any, waits of
				   ctl_open()'s clients end as if a signal had come */
};

/* ---- ctl.c: what every command needs ---------------------------------- */

/* Writes "xtctl: …" to stderr, control characters escaped. Returns CTL_FAILED, or CTL_USAGE. */
int ctl_error(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int ctl_usage(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes "xtctl: note: …" to stderr. */
void ctl_note(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes a sentence to standard output behind a label, which may be blanks; on a terminal broken between
 * words to stand beside the label. */
void ctl_say(const struct ctl *ctl, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Reports a client's failure with what can be done about it. Returns CTL_FAILED, CTL_INTERRUPTED
 * after Ctrl-C. */
int ctl_fail(const struct ctl *ctl, const xt_client *client, int status);

/* True once Ctrl-C was pressed. Its flag, for those who wait. The second one ends the program. */
bool ctl_interrupted(void);
const atomic_int *ctl_stop_flag(void);
void ctl_catch_signals(void);

/* True when a call that was interrupted should be made again: not by Ctrl-C. */
bool ctl_again(int status);

/* Opens the client; a database that is made is told. CTL_OK, or the failure is reported and *ret_client is
 * NULL. */
int ctl_open(const struct ctl *ctl, const xt_options *options, xt_client **ret_client)
	__attribute__((warn_unused_result));

/* The same, without reporting: the library's status; *ret_client is set where it sets it. */
int ctl_try_open(const struct ctl *ctl, const xt_options *options, xt_client **ret_client)
	__attribute__((warn_unused_result));

/* Options of a command that reads: the database must be there. */
xt_options ctl_reading(void);

/* True when the status means that no daemon runs, and none may be started. */
bool ctl_nobody(const xt_client *client, int status);

/* Closes the client, reporting what could not be delivered. `status` is handed on if it is not CTL_OK. */
int ctl_close(const struct ctl *ctl, xt_client *client, int status);

/* Opens a client on a database that is there, hands it over, closes it: the whole of a command. */
int ctl_with_client(struct ctl *ctl, int run(struct ctl *ctl, xt_client *client));

/* A first argument that is no file, or a directory as runs may have one, is no database: for commands whose
 * is_arg that is. */
bool ctl_is_no_database(const char *word);

/* Asks on the terminal. True for yes, and when there is no terminal to ask on. */
bool ctl_confirm(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whether a file could not be made there, since there is no directory for it. */
bool ctl_lacks_directory(const char *path);

/* The database as it stands in a command line that is shown to be copied: in quotes where a shell needs them.
 */
const char *ctl_db(const struct ctl *ctl);

/* Whether there is a terminal to ask on. */
bool ctl_can_ask(void);

/* Says that memory ran out; returns CTL_FAILED. */
int ctl_no_memory(const struct ctl *ctl);

/* ---- rows.c: questions and their answers ------------------------------ */

/* Runs a reading statement; the library's status. An interrupted one is sent again. */
int ctl_query(xt_client *client, const char *sql, const xt_value *args, size_t n, int timeout_ms,
	      xt_cursor **ret) __attribute__((warn_unused_result));

/* What a statement that goes through whole tables may take: Ctrl-C ends it. */
#define CTL_LONG_MS 86400000

/* The same without arguments and in as much time as it takes; sql NULL: out of memory. */
int ctl_summarise(xt_client *client, const char *sql, xt_cursor **ret) __attribute__((warn_unused_result));

/* xt_cursor_next(), made again where ctl_again(). */
int ctl_next(xt_cursor *cursor, const xt_value **ret_row) __attribute__((warn_unused_result));

/* Prints all rows of a cursor in `out`, as the options say. CTL_OK, or the failure is reported. */
int ctl_print_to(const struct ctl *ctl, struct out *out, const struct format_options *how,
		 const xt_client *client, xt_cursor *cursor);

/* Sees each row that was printed, the nth from 1. */
typedef void ctl_row_seen(void *data, const xt_value *row, uint64_t n);

/* The same, with somebody who sees the rows (NULL: nobody), and counting them. */
int ctl_print_rows(const struct ctl *ctl, struct out *out, const struct format_options *how,
		   const xt_client *client, xt_cursor *cursor, ctl_row_seen *seen, void *data,
		   uint64_t *ret_rows);

/* The end of rows that were printed one by one: format_end(), and a note when columns were left out. */
int ctl_format_end(const struct ctl *ctl, struct out *out, struct format *f, size_t n, bool whole)
	__attribute__((warn_unused_result));

/* How rows are to be printed, by the options. */
struct format_options ctl_how_to_print(const struct ctl *ctl);

/* The same to standard output. */
int ctl_print(struct ctl *ctl, const xt_client *client, xt_cursor *cursor);

/* Prints how many rows a change concerned: "3 rows <done>", or a row with one column of that name. */
int ctl_print_count(struct ctl *ctl, const char *done, uint64_t count);

/* An SQL name in its quotes; owned by the caller, NULL: out of memory. */
char *ctl_quote(const char *name);

/* A statement with the table's name, quoted, at each %s; owned by the caller, NULL: out of memory. */
char *ctl_statement(const char *form, const char *table);

/* True when the client's last failure is that the table does not exist. */
bool ctl_no_table(const xt_client *client);

/* For a command that reads when nobody named a table and there is no `events`: takes the one with the
 * most rows and says so. NULL: there is none, or a table was named; owned by the caller. */
char *ctl_other_table(const struct ctl *ctl, xt_client *client);

/* Says that the database has no table at all yet; returns CTL_FAILED. */
int ctl_no_rows(const struct ctl *ctl);

/* ---- what commands use of each other ---------------------------------- */

/* What `delete` does with the results that a run cached, once its rows are deleted. From cache_delete.c. */
int cache_delete_of_run(struct ctl *ctl, xt_client *client, const char *track_id);

/* Prints the daemon's status; brief: only who it is. From cmd_status.c. */
int status_print(struct ctl *ctl, xt_client *client, bool brief);

#endif
