/* An open query, or a listing, page by page. Inside cursor.c and list.c. */
#ifndef XT_CURSOR_H
#define XT_CURSOR_H

#include "client.h"

/*
 * A page of encoded rows, read one by one. The rows of a query are arrays; those of the listings
 * (tables, columns, status) are maps, whose keys are the columns.
 */
struct xt_cursor {
	struct xt_client *client; /* borrowed */
	uint32_t id;		  /* msgid of the query, which names it in the daemon */
	unsigned epoch;		  /* connection that it lives on */
	bool open;		  /* the daemon has more rows */
	bool waiting;		  /* `fetching` was sent and not yet answered */
	bool maps;		  /* rows are maps */
	int failed;		  /* status of the failure that ended it */
	struct call fetching;	  /* the next page's request */
	struct buf page;	  /* owned: the last result, encoded */
	struct reader rows;	  /* the next row in it */
	uint32_t left;		  /* rows in it */
	size_t n;		  /* columns */
	const char **names;	  /* owned; the strings are static or in the same piece */
	const char **types;	  /* the same */
	xt_value *row;		  /* owned: n values, borrowing from the page */
};

/* Sends a reading request and waits for it. Asking twice does no harm, so a connection that breaks
 * is no failure. `after`: a field of params, set to what this client sent so far, under its present
 * numbers; may be NULL. call_done() the call, also on failure. */
int cursor_ask(struct xt_client *c, enum method_id method, void *params, uint64_t *after, struct call *call)
	__attribute__((warn_unused_result));

/* Tells the daemon to stop a query, or another cursor, of this connection; its answer is of no interest. */
void cursor_cancel(struct xt_client *c, uint32_t id, unsigned epoch);

/* A cursor that takes over the answer of a call; NULL with the error set when memory ran out. */
struct xt_cursor *cursor_new(struct xt_client *c, struct call *call);
void cursor_free(struct xt_cursor *cur);

/* Makes the row of cur->n values. */
int cursor_row(struct xt_cursor *cur) __attribute__((warn_unused_result));

/* Goes on with the rows of an encoded array, which lies in the page. */
int cursor_rows(struct xt_cursor *cur, struct span array) __attribute__((warn_unused_result));

/* Sets the error of an answer that cannot be read; returns its status. */
int cursor_bad(struct xt_client *c);

#endif
