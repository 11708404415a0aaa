/* The cache of results, as a client looks into it: keys, entries, all of them. */
#include <stdlib.h>
#include <string.h>

#include "ext.h"

/* ---- one ---------------------------------------------------------------- */

PyObject *client_cache_key(PyObject *self, PyObject *args, PyObject *kwargs)
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

PyObject *client_cache_get(PyObject *self, PyObject *key)
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

/* ---- all of them --------------------------------------------------------- */

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

PyObject *client_cache_items(PyObject *self, PyObject *args, PyObject *kwargs)
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

PyObject *client_cache_delete(PyObject *self, PyObject *keys)
{
	struct client *c = (struct client *)self;
	uint64_t deleted = 0, bytes = 0;
	Py_ssize_t n;
	char *p;
	int r;

	if (PyBytes_AsStringAndSize(keys, &p, &n) < 0 || !client_enter(c))
		return NULL;
	PyThreadState *gil = PyEval_SaveThread();
	r = xt_cache_delete(c->xt, (const uint8_t *)p, (size_t)n / XT_KEY_BYTES, &deleted, &bytes);
	PyEval_RestoreThread(gil);
	PyObject *ret = r != XT_OK
				? NULL
				: Py_BuildValue("KK", (unsigned long long)deleted, (unsigned long long)bytes);
	return client_leave_with(c, r, ret);
}
