/*
 * libxetrack: log benchmark rows to xetrackd and ask it questions.
 *
 *     xt_client *xt;
 *     xt_run *run;
 *     xt_open(&xt, "benchmark.db", NULL);
 *     xt_run_start(&run, xt, &(xt_run_options){.table = "predictions",
 *                                              XT_PARAMS(XT("model", "zstd"), XT("level", 3))});
 *     xt_log(run, XT("input_id", 7), XT("ratio", 2.91), XT("ok", true));
 *     xt_run_finish(run, XT_FINISHED);
 *     xt_close(xt);
 *
 * Every function returns XT_OK (0) or one of enum xt_status; xt_error() has the
 * sentence. Functions of one client may be called from any thread (one mutex per
 * client). After fork() a child may go on with its parent's handles: it gets a
 * connection and an identity of its own at its first call, and never touches what
 * the parent had in flight. The library starts no threads, installs no signal
 * handlers, prints nothing and keeps no global state.
 *
 * Strings are UTF-8 and copied unless said otherwise. Times are milliseconds
 * unless said otherwise; a timeout of XT_FOREVER never ends, 0 does not wait.
 */
#ifndef XETRACK_H
#define XETRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define XT_API __attribute__((visibility("default")))
#else
#define XT_API
#endif

typedef struct xt_client xt_client; /* a connection to one database, with its unacknowledged rows */
typedef struct xt_run xt_run;	    /* one run: a track_id, a table, parameters */
typedef struct xt_cursor xt_cursor; /* an open query */
typedef struct xt_call xt_call;	    /* one execution of a function */

/* What a call came to. Values are stable. */
enum xt_status {
	XT_OK = 0,
	XT_DONE = 1,	  /* xt_cursor_next: no more rows */
	XT_SPOOLED = 2,	  /* no daemon could be reached: what was told is safe in the spool file, and a daemon
			     will store it when one runs again */
	XT_HIT = 3,	  /* xt_call_begin: the result came from the cache */
	XT_EINVAL = -1,	  /* an argument that cannot be; the message names it */
	XT_ENOMEM = -2,	  /* out of memory */
	XT_ECONNECT = -3, /* no daemon could be reached or started */
	XT_ENODB = -4,	  /* the database does not exist and may not be created */
	XT_EDOWN = -5,	  /* the daemon was stopped on purpose by `xtctl down` */
	XT_ETIMEOUT = -6, /* the time given ran out; nothing is lost, call again */
	XT_EINTR = -7,	  /* a signal interrupted the wait; call again, or stop */
	XT_EFULL = -8,	  /* the window of unacknowledged rows is full and the daemon takes none */
	XT_EREJECTED = -9,  /* rows were rejected; the message has the first reason */
	XT_EREQUEST = -10,  /* the daemon refused the request; xt_error_code() has its code */
	XT_EPROTOCOL = -11, /* the daemon's bytes make no sense, or no common protocol version */
	XT_EPEER = -12,	    /* the socket's owner is neither this user, the file's owner nor root */
	XT_ELOST = -13,	    /* the connection broke and the request's fate is unknown */
	XT_ERESTORED = -14, /* an older database took its place; unacknowledged rows were sent again */
};

/* ---- values ----------------------------------------------------------- */

enum xt_type {
	XT_T_NULL,
	XT_T_BOOL,
	XT_T_INT,
	XT_T_UINT, /* sent as it is; 2^63 and more is rejected as out_of_range */
	XT_T_REAL, /* NaN becomes NULL, infinities stay */
	XT_T_TEXT,
	XT_T_BLOB,
	XT_T_ARRAY, /* of values: stored as JSON text */
	XT_T_MAP,   /* of fields: stored as JSON text */
	XT_T_INTS,  /* array of int64_t */
	XT_T_REALS, /* array of double */
	XT_T_RAW,   /* one value as MessagePack */
};

typedef struct xt_value xt_value;
typedef struct xt_field xt_field;

/* A value. Everything it points to is borrowed for the length of the call it is passed to. */
struct xt_value {
	enum xt_type type;
	union {
		bool boolean;
		int64_t integer;
		uint64_t uinteger;
		double real;
		const char *text;	 /* XT_T_TEXT: n bytes, UTF-8, need not be NUL-terminated */
		const void *blob;	 /* XT_T_BLOB: n bytes */
		const xt_value *items;	 /* XT_T_ARRAY: n values */
		const xt_field *fields;	 /* XT_T_MAP: n fields */
		const int64_t *integers; /* XT_T_INTS: n numbers */
		const double *reals;	 /* XT_T_REALS: n numbers */
		const void *raw;	 /* XT_T_RAW: n bytes */
	} as;
	size_t n;
};

/* A key and its value. Keys are UTF-8, NUL-terminated. */
struct xt_field {
	const char *key;
	xt_value value;
};

static inline xt_value xt_null(void)
{
	xt_value v = {XT_T_NULL, {0}, 0};
	return v;
}
static inline xt_value xt_bool(bool b)
{
	xt_value v = {XT_T_BOOL, {0}, 0};
	v.as.boolean = b;
	return v;
}
static inline xt_value xt_int(int64_t i)
{
	xt_value v = {XT_T_INT, {0}, 0};
	v.as.integer = i;
	return v;
}
static inline xt_value xt_uint(uint64_t u)
{
	xt_value v = {XT_T_UINT, {0}, 0};
	v.as.uinteger = u;
	return v;
}
static inline xt_value xt_real(double d)
{
	xt_value v = {XT_T_REAL, {0}, 0};
	v.as.real = d;
	return v;
}
/* n bytes of UTF-8 text. */
static inline xt_value xt_textn(const char *s, size_t n)
{
	xt_value v = {XT_T_TEXT, {0}, n};
	v.as.text = s;
	return v;
}
/* NUL-terminated text; NULL is the null value. */
static inline xt_value xt_text(const char *s)
{
	return s ? xt_textn(s, strlen(s)) : xt_null();
}
/* n bytes as they are. */
static inline xt_value xt_blob(const void *data, size_t n)
{
	xt_value v = {XT_T_BLOB, {0}, n};
	v.as.blob = data;
	return v;
}
static inline xt_value xt_array(const xt_value *items, size_t n)
{
	xt_value v = {XT_T_ARRAY, {0}, n};
	v.as.items = items;
	return v;
}
static inline xt_value xt_map(const xt_field *fields, size_t n)
{
	xt_value v = {XT_T_MAP, {0}, n};
	v.as.fields = fields;
	return v;
}
static inline xt_value xt_ints(const int64_t *numbers, size_t n)
{
	xt_value v = {XT_T_INTS, {0}, n};
	v.as.integers = numbers;
	return v;
}
static inline xt_value xt_reals(const double *numbers, size_t n)
{
	xt_value v = {XT_T_REALS, {0}, n};
	v.as.reals = numbers;
	return v;
}
/* n bytes of MessagePack, which are one value. */
static inline xt_value xt_raw(const void *data, size_t n)
{
	xt_value v = {XT_T_RAW, {0}, n};
	v.as.raw = data;
	return v;
}

static inline xt_value xt_value_same(xt_value v)
{
	return v;
}

static inline xt_field xt_field_of(const char *key, xt_value value)
{
	xt_field f = {key, value};
	return f;
}

/* C11's `true` and `false` are ints: told apart by how the argument was spelled. */
static inline xt_value xt_int_spelled(int64_t i, const char *spelling)
{
	if (strcmp(spelling, "true") == 0 || strcmp(spelling, "false") == 0)
		return xt_bool(i != 0);
	return xt_int(i);
}

#ifndef __cplusplus
/* clang-format off */
/* One field of a row, typed by its value: XT("loss", 0.25), XT("ok", true), XT("name", "a"),
 * XT("blob", xt_blob(p, n)), XT("nothing", xt_null()). */
#define XT(key, v)                                                                                  \
	xt_field_of((key), _Generic((v),                                                            \
		bool: xt_of_bool_, char: xt_of_int_, signed char: xt_of_int_, unsigned char: xt_of_int_, \
		short: xt_of_int_, unsigned short: xt_of_int_, int: xt_of_int_, unsigned: xt_of_int_,  \
		long: xt_of_int_, long long: xt_of_int_,                                            \
		unsigned long: xt_of_uint_, unsigned long long: xt_of_uint_,                          \
		float: xt_of_real_, double: xt_of_real_,                                              \
		char *: xt_of_text_, const char *: xt_of_text_,                                       \
		xt_value: xt_of_value_)((v), #v))
/* clang-format on */

static inline xt_value xt_of_bool_(bool b, const char *s)
{
	(void)s;
	return xt_bool(b);
}
static inline xt_value xt_of_int_(int64_t i, const char *s)
{
	return xt_int_spelled(i, s);
}
static inline xt_value xt_of_uint_(uint64_t u, const char *s)
{
	(void)s;
	return xt_uint(u);
}
static inline xt_value xt_of_real_(double d, const char *s)
{
	(void)s;
	return xt_real(d);
}
static inline xt_value xt_of_text_(const char *t, const char *s)
{
	(void)s;
	return xt_text(t);
}
static inline xt_value xt_of_value_(xt_value v, const char *s)
{
	(void)s;
	return v;
}

#define XT_COUNT_(...) (sizeof((const xt_field[]){__VA_ARGS__}) / sizeof(xt_field))

/* A nested value for XT(): XT("config", XT_MAP(XT("lr", 0.1), XT("layers", 3))). */
#define XT_MAP(...) xt_map((const xt_field[]){__VA_ARGS__}, XT_COUNT_(__VA_ARGS__))

/* Initialises `params` and `n_params` of xt_run_options. */
#define XT_PARAMS(...) .params = (const xt_field[]){__VA_ARGS__}, .n_params = XT_COUNT_(__VA_ARGS__)

/* Logs one row: xt_log(run, XT("loss", 0.25), XT("epoch", 3)). See xt_log_fields. */
#define xt_log(run, ...) xt_log_fields((run), (const xt_field[]){__VA_ARGS__}, XT_COUNT_(__VA_ARGS__))
#endif

/* ---- connection ------------------------------------------------------- */

#define XT_FOREVER (-1)

/* A row that the daemon could not store. Strings live until the callback returns. */
typedef struct xt_rejection {
	uint64_t seq;	     /* the row's sequence number: what xt_last_seq() said after it was logged */
	const char *code;    /* stable code, such as "too_many_columns" */
	const char *message; /* a sentence */
	const char *field;   /* the key it is about, or "" */
} xt_rejection;

/* Options of xt_open; a zeroed struct, or NULL, has the defaults. */
typedef struct xt_options {
	bool read_only;		/* never create the database; a missing one is XT_ENODB */
	bool no_autostart;	/* never start a daemon (also: XETRACK_AUTOSTART=0) */
	bool revive;		/* start the daemon although `xtctl down` holds it: what `up` does */
	int connect_timeout_ms; /* for connecting and starting; 0: 10,000 */
	int full_timeout_ms;	/* how long a call may block when window or spool are full; 0: forever */
	bool full_fails;	/* it does not block at all but returns XT_EFULL at once */
	size_t window_bytes;	/* most bytes of unacknowledged rows in memory; 0: 8 MiB */
	size_t spool_bytes;	/* most bytes of rows in the spool file while no daemon runs; 0: 1 GiB */
	bool no_spool;		/* no spool file: rows wait in the window only */
	bool no_direct_cache;	/* ask the daemon for cached results instead of reading them from the file */
	const char *name;	/* what `xtctl status` calls this client; NULL: the program's name */
	/* Called for every rejected row, from within whatever call reads the rejection, with the
	 * client locked: it must not call the library with the same client. */
	void (*on_reject)(const xt_rejection *rejection, void *user);
	/* Called for warnings, such as a column whose type was widened, or a new one whose name is like that
	 * of an old one which the rows no longer have ("similar_column"). Same rules. */
	void (*on_warning)(const char *code, const char *message, void *user);
	void *user; /* handed to the callbacks */
	/* Asked now and then while a call waits, and when a signal comes, without the client's lock: true
	 * ends the wait with XT_EINTR, which a signal does by itself where this is NULL. For languages that
	 * only note signals, and run their handlers here. */
	bool (*interrupted)(void *user);
} xt_options;

/*
 * Opens a client on a database file: connects to its daemon, or starts it. The file is
 * created by the daemon unless read_only is set. On failure *ret_client is still set when
 * memory allowed, so that xt_error() can tell why; free it with xt_close() all the same.
 */
XT_API int xt_open(xt_client **ret_client, const char *database, const xt_options *options);

/*
 * Flushes (for at most 30 s), says goodbye and frees the client and its runs, which are finished if
 * they are still running. NULL is allowed. XT_OK; XT_SPOOLED when no daemon could be reached or it
 * did not answer in time: the rows are on disk in the spool file, which the next daemon takes in;
 * XT_EREJECTED when any row of this client was rejected; XT_ETIMEOUT, XT_ECONNECT when rows could
 * neither be delivered nor spooled. The client is gone in any case; the reason is copied to `message` (size
 * bytes, may be NULL) since xt_error() can no longer be asked.
 */
XT_API int xt_close_message(xt_client *client, char *message, size_t size);
XT_API int xt_close(xt_client *client);

/* xt_close() of a program that gives up: runs of this client that are still running have failed. */
XT_API int xt_close_failed(xt_client *client);

/* The last failure's sentence, "" when there was none. Valid until the client's next call. */
XT_API const char *xt_error(const xt_client *client);

/* The last failure's stable code from the daemon ("sql_error"), or "". Same lifetime. */
XT_API const char *xt_error_code(const xt_client *client);

/* Name of a status: "XT_OK", "XT_EFULL". Static. */
XT_API const char *xt_status_name(int status);

/* Waits until everything logged so far is in the database and on disk. XT_OK, XT_EREJECTED when rows were
 * rejected since the last flush (the rest is stored), XT_ETIMEOUT, XT_EINTR, XT_ECONNECT; the message says
 * where the rows wait. */
XT_API int xt_flush(xt_client *client, int timeout_ms);

/* Sequence number of the last row or request, the highest one acknowledged, and how many rows
 * were rejected so far. */
XT_API uint64_t xt_last_seq(const xt_client *client);
XT_API uint64_t xt_acked_seq(const xt_client *client);
XT_API uint64_t xt_rejected(const xt_client *client);

/* ---- runs and rows ---------------------------------------------------- */

/* XT_CRASHED only of runs and workers that are imported. */
enum xt_run_status { XT_FINISHED, XT_FAILED, XT_CRASHED };

/* Options of xt_run_start; a zeroed struct, or NULL, has the defaults. */
typedef struct xt_run_options {
	const char *table;	/* NULL: "events" */
	const char *track_id;	/* resumes, or names, this run; NULL: the daemon allots a name */
	const xt_field *params; /* added to every row of the run (a row's own key wins); copied */
	size_t n_params;
	/* Calls of this handle get the columns cpu, memory_percent, p_memory_percent and disk_percent: what
	 * they cost this process and the machine, as the daemon sees it when they begin, every sample_ms (10
	 * to 3,600,000) and when they end. Plain rows get cpu_percent, ram_percent, p_memory_percent and
	 * disk_percent as of their arrival. A row's own key wins; hits have none. 0: no such columns. */
	int sample_ms;
	bool sample_network; /* and, or only, bytes_sent and bytes_recv, of this network namespace */
	bool apart; /* of xt_run_join: this client takes no part, and xt_workers does not tell of it */
} xt_run_options;

/* Starts a run; waits for the daemon's answer. The run belongs to the client. */
XT_API int xt_run_start(xt_run **ret_run, xt_client *client, const xt_run_options *options);

/* The same for a run of another time: microseconds since 1970-01-01 UTC. A run that is resumed keeps the
 * earlier of its start and this. */
XT_API int xt_run_start_at(xt_run **ret_run, xt_client *client, const xt_run_options *options,
			   int64_t time_us);

/* A handle on a run that was started elsewhere (another worker's): tells the daemon that this worker
 * takes part, waits for nobody, ends nothing. How the worker ended stands in xt_workers. Also for a
 * second table of the same run. Belongs to the client. XT_OK, XT_EINVAL, XT_EFULL, XT_EINTR, XT_ENOMEM. */
XT_API int xt_run_join(xt_run **ret_run, xt_client *client, const char *track_id,
		       const xt_run_options *options);

/* The run's track_id. Lives as long as the run. */
XT_API const char *xt_run_id(const xt_run *run);

/* Ends the run and frees the handle, also on failure; waits for the daemon's answer. XT_SPOOLED: no
 * daemon could be reached, and the end is in the spool file behind the run's rows. */
XT_API int xt_run_finish(xt_run *run, enum xt_run_status status);

/* The same for an end at another time: microseconds since 1970-01-01 UTC. */
XT_API int xt_run_finish_at(xt_run *run, enum xt_run_status status, int64_t time_us);

/* The same without waiting: the end is sent behind the run's rows. XT_OK; XT_EFULL, XT_ETIMEOUT, XT_EINTR: it
 * was not, and the run ends with its client. */
XT_API int xt_run_end(xt_run *run, enum xt_run_status status);

/* Frees a handle without ending the run. */
XT_API void xt_run_free(xt_run *run);

#define XT_NO_TIME INT64_MIN /* an end that is not known */

/* Who took part in a run that somebody else started: a row of xt_workers. */
typedef struct xt_run_worker {
	uint32_t uid;
	int32_t pid;		   /* 0: not known */
	enum xt_run_status status; /* how it ended */
	int64_t start_us, end_us;  /* microseconds since 1970-01-01 UTC; the end may be XT_NO_TIME */
	const char *cause;	   /* of a crash; NULL: none */
} xt_run_worker;

/* What xt_runs says of a run that has ended. Texts may be NULL: not known. Everything is borrowed for the
 * call. */
typedef struct xt_run_record {
	const char *track_id;
	enum xt_run_status status;
	int64_t start_us, end_us; /* as above */
	const char *cause;	  /* of a crash */
	const char *table;	  /* NULL: "events" */
	const char *params;	  /* the text of a JSON object */
	uint64_t rejects;
	int64_t uid; /* -1: not known */
	int32_t pid; /* 0: not known */
	const char *host, *executable, *command_line, *directory;
	const xt_run_worker *workers; /* XT_MOST_WORKERS at most */
	size_t n_workers;
} xt_run_record;

#define XT_MOST_WORKERS 8000

/* Takes over the record of a run that has ended in another database, as it stands there; once. A run that is
 * known here keeps its own: *ret_imported, which may be NULL, is false then. Waits for the daemon's answer.
 * XT_OK; XT_EINVAL; XT_EREQUEST with the codes run_deleted (it was, here), bad_type (params is no JSON
 * object) and out_of_range (a time outside the years 1 to 9999). */
XT_API int xt_run_import(xt_client *client, const xt_run_record *record, bool *ret_imported);

/*
 * Logs one row and hands it to the kernel; does not wait for the disk. Blocks only while the
 * window is full (see full_timeout_ms). Fields are borrowed for the call. A key that occurs
 * twice: the row is XT_EINVAL. XT_OK, XT_EINVAL, XT_EFULL, XT_EINTR, XT_ENOMEM; XT_EREQUEST with the
 * code read_only. Without a daemon rows go to the spool file, and are sent, in their order, when there is one
 * again; if this process ends before, the daemon takes them from there.
 */
XT_API int xt_log_fields(xt_run *run, const xt_field *fields, size_t n_fields);

/* The same for a row of another moment: microseconds since 1970-01-01 UTC. */
XT_API int xt_log_fields_at(xt_run *run, const xt_field *fields, size_t n_fields, int64_t time_us);

/*
 * Logs n_rows rows of the same columns in one message: values[row * n_columns + column].
 * Run parameters are added to each. Large batches are cut into messages by the library. XT_EINTR: none was
 * logged; once some are, it is not interrupted.
 */
XT_API int xt_log_rows(xt_run *run, const char *const *columns, size_t n_columns, const xt_value *values,
		       size_t n_rows);

/* The same from row *at_row on, which counts what was logged, whatever is returned: after XT_EINTR or
 * XT_EFULL it may be called again with it, and logs no row twice. */
XT_API int xt_log_rows_from(xt_run *run, const char *const *columns, size_t n_columns, const xt_value *values,
			    size_t n_rows, size_t *at_row);

/* Sets a value over the whole run, "back in time". ret_changed may be NULL. */
XT_API int xt_run_set(xt_run *run, const char *key, xt_value value, uint64_t *ret_changed);

/*
 * ---- function calls ---------------------------------------------------
 *
 * A call is one execution of a function, and one row: function_name, function_time (seconds, by a monotonic
 * clock), args, kwargs, error, error_type, cache, the arguments (a map as <argument>_<field>) and the
 * results. Cached, it is executed once, whatever number of workers meet it: who comes while another one
 * computes it waits for that result; the row of a hit has the cached results, `cache` is the track_id of the
 * run that computed them, function_time 0. Should a worker die in a call, the daemon logs the row, with
 * error_type WorkerDied, and another worker computes. docs/cache.md has the whole.
 *
 *     XT_TRACK(call, run, "compress", XT("codec", "zstd"), XT("level", 3)) {
 *             size_t packed = compress(...);
 *             xt_call_result(call, XT("packed", packed));
 *     }
 *
 * or, where the result is needed and may come from the cache:
 *
 *     int r = xt_call_begin(&call, run, "compress", args, 2, &(xt_call_options){.cache = true});
 *     if (r == XT_HIT)
 *             xt_call_get(call, "packed", &packed);
 *     else
 *             xt_call_result(call, XT("packed", ...));
 *     xt_call_end(call);
 *
 * Calls may be nested; a call is begun and ended on the same thread.
 */

/* Options of xt_call_begin; a zeroed struct, or NULL, has the defaults. */
typedef struct xt_call_options {
	bool cache;		/* take the result from the cache, and keep it there */
	const char *version;	/* of the function, part of the key; NULL: none */
	bool force;		/* compute anew and overwrite what is in the cache */
	bool read_only;		/* take what is there; else compute, and keep nothing */
	int wait_ms;		/* for another worker that computes it; 0: for ever; below 0: do not wait */
	int round_digits;	/* round reals in the key to so many decimals plus 1 (3: two); 0: do not */
	const xt_field *params; /* besides the run's; both are part of the key, and of the row */
	size_t n_params;
	const xt_field *labels; /* columns of this row only: neither in the key nor kept with the result */
	size_t n_labels;

	/* For who binds another language, where a row shows a call in other ways than a key is made of it. */
	const char *name;	 /* function_name in the row; NULL: the function's */
	const xt_field *columns; /* of the row, in place of args, kwargs and a column for each argument */
	size_t n_columns;
	const void
		*key_args; /* MessagePack of a map: the arguments in the key, in place of args. NULL: args */
	size_t key_args_bytes; /* of any size and number of values */
	bool apart; /* of no thread: it is not made within the calls of this one, nor they within it */
	bool trust; /* take results of other users that are no MessagePack, such as pickles */
} xt_call_options;

/*
 * Begins a call. XT_OK: compute, give the results with xt_call_result(), and xt_call_end(). XT_HIT: the
 * results came from the cache, xt_call_get() has them and the row is logged; xt_call_end() frees the call.
 * XT_ETIMEOUT: another worker computes it and wait_ms are over; XT_EINTR, XT_EINVAL (an argument that has no
 * canonical form; the message names it), XT_ENOMEM: *ret_call is NULL, and nothing has begun. Without a
 * daemon it is XT_OK, and the result is not kept.
 */
XT_API int xt_call_begin(xt_call **ret_call, xt_run *run, const char *function, const xt_field *args,
			 size_t n_args, const xt_call_options *options);

/* Adds results; a key that was given before is replaced. XT_OK, XT_EINVAL, XT_ENOMEM. call NULL: nothing is
 * done. */
XT_API int xt_call_result_fields(xt_call *call, const xt_field *fields, size_t n_fields);

/* A result as it was computed or came from the cache: *ret_value lives as long as the call. XT_DONE: there is
 * none of that key. */
XT_API int xt_call_get(xt_call *call, const char *key, xt_value *ret_value);

/* What is kept in the cache, in place of the map of results: bytes in an encoding, such as "pickle"; "" or
 * NULL: MessagePack. Copied. value NULL: nothing is kept, and another worker may compute. docs/cache.md says
 * which encodings show the columns of a hit's row. XT_OK, XT_EINVAL, XT_ENOMEM. */
XT_API int xt_call_keep(xt_call *call, const void *value, size_t size, const char *encoding);

/* True while a result that is given now is kept: the call has a lease. */
XT_API bool xt_call_kept(const xt_call *call);

/* The call failed: its row has these, its lease passes on, and nothing is cached. Still to be ended. */
XT_API void xt_call_fail(xt_call *call, const char *error_type, const char *error);

/* Seconds that the function took, from xt_call_begin() to now; 0 for a hit. */
XT_API double xt_call_seconds(const xt_call *call);

/* Ends the call: logs its row, keeps its result, frees it, whatever it returns. As xt_log_fields(). NULL is
 * allowed. */
XT_API int xt_call_end(xt_call *call);

/* Frees a call that was neither ended nor failed: it is logged with error_type Abandoned. NULL is allowed. */
XT_API void xt_call_free(xt_call *call);

/* An entry of the cache. Everything lives until the client's next call. */
typedef struct xt_cached {
	const void *value;    /* the result: of XT_TRACK and xt_call_begin a MessagePack map of the fields */
	size_t size;	      /* bytes of it */
	const char *encoding; /* "": MessagePack; what else its writer said */
	const char *origin;   /* track_id of the run that computed it */
	uint32_t uid;	      /* user who stored it: load code (a pickle) only when it is your own */
	int64_t created_us;   /* when, microseconds since 1970-01-01 UTC */
	double function_time; /* seconds that the computation took */
} xt_cached;

/* The entry that a hit is from, which lives as long as the call. XT_DONE: it is no hit. */
XT_API int xt_call_cached(const xt_call *call, xt_cached *ret);

#define XT_KEY_BYTES 32

/* The key of a call; of options only version, round_digits and params count. */
XT_API int xt_cache_key(xt_client *client, const char *function, const xt_field *args, size_t n_args,
			const xt_call_options *options, uint8_t ret_key[XT_KEY_BYTES]);

/* What that key is made from, docs/cache.md: it lives until the client's next call. */
XT_API int xt_cache_parts(xt_client *client, const char *function, const xt_field *args, size_t n_args,
			  const xt_call_options *options, const uint8_t **ret_parts, size_t *ret_size);

/* The entry of a key. XT_DONE: there is none. Logs nothing and waits for nobody. */
XT_API int xt_cache_get(xt_client *client, const uint8_t key[XT_KEY_BYTES], xt_cached *ret);

/* What an entry is about. Pointers live as long as the callback, or until the client's next call. */
typedef struct xt_cache_item {
	const uint8_t *key;   /* XT_KEY_BYTES */
	const char *function; /* its name; NULL where it is not told */
	const char *origin;   /* track_id of the run that computed it */
	uint32_t uid;	      /* user who stored it */
	int64_t created_us;   /* when, microseconds since 1970-01-01 UTC */
	double function_time; /* seconds that the computation took */
	uint64_t size;	      /* bytes */
	uint64_t hits;	      /* how often it was used */
	int64_t last_use_us;  /* when last */
	const uint8_t *parts; /* what the key was made from, when asked for: docs/cache.md */
	size_t parts_size;    /* bytes */
	bool sound;	      /* xt_cache_read: its checksum is right */
} xt_cache_item;

/* Which entries; a zeroed struct: all. */
typedef struct xt_cache_filter {
	const char *function;  /* of this function only */
	const char *track_id;  /* computed by this run only */
	const uint8_t *prefix; /* whose keys begin so */
	size_t prefix_size;    /* bytes */
	bool parts;	       /* with their parts */
} xt_cache_filter;

/* Calls `each` for all entries of the filter, until it returns false. It may call the library. */
XT_API int xt_cache_each(xt_client *client, const xt_cache_filter *filter,
			 bool (*each)(const xt_cache_item *item, void *data), void *data);

/* All about one entry, its checksum checked by the daemon. XT_DONE: there is none. */
XT_API int xt_cache_read(xt_client *client, const uint8_t key[XT_KEY_BYTES], xt_cache_item *ret,
			 xt_cached *ret_cached);

/* Deletes entries by their keys, end to end, at most 1,024. The numbers may be NULL. */
XT_API int xt_cache_delete(xt_client *client, const uint8_t *keys, size_t n, uint64_t *ret_deleted,
			   uint64_t *ret_bytes);

/* Deletes what is too old and what is above the bound (cache_ttl_s, cache_max_mib of xt_config). */
XT_API int xt_cache_gc(xt_client *client, uint64_t *ret_deleted, uint64_t *ret_bytes);

/* Sets the cache aside, `aside` says where, and begins an empty one. */
XT_API int xt_cache_reset(xt_client *client, char *aside, size_t size);

/* `cache_stats` of docs/protocol.md as a row: read it with xt_cursor_next(). */
XT_API int xt_cache_stats(xt_cursor **ret_cursor, xt_client *client);

#ifndef __cplusplus
/* Runs the block that follows as a call, and ends it. Left by break, return or goto it counts as abandoned.
 * `call` names the handle. With the option `cache` of XT_TRACK_WITH the block is skipped when its result is
 * in the cache, and when a signal ended the wait for another worker (xt_error() says so). A block whose
 * arguments cannot be logged is run, and its row says so. */
#define XT_TRACK(call, run, function, ...) XT_TRACK_WITH(call, NULL, run, function, __VA_ARGS__)
#define XT_TRACK_WITH(call, options, run, function, ...)                                                     \
	for (xt_call * call __attribute__((cleanup(xt_call_leave_))) = xt_call_enter_(                       \
		     (run), (function), (const xt_field[]){__VA_ARGS__}, XT_COUNT_(__VA_ARGS__), (options)), \
			    *call##_first = xt_call_first_(call);                                            \
	     call##_first; call##_first = xt_call_through_(call))

/* Adds results: xt_call_result(call, XT("ratio", 2.9)). */
#define xt_call_result(call, ...) \
	xt_call_result_fields((call), (const xt_field[]){__VA_ARGS__}, XT_COUNT_(__VA_ARGS__))
#endif

/* Parts of XT_TRACK: begins, also when that fails; NULL when the block is not to run; the block ran to its
 * end, and NULL; frees. */
XT_API xt_call *xt_call_enter_(xt_run *run, const char *function, const xt_field *args, size_t n_args,
			       const xt_call_options *options);
XT_API xt_call *xt_call_first_(xt_call *call);
XT_API xt_call *xt_call_through_(xt_call *call);
XT_API void xt_call_leave_(xt_call **call);

/*
 * ---- questions and changes --------------------------------------------
 *
 * Questions that lose their connection are asked again. Changes (and the start and end of a run) are
 * made exactly once: when XT_EINTR ends the wait for the answer, the change was sent and is made all
 * the same, so that calling again would make it twice.
 */

/* Options of xt_set. Without a run it goes through the rows that are there, some thousands at a time, so that
 * workers go on meanwhile: others see a part of them set then. When it is interrupted or fails, what is set
 * stays so, and the same call sets the rest. The rows of one run are set at once. */
typedef struct xt_set_options {
	const char *table;     /* NULL: "events" */
	const char *track_id;  /* NULL: every run of the table */
	const char *where_key; /* NULL: every row; else only rows whose column … */
	xt_value where_value;  /* … has this value */
} xt_set_options;

XT_API int xt_set(xt_client *client, const char *key, xt_value value, const xt_set_options *options,
		  uint64_t *ret_changed);

/* Sees to it that a column of a table (NULL: "events"), which must exist, can hold the value: it is added, or
 * its type widened, as if a row had come with it. No row is touched. */
XT_API int xt_declare(xt_client *client, const char *table, const char *key, xt_value value);

/* Deletes a run: its rows in `table`, or in all tables when NULL, a few thousand at a time, so that workers
 * go on meanwhile. A run that is still running needs force. When it is interrupted or fails, what is deleted
 * stays so, and the same call goes on. */
XT_API int xt_delete_run(xt_client *client, const char *track_id, const char *table, bool force,
			 uint64_t *ret_deleted);

/*
 * Runs a reading statement. It sees everything this client logged before it. args: values of
 * the statement's parameters, may be NULL. timeout_ms: for each page, 0: the daemon's default
 * (60,000). Close the cursor before the client.
 */
XT_API int xt_query(xt_cursor **ret_cursor, xt_client *client, const char *sql, const xt_value *args,
		    size_t n_args, int timeout_ms);

/* Number, names and declared types ("" for expressions) of the columns; live as long as the cursor. */
XT_API size_t xt_cursor_columns(const xt_cursor *cursor);
XT_API const char *xt_cursor_name(const xt_cursor *cursor, size_t column);
XT_API const char *xt_cursor_type(const xt_cursor *cursor, size_t column);

/* Steps to the next row: XT_OK, XT_DONE or an error. Rows come in pages; from the second page on, the next
 * one is on its way while a page is read. *ret_row has xt_cursor_columns() values that live until the next
 * call on the cursor; text is not NUL-terminated. XT_EINTR: a signal came while waiting; call again, or close
 * the cursor, which cancels the statement in the daemon. */
XT_API int xt_cursor_next(xt_cursor *cursor, const xt_value **ret_row);

/* Ends the query, cancelling it when rows are left, and frees the cursor. NULL is allowed. */
XT_API void xt_cursor_close(xt_cursor *cursor);

/*
 * Waits until rows come into a table (NULL: events), which need not be there yet: `level` is what the call
 * before gave, another number after each commit that put rows there, whoever made it. *level 0: gives it at
 * once. Who asks for the level, then reads the table, then waits, and so on, misses no row (docs/storage.md
 * has the statements that show none twice). It may also end without a new row, and does when the daemon was
 * started anew. XT_ETIMEOUT: none came in timeout_ms; XT_EINTR: a signal came; *level stays then.
 */
XT_API int xt_wait(xt_client *client, const char *table, uint64_t *level, int timeout_ms);

/* Runs one writing statement in a transaction of its own. */
XT_API int xt_exec(xt_client *client, const char *sql, const xt_value *args, size_t n_args, int timeout_ms,
		   uint64_t *ret_changed);

/*
 * `tables`, `columns` and `status` of docs/protocol.md as rows: read them with xt_cursor_next().
 * tables: name, rows, columns, runs. columns: name, type, key. status: one row, a column a field.
 */
XT_API int xt_tables(xt_cursor **ret_cursor, xt_client *client);
XT_API int xt_columns(xt_cursor **ret_cursor, xt_client *client, const char *table);
XT_API int xt_daemon_status(xt_cursor **ret_cursor, xt_client *client);

/* Changes a setting of the database (docs/storage.md lists them); value NULL: its default again. ret_value,
 * which may be NULL: what is in force now. */
XT_API int xt_config(xt_client *client, const char *key, const int64_t *value, int64_t *ret_value);

/*
 * ---- the schema of a table --------------------------------------------
 *
 * table NULL: "events". Columns are named as the table has them, or by the keys under which they are logged.
 */

typedef struct xt_renamed {
	char name[260]; /* that the column has now */
	bool merged;	/* there was a column of the new name: the two are one */
	uint64_t moved; /* rows whose value came over from the column that is gone */
} xt_renamed;

/* Renames a column, while others go on logging: who still logs the old key fills the column under its new
 * name. ret_renamed may be NULL. XT_EREQUEST with the code value_conflict: there is a column of the new name,
 * and rows have values in both. Nothing has changed then. Two columns of a large table take long to become
 * one, and rows wait meanwhile. */
XT_API int xt_schema_rename(xt_client *client, const char *table, const char *old_name, const char *new_name,
			    xt_renamed *ret_renamed);

/* Has a key that has no column of its own lead to a column; NULL: no longer. ret_changed may be NULL. */
XT_API int xt_schema_alias(xt_client *client, const char *table, const char *key, const char *column,
			   bool *ret_changed);

/* A column whose name is like another's is not that one renamed; other NULL: like any. ret_accepted, which
 * may be NULL: how many pairs are told of no longer. */
XT_API int xt_schema_accept(xt_client *client, const char *table, const char *column, const char *other,
			    uint64_t *ret_accepted);

/* From now on rows with keys that have no column are rejected, as frozen_schema; or no longer. */
XT_API int xt_schema_freeze(xt_client *client, const char *table, bool frozen, bool *ret_changed);

/* From now on rows without a value for one of these columns are rejected, as missing_column; or no longer.
 * Neither they nor the table need be there. ret_changed may be NULL. */
XT_API int xt_schema_require(xt_client *client, const char *table, const char *const *columns,
			     size_t n_columns, bool required, uint64_t *ret_changed);

/* What one call of xt_spool_replay did. */
typedef struct xt_spool_report {
	uint64_t rows;	  /* stored */
	bool more;	  /* there is more: call again */
	uint64_t owned;	  /* files whose process lives and sends them itself */
	uint64_t damaged; /* files that are damaged and were set aside */
} xt_spool_report;

/* Has the daemon take in a piece of what clients left in spool files. It does so by itself too. */
XT_API int xt_spool_replay(xt_client *client, xt_spool_report *ret_report);

/*
 * ---- assets -----------------------------------------------------------
 *
 * Content of any size, such as a model or a raw response, which its hash names: BLAKE2b-256, as 64
 * hexadecimal digits. It is stored once, compressed, however often it is put, and stays as long as a run
 * refers to it. Functions with a callback call it with the client locked: it must not call the library with
 * the same client.
 */

#define XT_HASH_SIZE 65 /* of a hash with its NUL */

/* Options of those that may take long; a zeroed struct, or NULL, has the defaults. */
typedef struct xt_asset_options {
	/* Called now and then; done and total are bytes. False stops: XT_EINTR. */
	bool (*on_progress)(uint64_t done, uint64_t total, void *user);
	void *user; /* handed to it */
} xt_asset_options;

/*
 * Puts an asset, to which the run then refers under `name` (the key, for instance, under which its hash is
 * logged). What the daemon has already is not sent again. ret_hash may be NULL. Waits until it is on disk. A
 * connection that breaks is no failure: the upload is begun anew. XT_OK; XT_EINTR: a signal came; XT_EREQUEST
 * with the codes disk_full, run_deleted, wrong_hash (a file that changed while it was read) and file_error.
 * Nothing is left then, unless it was stored before, or XT_EINTR came while the daemon added the reference,
 * which it does all the same: to put it again does no harm.
 */
XT_API int xt_asset_put(xt_run *run, const char *name, const void *data, size_t size,
			char ret_hash[XT_HASH_SIZE]);

/* The same with the content of a file. */
XT_API int xt_asset_put_file(xt_run *run, const char *name, const char *path, const xt_asset_options *options,
			     char ret_hash[XT_HASH_SIZE]);

/* Has the run refer, under a name, to an asset that is there. XT_EREQUEST with the code no_such_asset. */
XT_API int xt_asset_refer(xt_run *run, const char *name, const char *hash);

/* Reads an asset in pieces. on_data returning false stops it: XT_EINTR. Only XT_OK says that the pieces were
 * what was put; XT_EREQUEST with the code corrupt_asset that they are not, or with no_such_asset. */
XT_API int xt_asset_get(xt_client *client, const char *hash,
			bool (*on_data)(const void *data, size_t size, void *user), void *user);

/* The same into memory, which the caller gives to free(). A NUL stands behind the last byte. */
XT_API int xt_asset_load(xt_client *client, const char *hash, void **ret_data, size_t *ret_size);

/* The same into a file, which appears under its name when it is whole, and on disk; one that is there is
 * replaced. Until then it is `<path>.part`. */
XT_API int xt_asset_export(xt_client *client, const char *hash, const char *path,
			   const xt_asset_options *options);

/*
 * Drops references to an asset: of a run, of a name, or of both; NULL: of all of them. With the last one the
 * asset is deleted. All of several at once need force (XT_EREQUEST with the code asset_in_use). ret_refs_left
 * may be NULL.
 */
XT_API int xt_asset_delete(xt_client *client, const char *hash, const char *track_id, const char *name,
			   bool force, uint64_t *ret_refs_left);

/* What xt_asset_orphans() found. */
typedef struct xt_orphans {
	uint64_t files, bytes; /* of assets that the database does not know */
	char example[4096];    /* path of one of them, or "" */
} xt_orphans;

/* Looks for files of assets without a row: of another database, or put there by hand; and removes them. */
XT_API int xt_asset_orphans(xt_client *client, bool remove, xt_orphans *ret_orphans);

/*
 * ---- copies -----------------------------------------------------------
 */

/* Options of xt_backup; a zeroed struct, or NULL, has the defaults. */
typedef struct xt_backup_options {
	bool compact;		   /* written anew: no free pages, each table in one piece; the same
				    * database gives the same bytes */
	bool replace;		   /* a file that is there is replaced */
	uint64_t bytes_per_second; /* the pace; 0: as fast as it goes. Not with compact */
	/* Called now and then, and when a signal came, with the client locked: it must not call the library
	 * with the same client. done and total are bytes, total an estimate with compact. False stops. */
	bool (*on_progress)(uint64_t done, uint64_t total, void *user);
	void *user; /* handed to it */
} xt_backup_options;

/*
 * Copies the database, as it is now, into one file, while others go on logging: with everything that this
 * client logged before, and consistent. The daemon writes it, as its own user, who must be this one
 * (or this one root). The file appears under its name when it is whole and on disk; until then it is
 * `<path>.part`. A path that is not absolute is taken from the working directory.
 * XT_OK; XT_EINTR: on_progress said so, or there is none and a signal came; XT_ELOST: the connection broke,
 * or the daemon closed the copy, which was open for an hour; XT_EREQUEST, with the code file_error when the
 * file cannot be made. Nothing is left behind then, or `<path>.part` where the daemon was killed, which the
 * next copy takes over.
 */
XT_API int xt_backup(xt_client *client, const char *path, const xt_backup_options *options);

/* Gives the disk back what deleted rows left. Everybody's rows wait meanwhile, none is lost. Sizes in bytes
 * may be NULL. XT_EREQUEST with the codes disk_full (it takes twice the database's size for a while) and busy
 * (an older state is being read, and keeps the file from becoming smaller). */
XT_API int xt_compact(xt_client *client, uint64_t *ret_before, uint64_t *ret_after);

/* Drains and stops the daemon and waits until it has gone. hold: nobody starts it again until `up`. */
XT_API int xt_shutdown(xt_client *client, bool hold);

/* The same although messages wait that cannot be stored now (disk_full, database_locked), for which
 * xt_shutdown is XT_EREQUEST: those of clients that live are sent again, those of others are lost. */
XT_API int xt_shutdown_anyway(xt_client *client, bool hold);

/* Version of the library, "0.1.0". */
XT_API const char *xt_version(void);

#ifdef __cplusplus
}
#endif
#endif
