#include "handle.h"

#include <assert.h>

/* One function of the same type around each typed handler. */
#define CALL_LOOP(name, context)                                                      \
	static int call_##name(void *c, const void *p, void *ret, struct xt_err *err) \
	{                                                                             \
		return handle_##name(c, p, ret, err);                                 \
	}
#define CALL_WRITER(name, context) CALL_LOOP(name, context)
#define CALL_READER(name, context) CALL_LOOP(name, context)
#define CALL_CLIENT(name, context)
#define METHOD(name, id, kind, thread, flags, doc) CALL_##thread(name, thread)
#include "methods.def"

static const struct {
	enum method_id id;
	int (*call)(void *context, const void *params, void *result, struct xt_err *err);
} handlers[] = {
#define ENTRY_LOOP(name)   {METHOD_##name, call_##name},
#define ENTRY_WRITER(name) {METHOD_##name, call_##name},
#define ENTRY_READER(name) {METHOD_##name, call_##name},
#define ENTRY_CLIENT(name)
#define METHOD(name, id, kind, thread, flags, doc) ENTRY_##thread(name)
#include "methods.def"
};

int handle_call(const struct method_desc *m, void *context, const void *params, void *result,
		struct xt_err *err)
{
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (handlers[i].id == m->id)
			return handlers[i].call(context, params, result, err);
	assert(false && "a method that clients may call has a handler");
	return -1;
}

const struct culprit *work_culprit(struct work *w, uint64_t seq)
{
	const struct culprit *c = w->culprit;

	if (!c || c->seq != seq || c->client.uid != w->client->key.uid ||
	    memcmp(c->client.id, w->client->key.id, XT_CLIENT_ID) != 0)
		return NULL;
	w->met = true;
	return c;
}

int work_reject(struct work *w, uint64_t seq, const struct xt_err *why, struct xt_err *err)
{
	struct params_reject p = {.seq = seq,
				  .code = span_str(proto_error_name(why->code)),
				  .message = span_str(why->message),
				  .field = span_str(why->field)};
	size_t start = w->events->len;

	if (why->field[0])
		p.has |= PARAM_BIT(reject, field);
	wire_put_notify(w->events, METHOD_reject, &p);
	if (buf_failed(w->events))
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	int r = outbox_put(w->store, &w->client->key, seq, "reject",
			   span_of(w->events->data + start, w->events->len - start), err);
	if (w->client->untold)
		w->events->len = start; /* older ones wait to be told, and order is kept */
	return r;
}
