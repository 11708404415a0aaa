/* xetrackd._xetrackd.Client: what may be said of a table's columns. */
#include <stdlib.h>

#include "ext.h"

PyObject *schema_py_rename(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"table", "old", "new", NULL};
	struct client *c = (struct client *)self;
	const char *table, *old, *name;
	xt_renamed renamed = {.moved = 0};

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sss", names, &table, &old, &name))
		return NULL;
	xt_client *xt = client_enter(c);
	if (!xt)
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	int r = xt_schema_rename(xt, table, old, name, &renamed);
	PyEval_RestoreThread(gil);
	PyObject *merged = renamed.merged ? Py_True : Py_False;
	return client_leave_with(
		c, r,
		r < 0 ? NULL : Py_BuildValue("sOK", renamed.name, merged, (unsigned long long)renamed.moved));
}

PyObject *schema_py_alias(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"table", "key", "column", NULL};
	struct client *c = (struct client *)self;
	const char *table, *key, *column = NULL;
	bool changed = false;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ss|z", names, &table, &key, &column))
		return NULL;
	xt_client *xt = client_enter(c);
	if (!xt)
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	int r = xt_schema_alias(xt, table, key, column, &changed);
	PyEval_RestoreThread(gil);
	return client_leave_with(c, r, r < 0 ? NULL : PyBool_FromLong(changed));
}

PyObject *schema_py_accept(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"table", "column", "other", NULL};
	struct client *c = (struct client *)self;
	const char *table, *column, *other = NULL;
	uint64_t accepted = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ss|z", names, &table, &column, &other))
		return NULL;
	xt_client *xt = client_enter(c);
	if (!xt)
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	int r = xt_schema_accept(xt, table, column, other, &accepted);
	PyEval_RestoreThread(gil);
	return client_leave_with(c, r, r < 0 ? NULL : PyLong_FromUnsignedLongLong(accepted));
}

PyObject *schema_py_freeze(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"table", "frozen", NULL};
	struct client *c = (struct client *)self;
	const char *table;
	bool changed = false;
	int frozen = 1;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|p", names, &table, &frozen))
		return NULL;
	xt_client *xt = client_enter(c);
	if (!xt)
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	int r = xt_schema_freeze(xt, table, frozen != 0, &changed);
	PyEval_RestoreThread(gil);
	return client_leave_with(c, r, r < 0 ? NULL : PyBool_FromLong(changed));
}

PyObject *schema_py_require(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"table", "columns", "required", NULL};
	struct client *c = (struct client *)self;
	PyObject *columns, *tuple, *ret = NULL;
	const char *table, **list;
	uint64_t changed = 0;
	int required = 1, r;
	Py_ssize_t n, size;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO|p", names, &table, &columns, &required) ||
	    !(tuple = PySequence_Tuple(columns)))
		return NULL;
	n = PyTuple_Size(tuple);
	list = calloc((size_t)n + 1, sizeof(*list));
	if (!list)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; list && i < n; i++)
		if (!(list[i] = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(tuple, i), &size)))
			goto out;
	xt_client *xt = list ? client_enter(c) : NULL;
	if (!xt)
		goto out;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_schema_require(xt, table, list, (size_t)n, required != 0, &changed);
	PyEval_RestoreThread(gil);
	ret = client_leave_with(c, r, r < 0 ? NULL : PyLong_FromUnsignedLongLong(changed));
out:
	free(list);
	Py_DECREF(tuple);
	return ret;
}
