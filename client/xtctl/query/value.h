/*
 * Values as they are typed on a command line, and as JSON.
 */
#ifndef XTCTL_VALUE_H
#define XTCTL_VALUE_H

#include <jansson.h>

#include "xetrack.h"

/* Room for one JSON text and the values made from it; used again for the next. Zeroed to begin with. */
struct json {
	json_t *root;	 /* owned */
	void *nodes;	 /* owned: arrays that the value points into */
	size_t cap;	 /* allocated */
	size_t error_at; /* the byte of the last text where it made no sense */
};

/* Reads one JSON text of any type. The value lives until the next call on `j`. 0, or -1 with a
 * sentence in `error`. */
int json_read(struct json *j, const char *text, size_t n, xt_value *ret, char *error, size_t size)
	__attribute__((warn_unused_result));
void json_done(struct json *j);

/* A value, with what it points to. Zeroed is valid. */
struct value {
	xt_value is;
	struct json json; /* behind a value given as :=JSON */
};

/*
 * Reads a value: integers, reals (nan, inf and -inf too), true, false and null; anything else is
 * text, also a number with leading zeros. ":=" before it makes it JSON. The text is borrowed.
 * 0, or -1 with a sentence in `error`.
 */
int value_parse(struct value *ret, const char *text, char *error, size_t size)
	__attribute__((warn_unused_result));
/* The same without the form for JSON: what begins with := is text. */
int value_word(xt_value *ret, const char *text, char *error, size_t size) __attribute__((warn_unused_result));
void value_done(struct value *v);

/* Reads KEY=VALUE or KEY:=JSON. The key is owned by the caller, also on failure (NULL then). */
int pair_parse(char **ret_key, struct value *ret, const char *text, char *error, size_t size)
	__attribute__((warn_unused_result));

#endif
