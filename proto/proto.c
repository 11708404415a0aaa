#include "token.h"

#include <stdarg.h>
#include <stdio.h>

#define KIND_(k)   KIND_##k
#define THREAD_(t) THREAD_##t
#define EARLY	   METHOD_EARLY
#define SEQ	   METHOD_SEQ
#define WRITE	   METHOD_WRITE
#define FILES	   METHOD_FILES
#define ROWS	   METHOD_ROWS
#define VIEW	   METHOD_VIEW
#define REQUIRED   true
#define OPTIONAL   false

#define METHOD(name, id, kind, thread, flags, doc) static const struct field_desc params_of_##name[] = {
#define PARAM(method, field, type, need, min, max, doc)                                                    \
	{#field, sizeof(#field) - 1, TYPE_##type, need, min, max, offsetof(struct params_##method, field), \
	 doc},
#define END(name)                                       \
	{                                               \
		NULL, 0, TYPE_U64, false, 0, 0, 0, NULL \
	}                                               \
	}                                               \
	;                                               \
	_Static_assert(sizeof(struct params_##name) <= PROTO_MAX_PARAMS, #name);
#include "methods.def"

#define METHOD(name, id, kind, thread, flags, doc) static const struct field_desc result_of_##name[] = {
#define RESULT(method, field, type, need, min, max, doc)                                                   \
	{#field, sizeof(#field) - 1, TYPE_##type, need, min, max, offsetof(struct result_##method, field), \
	 doc},
#define END(name)                                       \
	{                                               \
		NULL, 0, TYPE_U64, false, 0, 0, 0, NULL \
	}                                               \
	}                                               \
	;
#include "methods.def"

const struct method_desc proto_methods[] = {
#define METHOD(name, id, kind, thread, flags, doc)                                    \
	{#name,                                                                       \
	 sizeof(#name) - 1,                                                           \
	 id,                                                                          \
	 KIND_(kind),                                                                 \
	 THREAD_(thread),                                                             \
	 flags,                                                                       \
	 {params_of_##name, sizeof(params_of_##name) / sizeof(struct field_desc) - 1, \
	  sizeof(struct params_##name)},                                              \
	 {result_of_##name, sizeof(result_of_##name) / sizeof(struct field_desc) - 1, \
	  sizeof(struct result_##name)},                                              \
	 doc},
#include "methods.def"
};
const size_t proto_n_methods = sizeof(proto_methods) / sizeof(proto_methods[0]);

/* Where a method stands in the table, by its id, plus 1; 0: there is none. */
enum {
#define METHOD(name, id, kind, thread, flags, doc) AT_##name,
#include "methods.def"
};
static const uint8_t at_of[] = {
#define METHOD(name, id, kind, thread, flags, doc) [id] = AT_##name + 1,
#include "methods.def"
};

const struct error_desc proto_errors[] = {
#define ERROR(name, number, doc) {#name, XT_E_##name, doc},
#include "methods.def"
};
const size_t proto_n_errors = sizeof(proto_errors) / sizeof(proto_errors[0]);

const struct method_desc *proto_method(enum method_id id)
{
	size_t at = (size_t)id < sizeof(at_of) ? at_of[id] : 0;

	return at > 0 ? &proto_methods[at - 1] : NULL;
}

const struct method_desc *proto_method_named(struct span name)
{
	for (size_t i = 0; i < proto_n_methods; i++)
		if (span_eq(name, span_of(proto_methods[i].name, proto_methods[i].name_len)))
			return &proto_methods[i];
	return NULL;
}

const char *proto_error_name(enum xt_code code)
{
	for (size_t i = 0; i < proto_n_errors; i++)
		if (proto_errors[i].code == code)
			return proto_errors[i].name;
	return "internal";
}

enum xt_code proto_error_code(struct span name)
{
	for (size_t i = 0; i < proto_n_errors; i++)
		if (span_is(name, proto_errors[i].name))
			return proto_errors[i].code;
	return XT_E_internal;
}

/* Quoted names are cut where they are long, perhaps inside a character, and need not be text at all; but
 * a message that is not UTF-8 is one that its receiver cannot read. */
static void make_utf8(char *s)
{
	size_t len = strlen(s), at;

	while ((at = utf8_prefix(span_of(s, len))) < len)
		s[at] = '?';
}

int xt_err_set(struct xt_err *err, enum xt_code code, const char *field, const char *fmt, ...)
{
	if (!err)
		return -1;
	va_list ap;

	err->code = code;
	snprintf(err->field, sizeof(err->field), "%s", field ? field : "");
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	make_utf8(err->field);
	make_utf8(err->message);
	return -1;
}
