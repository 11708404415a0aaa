/* Python values as the library's, and back. */
#include "ext.h"

#include <stdlib.h>

#define ROW_ITEMS 60000 /* values in one of them: a message holds 65,536 */
#define ROW_DEPTH 10	/* of lists and dicts in a row: a message has some around them */

void values_done(struct values *v)
{
	free(v->fields);
	Py_XDECREF(v->held);
	*v = (struct values){0};
}

/* Keeps an object, whose reference it takes, as long as the values. 0, or -1 with an exception. */
static int hold(struct values *v, PyObject *o)
{
	if (!o)
		return -1;
	if (!v->held && !(v->held = PyList_New(0))) {
		Py_DECREF(o);
		return -1;
	}
	int r = PyList_Append(v->held, o);
	Py_DECREF(o);
	return r;
}

static int take(struct values *v, PyObject *o, xt_value *ret, bool converted);

static int take_converted(struct values *v, PyObject *o, xt_value *ret)
{
	PyObject *plain = PyObject_CallFunctionObjArgs(v->convert, o, NULL);

	if (hold(v, plain) < 0)
		return -1;
	return take(v, plain, ret, true);
}

/* 1: it is for `convert`. */
static int take_text(PyObject *o, xt_value *ret)
{
	Py_ssize_t n;
	const char *s = PyUnicode_AsUTF8AndSize(o, &n);

	if (!s) {
		if (!PyErr_ExceptionMatches(PyExc_UnicodeError))
			return -1;
		PyErr_Clear();
		return 1;
	}
	*ret = xt_textn(s, (size_t)n);
	return 0;
}

static int take_int(PyObject *o, xt_value *ret)
{
	int overflow;
	long long i = PyLong_AsLongLongAndOverflow(o, &overflow);

	if (overflow)
		return 1;
	if (i == -1 && PyErr_Occurred())
		return -1;
	*ret = xt_int(i);
	return 0;
}

/* As MessagePack. What is too deep, or too large, for a row is for `convert`. */
static int take_container(struct values *v, PyObject *o, xt_value *ret)
{
	struct buf out = {0};
	struct xt_err err;
	uint32_t items;
	int r = codec_pack(&out, o, v->convert, ROW_DEPTH);

	if (r < 0 &&
	    (PyErr_ExceptionMatches(PyExc_ValueError) || PyErr_ExceptionMatches(PyExc_OverflowError))) {
		PyErr_Clear();
		r = 1;
	}
	if (r == 0 && wire_scan_within(buf_span(&out), ROW_DEPTH, ROW_ITEMS, &items, &err) < 0)
		r = 1;
	if (r == 0) {
		PyObject *bytes = PyBytes_FromStringAndSize((const char *)out.data, (Py_ssize_t)out.len);
		r = hold(v, bytes);
		if (r == 0)
			*ret = xt_raw(PyBytes_AsString(bytes), out.len);
	}
	buf_done(&out);
	return r;
}

static int take(struct values *v, PyObject *o, xt_value *ret, bool converted)
{
	PyTypeObject *t = Py_TYPE(o);
	int r = 1;

	if (t == &PyUnicode_Type)
		r = take_text(o, ret);
	else if (t == &PyFloat_Type) {
		*ret = xt_real(PyFloat_AsDouble(o));
		return 0;
	} else if (t == &PyLong_Type)
		r = take_int(o, ret);
	else if (t == &PyBool_Type) {
		*ret = xt_bool(o == Py_True);
		return 0;
	} else if (o == Py_None) {
		*ret = xt_null();
		return 0;
	} else if (t == &PyBytes_Type) {
		*ret = xt_blob(PyBytes_AsString(o), (size_t)PyBytes_Size(o));
		return 0;
	} else if (t == &PyDict_Type || t == &PyList_Type || t == &PyTuple_Type)
		r = take_container(v, o, ret);
	if (r > 0 && v->convert && !converted)
		return take_converted(v, o, ret);
	if (r > 0)
		PyErr_Format(PyExc_TypeError, "%S cannot be stored", (PyObject *)t);
	return r > 0 ? -1 : r;
}

int values_take(struct values *v, PyObject *o, xt_value *ret)
{
	return take(v, o, ret, false);
}

const char *values_key(struct values *v, PyObject *key)
{
	Py_ssize_t n;

	if (Py_TYPE(key) == &PyUnicode_Type) {
		const char *s = PyUnicode_AsUTF8AndSize(key, &n);
		if (s && n == 0)
			return "_";
		if (s && strlen(s) == (size_t)n)
			return s;
		PyErr_Clear();
	}
	/* A number, say; or text that has a NUL or half a character in it. */
	PyObject *text = PyObject_Str(key);
	PyObject *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "replace") : NULL;
	Py_XDECREF(text);
	if (hold(v, bytes) < 0)
		return NULL;
	char *s = PyBytes_AsString(bytes);
	for (n = PyBytes_Size(bytes); n > 0; n--)
		if (s[n - 1] == '\0')
			s[n - 1] = '_'; /* nobody else has seen these bytes yet */
	return s;
}

int values_fields(struct values *v, PyObject *dict)
{
	size_t more = (size_t)PyDict_Size(dict);
	PyObject *key, *value;
	Py_ssize_t at = 0;

	xt_field *fields = realloc(v->fields, (v->n + more + 1) * sizeof(*fields));
	if (!fields) {
		PyErr_NoMemory();
		return -1;
	}
	v->fields = fields;
	while (PyDict_Next(dict, &at, &key, &value)) {
		xt_field *f = &v->fields[v->n];
		if (!(f->key = values_key(v, key)))
			return -1;
		if (values_take(v, value, &f->value) < 0)
			return -1;
		v->n++;
	}
	return 0;
}

PyObject *values_copy(PyObject *mapping)
{
	if (PyDict_Check(mapping))
		return PyDict_Copy(mapping);
	PyObject *copy = PyDict_New();
	if (!copy || PyDict_Update(copy, mapping) == 0)
		return copy;
	if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
		PyErr_Clear();
		PyErr_Format(PyExc_TypeError, "a row is a mapping from keys to values, not a %S",
			     (PyObject *)Py_TYPE(mapping));
	}
	Py_DECREF(copy);
	return NULL;
}

PyObject *value_to_python(const xt_value *v)
{
	switch (v->type) {
	case XT_T_BOOL:
		return PyBool_FromLong(v->as.boolean);
	case XT_T_INT:
		return PyLong_FromLongLong(v->as.integer);
	case XT_T_UINT:
		return PyLong_FromUnsignedLongLong(v->as.uinteger);
	case XT_T_REAL:
		return PyFloat_FromDouble(v->as.real);
	case XT_T_TEXT:
		return PyUnicode_DecodeUTF8(v->as.text, (Py_ssize_t)v->n, "replace");
	case XT_T_BLOB:
		return PyBytes_FromStringAndSize(v->as.blob, (Py_ssize_t)v->n);
	default: /* the database has no nested values */
		return Py_NewRef(Py_None);
	}
}
