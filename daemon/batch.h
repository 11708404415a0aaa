/*
 * A batch: the messages that one transaction of the writer's thread holds, and how large it may become.
 */
#ifndef XT_BATCH_H
#define XT_BATCH_H

#include "handle.h"
#include "lane.h"

/* What lives as long as the thread. */
struct batch {
	struct work work;
	struct op_list ops;	/* those of the open transaction */
	struct culprit culprit; /* of the last try */
	uint64_t row_limit;	/* rows that take about as long as a batch may */
	int64_t commit_us;	/* what the last commit took */
	int64_t bulk_us;	/* when the first bulk message of this batch was taken; 0: none was */
	bool prompted;		/* prompt messages were taken into it */
	bool bulk_turn;		/* none was taken into the last one though there were: they go first */
	size_t under_way;	/* messages answered by it, and those that waited for it meanwhile */
	struct xt_err refusal;	/* why the cache could not be written */
	bool mended;		/* the cache was set aside for this batch */
	int64_t retry_ms;	/* how long to wait before the next try */
};

/* CLOCK_MONOTONIC in microseconds. */
int64_t batch_now_us(void);

/* What can not be done inside a transaction. */
bool batch_outside(const struct op *op);

/* A user's statement may roll everything back, so it has a transaction to itself. */
bool batch_alone(const struct op *op);

/* Where the next message is taken from. */
struct op_list *batch_next_lane(const struct batch *b, struct lanes *queue);

/* Whether the batch takes one more bulk message. Beside prompt ones they get as much time as the commit. */
bool batch_has_room(struct batch *b);

/* Puts the batch's messages back before the queue, as if they had not been looked at. */
void batch_take_back(struct batch *b, struct lanes *queue);

/* After the commit: a log that was cut behind a culprit goes on in the next batch. */
void batch_resume_last(struct batch *b, struct lanes *queue);

/* The statement that broke the transaction is the one that was being applied. False: it was none. */
bool batch_note_culprit(struct batch *b, const struct xt_err *err);

/* How many rows the next batch may have: as many as keep acknowledgements prompt, but not so few that the
 * disk is waited for more than rows are stored. */
void batch_adapt(struct batch *b, int64_t took_us);

#endif
