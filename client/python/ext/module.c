/* The module: its types, exceptions and functions. */
#include "ext.h"

static PyObject *version(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyUnicode_FromString(xt_version());
}

static PyMethodDef functions[] = {
	{"pack", (PyCFunction)(void (*)(void))codec_py_pack, METH_VARARGS | METH_KEYWORDS,
	 "A value as MessagePack."},
	{"unpack", codec_py_unpack, METH_O, "The value of some MessagePack."},
	{"packs_plainly", codec_py_is_plain, METH_O,
	 "Whether a value comes back from MessagePack as it was."},
	{"is_short", codec_py_is_short, METH_O, "Whether a cell can show a value as it is."},
	{"now", run_py_now, METH_NOARGS, "Now, in UTC, as rows have it."},
	{"version", version, METH_NOARGS, "Version of libxetrack."},
	{NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyObject **ret, PyType_Spec *spec)
{
	*ret = PyType_FromModuleAndSpec(module, spec, NULL);
	return *ret ? PyModule_AddType(module, (PyTypeObject *)*ret) : -1;
}

static int add_exception(PyObject *module, PyObject **ret, const char *name, const char *doc,
			 const char *attribute, PyObject *base)
{
	*ret = PyErr_NewExceptionWithDoc(name, doc, base, NULL);
	return *ret ? PyModule_AddObjectRef(module, attribute, *ret) : -1;
}

static int module_exec(PyObject *module)
{
	struct ext *ext = PyModule_GetState(module);

	if (add_exception(module, &ext->error, "xetrackd.Error",
			  "What libxetrack reports. `status`: name of its status, such as 'XT_EREQUEST'; "
			  "`code`: the "
			  "daemon's stable error code, such as 'sql_error', or ''.",
			  "Error", NULL) < 0 ||
	    add_exception(module, &ext->interrupted, "xetrackd.Interrupted",
			  "A signal ended a wait, and its handler raised nothing.", "Interrupted",
			  ext->error) < 0)
		return -1;
	return add_type(module, &ext->client_type, &client_spec) < 0 ||
			       add_type(module, &ext->run_type, &run_spec) < 0 ||
			       add_type(module, &ext->call_type, &call_spec) < 0 ||
			       add_type(module, &ext->cursor_type, &cursor_spec) < 0 ||
			       add_type(module, &ext->cached_type, &cached_spec) < 0
		       ? -1
		       : 0;
}

struct ext *ext_of(PyObject *self)
{
	return PyType_GetModuleState(Py_TYPE(self));
}

static int module_clear(PyObject *module)
{
	struct ext *ext = PyModule_GetState(module);

	Py_CLEAR(ext->error);
	Py_CLEAR(ext->interrupted);
	Py_CLEAR(ext->client_type);
	Py_CLEAR(ext->run_type);
	Py_CLEAR(ext->call_type);
	Py_CLEAR(ext->cursor_type);
	Py_CLEAR(ext->cached_type);
	return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
	struct ext *ext = PyModule_GetState(module);

	Py_VISIT(ext->error);
	Py_VISIT(ext->interrupted);
	Py_VISIT(ext->client_type);
	Py_VISIT(ext->run_type);
	Py_VISIT(ext->call_type);
	Py_VISIT(ext->cursor_type);
	Py_VISIT(ext->cached_type);
	return 0;
}

static PyModuleDef_Slot slots[] = {
	{Py_mod_exec, module_exec},
	{0, NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "xetrackd._xetrackd",
	.m_doc = "libxetrack for Python. Use the package xetrackd.",
	.m_size = sizeof(struct ext),
	.m_methods = functions,
	.m_slots = slots,
	.m_traverse = module_traverse,
	.m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__xetrackd(void);

PyMODINIT_FUNC PyInit__xetrackd(void)
{
	return PyModuleDef_Init(&definition);
}
