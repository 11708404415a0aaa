/* Client.import_run(): the record of a run of another database. */
#include <stdlib.h>
#include <string.h>

#include "ext.h"

static int status_of(const char *text, enum xt_run_status *ret)
{
	static const char *const names[] = {"finished", "failed", "crashed"};

	for (int i = 0; i < 3; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum xt_run_status)i;
			return 0;
		}
	PyErr_Format(PyExc_ValueError, "status is '%.100s', not one of finished, failed, crashed", text);
	return -1;
}

static int number_of(PyObject *o, long long min, long long max, int64_t *ret)
{
	*ret = PyLong_AsLongLong(o);
	if (PyErr_Occurred())
		return -1;
	if (*ret >= min && *ret <= max)
		return 0;
	PyErr_Format(PyExc_OverflowError, "%lld is not from %lld to %lld", (long long)*ret, min, max);
	return -1;
}

/* None is `none`. */
static int number_or_none(PyObject *o, long long none, long long min, long long max, int64_t *ret)
{
	*ret = none;
	return o == Py_None ? 0 : number_of(o, min, max, ret);
}

/* Texts stay the tuple's. */
static int take_worker(PyObject *o, xt_run_worker *ret)
{
	PyObject *uid, *pid, *end;
	const char *status;
	long long start;
	int64_t user, process;

	if (!PyTuple_Check(o)) {
		PyErr_SetString(PyExc_TypeError, "a worker is a tuple of 6");
		return -1;
	}
	if (!PyArg_ParseTuple(o, "OOsLOz", &uid, &pid, &status, &start, &end, &ret->cause) ||
	    status_of(status, &ret->status) < 0 || number_of(uid, 0, UINT32_MAX, &user) < 0 ||
	    number_or_none(pid, 0, 0, INT32_MAX, &process) < 0 ||
	    number_or_none(end, XT_NO_TIME, INT64_MIN, INT64_MAX, &ret->end_us) < 0)
		return -1;
	ret->uid = (uint32_t)user;
	ret->pid = (int32_t)process;
	ret->start_us = start;
	return 0;
}

/* A list that the caller frees; NULL with an exception. */
static xt_run_worker *take_workers(PyObject *tuple, size_t *ret_n)
{
	Py_ssize_t n = PyTuple_Size(tuple);
	xt_run_worker *list = calloc((size_t)n + 1, sizeof(*list));

	if (!list)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; list && i < n; i++)
		if (take_worker(PyTuple_GetItem(tuple, i), &list[i]) < 0) {
			free(list);
			return NULL;
		}
	*ret_n = (size_t)n;
	return list;
}

PyObject *record_py_import(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"track_id",	"status",    "start_us", "end_us", "cause", "table",
				"params",	"rejects",   "uid",	 "pid",	   "host",  "executable",
				"command_line", "directory", "workers",	 NULL};
	struct client *c = (struct client *)self;
	PyObject *end = Py_None, *uid = Py_None, *pid = Py_None, *rejects = NULL, *workers = NULL,
		 *ret = NULL;
	xt_run_record record = {0};
	long long start;
	const char *status;
	int64_t process, rejected = 0;
	bool imported = false;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ssL|$OzzzOOOzzzzO", names, &record.track_id, &status,
					 &start, &end, &record.cause, &record.table, &record.params, &rejects,
					 &uid, &pid, &record.host, &record.executable, &record.command_line,
					 &record.directory, &workers))
		return NULL;
	record.start_us = start;
	if (status_of(status, &record.status) < 0 ||
	    number_or_none(end, XT_NO_TIME, INT64_MIN, INT64_MAX, &record.end_us) < 0 ||
	    number_or_none(uid, -1, 0, UINT32_MAX, &record.uid) < 0 ||
	    number_or_none(pid, 0, 0, INT32_MAX, &process) < 0 ||
	    (rejects && number_of(rejects, 0, INT64_MAX, &rejected) < 0))
		return NULL;
	record.pid = (int32_t)process;
	record.rejects = (uint64_t)rejected;
	PyObject *tuple = workers ? PySequence_Tuple(workers) : PyTuple_New(0);
	xt_run_worker *list = tuple ? take_workers(tuple, &record.n_workers) : NULL;
	record.workers = list;
	xt_client *xt = list ? client_enter(c) : NULL;
	if (xt) {
		PyThreadState *gil = PyEval_SaveThread();
		int r = xt_run_import(xt, &record, &imported);
		PyEval_RestoreThread(gil);
		ret = client_leave_with(c, r, r < 0 ? NULL : PyBool_FromLong(imported));
	}
	free(list);
	Py_XDECREF(tuple);
	return ret;
}
