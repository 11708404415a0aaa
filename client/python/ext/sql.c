/* What a client asks its daemon for, and has it change: SQL, lists, runs, assets. */
#include <stdlib.h>

#include "ext.h"

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
	    client_milliseconds(timeout, 0, &ms) < 0)
		return NULL;
	if (sql_args && take_args(&v, sql_args, &values, &n) < 0)
		goto out;
	xt_client *xt = client_enter(c);
	if (!xt)
		goto out;
	do {
		PyThreadState *gil = PyEval_SaveThread();
		r = query ? xt_query(&cursor, xt, sql, values, n, ms)
			  : xt_exec(xt, sql, values, n, ms, &changed);
		PyEval_RestoreThread(gil);
	} while (query && r == XT_EINTR && client_signalled() == 0);
	if (r == XT_OK)
		ret = query ? cursor_new(c, cursor) : PyLong_FromUnsignedLongLong(changed);
	ret = client_leave_with(c, r, ret);
out:
	free(values);
	values_done(&v);
	return ret;
}

PyObject *client_query(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return run_sql((struct client *)self, args, kwargs, true);
}

PyObject *client_execute(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return run_sql((struct client *)self, args, kwargs, false);
}

enum listing { TABLES, COLUMNS, STATUS, STATS };

static PyObject *list(struct client *c, enum listing what, const char *table)
{
	xt_cursor *cursor = NULL;
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
	return client_leave_with(c, r, r == XT_OK ? cursor_new(c, cursor) : NULL);
}

PyObject *client_tables(PyObject *self, PyObject *unused)
{
	(void)unused;
	return list((struct client *)self, TABLES, NULL);
}

PyObject *client_columns(PyObject *self, PyObject *table)
{
	Py_ssize_t n;
	const char *s = PyUnicode_AsUTF8AndSize(table, &n);

	return s ? list((struct client *)self, COLUMNS, s) : NULL;
}

PyObject *client_status(PyObject *self, PyObject *unused)
{
	(void)unused;
	return list((struct client *)self, STATUS, NULL);
}

PyObject *client_cache_stats(PyObject *self, PyObject *unused)
{
	(void)unused;
	return list((struct client *)self, STATS, NULL);
}

/* ---- changes ------------------------------------------------------------------ */

PyObject *client_set(PyObject *self, PyObject *args, PyObject *kwargs)
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
		ret = client_leave_with(c, r, r == XT_OK ? PyLong_FromUnsignedLongLong(changed) : NULL);
	}
	values_done(&v);
	return ret;
}

PyObject *client_declare(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"key", "value", "table", NULL};
	struct client *c = (struct client *)self;
	struct values v = {.convert = c->convert};
	PyObject *value, *ret = NULL;
	const char *key, *table;
	xt_value to;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sOs", names, &key, &value, &table))
		return NULL;
	if (values_take(&v, value, &to) == 0 && client_enter(c)) {
		PyThreadState *gil = PyEval_SaveThread();
		r = xt_declare(c->xt, table, key, to);
		PyEval_RestoreThread(gil);
		ret = client_leave_with(c, r, r == XT_OK ? Py_NewRef(Py_None) : NULL);
	}
	values_done(&v);
	return ret;
}

PyObject *client_delete_run(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"track_id", "table", "force", NULL};
	struct client *c = (struct client *)self;
	const char *track_id, *table = NULL;
	uint64_t deleted = 0;
	int force = 0, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|zp", names, &track_id, &table, &force) ||
	    !client_enter(c))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_delete_run(c->xt, track_id, table, force, &deleted);
	PyEval_RestoreThread(gil);
	return client_leave_with(c, r, r == XT_OK ? PyLong_FromUnsignedLongLong(deleted) : NULL);
}

PyObject *client_shutdown(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"hold", NULL};
	struct client *c = (struct client *)self;
	int hold = 0, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p", names, &hold) || !client_enter(c))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_shutdown(c->xt, hold);
	PyEval_RestoreThread(gil);
	return client_leave_with(c, r, Py_NewRef(Py_None));
}

/* ---- assets --------------------------------------------------------------------- */

PyObject *client_asset_load(PyObject *self, PyObject *hash)
{
	struct client *c = (struct client *)self;
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
	PyObject *ret = r == XT_OK ? PyBytes_FromStringAndSize(data, (Py_ssize_t)size) : NULL;
	free(data);
	return client_leave_with(c, r, ret);
}

PyObject *client_asset_delete(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"hash", "track_id", "name", "force", NULL};
	struct client *c = (struct client *)self;
	const char *hash, *track_id = NULL, *name = NULL;
	uint64_t left = 0;
	int force = 0, r;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|zzp", names, &hash, &track_id, &name, &force) ||
	    !client_enter(c))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_asset_delete(c->xt, hash, track_id, name, force, &left);
	PyEval_RestoreThread(gil);
	return client_leave_with(c, r, r == XT_OK ? PyLong_FromUnsignedLongLong(left) : NULL);
}
