/* xetrackd._xetrackd.Run: a handle on a run, and the rows that it logs. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ext.h"

#define BATCH_ROWS 10000 /* rows of log_rows() that are made values at a time */

/* ---- made and ended ---------------------------------------------------- */

PyObject *run_new(struct client *c, PyObject *table, PyObject *track_id, PyObject *params, int sample_ms,
		  bool network, enum run_how how, int64_t time_us)
{
	bool join = how != RUN_START;
	struct ext *ext = ext_of((PyObject *)c);
	struct values v = {.convert = c->convert};
	PyObject *copy = values_copy(params), *ret = NULL;
	xt_run *xt = NULL;
	Py_ssize_t n;
	int status = XT_OK;

	const char *id = track_id == Py_None ? NULL : PyUnicode_AsUTF8AndSize(track_id, &n);
	const char *name = PyUnicode_AsUTF8AndSize(table, &n);
	if (!copy || !name || (!id && track_id != Py_None) || values_fields(&v, copy) < 0)
		goto out;
	xt_run_options o = {.table = name,
			    .track_id = id,
			    .params = v.fields,
			    .n_params = v.n,
			    .sample_ms = sample_ms,
			    .sample_network = network,
			    .apart = how == RUN_APART};
	if (!client_enter(c))
		goto out;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		status = join		      ? xt_run_join(&xt, c->xt, id, &o)
			 : time_us == RUN_NOW ? xt_run_start(&xt, c->xt, &o)
					      : xt_run_start_at(&xt, c->xt, &o, time_us);
		PyEval_RestoreThread(gil);
	} while (join && status == XT_EINTR && client_signalled() == 0);
	if (status == XT_OK) {
		allocfunc alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)ext->run_type, Py_tp_alloc);
		struct run *run = (struct run *)alloc((PyTypeObject *)ext->run_type, 0);
		if (run) {
			run->client = (struct client *)Py_NewRef((PyObject *)c);
			run->xt = xt;
			run->table = Py_NewRef(table);
			run->track_id = PyUnicode_FromString(xt_run_id(xt));
			run->pid = (long)getpid();
			run->started = !join;
			ret = (PyObject *)run;
		} else {
			xt_run_free(xt);
		}
	} else if (status != XT_EINTR || (!PyErr_Occurred() && client_signalled() == 0)) {
		client_raise(c, status);
	}
	if (client_leave(c) < 0)
		Py_CLEAR(ret);
out:
	values_done(&v);
	Py_XDECREF(copy);
	return ret;
}

xt_run *run_enter(struct run *run)
{
	if (!client_enter(run->client))
		return NULL;
	if (run->xt) {
		run->users++;
		return run->xt;
	}
	PyErr_SetString(PyExc_ValueError, "the run was ended");
	(void)client_leave(run->client);
	return NULL;
}

int run_leave(struct run *run, int status)
{
	run->users--;
	if (status < 0 && !PyErr_Occurred())
		client_raise(run->client, status);
	return client_leave(run->client) < 0 || status < 0 ? -1 : 0;
}

/* Takes the handle out, to be freed; NULL with an exception: others use it. */
static xt_run *take(struct run *run)
{
	xt_run *xt = run->xt;

	if (run->users > 1) {
		PyErr_SetString(PyExc_RuntimeError,
				"a call of the run has not ended, or another thread uses it");
		return NULL;
	}
	run->xt = NULL;
	return xt;
}

static PyObject *run_finish(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"failed", "time_us", NULL};
	struct run *run = (struct run *)self;
	long long time_us = RUN_NOW;
	int failed = 0, r = XT_OK;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p$L", names, &failed, &time_us) || !run_enter(run))
		return NULL;
	xt_run *xt = take(run);
	if (xt) {
		PyThreadState *gil = PyEval_SaveThread();
		enum xt_run_status how = failed ? XT_FAILED : XT_FINISHED;
		r = time_us == RUN_NOW ? xt_run_finish(xt, how) : xt_run_finish_at(xt, how, time_us);
		PyEval_RestoreThread(gil);
	}
	if (r == XT_EINTR)
		(void)client_signalled(); /* a handler's exception tells more */
	return run_leave(run, r) < 0 || !xt ? NULL : Py_NewRef(Py_None);
}

static PyObject *run_release(PyObject *self, PyObject *unused)
{
	struct run *run = (struct run *)self;

	(void)unused;
	if (!run->xt || !run->client->xt)
		return Py_NewRef(Py_None);
	if (!run_enter(run))
		return NULL;
	xt_run *xt = take(run);
	if (xt) {
		PyThreadState *gil = PyEval_SaveThread();
		xt_run_free(xt);
		PyEval_RestoreThread(gil);
	}
	return run_leave(run, XT_OK) < 0 || !xt ? NULL : Py_NewRef(Py_None);
}

/* What nobody refers to any more has ended; but a client that was closed has freed its runs. */
static void run_dealloc(PyObject *self)
{
	struct run *run = (struct run *)self;
	PyTypeObject *type = Py_TYPE(self);

	if (run->xt && run->client->xt) {
		xt_run *xt = run->xt;
		bool ours = run->started && run->pid == (long)getpid();
		atomic_fetch_add(&run->client->deaf, 1);
		PyThreadState *gil = PyEval_SaveThread();
		if (!ours)
			xt_run_free(xt);
		else
			(void)!xt_run_end(xt, XT_FINISHED);
		PyEval_RestoreThread(gil);
		atomic_fetch_sub(&run->client->deaf, 1);
	}
	Py_XDECREF((PyObject *)run->client);
	Py_XDECREF(run->table);
	Py_XDECREF(run->track_id);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

/* ---- one row -------------------------------------------------------------- */

/* YYYY-MM-DD HH:MM:SS.ffffff, UTC. */
static PyObject *stamp(int64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	char text[64];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	size_t n = strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	long micros = (long)(us % 1000000);
	text[n] = '.';
	for (size_t i = 6; i > 0; i--, micros /= 10)
		text[n + i] = (char)('0' + micros % 10);
	return PyUnicode_FromStringAndSize(text, (Py_ssize_t)n + 7);
}

/* The row as it is given back: params, data over them, timestamp, track_id. */
static PyObject *whole_row(struct run *run, PyObject *params, PyObject *data, int64_t us)
{
	PyObject *row = values_copy(params), *time = stamp(us);

	if (!row || !time || PyDict_Update(row, data) < 0 ||
	    PyDict_SetItemString(row, "timestamp", time) < 0 ||
	    PyDict_SetItemString(row, "track_id", run->track_id) < 0)
		Py_CLEAR(row);
	Py_XDECREF(time);
	return row;
}

static int64_t wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

PyObject *run_py_now(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return stamp(wall_us());
}

static int log_fields(struct run *run, const xt_field *fields, size_t n, int64_t us)
{
	int r;

	if (!run_enter(run))
		return -1;
	xt_run *xt = run->xt;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_log_fields_at(xt, fields, n, us);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	return run_leave(run, r);
}

static PyObject *run_log(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
	struct run *run = (struct run *)self;
	struct values v = {.convert = run->client->convert};
	PyObject *row = NULL;

	if (n_args != 2)
		return PyErr_Format(PyExc_TypeError, "log() takes data and params");
	PyObject *data = values_copy(args[0]);
	int64_t us = wall_us();
	if (data && values_fields(&v, data) == 0)
		row = whole_row(run, args[1], data, us);
	if (row && log_fields(run, v.fields, v.n, us) < 0)
		Py_CLEAR(row);
	values_done(&v);
	Py_XDECREF(data);
	return row;
}

/* ---- many rows ------------------------------------------------------------- */

/* Rows under way: as dicts of our own, and their columns. */
struct batch {
	struct run *run;
	PyObject *rows;	   /* owned: list of dicts that nobody else can reach */
	PyObject *params;  /* borrowed */
	PyObject *columns; /* owned: dict from key to its place */
	PyObject *keys;	   /* owned: list of them */
	size_t n;	   /* rows */
	struct values v;
	const char **names; /* owned */
	xt_value *values;   /* owned: rows × columns */
};

static void batch_done(struct batch *b)
{
	values_done(&b->v);
	free(b->names);
	free(b->values);
	Py_XDECREF(b->rows);
	Py_XDECREF(b->columns);
	Py_XDECREF(b->keys);
}

/* The place of a key's column; a new one comes last. -1 with an exception. */
static Py_ssize_t column_of(struct batch *b, PyObject *key)
{
	PyObject *place = PyDict_GetItemWithError(b->columns, key);

	if (place)
		return PyLong_AsSsize_t(place);
	Py_ssize_t n = PyList_Size(b->keys);
	if (PyErr_Occurred() || !(place = PyLong_FromSsize_t(n)))
		return -1;
	int r = PyDict_SetItem(b->columns, key, place);
	Py_DECREF(place);
	return r < 0 || PyList_Append(b->keys, key) < 0 ? -1 : n;
}

/* Copies the rows and finds the columns. */
static int take_rows(struct batch *b, PyObject *items, Py_ssize_t from, Py_ssize_t to)
{
	PyObject *key, *value;

	for (Py_ssize_t i = from; i < to; i++) {
		PyObject *row = values_copy(PyTuple_GetItem(items, i));
		Py_ssize_t at = 0, place = 0;
		if (!row || PyList_Append(b->rows, row) < 0) {
			Py_XDECREF(row);
			return -1;
		}
		Py_DECREF(row);
		while (PyDict_Next(row, &at, &key, &value)) {
			if (place < PyList_Size(b->keys) && PyList_GetItem(b->keys, place) == key) {
				place++; /* in the order of the rows before */
				continue;
			}
			place = column_of(b, key);
			if (place++ < 0)
				return -1;
		}
	}
	b->n = (size_t)(to - from);
	return 0;
}

/* What a row says nothing of is the run's parameter, or NULL. */
static int take_absent(struct batch *b, xt_value *values, size_t n_columns)
{
	for (size_t i = 0; i < n_columns; i++) {
		if (values[i].type != XT_T_RAW || values[i].as.raw)
			continue;
		PyObject *param = PyDict_GetItemWithError(b->params, PyList_GetItem(b->keys, (Py_ssize_t)i));
		if (PyErr_Occurred() || (param && values_take(&b->v, param, &values[i]) < 0))
			return -1;
		if (!param)
			values[i] = xt_null();
	}
	return 0;
}

static int take_values(struct batch *b)
{
	size_t n_columns = (size_t)PyList_Size(b->keys);
	PyObject *key, *value;

	b->names = calloc(n_columns + 1, sizeof(*b->names));
	b->values = calloc(b->n * n_columns + 1, sizeof(*b->values));
	if (!b->names || !b->values) {
		PyErr_NoMemory();
		return -1;
	}
	for (size_t i = 0; i < n_columns; i++)
		if (!(b->names[i] = values_key(&b->v, PyList_GetItem(b->keys, (Py_ssize_t)i))))
			return -1;
	for (size_t r = 0; r < b->n; r++) {
		PyObject *row = PyList_GetItem(b->rows, (Py_ssize_t)r);
		xt_value *values = b->values + r * n_columns;
		Py_ssize_t at = 0, place = 0;
		if ((size_t)PyDict_Size(row) < n_columns)
			for (size_t i = 0; i < n_columns; i++)
				values[i] = xt_raw(NULL, 0); /* absent */
		while (PyDict_Next(row, &at, &key, &value)) {
			if (place >= (Py_ssize_t)n_columns || PyList_GetItem(b->keys, place) != key)
				place = column_of(b, key);
			if (place < 0 || values_take(&b->v, value, &values[place]) < 0)
				return -1;
			place++;
		}
		if ((size_t)PyDict_Size(row) < n_columns && take_absent(b, values, n_columns) < 0)
			return -1;
	}
	return 0;
}

static int log_batch(struct batch *b)
{
	size_t n_columns = (size_t)PyList_Size(b->keys), at = 0;
	int r;

	if (!run_enter(b->run))
		return -1;
	xt_run *xt = b->run->xt;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_log_rows_from(xt, b->names, n_columns, b->values, b->n, &at);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	return run_leave(b->run, r);
}

static int log_piece(struct run *run, PyObject *items, Py_ssize_t from, Py_ssize_t to, PyObject *params)
{
	struct batch b = {.run = run, .params = params, .v = {.convert = run->client->convert}};

	b.rows = PyList_New(0);
	b.columns = PyDict_New();
	b.keys = PyList_New(0);
	int r = b.rows && b.columns && b.keys ? 0 : -1;
	if (r == 0)
		r = take_rows(&b, items, from, to);
	if (r == 0)
		r = take_values(&b);
	if (r == 0 && PyList_Size(b.keys) == 0) { /* rows of parameters alone */
		for (size_t i = 0; i < b.n && r == 0; i++)
			r = log_fields(run, NULL, 0, wall_us());
	} else if (r == 0) {
		r = log_batch(&b);
	}
	batch_done(&b);
	return r;
}

static PyObject *run_log_rows(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
	struct run *run = (struct run *)self;
	PyObject *row = NULL;

	if (n_args != 2)
		return PyErr_Format(PyExc_TypeError, "log_rows() takes rows and params");
	PyObject *items = PySequence_Tuple(args[0]), *params = values_copy(args[1]);
	Py_ssize_t n = items ? PyTuple_Size(items) : 0;
	int r = items && params ? 0 : -1;
	for (Py_ssize_t at = 0; at < n && r == 0; at += BATCH_ROWS)
		r = log_piece(run, items, at, at + BATCH_ROWS < n ? at + BATCH_ROWS : n, params);
	if (r == 0)
		row = n ? whole_row(run, params, PyTuple_GetItem(items, n - 1), wall_us()) : PyDict_New();
	Py_XDECREF(items);
	Py_XDECREF(params);
	return row;
}

/* ---- assets ------------------------------------------------------------------ */

static PyObject *run_asset_put(PyObject *self, PyObject *args)
{
	struct run *run = (struct run *)self;
	char hash[XT_HASH_SIZE];
	const char *name, *data;
	Py_ssize_t n;
	int r;

	if (!PyArg_ParseTuple(args, "sy#", &name, &data, &n) || !run_enter(run))
		return NULL;
	xt_run *xt = run->xt;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_asset_put(xt, name, data, (size_t)n, hash);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	PyObject *ret = r == XT_OK ? PyUnicode_FromString(hash) : NULL;
	if (run_leave(run, r) < 0)
		Py_CLEAR(ret);
	return ret;
}

static PyObject *run_asset_refer(PyObject *self, PyObject *args)
{
	struct run *run = (struct run *)self;
	const char *name, *hash;
	int r;

	if (!PyArg_ParseTuple(args, "ss", &name, &hash) || !run_enter(run))
		return NULL;
	xt_run *xt = run->xt;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_asset_refer(xt, name, hash);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	return run_leave(run, r) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *run_begin(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return call_new((struct run *)self, args, kwargs);
}

/* ---- the type ------------------------------------------------------------------ */

static PyObject *get_track_id(PyObject *self, void *unused)
{
	(void)unused;
	return Py_NewRef(((struct run *)self)->track_id);
}

static PyObject *get_table(PyObject *self, void *unused)
{
	(void)unused;
	return Py_NewRef(((struct run *)self)->table);
}

#define KEYWORDS(f) (PyCFunction)(void (*)(void)) f, METH_VARARGS | METH_KEYWORDS
#define FAST(f)	    (PyCFunction)(void (*)(void)) f, METH_FASTCALL

static PyMethodDef methods[] = {
	{"log", FAST(run_log), "Logs one row and does not wait; the row."},
	{"log_rows", FAST(run_log_rows), "Logs rows; the last one."},
	{"begin", KEYWORDS(run_begin), "Begins a call."},
	{"finish", KEYWORDS(run_finish), "Ends the run and waits for the daemon's answer."},
	{"release", run_release, METH_NOARGS, "Frees the handle; the run goes on."},
	{"asset_put", run_asset_put, METH_VARARGS,
	 "Stores content, and has the run refer to it by a name; its hash."},
	{"asset_refer", run_asset_refer, METH_VARARGS, "Has the run refer to what is there."},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef members[] = {
	{"track_id", get_track_id, NULL, "name of the run", NULL},
	{"table", get_table, NULL, "table of its rows", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_doc, "A handle on a run."},
	{Py_tp_dealloc, run_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_getset, members},
	{0, NULL},
};

PyType_Spec run_spec = {
	.name = "xetrackd._xetrackd.Run",
	.basicsize = sizeof(struct run),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = slots,
};
