#include "value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* ---- JSON ------------------------------------------------------------- */

/* Bytes of nodes that a JSON value needs below it. */
static size_t nodes_of(json_t *v)
{
	size_t bytes = 0, i;
	const char *key;
	json_t *item;

	if (json_is_object(v)) {
		json_object_foreach(v, key, item) bytes += sizeof(xt_field) + nodes_of(item);
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, item) bytes += sizeof(xt_value) + nodes_of(item);
	}
	return bytes;
}

static xt_value convert(json_t *v, char **at);

static xt_value convert_object(json_t *v, char **at)
{
	xt_field *fields = (xt_field *)(void *)*at;
	size_t n = 0;
	const char *key;
	json_t *item;

	*at += json_object_size(v) * sizeof(xt_field);
	json_object_foreach(v, key, item)
	{
		fields[n].key = key;
		fields[n++].value = convert(item, at);
	}
	return xt_map(fields, n);
}

static xt_value convert_array(json_t *v, char **at)
{
	xt_value *items = (xt_value *)(void *)*at;
	size_t i;
	json_t *item;

	*at += json_array_size(v) * sizeof(xt_value);
	json_array_foreach(v, i, item) items[i] = convert(item, at);
	return xt_array(items, json_array_size(v));
}

static xt_value convert(json_t *v, char **at)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return convert_object(v, at);
	case JSON_ARRAY:
		return convert_array(v, at);
	case JSON_STRING:
		return xt_textn(json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
		return xt_int(json_integer_value(v));
	case JSON_REAL:
		return xt_real(json_real_value(v));
	case JSON_TRUE:
	case JSON_FALSE:
		return xt_bool(json_is_true(v));
	case JSON_NULL:
		break;
	}
	return xt_null();
}

int json_read(struct json *j, const char *text, size_t n, xt_value *ret, char *error, size_t size)
{
	json_error_t e;

	json_decref(j->root);
	j->root = json_loadb(text, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
	if (!j->root) {
		j->error_at = e.position > 0 ? (size_t)e.position : 0;
		snprintf(error, size, "%s", e.text);
		return -1;
	}
	size_t need = nodes_of(j->root) + 1; /* so that there are nodes, to point to the end of */
	if (need > j->cap) {
		void *nodes = realloc(j->nodes, need);
		if (!nodes) {
			snprintf(error, size, "out of memory");
			return -1;
		}
		j->nodes = nodes;
		j->cap = need;
	}
	char *at = j->nodes;
	*ret = convert(j->root, &at);
	return 0;
}

void json_done(struct json *j)
{
	json_decref(j->root);
	free(j->nodes);
	*j = (struct json){0};
}

/* ---- words ------------------------------------------------------------ */

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* [-] digits without leading zeros. */
static bool is_integer(const char *s)
{
	s += *s == '-';
	return *s && digits(s) == strlen(s) && (s[0] != '0' || s[1] == '\0');
}

/* [-] digits [. digits] [e [+-] digits], with digits on one side of the point. */
static bool is_real(const char *s)
{
	s += *s == '-';
	size_t whole = digits(s), part = 0;

	if (whole > 1 && s[0] == '0')
		return false;
	s += whole;
	if (*s == '.') {
		part = digits(++s);
		s += part;
	}
	if (whole + part == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		if (digits(s) == 0)
			return false;
		s += digits(s);
	}
	return *s == '\0';
}

static const struct {
	const char *word;
	xt_value value;
} words[] = {
	{"true", {XT_T_BOOL, {.boolean = true}, 0}},
	{"false", {XT_T_BOOL, {.boolean = false}, 0}},
	{"null", {XT_T_NULL, {0}, 0}},
	{"nan", {XT_T_REAL, {.real = NAN}, 0}},
	{"inf", {XT_T_REAL, {.real = INFINITY}, 0}},
	{"-inf", {XT_T_REAL, {.real = -INFINITY}, 0}},
};

int value_word(xt_value *ret, const char *text, char *error, size_t size)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	*ret = xt_text(text);
	if (is_integer(text)) {
		errno = 0;
		*ret = xt_int(strtoll(text, NULL, 10));
		if (errno == 0)
			return 0;
		snprintf(error, size, "%.100s is beyond 64 bits; :='\"…\"' stores it as text", text);
		return -1;
	}
	if (is_real(text)) {
		double d = strtod(text, NULL);
		if (!isinf(d)) /* 7e34567 is more likely a commit than a number */
			*ret = xt_real(d);
	}
	return 0;
}

int value_parse(struct value *ret, const char *text, char *error, size_t size)
{
	char why[200];

	if (strncmp(text, ":=", 2) != 0)
		return value_word(&ret->is, text, error, size);
	if (json_read(&ret->json, text + 2, strlen(text + 2), &ret->is, why, sizeof(why)) == 0)
		return 0;
	snprintf(error, size, "not JSON: '%.100s': %s", text + 2, why);
	return -1;
}

void value_done(struct value *v)
{
	json_done(&v->json);
}

int pair_parse(char **ret_key, struct value *ret, const char *text, char *error, size_t size)
{
	const char *equals = strchr(text, '=');
	bool is_json = equals && equals > text && equals[-1] == ':';
	size_t len = equals ? (size_t)(equals - text) - is_json : 0;

	*ret_key = NULL;
	if (len == 0) {
		snprintf(error, size, "'%.100s' is not KEY=VALUE", text);
		return -1;
	}
	if (value_parse(ret, is_json ? equals - 1 : equals + 1, error, size) < 0)
		return -1;
	*ret_key = strndup(text, len);
	if (*ret_key)
		return 0;
	snprintf(error, size, "out of memory");
	return -1;
}
