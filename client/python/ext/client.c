/* xetrackd._xetrackd.Client: a connection to a database's daemon. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ext.h"

/* ---- events -------------------------------------------------------------- */

static void event_free(struct event *e)
{
	free(e->code);
	free(e->message);
	free(e->field);
	free(e);
}

static void queue(struct client *c, bool reject, uint64_t seq, const char *code, const char *message,
		  const char *field)
{
	struct event *e = calloc(1, sizeof(*e));

	if (!e)
		return;
	e->reject = reject;
	e->seq = seq;
	e->code = strdup(code);
	e->message = strdup(message);
	e->field = strdup(field);
	if (!e->code || !e->message || !e->field) {
		event_free(e);
		return;
	}
	e->next = atomic_load(&c->events);
	while (!atomic_compare_exchange_weak(&c->events, &e->next, e))
		continue;
}

static void on_reject(const xt_rejection *r, void *user)
{
	queue(user, true, r->seq, r->code, r->message, r->field);
}

static void on_warning(const char *code, const char *message, void *user)
{
	queue(user, false, 0, code, message, "");
}

static int deliver(struct client *c, struct event *e)
{
	if (!c->on_event)
		return 0;
	PyObject *r = PyObject_CallFunction(c->on_event, "ssssK", e->reject ? "reject" : "warning", e->code,
					    e->message, e->field, (unsigned long long)e->seq);
	Py_XDECREF(r);
	return r ? 0 : -1;
}

/* In the order in which they came. */
static struct event *take_events(struct client *c)
{
	struct event *newest = atomic_exchange(&c->events, NULL), *first = NULL;

	while (newest) {
		struct event *next = newest->next;
		newest->next = first;
		first = newest;
		newest = next;
	}
	return first;
}

int client_leave(struct client *c)
{
	PyObject *type, *value, *trace;
	int r = 0;

	atomic_fetch_sub(&c->busy, 1);
	if (!atomic_load(&c->events))
		return PyErr_Occurred() ? -1 : 0;
	PyErr_Fetch(&type, &value, &trace);
	for (struct event *e = take_events(c), *next; e; e = next) {
		next = e->next;
		if (r == 0)
			r = deliver(c, e);
		event_free(e);
	}
	if (type) {
		PyErr_Clear(); /* the call's own comes first */
		PyErr_Restore(type, value, trace);
		return -1;
	}
	return r;
}

xt_client *client_enter(struct client *c)
{
	if (!c->xt) {
		PyErr_SetString(PyExc_ValueError, "the connection to the database was closed");
		return NULL;
	}
	atomic_fetch_add(&c->busy, 1);
	return c->xt;
}

int client_signalled(void)
{
	return PyErr_Occurred() ? -1 : PyErr_CheckSignals(); /* interrupted() may have run them */
}

/* Python's handler only notes a signal: they are run here. A wait goes on unless one of them raises; else a
 * change would not be known to be made, as nobody waits for its answer any more. */
static bool interrupted(void *user)
{
	struct client *c = user;

	if (atomic_load(&c->deaf) > 0)
		return false;
	PyGILState_STATE gil = PyGILState_Ensure();
	bool raised = client_signalled() < 0; /* also before: by what went on all the same */
	PyGILState_Release(gil);
	return raised;
}

/* ---- errors ---------------------------------------------------------------- */

static PyObject *raise_error(PyObject *type, const char *status, const char *code, const char *message)
{
	PyObject *e = PyObject_CallFunction(
		type, "N", PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace"));
	PyObject *s = PyUnicode_FromString(status), *k = PyUnicode_FromString(code);

	if (e && s && k && PyObject_SetAttrString(e, "status", s) == 0 &&
	    PyObject_SetAttrString(e, "code", k) == 0)
		PyErr_SetObject(type, e);
	Py_XDECREF(e);
	Py_XDECREF(s);
	Py_XDECREF(k);
	return NULL;
}

PyObject *client_raise(struct client *c, int status)
{
	struct ext *ext = ext_of((PyObject *)c);
	char message[1200], code[64];

	/* Another thread's call may be writing it: what is read may be the other's sentence, but it ends. */
	strncpy(message, xt_error(c->xt), sizeof(message) - 1);
	strncpy(code, xt_error_code(c->xt), sizeof(code) - 1);
	message[sizeof(message) - 1] = code[sizeof(code) - 1] = '\0';
	switch (status) {
	case XT_ENOMEM:
		return PyErr_NoMemory();
	case XT_EINVAL:
		return PyErr_Format(PyExc_ValueError, "%s", message);
	case XT_ENODB:
		return PyErr_Format(PyExc_FileNotFoundError, "%s", message);
	case XT_ETIMEOUT:
		return PyErr_Format(PyExc_TimeoutError, "%s", message);
	case XT_EINTR:
		return raise_error(ext->interrupted, "XT_EINTR", "", message);
	default:
		return raise_error(ext->error, xt_status_name(status), code, message);
	}
}

PyObject *client_leave_with(struct client *c, int status, PyObject *ret)
{
	if (status == XT_EINTR && !PyErr_Occurred())
		(void)client_signalled(); /* a handler's exception tells more */
	if (status < 0 && !PyErr_Occurred())
		client_raise(c, status);
	if (client_leave(c) < 0 || status < 0)
		Py_CLEAR(ret);
	return ret;
}

/* ---- made and closed --------------------------------------------------------- */

int client_milliseconds(PyObject *timeout, int none, int *ret)
{
	double seconds;

	if (timeout == Py_None) {
		*ret = none;
		return 0;
	}
	seconds = PyFloat_AsDouble(timeout);
	if (seconds == -1.0 && PyErr_Occurred())
		return -1;
	*ret = seconds <= 0 ? 0 : seconds > INT_MAX / 1000 ? INT_MAX : (int)(seconds * 1000 + 0.999);
	return 0;
}

static PyObject *optional(PyObject *o)
{
	return o && o != Py_None ? Py_NewRef(o) : NULL;
}

static int client_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"database",	"read_only", "autostart", "name",
				"direct_cache", "convert",   "on_event",  NULL};
	struct client *c = (struct client *)self;
	PyObject *database = NULL, *convert = NULL, *on_event = NULL;
	int read_only = 0, autostart = 1, direct_cache = 1, r;
	const char *name = NULL;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U|$ppzpOO", names, &database, &read_only, &autostart,
					 &name, &direct_cache, &convert, &on_event))
		return -1;
	if (c->database) { /* runs and cursors of its former connection would take this one for theirs */
		PyErr_SetString(PyExc_ValueError, "a Client is opened once");
		return -1;
	}
	PyObject *path = PyUnicode_EncodeFSDefault(database);
	if (!path)
		return -1;
	const char *p = PyBytes_AsString(path);
	xt_options o = {.read_only = read_only,
			.no_autostart = !autostart,
			.no_direct_cache = !direct_cache,
			.name = name,
			.on_reject = on_reject,
			.on_warning = on_warning,
			.interrupted = interrupted,
			.user = c};
	c->database = Py_NewRef(database);
	c->convert = optional(convert);
	c->on_event = optional(on_event);
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_open(&c->xt, p, &o);
		PyEval_RestoreThread(gil);
		if (r == XT_EINTR && client_signalled() == 0) {
			xt_close(c->xt);
			c->xt = NULL;
			continue;
		}
	} while (r == XT_EINTR && !PyErr_Occurred());
	Py_DECREF(path);
	if (r != XT_OK && !PyErr_Occurred()) {
		if (c->xt)
			client_raise(c, r);
		else
			PyErr_NoMemory();
	}
	if (r == XT_OK)
		return 0;
	PyThreadState *gil = PyEval_SaveThread();
	xt_close(c->xt);
	PyEval_RestoreThread(gil);
	c->xt = NULL;
	return -1;
}

static PyObject *client_close(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"failed", NULL};
	struct client *c = (struct client *)self;
	char message[1200] = "";
	int failed = 0, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p", names, &failed))
		return NULL;
	if (!c->xt)
		return Py_NewRef(Py_None);
	if (atomic_load(&c->busy) > 0) {
		PyErr_SetString(PyExc_RuntimeError,
				"another thread uses the connection that is to be closed");
		return NULL;
	}
	xt_client *xt = c->xt;
	c->xt = NULL;
	atomic_fetch_add(&c->busy, 1);
	PyThreadState *gil = PyEval_SaveThread();
	r = failed ? xt_close_failed(xt) : xt_close_message(xt, message, sizeof(message));
	PyEval_RestoreThread(gil);
	if (r < 0 && !PyErr_Occurred())
		raise_error(ext_of(self)->error, xt_status_name(r), "", message);
	return client_leave(c) < 0 || r < 0 ? NULL : Py_NewRef(Py_None);
}

static void client_dealloc(PyObject *self)
{
	struct client *c = (struct client *)self;
	PyTypeObject *type = Py_TYPE(self);

	if (c->xt) {
		atomic_fetch_add(&c->deaf, 1);
		PyThreadState *gil = PyEval_SaveThread();
		xt_close(c->xt);
		PyEval_RestoreThread(gil);
	}
	for (struct event *e = take_events(c), *next; e; e = next) {
		next = e->next;
		event_free(e);
	}
	Py_XDECREF(c->database);
	Py_XDECREF(c->convert);
	Py_XDECREF(c->on_event);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static PyObject *client_flush(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"timeout", NULL};
	struct client *c = (struct client *)self;
	PyObject *timeout = Py_None;
	int ms, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", names, &timeout) ||
	    client_milliseconds(timeout, XT_FOREVER, &ms) < 0)
		return NULL;
	xt_client *xt = client_enter(c);
	if (!xt)
		return NULL;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_flush(xt, ms);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	return client_leave_with(c, r, Py_NewRef(Py_None));
}

/* ---- runs ------------------------------------------------------------------ */

static PyObject *open_run(PyObject *self, PyObject *args, PyObject *kwargs, bool join)
{
	static char *names[] = {"table",	  "track_id", "params", "sample_ms",
				"sample_network", "time_us",  "apart",	NULL};
	PyObject *table, *track_id, *params;
	long long time_us = RUN_NOW;
	int sample_ms = 0, network = 0, apart = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UOO|$ipLp", names, &table, &track_id, &params,
					 &sample_ms, &network, &time_us, &apart))
		return NULL;
	enum run_how how = !join ? RUN_START : apart ? RUN_APART : RUN_JOIN;
	return run_new((struct client *)self, table, track_id, params, sample_ms, network, how, time_us);
}

static PyObject *client_start_run(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return open_run(self, args, kwargs, false);
}

static PyObject *client_join_run(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return open_run(self, args, kwargs, true);
}

/* ---- the type ------------------------------------------------------------------------ */

static PyObject *get_database(PyObject *self, void *unused)
{
	(void)unused;
	return Py_NewRef(((struct client *)self)->database ? ((struct client *)self)->database : Py_None);
}

static PyObject *get_closed(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(!((struct client *)self)->xt);
}

static PyObject *get_pending(PyObject *self, void *unused)
{
	struct client *c = (struct client *)self;
	bool pending;

	(void)unused;
	if (!c->xt)
		return Py_NewRef(Py_False);
	xt_client *xt = client_enter(c);
	PyThreadState *gil = PyEval_SaveThread();
	pending = xt_acked_seq(xt) < xt_last_seq(xt);
	PyEval_RestoreThread(gil);
	return client_leave(c) < 0 ? NULL : PyBool_FromLong(pending);
}

#define KEYWORDS(f) (PyCFunction)(void (*)(void)) f, METH_VARARGS | METH_KEYWORDS

static PyMethodDef methods[] = {
	{"flush", KEYWORDS(client_flush), "Waits until all that was logged is on disk."},
	{"close", KEYWORDS(client_close), "Flushes, and says goodbye."},
	{"start_run", KEYWORDS(client_start_run), "Starts a run, or resumes one."},
	{"join_run", KEYWORDS(client_join_run), "A handle on a run that was started elsewhere."},
	{"import_run", KEYWORDS(record_py_import), "Takes over a run's record; whether it was not known."},
	{"query", KEYWORDS(client_query), "Asks a reading statement."},
	{"execute", KEYWORDS(client_execute), "Carries out a writing statement; how many rows changed."},
	{"tables", client_tables, METH_NOARGS, "The tables: name, rows, columns, runs."},
	{"columns", client_columns, METH_O, "A table's columns: name, type, key."},
	{"status", client_status, METH_NOARGS, "The daemon's status, one row."},
	{"cache_stats", client_cache_stats, METH_NOARGS, "What the cache holds and does, one row."},
	{"set", KEYWORDS(client_set), "Sets a column over rows; how many changed."},
	{"declare", KEYWORDS(client_declare), "Adds a column, or widens it, so that it can hold a value."},
	{"schema_rename", KEYWORDS(schema_py_rename),
	 "Renames a column; its name, whether two became one, rows that moved."},
	{"schema_alias", KEYWORDS(schema_py_alias), "Has a key lead to a column; whether that is new."},
	{"schema_accept", KEYWORDS(schema_py_accept), "A column is not another one renamed; how many pairs."},
	{"schema_freeze", KEYWORDS(schema_py_freeze), "Lets no new columns in; whether that is new."},
	{"schema_require", KEYWORDS(schema_py_require), "Columns that each row must have; how many are new."},
	{"delete_run", KEYWORDS(client_delete_run), "Deletes a run; how many rows."},
	{"shutdown", KEYWORDS(client_shutdown), "Drains and stops the daemon."},
	{"asset_load", client_asset_load, METH_O, "The content of an asset."},
	{"asset_delete", KEYWORDS(client_asset_delete), "Drops references to an asset; how many are left."},
	{"cache_key", KEYWORDS(client_cache_key), "The key of a call."},
	{"cache_get", client_cache_get, METH_O, "The entry of a key, or None."},
	{"cache_items", KEYWORDS(client_cache_items), "All entries, without values."},
	{"cache_delete", client_cache_delete, METH_O, "Deletes entries; how many, and their bytes."},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef members[] = {
	{"database", get_database, NULL, "path, as given", NULL},
	{"closed", get_closed, NULL, "whether close() was called", NULL},
	{"pending", get_pending, NULL, "whether something is not acknowledged yet", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_doc, "A connection to one database's daemon, which is started when there is none."},
	{Py_tp_init, client_init},
	{Py_tp_new, PyType_GenericNew},
	{Py_tp_dealloc, client_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_getset, members},
	{0, NULL},
};

PyType_Spec client_spec = {
	.name = "xetrackd._xetrackd.Client",
	.basicsize = sizeof(struct client),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};
