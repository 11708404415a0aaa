/* xetrackd._xetrackd.Cursor: an open query, row by row or by columns. */
#include <stdlib.h>
#include <string.h>

#include "ext.h"

#define EXACT_INT (INT64_C(1) << 53) /* integers from here on a double may not hold */

struct cursor {
	PyObject_HEAD struct client *client; /* owned */
	xt_cursor *xt;			     /* owned; NULL: closed */
	bool busy; /* a thread reads: its row lives until the next one is asked for */
};

PyObject *cursor_new(struct client *c, xt_cursor *xt)
{
	struct ext *ext = ext_of((PyObject *)c);
	allocfunc alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)ext->cursor_type, Py_tp_alloc);
	struct cursor *cursor = (struct cursor *)alloc((PyTypeObject *)ext->cursor_type, 0);

	if (!cursor) {
		xt_cursor_close(xt);
		return NULL;
	}
	cursor->client = (struct client *)Py_NewRef((PyObject *)c);
	cursor->xt = xt;
	return (PyObject *)cursor;
}

static void close_it(struct cursor *cursor)
{
	xt_cursor *xt = cursor->xt;

	cursor->xt = NULL;
	if (!xt || !cursor->client->xt)
		return;
	atomic_fetch_add(&cursor->client->deaf, 1);
	PyThreadState *gil = PyEval_SaveThread();
	xt_cursor_close(xt);
	PyEval_RestoreThread(gil);
	atomic_fetch_sub(&cursor->client->deaf, 1);
}

/* True, with an exception: another thread reads. */
static bool is_busy(const struct cursor *cursor)
{
	if (cursor->busy)
		PyErr_SetString(PyExc_RuntimeError, "another thread reads this query");
	return cursor->busy;
}

static PyObject *cursor_close(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (is_busy((struct cursor *)self))
		return NULL;
	close_it((struct cursor *)self);
	return Py_NewRef(Py_None);
}

static void cursor_dealloc(PyObject *self)
{
	struct cursor *cursor = (struct cursor *)self;
	PyTypeObject *type = Py_TYPE(self);

	close_it(cursor);
	Py_XDECREF((PyObject *)cursor->client);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static int enter(struct cursor *cursor)
{
	if (is_busy(cursor) || !client_enter(cursor->client))
		return -1;
	if (cursor->xt) {
		cursor->busy = true;
		return 0;
	}
	PyErr_SetString(PyExc_ValueError, "the query was closed");
	(void)client_leave(cursor->client);
	return -1;
}

/* Gives `ret` back, or NULL with an exception. */
static PyObject *leave(struct cursor *cursor, PyObject *ret)
{
	cursor->busy = false;
	if (client_leave(cursor->client) < 0)
		Py_CLEAR(ret);
	return ret;
}

/* XT_OK, XT_DONE, or an error with the exception set. The GIL is released only where a page is waited for. */
static int next(struct cursor *cursor, const xt_value **ret_row)
{
	int r;

	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_cursor_next(cursor->xt, ret_row);
		PyEval_RestoreThread(gil);
	} while (r == XT_EINTR && client_signalled() == 0);
	if (r < 0 && !PyErr_Occurred())
		client_raise(cursor->client, r);
	return r;
}

/* ---- rows --------------------------------------------------------------- */

static PyObject *row_tuple(const xt_value *row, size_t n)
{
	PyObject *tuple = PyTuple_New((Py_ssize_t)n);

	for (size_t i = 0; tuple && i < n; i++) {
		PyObject *o = value_to_python(&row[i]);
		if (!o)
			Py_CLEAR(tuple);
		else
			PyTuple_SetItem(tuple, (Py_ssize_t)i, o);
	}
	return tuple;
}

static PyObject *cursor_iternext(PyObject *self)
{
	struct cursor *cursor = (struct cursor *)self;
	const xt_value *row;
	PyObject *ret = NULL;

	if (enter(cursor) < 0)
		return NULL;
	if (next(cursor, &row) == XT_OK)
		ret = row_tuple(row, xt_cursor_columns(cursor->xt));
	return leave(cursor, ret);
}

/* ---- columns ------------------------------------------------------------- */

enum kind {
	EMPTY,	/* NULLs alone so far */
	INT,	/* integers */
	SPARSE, /* integers, all of which a double holds, and NULLs: NaN */
	REAL,	/* reals, integers among them, and NULLs: NaN */
	OBJECT, /* anything */
};

struct column {
	enum kind kind;
	bool nulls, large; /* NULLs came; integers that a double cannot hold */
	int64_t *integers; /* owned: INT */
	double *reals;	   /* owned: SPARSE, REAL */
	PyObject *objects; /* owned: OBJECT, a list */
	size_t n, cap;
	PyObject *last; /* owned: text of the row before, which is often the same; NULL: none */
};

static void column_done(struct column *c)
{
	free(c->integers);
	free(c->reals);
	Py_XDECREF(c->objects);
	Py_XDECREF(c->last);
}

static int grow(struct column *c)
{
	if (c->n < c->cap)
		return 0;
	size_t cap = c->cap ? 2 * c->cap : 1024;
	void *old = c->kind == INT ? (void *)c->integers : (void *)c->reals;
	void *p = realloc(old, cap * 8);
	if (!p) {
		PyErr_NoMemory();
		return -1;
	}
	if (c->kind == INT)
		c->integers = p;
	else
		c->reals = p;
	c->cap = cap;
	return 0;
}

/* All so far as objects. */
static int to_objects(struct column *c)
{
	PyObject *list = PyList_New((Py_ssize_t)c->n);

	for (size_t i = 0; list && i < c->n; i++) {
		PyObject *o;
		if (c->kind == INT)
			o = PyLong_FromLongLong(c->integers[i]);
		else if (c->kind == EMPTY || c->reals[i] != c->reals[i])
			o = Py_NewRef(Py_None); /* the database has no NaN */
		else if (c->kind == SPARSE)
			o = PyLong_FromLongLong((long long)c->reals[i]);
		else
			o = PyFloat_FromDouble(c->reals[i]);
		if (!o)
			Py_CLEAR(list);
		else
			PyList_SetItem(list, (Py_ssize_t)i, o);
	}
	if (!list)
		return -1;
	free(c->integers);
	free(c->reals);
	c->integers = NULL;
	c->reals = NULL;
	c->objects = list;
	c->kind = OBJECT;
	return 0;
}

/* All so far as doubles. */
static int to_reals(struct column *c, enum kind kind)
{
	enum kind was = c->kind;

	c->kind = kind;
	if (was == SPARSE || was == REAL)
		return 0;
	size_t cap = c->n < 1024 ? 1024 : c->n;
	double *reals = malloc(cap * sizeof(*reals));
	if (!reals) {
		PyErr_NoMemory();
		return -1;
	}
	for (size_t i = 0; i < c->n; i++)
		reals[i] = was == INT ? (double)c->integers[i] : (double)__builtin_nan("");
	free(c->integers);
	c->integers = NULL;
	c->reals = reals;
	c->cap = cap;
	return 0;
}

/* Makes the column one that takes the value as it is. */
static int suit(struct column *c, const xt_value *v)
{
	bool large = v->type == XT_T_INT && (v->as.integer > EXACT_INT || v->as.integer < -EXACT_INT);

	c->nulls = c->nulls || v->type == XT_T_NULL;
	c->large = c->large || large;
	switch (c->kind) {
	case OBJECT:
		return 0;
	case EMPTY:
		if (v->type == XT_T_NULL)
			return 0;
		if (v->type == XT_T_REAL)
			return to_reals(c, REAL);
		if (v->type != XT_T_INT || (c->n > 0 && large))
			return to_objects(c);
		if (c->n > 0)
			return to_reals(c, SPARSE);
		c->kind = INT;
		return 0;
	case INT:
		if (v->type == XT_T_INT)
			return 0;
		if (c->large || (v->type != XT_T_NULL && v->type != XT_T_REAL))
			return to_objects(c);
		return to_reals(c, v->type == XT_T_NULL ? SPARSE : REAL);
	case SPARSE:
	case REAL:
		if (large || (v->type != XT_T_NULL && v->type != XT_T_REAL && v->type != XT_T_INT))
			return to_objects(c);
		if (v->type == XT_T_REAL)
			c->kind = REAL;
		return 0;
	}
	return 0;
}

/* Text that is as in the row before is the same object. */
static PyObject *object_of(struct column *c, const xt_value *v)
{
	Py_ssize_t n;

	if (v->type != XT_T_TEXT)
		return value_to_python(v);
	if (c->last) {
		const char *s = PyUnicode_AsUTF8AndSize(c->last, &n);
		if (s && (size_t)n == v->n && memcmp(s, v->as.text, v->n) == 0)
			return Py_NewRef(c->last);
		PyErr_Clear();
		Py_CLEAR(c->last);
	}
	PyObject *o = value_to_python(v);
	if (o && v->n < 256)
		c->last = Py_NewRef(o);
	return o;
}

static int add(struct column *c, const xt_value *v)
{
	if (suit(c, v) < 0)
		return -1;
	if (c->kind == EMPTY) {
		c->n++;
		return 0;
	}
	if (c->kind == OBJECT) {
		PyObject *o = object_of(c, v);
		int r = o ? PyList_Append(c->objects, o) : -1;
		Py_XDECREF(o);
		c->n++;
		return r;
	}
	if (grow(c) < 0)
		return -1;
	if (c->kind == INT)
		c->integers[c->n++] = v->as.integer;
	else
		c->reals[c->n++] = v->type == XT_T_NULL	 ? (double)__builtin_nan("")
				   : v->type == XT_T_INT ? (double)v->as.integer
							 : v->as.real;
	return 0;
}

static PyObject *column_pair(struct column *c)
{
	static const char *const names[] = {
		[INT] = "int", [SPARSE] = "real_int", [REAL] = "real", [OBJECT] = "object"};

	if (c->kind == EMPTY && to_objects(c) < 0)
		return NULL;
	if (c->kind == OBJECT)
		return Py_BuildValue("sO", names[OBJECT], c->objects);
	const void *data = c->kind == INT ? (const void *)c->integers : (const void *)c->reals;
	return Py_BuildValue("sy#", names[c->kind], data, (Py_ssize_t)(c->n * 8));
}

static PyObject *cursor_by_columns(PyObject *self, PyObject *unused)
{
	struct cursor *cursor = (struct cursor *)self;
	PyObject *ret = NULL;
	const xt_value *row;
	int r, bad = 0;

	(void)unused;
	if (enter(cursor) < 0)
		return NULL;
	size_t n = xt_cursor_columns(cursor->xt);
	struct column *columns = calloc(n + 1, sizeof(*columns));
	if (!columns) {
		PyErr_NoMemory();
		bad = -1;
	}
	while (bad == 0 && (r = next(cursor, &row)) == XT_OK)
		for (size_t i = 0; i < n && bad == 0; i++)
			bad = add(&columns[i], &row[i]);
	if (bad == 0 && r == XT_DONE)
		ret = PyList_New(0);
	for (size_t i = 0; ret && i < n; i++) {
		PyObject *pair = column_pair(&columns[i]);
		if (!pair || PyList_Append(ret, pair) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(pair);
	}
	for (size_t i = 0; columns && i < n; i++)
		column_done(&columns[i]);
	free(columns);
	return leave(cursor, ret);
}

/* ---- the type -------------------------------------------------------------- */

static PyObject *strings(struct cursor *cursor, const char *(*get)(const xt_cursor *, size_t))
{
	PyObject *list = cursor->xt ? PyList_New(0) : PyErr_Format(PyExc_ValueError, "the query was closed");

	for (size_t i = 0, n = list ? xt_cursor_columns(cursor->xt) : 0; list && i < n; i++) {
		PyObject *s = PyUnicode_FromString(get(cursor->xt, i));
		if (!s || PyList_Append(list, s) < 0)
			Py_CLEAR(list);
		Py_XDECREF(s);
	}
	return list;
}

static PyObject *get_names(PyObject *self, void *unused)
{
	(void)unused;
	return strings((struct cursor *)self, xt_cursor_name);
}

static PyObject *get_types(PyObject *self, void *unused)
{
	(void)unused;
	return strings((struct cursor *)self, xt_cursor_type);
}

static PyMethodDef methods[] = {
	{"columns", cursor_by_columns, METH_NOARGS, "All rows that are left, by columns."},
	{"close", cursor_close, METH_NOARGS, "Ends the query."},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef members[] = {
	{"names", get_names, NULL, "names of the columns", NULL},
	{"types", get_types, NULL, "declared types of the columns, empty for expressions", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_doc, "An open query."},
	{Py_tp_dealloc, cursor_dealloc},
	{Py_tp_iter, PyObject_SelfIter},
	{Py_tp_iternext, cursor_iternext},
	{Py_tp_methods, methods},
	{Py_tp_getset, members},
	{0, NULL},
};

PyType_Spec cursor_spec = {
	.name = "xetrackd._xetrackd.Cursor",
	.basicsize = sizeof(struct cursor),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = slots,
};
