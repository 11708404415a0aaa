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
		return 0;
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

/* Python's handler only notes a signal; one that comes just before a wait would be seen at its end. */
static bool interrupted(void *user)
{
	(void)user;
	PyGILState_STATE gil = PyGILState_Ensure();
	bool raised = PyErr_CheckSignals() < 0;
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

/* Ends a call that had this status: None, or NULL with an exception. */
static PyObject *leave_with(struct client *c, int status)
{
	if (status < 0 && !PyErr_Occurred())
		client_raise(c, status);
	return client_leave(c) < 0 || status < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- made and closed --------------------------------------------------------- */

static int milliseconds(PyObject *timeout, int none, int *ret)
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
	if (c->xt) {
		PyErr_SetString(PyExc_ValueError, "it is open already");
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
	if (r < 0)
		raise_error(ext_of(self)->error, xt_status_name(r), "", message);
	return client_leave(c) < 0 || r < 0 ? NULL : Py_NewRef(Py_None);
}

static void client_dealloc(PyObject *self)
{
	struct client *c = (struct client *)self;
	PyTypeObject *type = Py_TYPE(self);

	if (c->xt) {
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
	    milliseconds(timeout, XT_FOREVER, &ms) < 0)
		return NULL;
	xt_client *xt = client_enter(c);
	if (!xt)
		return NULL;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_flush(xt, ms);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	return leave_with(c, r);
}

/* ---- runs ------------------------------------------------------------------ */

static PyObject *open_run(PyObject *self, PyObject *args, PyObject *kwargs, bool join)
{
	static char *names[] = {"table", "track_id", "params", "sample_ms", "sample_network", NULL};
	PyObject *table, *track_id, *params;
	int sample_ms = 0, network = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UOO|$ip", names, &table, &track_id, &params,
					 &sample_ms, &network))
		return NULL;
	return run_new((struct client *)self, table, track_id, params, sample_ms, network, join);
}

static PyObject *client_start_run(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return open_run(self, args, kwargs, false);
}

static PyObject *client_join_run(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return open_run(self, args, kwargs, true);
}

/* ---- SQL -------------------------------------------------------------------- */

/* The arguments of a statement; *ret owned by the caller. */
static int take_args(struct values *v, PyObject *args, xt_value **ret, size_t *ret_n)
{
	PyObject *items = PySequence_Tuple(args);

	if (!items)
		return -1;
	size_t n = (size_t)PyTuple_Size(items);
	xt_value *values = calloc(n + 1, sizeof(*values));
	int r = values ? 0 : -1;
	if (!values)
		PyErr_NoMemory();
	for (size_t i = 0; i < n && r == 0; i++)
		r = values_take(v, PyTuple_GetItem(items, (Py_ssize_t)i), &values[i]);
	if (r == 0 && (v->held || (v->held = PyList_New(0))))
		r = PyList_Append(v->held, items); /* what the values borrow from */
	Py_DECREF(items);
	if (r < 0) {
		free(values);
		return -1;
	}
	*ret = values;
	*ret_n = n;
	return 0;
}

/* query: a cursor; else a change. */
static PyObject *run_sql(struct client *c, PyObject *args, PyObject *kwargs, bool query)
{
	static char *names[] = {"sql", "args", "timeout", NULL};
	struct values v = {.convert = c->convert};
	PyObject *sql_args = NULL, *timeout = Py_None, *ret = NULL;
	xt_cursor *cursor = NULL;
	xt_value *values = NULL;
	uint64_t changed = 0;
	const char *sql;
	size_t n = 0;
	int ms, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|OO", names, &sql, &sql_args, &timeout) ||
	    milliseconds(timeout, 0, &ms) < 0 || (sql_args && take_args(&v, sql_args, &values, &n) < 0))
		return NULL;
	xt_client *xt = client_enter(c);
	if (!xt)
		goto out;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = query ? xt_query(&cursor, xt, sql, values, n, ms)
			  : xt_exec(xt, sql, values, n, ms, &changed);
		PyEval_RestoreThread(gil);
	} while (query && r == XT_EINTR && client_signalled() == 0);
	if (r == XT_EINTR && !query && client_signalled() < 0)
		r = XT_EINTR; /* the handler's exception tells more */
	if (r == XT_OK)
		ret = query ? cursor_new(c, cursor) : PyLong_FromUnsignedLongLong(changed);
	else if (!PyErr_Occurred())
		client_raise(c, r);
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
out:
	free(values);
	values_done(&v);
	return ret;
}

static PyObject *client_query(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return run_sql((struct client *)self, args, kwargs, true);
}

static PyObject *client_execute(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return run_sql((struct client *)self, args, kwargs, false);
}

enum listing { TABLES, COLUMNS, STATUS, STATS };

static PyObject *list(struct client *c, enum listing what, const char *table)
{
	xt_cursor *cursor = NULL;
	PyObject *ret = NULL;
	int r;

	xt_client *xt = client_enter(c);
	if (!xt)
		return NULL;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = what == TABLES    ? xt_tables(&cursor, xt)
		    : what == COLUMNS ? xt_columns(&cursor, xt, table)
		    : what == STATUS  ? xt_daemon_status(&cursor, xt)
				      : xt_cache_stats(&cursor, xt);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	if (r == XT_OK)
		ret = cursor_new(c, cursor);
	else if (!PyErr_Occurred())
		client_raise(c, r);
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
	return ret;
}

static PyObject *client_tables(PyObject *self, PyObject *unused)
{
	(void)unused;
	return list((struct client *)self, TABLES, NULL);
}

static PyObject *client_columns(PyObject *self, PyObject *table)
{
	Py_ssize_t n;
	const char *s = PyUnicode_AsUTF8AndSize(table, &n);

	return s ? list((struct client *)self, COLUMNS, s) : NULL;
}

static PyObject *client_status(PyObject *self, PyObject *unused)
{
	(void)unused;
	return list((struct client *)self, STATUS, NULL);
}

static PyObject *client_cache_stats(PyObject *self, PyObject *unused)
{
	(void)unused;
	return list((struct client *)self, STATS, NULL);
}

/* ---- changes ------------------------------------------------------------------ */

static PyObject *client_set(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"key", "value", "table", "track_id", "where_key", "where_value", NULL};
	struct client *c = (struct client *)self;
	struct values v = {.convert = c->convert};
	PyObject *value, *where_value = Py_None, *ret = NULL;
	xt_set_options o = {0};
	const char *key;
	uint64_t changed = 0;
	xt_value to;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sOs|zzO", names, &key, &value, &o.table, &o.track_id,
					 &o.where_key, &where_value))
		return NULL;
	if (values_take(&v, value, &to) == 0 && values_take(&v, where_value, &o.where_value) == 0 &&
	    client_enter(c)) {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_set(c->xt, key, to, &o, &changed);
		PyEval_RestoreThread(gil);
		if (r == XT_OK)
			ret = PyLong_FromUnsignedLongLong(changed);
		else if (r != XT_EINTR || client_signalled() == 0)
			client_raise(c, r);
		if (client_leave(c) < 0)
			Py_CLEAR(ret);
	}
	values_done(&v);
	return ret;
}

static PyObject *client_delete_run(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"track_id", "table", "force", NULL};
	struct client *c = (struct client *)self;
	const char *track_id, *table = NULL;
	uint64_t deleted = 0;
	PyObject *ret = NULL;
	int force = 0, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|zp", names, &track_id, &table, &force) ||
	    !client_enter(c))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_delete_run(c->xt, track_id, table, force, &deleted);
	PyEval_RestoreThread(gil);
	if (r == XT_OK)
		ret = PyLong_FromUnsignedLongLong(deleted);
	else if (r != XT_EINTR || client_signalled() == 0)
		client_raise(c, r);
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
	return ret;
}

static PyObject *client_shutdown(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"hold", NULL};
	struct client *c = (struct client *)self;
	int hold = 0, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p", names, &hold) || !client_enter(c))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_shutdown(c->xt, hold);
	PyEval_RestoreThread(gil);
	return leave_with(c, r);
}

/* ---- assets --------------------------------------------------------------------- */

static PyObject *client_asset_load(PyObject *self, PyObject *hash)
{
	struct client *c = (struct client *)self;
	PyObject *ret = NULL;
	void *data = NULL;
	size_t size = 0;
	Py_ssize_t n;
	int r;

	const char *hex = PyUnicode_AsUTF8AndSize(hash, &n);
	if (!hex || !client_enter(c))
		return NULL;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_asset_load(c->xt, hex, &data, &size);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	if (r == XT_OK)
		ret = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
	else if (!PyErr_Occurred())
		client_raise(c, r);
	free(data);
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
	return ret;
}

static PyObject *client_asset_delete(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"hash", "track_id", "name", "force", NULL};
	struct client *c = (struct client *)self;
	const char *hash, *track_id = NULL, *name = NULL;
	PyObject *ret = NULL;
	uint64_t left = 0;
	int force = 0, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|zzp", names, &hash, &track_id, &name, &force) ||
	    !client_enter(c))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_asset_delete(c->xt, hash, track_id, name, force, &left);
	PyEval_RestoreThread(gil);
	if (r == XT_OK)
		ret = PyLong_FromUnsignedLongLong(left);
	else if (r != XT_EINTR || client_signalled() == 0)
		client_raise(c, r);
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
	return ret;
}

/* ---- cache -------------------------------------------------------------------------- */

static PyObject *client_cache_key(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"function", "args", "params", "version", "round_digits", "convert", NULL};
	struct client *c = (struct client *)self;
	PyObject *call_args, *params = NULL, *digits = Py_None, *convert = Py_None, *copy = NULL, *ret = NULL;
	struct values v = {0};
	struct buf packed = {0};
	xt_call_options o = {0};
	uint8_t key[XT_KEY_BYTES];
	const char *function;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO|OzOO", names, &function, &call_args, &params,
					 &o.version, &digits, &convert))
		return NULL;
	v.convert = convert != Py_None ? convert : c->convert;
	if (digits != Py_None)
		o.round_digits = 1 + (int)PyLong_AsLong(digits);
	if (PyErr_Occurred() || !client_enter(c))
		return NULL;
	if (codec_pack(&packed, call_args, v.convert, XT_MAX_DEPTH) == 0 &&
	    (!params || ((copy = values_copy(params)) && values_fields(&v, copy) == 0))) {
		o.key_args = packed.data;
		o.key_args_bytes = packed.len;
		o.params = v.fields;
		o.n_params = v.n;
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_cache_key(c->xt, function, NULL, 0, &o, key);
		PyEval_RestoreThread(gil);
		ret = r == XT_OK ? PyBytes_FromStringAndSize((const char *)key, sizeof(key))
				 : client_raise(c, r);
	}
	values_done(&v);
	Py_XDECREF(copy);
	buf_done(&packed);
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
	return ret;
}

static PyObject *client_cache_get(PyObject *self, PyObject *key)
{
	struct client *c = (struct client *)self;
	PyObject *ret = NULL;
	xt_cached cached;
	Py_ssize_t n;
	char *p;
	int r;

	if (PyBytes_AsStringAndSize(key, &p, &n) < 0)
		return NULL;
	if (n != XT_KEY_BYTES)
		return PyErr_Format(PyExc_ValueError, "a key has %d bytes, not %zd", XT_KEY_BYTES, n);
	if (!client_enter(c))
		return NULL;
	/* The entry lives until the client's next call, so no other thread's may come between: the GIL stays.
	 * An entry is read from the map; where it cannot be, the daemon answers at once. Nobody waits here.
	 */
	r = xt_cache_get(c->xt, (const uint8_t *)p, &cached);
	if (r == XT_OK)
		ret = cached_new(ext_of(self), &cached);
	else
		ret = r == XT_DONE ? Py_NewRef(Py_None) : client_raise(c, r);
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
	return ret;
}

/* What xt_cache_each() collects, copied: Python is not there. */
struct item {
	xt_cache_item item;
	uint8_t key[XT_KEY_BYTES];
	char *function, *origin;
	uint8_t *parts;
};

struct items {
	struct item *items;
	size_t n, cap;
	bool failed;
};

static bool collect(const xt_cache_item *item, void *data)
{
	struct items *all = data;

	if (all->n == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : 256;
		struct item *more = realloc(all->items, cap * sizeof(*more));
		if (!more) {
			all->failed = true;
			return false;
		}
		all->items = more;
		all->cap = cap;
	}
	struct item *to = &all->items[all->n++];
	*to = (struct item){.item = *item};
	memcpy(to->key, item->key, sizeof(to->key));
	to->function = strdup(item->function ? item->function : "");
	to->origin = strdup(item->origin ? item->origin : "");
	to->parts = item->parts_size ? malloc(item->parts_size) : NULL;
	if (to->parts)
		memcpy(to->parts, item->parts, item->parts_size);
	all->failed = !to->function || !to->origin || (item->parts_size && !to->parts);
	return !all->failed;
}

static void items_done(struct items *all)
{
	for (size_t i = 0; i < all->n; i++) {
		free(all->items[i].function);
		free(all->items[i].origin);
		free(all->items[i].parts);
	}
	free(all->items);
}

static PyObject *item_dict(const struct item *i, bool parts)
{
	PyObject *d = Py_BuildValue(
		"{s:y#,s:s,s:s,s:I,s:L,s:d,s:K,s:K,s:L}", "key", (const char *)i->key,
		(Py_ssize_t)sizeof(i->key), "function", i->function, "origin", i->origin, "uid",
		(unsigned)i->item.uid, "created_us", (long long)i->item.created_us, "function_time",
		i->item.function_time, "size", (unsigned long long)i->item.size, "hits",
		(unsigned long long)i->item.hits, "last_use_us", (long long)i->item.last_use_us);
	if (!d || !parts)
		return d;
	PyObject *p = PyBytes_FromStringAndSize((const char *)i->parts, (Py_ssize_t)i->item.parts_size);
	if (!p || PyDict_SetItemString(d, "parts", p) < 0)
		Py_CLEAR(d);
	Py_XDECREF(p);
	return d;
}

static PyObject *client_cache_items(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"function", "track_id", "prefix", "parts", NULL};
	struct client *c = (struct client *)self;
	xt_cache_filter f = {0};
	struct items all = {0};
	const char *prefix = NULL;
	Py_ssize_t n = 0;
	int parts = 0, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|zzy#p", names, &f.function, &f.track_id, &prefix, &n,
					 &parts) ||
	    !client_enter(c))
		return NULL;
	f.prefix = n ? (const uint8_t *)prefix : NULL;
	f.prefix_size = (size_t)n;
	f.parts = parts;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_cache_each(c->xt, &f, collect, &all);
	PyEval_RestoreThread(gil);
	PyObject *ret = r == XT_OK && !all.failed ? PyList_New(0) : NULL;
	if (r != XT_OK && (r != XT_EINTR || client_signalled() == 0))
		client_raise(c, r);
	else if (all.failed)
		PyErr_NoMemory();
	for (size_t i = 0; ret && i < all.n; i++) {
		PyObject *d = item_dict(&all.items[i], parts);
		if (!d || PyList_Append(ret, d) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(d);
	}
	items_done(&all);
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
	return ret;
}

static PyObject *client_cache_delete(PyObject *self, PyObject *keys)
{
	struct client *c = (struct client *)self;
	uint64_t deleted = 0, bytes = 0;
	PyObject *ret = NULL;
	Py_ssize_t n;
	char *p;
	int r;

	if (PyBytes_AsStringAndSize(keys, &p, &n) < 0 || !client_enter(c))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_cache_delete(c->xt, (const uint8_t *)p, (size_t)n / XT_KEY_BYTES, &deleted, &bytes);
	PyEval_RestoreThread(gil);
	if (r == XT_OK)
		ret = Py_BuildValue("KK", (unsigned long long)deleted, (unsigned long long)bytes);
	else if (r != XT_EINTR || client_signalled() == 0)
		client_raise(c, r);
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
	return ret;
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

#define KEYWORDS(f) (PyCFunction)(void (*)(void)) f, METH_VARARGS | METH_KEYWORDS

static PyMethodDef methods[] = {
	{"flush", KEYWORDS(client_flush), "Waits until all that was logged is on disk."},
	{"close", KEYWORDS(client_close), "Flushes, and says goodbye."},
	{"start_run", KEYWORDS(client_start_run), "Starts a run, or resumes one."},
	{"join_run", KEYWORDS(client_join_run), "A handle on a run that was started elsewhere."},
	{"query", KEYWORDS(client_query), "Asks a reading statement."},
	{"execute", KEYWORDS(client_execute), "Carries out a writing statement; how many rows changed."},
	{"tables", client_tables, METH_NOARGS, "The tables: name, rows, columns, runs."},
	{"columns", client_columns, METH_O, "A table's columns: name, type, key."},
	{"status", client_status, METH_NOARGS, "The daemon's status, one row."},
	{"cache_stats", client_cache_stats, METH_NOARGS, "What the cache holds and does, one row."},
	{"set", KEYWORDS(client_set), "Sets a column over rows; how many changed."},
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
