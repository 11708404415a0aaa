/*
 * Records of CSV, in bounded memory: RFC 4180, with lines that may end in either way, and quotes inside an
 * unquoted cell taken as they are.
 */
#ifndef XTCTL_CSV_H
#define XTCTL_CSV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cell: n bytes, and a NUL behind them. */
struct csv_cell {
	const char *text;
	size_t n;
	bool quoted; /* so that an empty text is told from nothing */
};

/* Zeroed but for fd, stop and delimiter to begin with. */
struct csv {
	int fd;			/* borrowed */
	const atomic_int *stop; /* borrowed: set: give up reading */
	char delimiter;
	char *data; /* owned: bytes read; [start, end) are still to come */
	size_t cap, start, end;
	bool eof;
	bool begun;		/* past a byte order mark */
	uint64_t line;		/* the last record's first line, from 1 */
	uint64_t next_line;	/* the next one's */
	uint64_t bytes;		/* read so far */
	struct csv_cell *cells; /* owned: the last record's, n of them, living until the next call */
	size_t n, cells_cap;
};

/* The next record. 1, 0 at the end, or -errno: -EINTR: stopped, -EMSGSIZE: longer than csv_most(); -EBADMSG:
 * its quotes make no sense, csv->line being where; *ret_why says how. */
int csv_next(struct csv *c, const char **ret_why) __attribute__((warn_unused_result));
size_t csv_most(void);

void csv_done(struct csv *c);

#endif
