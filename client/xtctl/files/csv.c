#include "csv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES 65536u
#define MOST_BYTES  (32u << 20)
#define MARK	    "\xef\xbb\xbf" /* the byte order mark that some programs put first */

size_t csv_most(void)
{
	return MOST_BYTES;
}

/* Reads more behind `end`, leaving room for a NUL. 1, 0 at the end, or -errno. */
static int fill(struct csv *c)
{
	if (c->start > 0) {
		memmove(c->data, c->data + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	if (c->end + 1 >= c->cap) {
		size_t cap = c->cap ? c->cap * 2 : FIRST_BYTES;
		if (cap > MOST_BYTES)
			return -EMSGSIZE;
		char *data = realloc(c->data, cap);
		if (!data)
			return -ENOMEM;
		c->data = data;
		c->cap = cap;
	}
	for (;;) {
		if (*c->stop)
			return -EINTR;
		ssize_t n = read(c->fd, c->data + c->end, c->cap - 1 - c->end);
		if (n > 0) {
			c->end += (size_t)n;
			c->bytes += (uint64_t)n;
			return 1;
		}
		if (n == 0) {
			c->eof = true;
			return 0;
		}
		if (errno != EINTR)
			return -errno;
	}
}

/* ---- where a record ends ---------------------------------------------- */

enum state { CELL_BEGINS, PLAIN, QUOTED, QUOTE_CLOSED };

/* What has been looked at of a record. */
struct scan {
	enum state state;
	size_t at; /* bytes from its start */
	uint64_t lines;
};

/* Goes on until the record's end, which is then at s->at, or the bytes that are there are over. */
static bool find_end(const struct csv *c, struct scan *s)
{
	const char *from = c->data + c->start;

	for (size_t n = c->end - c->start; s->at < n; s->at++) {
		char b = from[s->at];
		s->lines += b == '\n';
		if (s->state == QUOTED) {
			s->state = b == '"' ? QUOTE_CLOSED : QUOTED;
			continue;
		}
		if (b == '\n')
			return true;
		if (b == '"' && (s->state == CELL_BEGINS || s->state == QUOTE_CLOSED))
			s->state = QUOTED;
		else
			s->state = b == c->delimiter ? CELL_BEGINS : PLAIN;
	}
	return false;
}

/* ---- its cells -------------------------------------------------------- */

static struct csv_cell *add_cell(struct csv *c)
{
	if (c->n == c->cells_cap) {
		size_t cap = c->cells_cap ? c->cells_cap * 2 : 16;
		struct csv_cell *more = reallocarray(c->cells, cap, sizeof(*more));
		if (!more)
			return NULL;
		c->cells = more;
		c->cells_cap = cap;
	}
	return &c->cells[c->n++];
}

/* Past a quoted cell, whose text is moved together. NULL: something stands behind its closing quote. */
static char *take_quoted(const struct csv *c, char *from, const char *end, struct csv_cell *ret)
{
	char *to = from, *at = from + 1;

	for (; at < end; at++) {
		if (*at == '"' && (++at == end || *at != '"'))
			break;
		*to++ = *at;
	}
	if (at < end && *at != c->delimiter)
		return NULL;
	*to = '\0'; /* at the closing quote or before */
	*ret = (struct csv_cell){from, (size_t)(to - from), true};
	return at;
}

/* The record's bytes are [from, end), with room for a NUL at the end. */
static int split(struct csv *c, char *from, char *end, const char **ret_why)
{
	c->n = 0;
	for (char *at = from;;) {
		struct csv_cell *cell = add_cell(c);
		if (!cell)
			return -ENOMEM;
		char *next;
		if (at < end && *at == '"') {
			next = take_quoted(c, at, end, cell);
			if (!next) {
				*ret_why = "text behind the closing quote of a cell; a quote inside is "
					   "written twice";
				return -EBADMSG;
			}
		} else {
			next = memchr(at, c->delimiter, (size_t)(end - at));
			next = next ? next : end;
			*cell = (struct csv_cell){at, (size_t)(next - at), false};
		}
		if (next == end) {
			*end = '\0';
			return 1;
		}
		*next = '\0';
		at = next + 1;
	}
}

int csv_next(struct csv *c, const char **ret_why)
{
	struct scan s = {.state = CELL_BEGINS};
	int r = 1;

	if (!c->begun) {
		while (r > 0 && c->end - c->start < strlen(MARK))
			r = fill(c);
		if (r < 0)
			return r;
		if (c->end >= strlen(MARK) && memcmp(c->data, MARK, strlen(MARK)) == 0)
			c->start = strlen(MARK);
		c->begun = true;
		c->next_line = 1;
	}
	c->line = c->next_line;
	bool whole;
	while (!(whole = find_end(c, &s)) && !c->eof) {
		r = fill(c);
		if (r < 0)
			return r;
	}
	if (!whole && s.at == 0)
		return 0;
	if (!whole && s.state == QUOTED) {
		*ret_why = "a quoted cell does not end";
		return -EBADMSG;
	}
	char *from = c->data + c->start, *end = from + s.at;
	c->start += s.at + whole;
	c->next_line += s.lines;
	if (end > from && end[-1] == '\r')
		end--;
	return split(c, from, end, ret_why);
}

void csv_done(struct csv *c)
{
	free(c->data);
	free(c->cells);
	c->data = NULL;
	c->cells = NULL;
}
