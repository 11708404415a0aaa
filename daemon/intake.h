/*
 * Orphaned spool files taken into the database: rows that clients kept while there was no daemon, and
 * whose process has ended since. A bounded piece at a time, in the transaction of whatever else the
 * batch holds; a file is removed after the commit that holds its last record. Used by the writer's
 * thread.
 */
#ifndef XT_INTAKE_H
#define XT_INTAKE_H

#include "spool.h"
#include "handle.h"

/* What one call did and what is left. */
struct intake_report {
	uint64_t rows;	  /* stored by the call */
	bool more;	  /* there is an orphan to go on with */
	uint64_t owned;	  /* files whose process lives */
	uint64_t damaged; /* files that were set aside, in all that there are */
};

struct intake {
	char dir[PATH_MAX];
	struct spool file;	  /* the one that is being taken in */
	struct client_key client; /* whose rows they are */
	uint64_t shift;	    /* what is taken off the numbers of a file that belongs to another database */
	uint64_t committed; /* file offset up to which records are committed */
	bool at_end;	    /* the file was read to its end in the open transaction */
	bool damaged;	    /* and what follows is no record */
	bool stuck;	    /* it cannot be read at the moment */
	struct op *op;	    /* owned: the record that is being applied */
};

/* For the spool directory of a database. The struct is zeroed or done. */
void intake_init(struct intake *in, const char *database);
void intake_done(struct intake *in);

/* Applies the next piece. -1: the batch cannot go on. */
int intake_apply(struct intake *in, struct work *w, struct intake_report *ret, struct xt_err *err)
	__attribute__((warn_unused_result));

/* What was applied is committed: a file that is through is removed; or undone. */
void intake_committed(struct intake *in, struct store *s);
void intake_rolled_back(struct intake *in);

#endif
