/*
 * COPY (SELECT …) TO 'file' (options), as DuckDB has it and our users write it. SQLite has no such
 * statement: the part in parentheses is what the daemon is asked.
 */
#ifndef XTCTL_COPY_H
#define XTCTL_COPY_H

#include "format.h"

struct copy {
	char *sql;		   /* owned: the question */
	char *file;		   /* owned: path to write */
	struct format_options how; /* in which form */
};

/* 1: it is one, *ret is filled in; 0: it is another statement; -1: it is one that cannot be done,
 * with a sentence in `error`. */
int copy_parse(struct copy *ret, const char *statement, char *error, size_t size)
	__attribute__((warn_unused_result));
void copy_done(struct copy *c);

#endif
