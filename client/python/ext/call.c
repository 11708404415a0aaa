/* xetrackd._xetrackd.Call: one execution of a function; and Cached, an entry of the cache. */
#include <limits.h>
#include <string.h>

#include "ext.h"

struct call {
	PyObject_HEAD struct run *run; /* owned */
	xt_call *xt;		       /* owned; NULL: ended */
	bool hit;
};

static PyObject *new_object(PyObject *type)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)type, Py_tp_alloc);

	return alloc((PyTypeObject *)type, 0);
}

/* ---- begin -------------------------------------------------------------- */

/* What run.begin() was given, as far as it has to live as long as that. */
struct beginning {
	struct values columns, params;
	PyObject *columns_dict, *params_dict; /* owned */
	struct buf key_args;
	xt_call_options o;
};

static void beginning_done(struct beginning *b)
{
	values_done(&b->columns);
	values_done(&b->params);
	Py_XDECREF(b->columns_dict);
	Py_XDECREF(b->params_dict);
	buf_done(&b->key_args);
}

static int take_dict(struct values *v, PyObject *mapping, PyObject **ret_dict, const xt_field **ret,
		     size_t *ret_n)
{
	static const xt_field none;

	*ret_dict = values_copy(mapping);
	if (!*ret_dict || values_fields(v, *ret_dict) < 0)
		return -1;
	*ret = v->n ? v->fields : &none;
	*ret_n = v->n;
	return 0;
}

static int take_wait(PyObject *wait, int *ret)
{
	double seconds;

	if (wait == Py_None)
		return 0; /* for ever */
	seconds = PyFloat_AsDouble(wait);
	if (seconds == -1.0 && PyErr_Occurred())
		return -1;
	*ret = seconds <= 0 ? -1 : seconds > INT_MAX / 1000 ? INT_MAX : (int)(seconds * 1000 + 0.999);
	return 0;
}

PyObject *call_new(struct run *run, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"function",	"shown_name", "columns", "key_args",  "key_convert",
				"params",	"version",    "force",	 "read_only", "wait",
				"round_digits", "apart",      "trust",	 NULL};
	PyObject *columns, *key_args = Py_None, *convert = Py_None, *params = Py_None, *wait = Py_None;
	PyObject *digits = Py_None;
	int force = 0, read_only = 0, apart = 0, trust = 0, r = XT_OK;
	struct client *c = run->client;
	struct beginning b = {.columns = {.convert = c->convert}, .params = {.convert = c->convert}};
	const char *function;
	xt_call *xt = NULL;
	struct call *call = NULL;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "szO|$OOOzppOOpp", names, &function, &b.o.name,
					 &columns, &key_args, &convert, &params, &b.o.version, &force,
					 &read_only, &wait, &digits, &apart, &trust))
		return NULL;
	b.o.cache = key_args != Py_None;
	b.o.force = force;
	b.o.read_only = read_only;
	b.o.apart = apart;
	b.o.trust = trust;
	if (digits != Py_None)
		b.o.round_digits = 1 + (int)PyLong_AsLong(digits);
	if (PyErr_Occurred() || take_wait(wait, &b.o.wait_ms) < 0 ||
	    take_dict(&b.columns, columns, &b.columns_dict, &b.o.columns, &b.o.n_columns) < 0 ||
	    (params != Py_None &&
	     take_dict(&b.params, params, &b.params_dict, &b.o.params, &b.o.n_params) < 0) ||
	    (b.o.cache &&
	     codec_pack(&b.key_args, key_args, convert == Py_None ? NULL : convert, XT_MAX_DEPTH) < 0))
		goto out;
	b.o.key_args = b.o.cache ? b.key_args.data : NULL;
	b.o.key_args_bytes = b.key_args.len;
	if (!(call = (struct call *)new_object(ext_of((PyObject *)run)->call_type)))
		goto out;
	call->run = (struct run *)Py_NewRef((PyObject *)run);
	if (!run_enter(run)) {
		Py_CLEAR(call);
		goto out;
	}
	do {
		xt_run *handle = run->xt;
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_call_begin(&xt, handle, function, NULL, 0, &b.o);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	call->xt = xt;
	call->hit = r == XT_HIT;
	run->users += xt != NULL; /* until it ends */
	if (run_leave(run, r) < 0)
		Py_CLEAR(call);
out:
	beginning_done(&b);
	return (PyObject *)call;
}

/* ---- results --------------------------------------------------------------- */

static xt_call *enter(struct call *call)
{
	if (!call->xt) {
		PyErr_SetString(PyExc_ValueError, "the call has ended");
		return NULL;
	}
	return run_enter(call->run) ? call->xt : NULL;
}

static PyObject *leave(struct call *call, int r)
{
	return run_leave(call->run, r) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *call_result(PyObject *self, PyObject *args)
{
	struct call *call = (struct call *)self;
	struct values v = {.convert = call->run->client->convert};
	const char *value = NULL, *encoding = "";
	PyObject *fields, *copy = NULL, *ret = NULL;
	Py_ssize_t n = 0;

	if (!PyArg_ParseTuple(args, "O|z#s", &fields, &value, &n, &encoding))
		return NULL;
	if ((copy = values_copy(fields)) && values_fields(&v, copy) == 0 && enter(call)) {
		PyThreadState *gil = PyEval_SaveThread();
		int r = xt_call_result_fields(call->xt, v.fields, v.n);
		if (r == XT_OK && value)
			r = xt_call_keep(call->xt, value, (size_t)n, encoding);
		PyEval_RestoreThread(gil);
		ret = leave(call, r);
	}
	values_done(&v);
	Py_XDECREF(copy);
	return ret;
}

static PyObject *call_forgo(PyObject *self, PyObject *unused)
{
	struct call *call = (struct call *)self;

	int r;

	(void)unused;
	if (!enter(call))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_call_keep(call->xt, NULL, 0, NULL);
	PyEval_RestoreThread(gil);
	return leave(call, r);
}

static PyObject *call_fail(PyObject *self, PyObject *args)
{
	struct call *call = (struct call *)self;
	const char *type, *error;

	if (!PyArg_ParseTuple(args, "ss", &type, &error) || !enter(call))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	xt_call_fail(call->xt, type, error);
	PyEval_RestoreThread(gil);
	return leave(call, XT_OK);
}

/* Its time is taken before the row is on its way, as the library does. */
static PyObject *call_end(PyObject *self, PyObject *unused)
{
	struct call *call = (struct call *)self;
	int r;

	(void)unused;
	if (!enter(call))
		return NULL;
	double seconds = xt_call_seconds(call->xt);
	xt_call *xt = call->xt;
	call->xt = NULL;
	call->run->users--;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_call_end(xt);
	PyEval_RestoreThread(gil);
	PyObject *done = leave(call, r);
	if (!done)
		return NULL;
	Py_DECREF(done);
	return PyFloat_FromDouble(seconds);
}

static void call_dealloc(PyObject *self)
{
	struct call *call = (struct call *)self;
	PyTypeObject *type = Py_TYPE(self);

	if (call->xt && call->run->xt && call->run->client->xt) {
		call->run->users--;
		atomic_fetch_add(&call->run->client->deaf, 1);
		PyThreadState *gil = PyEval_SaveThread();
		xt_call_free(call->xt);
		PyEval_RestoreThread(gil);
		atomic_fetch_sub(&call->run->client->deaf, 1);
	}
	Py_XDECREF((PyObject *)call->run);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

/* ---- what a hit has ----------------------------------------------------------- */

static PyObject *get_hit(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct call *)self)->hit);
}

static PyObject *get_kept(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(xt_call_kept(((struct call *)self)->xt));
}

static PyObject *get_value(PyObject *self, void *unused)
{
	xt_cached cached;

	(void)unused;
	if (xt_call_cached(((struct call *)self)->xt, &cached) != XT_OK)
		return Py_NewRef(Py_None);
	return PyBytes_FromStringAndSize(cached.value, (Py_ssize_t)cached.size);
}

static PyObject *get_encoding(PyObject *self, void *unused)
{
	xt_cached cached;

	(void)unused;
	if (xt_call_cached(((struct call *)self)->xt, &cached) != XT_OK)
		return PyUnicode_FromString("");
	return PyUnicode_FromString(cached.encoding);
}

static PyObject *get_origin(PyObject *self, void *unused)
{
	xt_cached cached;

	(void)unused;
	if (xt_call_cached(((struct call *)self)->xt, &cached) != XT_OK)
		return PyUnicode_FromString("");
	return PyUnicode_FromString(cached.origin);
}

static PyMethodDef call_methods[] = {
	{"result", call_result, METH_VARARGS, "Gives the columns of the result, and what the cache keeps."},
	{"forgo", call_forgo, METH_NOARGS, "The result will not be kept."},
	{"fail", call_fail, METH_VARARGS, "The function failed: type, text."},
	{"end", call_end, METH_NOARGS, "Logs the row; the seconds that the function took."},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef call_members[] = {
	{"hit", get_hit, NULL, "the result came from the cache, and its row is logged", NULL},
	{"kept", get_kept, NULL, "a result given now will be cached", NULL},
	{"value", get_value, NULL, "of a hit: what was kept", NULL},
	{"encoding", get_encoding, NULL, "of it", NULL},
	{"origin", get_origin, NULL, "of a hit: track_id of the run that computed it", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot call_slots[] = {
	{Py_tp_doc, "One execution of a function, or its result from the cache."},
	{Py_tp_dealloc, call_dealloc},
	{Py_tp_methods, call_methods},
	{Py_tp_getset, call_members},
	{0, NULL},
};

PyType_Spec call_spec = {
	.name = "xetrackd._xetrackd.Call",
	.basicsize = sizeof(struct call),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = call_slots,
};

/* ---- Cached ---------------------------------------------------------------------- */

struct cached {
	PyObject_HEAD PyObject *value, *encoding, *origin; /* owned */
	unsigned uid;
	int64_t created_us;
	double function_time;
};

PyObject *cached_new(struct ext *ext, const xt_cached *from)
{
	struct cached *c = (struct cached *)new_object(ext->cached_type);

	if (!c)
		return NULL;
	c->value = PyBytes_FromStringAndSize(from->value, (Py_ssize_t)from->size);
	c->encoding = PyUnicode_FromString(from->encoding);
	c->origin = PyUnicode_FromString(from->origin);
	c->uid = from->uid;
	c->created_us = from->created_us;
	c->function_time = from->function_time;
	if (!c->value || !c->encoding || !c->origin)
		Py_CLEAR(c);
	return (PyObject *)c;
}

static void cached_dealloc(PyObject *self)
{
	struct cached *c = (struct cached *)self;
	PyTypeObject *type = Py_TYPE(self);

	Py_XDECREF(c->value);
	Py_XDECREF(c->encoding);
	Py_XDECREF(c->origin);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static PyObject *cached_get(PyObject *self, void *what)
{
	struct cached *c = (struct cached *)self;

	switch (*(const char *)what) {
	case 'v':
		return Py_NewRef(c->value);
	case 'e':
		return Py_NewRef(c->encoding);
	case 'o':
		return Py_NewRef(c->origin);
	case 'u':
		return PyLong_FromUnsignedLong(c->uid);
	case 'c':
		return PyLong_FromLongLong(c->created_us);
	default:
		return PyFloat_FromDouble(c->function_time);
	}
}

static PyGetSetDef cached_members[] = {
	{"value", cached_get, NULL, "the bytes that were kept", "v"},
	{"encoding", cached_get, NULL, "of the value; empty: MessagePack", "e"},
	{"origin", cached_get, NULL, "track_id of the run that computed it", "o"},
	{"uid", cached_get, NULL, "user who stored it", "u"},
	{"created_us", cached_get, NULL, "when, microseconds since 1970-01-01 UTC", "c"},
	{"function_time", cached_get, NULL, "seconds that it took", "f"},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot cached_slots[] = {
	{Py_tp_doc, "An entry of the cache."},
	{Py_tp_dealloc, cached_dealloc},
	{Py_tp_getset, cached_members},
	{0, NULL},
};

PyType_Spec cached_spec = {
	.name = "xetrackd._xetrackd.Cached",
	.basicsize = sizeof(struct cached),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = cached_slots,
};
