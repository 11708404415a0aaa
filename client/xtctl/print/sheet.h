/*
 * Facts in sections, each a name and a value: what is known of one thing.
 */
#ifndef XTCTL_SHEET_H
#define XTCTL_SHEET_H

#include "xtctl.h"

struct sheet_row {
	const char *section; /* borrowed: a constant; "" for what stands first, without a head */
	char *name;	     /* owned */
	xt_value value;	     /* its text or blob is owned */
};

/* Zeroed is valid. */
struct sheet {
	struct sheet_row *rows; /* owned; to be printed, those of a section stand together */
	size_t n;
	bool failed; /* memory ran out: sheet_print() says so */
};

/* Adds a fact, copying name and value. */
void sheet_add(struct sheet *s, const char *section, const char *name, const xt_value *value);

/* The same with a text that is made. */
void sheet_say(struct sheet *s, const char *section, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A fact by its section and name; NULL: there is none. */
struct sheet_row *sheet_find(const struct sheet *s, const char *section, const char *name);

/* Prints it: a line a fact; or with --json one object, its sections objects in it; or, in other forms, rows
 * of section, name and value. The exit status. */
int sheet_print(const struct sheet *s, struct ctl *ctl);

void sheet_done(struct sheet *s);

#endif
