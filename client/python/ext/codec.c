/* Python values ↔ MessagePack (github.com/msgpack/msgpack, spec.md). */
#include "ext.h"

#include "wire.h"

#define MAX_PLAIN_ITEMS 50000 /* of a value that other languages read, too: a message holds 65,536 */
#define MAX_SHORT_ITEMS 100   /* of one that a cell of a row shows whole */
#define MAX_SHORT_BYTES 1000  /* of a text in it */

/* ---- packing ------------------------------------------------------------ */

struct packing {
	struct buf *out;
	msgpack_packer pk;
	PyObject *convert; /* borrowed; may be NULL */
};

static int pack(struct packing *p, PyObject *o, unsigned depth, bool converted);

static int too_deep(void)
{
	PyErr_SetString(PyExc_ValueError, "too many lists and dicts inside each other");
	return -1;
}

static int pack_text(struct packing *p, PyObject *o)
{
	Py_ssize_t n;
	const char *s = PyUnicode_AsUTF8AndSize(o, &n);

	if (!s)
		return -1;
	msgpack_pack_str(&p->pk, (size_t)n);
	msgpack_pack_str_body(&p->pk, s, (size_t)n);
	return 0;
}

/* 1: it does not fit. */
static int pack_int(struct packing *p, PyObject *o)
{
	int overflow;
	long long i = PyLong_AsLongLongAndOverflow(o, &overflow);

	if (overflow == 0 && i == -1 && PyErr_Occurred())
		return -1;
	if (overflow == 0)
		return msgpack_pack_int64(&p->pk, i);
	unsigned long long u = overflow > 0 ? PyLong_AsUnsignedLongLong(o) : 0;
	if (overflow < 0 || PyErr_Occurred()) {
		PyErr_Clear();
		return 1;
	}
	return msgpack_pack_uint64(&p->pk, u);
}

static int pack_list(struct packing *p, PyObject *o, unsigned depth)
{
	if (depth == 0)
		return too_deep();
	PyObject *items = PySequence_Tuple(o); /* one that nobody changes meanwhile */
	if (!items)
		return -1;
	Py_ssize_t n = PyTuple_Size(items);
	int r = 0;
	msgpack_pack_array(&p->pk, (size_t)n);
	for (Py_ssize_t i = 0; i < n && r == 0; i++)
		r = pack(p, PyTuple_GetItem(items, i), depth - 1, false);
	Py_DECREF(items);
	return r;
}

static int pack_dict(struct packing *p, PyObject *o, unsigned depth)
{
	PyObject *copy, *key, *value;
	Py_ssize_t at = 0;
	int r = 0;

	if (depth == 0)
		return too_deep();
	if (!(copy = PyDict_Copy(o)))
		return -1;
	msgpack_pack_map(&p->pk, (size_t)PyDict_Size(copy));
	while (r == 0 && PyDict_Next(copy, &at, &key, &value)) {
		r = pack(p, key, depth - 1, false);
		if (r == 0)
			r = pack(p, value, depth - 1, false);
	}
	Py_DECREF(copy);
	return r;
}

static int pack_converted(struct packing *p, PyObject *o, unsigned depth)
{
	PyObject *plain = PyObject_CallFunctionObjArgs(p->convert, o, NULL);

	if (!plain)
		return -1;
	int r = pack(p, plain, depth, true);
	Py_DECREF(plain);
	return r;
}

static int pack(struct packing *p, PyObject *o, unsigned depth, bool converted)
{
	PyTypeObject *t = Py_TYPE(o);
	int r = 1;

	if (o == Py_None)
		r = msgpack_pack_nil(&p->pk);
	else if (t == &PyUnicode_Type) {
		r = pack_text(p, o);
		if (r < 0 && p->convert && !converted && PyErr_ExceptionMatches(PyExc_UnicodeError)) {
			PyErr_Clear();
			r = 1;
		}
	} else if (t == &PyLong_Type)
		r = pack_int(p, o);
	else if (t == &PyFloat_Type)
		r = msgpack_pack_double(&p->pk, PyFloat_AsDouble(o));
	else if (t == &PyBool_Type)
		r = o == Py_True ? msgpack_pack_true(&p->pk) : msgpack_pack_false(&p->pk);
	else if (t == &PyBytes_Type) {
		msgpack_pack_bin(&p->pk, (size_t)PyBytes_Size(o));
		r = msgpack_pack_bin_body(&p->pk, PyBytes_AsString(o), (size_t)PyBytes_Size(o));
	} else if (t == &PyDict_Type)
		r = pack_dict(p, o, depth);
	else if (t == &PyList_Type || t == &PyTuple_Type)
		r = pack_list(p, o, depth);
	if (r > 0 && p->convert && !converted)
		r = pack_converted(p, o, depth);
	if (r > 0) {
		if (t == &PyLong_Type)
			PyErr_SetString(PyExc_OverflowError, "an integer does not fit in 64 bits");
		else
			PyErr_Format(PyExc_TypeError, "%S has no MessagePack form", (PyObject *)t);
		return -1;
	}
	if (r == 0 && buf_failed(p->out)) {
		PyErr_NoMemory();
		return -1;
	}
	return r;
}

int codec_pack(struct buf *out, PyObject *value, PyObject *convert, unsigned depth)
{
	struct packing p = {.out = out, .pk = wire_packer(out), .convert = convert};

	return pack(&p, value, depth, false);
}

PyObject *codec_py_pack(PyObject *module, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"value", "convert", NULL};
	PyObject *value, *convert = Py_None;
	struct buf out = {0};

	(void)module;
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", names, &value, &convert))
		return NULL;
	PyObject *ret = NULL;
	if (codec_pack(&out, value, convert == Py_None ? NULL : convert, XT_MAX_DEPTH) == 0)
		ret = PyBytes_FromStringAndSize((const char *)out.data, (Py_ssize_t)out.len);
	buf_done(&out);
	return ret;
}

/* ---- unpacking ----------------------------------------------------------- */

/* The depth was checked by a scan. */
static PyObject *unpack(struct reader *r)
{
	struct token t;
	PyObject *o;

	if (reader_next(r, &t) < 0)
		return PyErr_Format(PyExc_ValueError, "MessagePack is cut short");
	switch (t.type) {
	case TOKEN_NIL:
		return Py_NewRef(Py_None);
	case TOKEN_BOOL:
		return PyBool_FromLong(t.boolean);
	case TOKEN_INT:
		return PyLong_FromLongLong(t.integer);
	case TOKEN_UINT:
		return PyLong_FromUnsignedLongLong(t.uinteger);
	case TOKEN_REAL:
		return PyFloat_FromDouble(t.real);
	case TOKEN_STR:
		return PyUnicode_DecodeUTF8((const char *)t.bytes.data, (Py_ssize_t)t.bytes.len, "replace");
	case TOKEN_BIN:
		return PyBytes_FromStringAndSize((const char *)t.bytes.data, (Py_ssize_t)t.bytes.len);
	case TOKEN_EXT:
		return PyErr_Format(PyExc_ValueError, "a MessagePack extension stands for nothing here");
	case TOKEN_ARRAY:
		o = PyList_New(0); /* not of the count that is said: it may be a lie */
		for (uint32_t i = 0; o && i < t.count; i++) {
			PyObject *item = unpack(r);
			if (!item || PyList_Append(o, item) < 0)
				Py_CLEAR(o);
			Py_XDECREF(item);
		}
		return o;
	case TOKEN_MAP:
		o = PyDict_New();
		for (uint32_t i = 0; o && i < t.count; i++) {
			PyObject *key = unpack(r), *value = key ? unpack(r) : NULL;
			if (!value || PyDict_SetItem(o, key, value) < 0)
				Py_CLEAR(o);
			Py_XDECREF(key);
			Py_XDECREF(value);
		}
		return o;
	}
	return NULL;
}

PyObject *codec_unpack(const void *data, size_t size)
{
	struct span s = span_of(data, size);
	struct reader r = reader_of(s);
	struct xt_err err;
	uint32_t items;

	if (wire_scan_within(s, XT_MAX_DEPTH, UINT32_MAX, &items, &err) < 0 && err.code != XT_E_bad_utf8)
		return PyErr_Format(PyExc_ValueError, "no MessagePack: %s", err.message);
	return unpack(&r);
}

PyObject *codec_py_unpack(PyObject *module, PyObject *data)
{
	char *p;
	Py_ssize_t n;

	(void)module;
	if (PyBytes_AsStringAndSize(data, &p, &n) < 0)
		return NULL;
	return codec_unpack(p, (size_t)n);
}

/* ---- what comes back as it was -------------------------------------------- */

struct plain {
	size_t items, max_items; /* met so far, and at most */
	Py_ssize_t max_bytes;	 /* of a text */
	bool lossless;		 /* what MessagePack gives back as it was: no tuples */
};

static bool is_plain(PyObject *o, unsigned depth, struct plain *p)
{
	PyTypeObject *t = Py_TYPE(o);
	PyObject *key, *value;
	Py_ssize_t at = 0, n;

	if (++p->items > p->max_items)
		return false;
	if (o == Py_None || t == &PyFloat_Type || t == &PyBool_Type || (t == &PyBytes_Type && p->lossless))
		return true;
	if (t == &PyUnicode_Type) {
		if (PyUnicode_AsUTF8AndSize(o, &n))
			return n <= p->max_bytes;
		PyErr_Clear();
		return false;
	}
	if (t == &PyLong_Type) {
		int overflow;
		(void)PyLong_AsLongLongAndOverflow(o, &overflow);
		return overflow == 0;
	}
	if (depth == 0)
		return false;
	if (t == &PyList_Type) {
		for (Py_ssize_t i = 0; i < PyList_Size(o); i++)
			if (!is_plain(PyList_GetItem(o, i), depth - 1, p))
				return false;
		return true;
	}
	if (t == &PyTuple_Type && !p->lossless) {
		for (Py_ssize_t i = 0; i < PyTuple_Size(o); i++)
			if (!is_plain(PyTuple_GetItem(o, i), depth - 1, p))
				return false;
		return true;
	}
	if (t != &PyDict_Type)
		return false;
	while (PyDict_Next(o, &at, &key, &value))
		if (Py_TYPE(key) != &PyUnicode_Type || !is_plain(key, 0, p) || !is_plain(value, depth - 1, p))
			return false;
	return true;
}

PyObject *codec_py_is_plain(PyObject *module, PyObject *value)
{
	struct plain p = {.max_items = MAX_PLAIN_ITEMS, .max_bytes = PY_SSIZE_T_MAX, .lossless = true};

	(void)module;
	return PyBool_FromLong(is_plain(value, XT_MAX_DEPTH - 2, &p));
}

PyObject *codec_py_is_short(PyObject *module, PyObject *value)
{
	struct plain p = {.max_items = MAX_SHORT_ITEMS, .max_bytes = MAX_SHORT_BYTES};

	(void)module;
	return PyBool_FromLong(is_plain(value, 6, &p));
}
