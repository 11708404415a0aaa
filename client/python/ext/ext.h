/*
 * The extension module xetrackd._xetrackd: libxetrack for Python, by the limited API of 3.11.
 *
 * The GIL is released around every call of the library, so that no thread ever holds it while it waits for a
 * client's mutex; what the library borrows meanwhile hangs on objects that nobody else can reach. Its
 * callbacks therefore never touch Python: they queue what they are told, and the call that brought it
 * delivers it.
 */
#ifndef XT_EXT_H
#define XT_EXT_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>

#include "buf.h"
#include "token.h"
#include "xetrack.h"

/* What the module keeps: its types and exceptions. */
struct ext {
	PyObject *error, *interrupted;
	PyObject *client_type, *run_type, *call_type, *cursor_type, *cached_type;
};

/* The module's, from an object of one of its types, none of which can be subclassed. */
struct ext *ext_of(PyObject *self);

/* ---- client.c ---------------------------------------------------------- */

/* A rejected row, or a warning, on its way to Python. */
struct event {
	struct event *next; /* newest first */
	bool reject;
	uint64_t seq; /* of a rejected row */
	char *code, *message, *field;
};

struct client {
	PyObject_HEAD xt_client *xt;		 /* owned; NULL: closed */
	PyObject *database, *convert, *on_event; /* owned; the callables may be NULL */
	_Atomic(struct event *) events;
	atomic_int busy; /* calls that are in the library now */
	atomic_int deaf; /* finalizers among them, in which no signal handler may raise */
};

/* Raises what `status` stands for, with the client's sentence. Always NULL. */
PyObject *client_raise(struct client *c, int status);

/* The library's client, counted as used until client_leave(); NULL with an exception: it is closed. */
xt_client *client_enter(struct client *c);

/* Delivers what was queued. 0, or -1 with an exception. A call's own exception comes first. */
int client_leave(struct client *c);

/* XT_EINTR: lets Python's signal handlers run. 0: call again; -1: one of them has raised. */
int client_signalled(void);

/* Leaves a call of that status: `ret`, which it takes over, or NULL with an exception. */
PyObject *client_leave_with(struct client *c, int status, PyObject *ret);

/* A timeout in seconds; `none` for None. 0, or -1 with an exception. */
int client_milliseconds(PyObject *timeout, int none, int *ret);

/* ---- sql.c, cache.c: methods of Client --------------------------------- */

PyObject *client_query(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *client_execute(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *client_tables(PyObject *self, PyObject *unused);
PyObject *client_columns(PyObject *self, PyObject *table);
PyObject *client_status(PyObject *self, PyObject *unused);
PyObject *client_cache_stats(PyObject *self, PyObject *unused);
PyObject *client_set(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *client_declare(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *client_delete_run(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *client_shutdown(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *client_asset_load(PyObject *self, PyObject *hash);
PyObject *client_asset_delete(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *client_cache_key(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *client_cache_get(PyObject *self, PyObject *key);
PyObject *client_cache_items(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *client_cache_delete(PyObject *self, PyObject *keys);

/* ---- schema.c ---------------------------------------------------------- */

/* Methods of Client. */
PyObject *schema_py_rename(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *schema_py_alias(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *schema_py_accept(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *schema_py_freeze(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *schema_py_require(PyObject *self, PyObject *args, PyObject *kwargs);

/* ---- codec.c ----------------------------------------------------------- */

/* Appends a value as MessagePack; `convert`, which may be NULL, makes a plain one of what is none. Containers
 * in it nest at most `depth` deep. 0, or -1 with an exception: TypeError, ValueError, what `convert` raises.
 */
int codec_pack(struct buf *out, PyObject *value, PyObject *convert, unsigned depth);

/* The value of some MessagePack. A new reference, or NULL with an exception. */
PyObject *codec_unpack(const void *data, size_t size);

PyObject *codec_py_pack(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *codec_py_unpack(PyObject *module, PyObject *data);
PyObject *codec_py_is_plain(PyObject *module, PyObject *value);
PyObject *codec_py_is_short(PyObject *module, PyObject *value);

/* ---- value.c ----------------------------------------------------------- */

/* Python values as the library's, for the length of a call. Zeroed: empty. */
struct values {
	PyObject *convert; /* borrowed; may be NULL */
	PyObject *held;	   /* owned: list of what values borrow from and nothing else keeps; NULL: nothing */
	xt_field *fields;  /* owned */
	size_t n;	   /* how many */
};

void values_done(struct values *v);

/* One value. 0, or -1 with an exception. */
int values_take(struct values *v, PyObject *o, xt_value *ret);

/* The key of a row as UTF-8, which lives as long as `v`; NULL with an exception. */
const char *values_key(struct values *v, PyObject *key);

/* Adds the items of a dict that nobody else can reach. */
int values_fields(struct values *v, PyObject *dict);

/* Frees the xt_value array's and dict's values. A copy of a mapping as a dict of one's own. */
PyObject *values_copy(PyObject *mapping);

/* A value of the database as a Python object: a new reference, or NULL. */
PyObject *value_to_python(const xt_value *v);

/* ---- run.c, call.c, cursor.c -------------------------------------------- */

struct run {
	PyObject_HEAD struct client *client; /* owned */
	xt_run *xt;			     /* owned; NULL: ended */
	PyObject *table, *track_id;	     /* owned */
	long pid;			     /* of the process that started it … */
	bool started;			     /* … and so ends it; else it was joined */
	int users;			     /* calls in the library, and tracked ones, that need `xt` */
};

/* Now, as rows have it: YYYY-MM-DD HH:MM:SS.ffffff, UTC. */
PyObject *run_py_now(PyObject *module, PyObject *unused);

#define RUN_NOW INT64_MIN /* the time of a run that begins or ends now */

/* APART: joined by who takes no part. */
enum run_how { RUN_START, RUN_JOIN, RUN_APART };

PyObject *run_new(struct client *c, PyObject *table, PyObject *track_id, PyObject *params, int sample_ms,
		  bool network, enum run_how how, int64_t time_us);

/* import_run() of the client. From record.c. */
PyObject *record_py_import(PyObject *self, PyObject *args, PyObject *kwargs);

/* The library's handle, counted as used until run_leave(); NULL with an exception. */
xt_run *run_enter(struct run *run);

/* 0, or -1 with an exception, of which it is told by `status` when it is an error. */
int run_leave(struct run *run, int status);

PyObject *call_new(struct run *run, PyObject *args, PyObject *kwargs);

/* Takes the cursor over. */
PyObject *cursor_new(struct client *c, xt_cursor *cursor);

extern PyType_Spec client_spec, run_spec, call_spec, cursor_spec, cached_spec;

/* An entry of the cache as an object. */
PyObject *cached_new(struct ext *ext, const xt_cached *cached);

#endif
