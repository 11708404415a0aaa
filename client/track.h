/*
 * A call of a function on its way: track.c begins it and takes its results, track_row.c makes its row,
 * track_end.c sends that. Everything here is called with the client's mutex held.
 */
#ifndef XT_TRACK_H
#define XT_TRACK_H

#include <time.h>

#include "client.h"
#include "pairs.h"

struct xt_call {
	struct xt_run *run;   /* borrowed */
	pid_t pid;	      /* that began it: a child's lease would be its parent's */
	struct pairs row;     /* run parameters, function columns, arguments */
	struct pairs results; /* what it came to */
	struct pairs params;  /* of the call, and labels: they win */
	struct buf parts;     /* what the key is made from; empty: not cached */
	struct buf value;     /* what is kept in place of the results, or what a hit is from; without data:
				 neither */
	char *encoding;	      /* owned: of it; NULL: MessagePack */
	xt_cached cached;     /* of a hit; points into `value` */
	uint8_t key[XT_CACHE_KEY];
	struct held *held; /* in the client's list; NULL: nothing is kept */
	bool keep;	   /* `held` was given */
	uint64_t number;   /* of its call_begin; 0: none was sent */
	struct timespec start;
	bool hit;     /* it came from the cache, and is logged */
	bool failed;  /* it has an error */
	bool through; /* XT_TRACK: the block came to its end */
	bool broken;  /* XT_TRACK: it could not be begun, and is not logged */
};

/* ---- track.c ---------------------------------------------------------- */

/* It failed, and what it came to will not be kept. */
void track_fail(struct xt_call *call, const char *error_type, const char *error);

/* Frees the call and what it has. */
void track_discard(struct xt_call *call);

/* ---- track_row.c ------------------------------------------------------ */

/* What the row has from the begin: run's parameters < function columns < arguments. */
int track_put_row(struct xt_call *call, const char *function, const xt_field *args, size_t n_args,
		  const xt_call_options *o) __attribute__((warn_unused_result));

/* The whole row as a map: what it began with, what it came to, the call's own parameters. Errors are the
 * buffer's. */
void track_put_whole_row(const struct xt_call *call, struct buf *out);

/* The seconds so far become the row's function_time. */
void track_set_time(struct xt_call *call);

/* XT_ENOMEM with its sentence. */
int track_no_memory(struct xt_client *c);

/* ---- track_end.c ------------------------------------------------------ */

/* Numbered and pushed as every row is; `params` is the method's struct, `bytes` about what it takes. */
int track_push(struct xt_client *c, enum method_id method, void *params, size_t bytes)
	__attribute__((warn_unused_result));

/* Logs the row: of a hit, of a failure, of a result that is not kept. */
int track_log_row(struct xt_call *call) __attribute__((warn_unused_result));

#endif
