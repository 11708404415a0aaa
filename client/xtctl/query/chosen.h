/*
 * The run that --track-id names: an id, or `last`.
 */
#ifndef XTCTL_CHOSEN_H
#define XTCTL_CHOSEN_H

#include "xtctl.h"

/*
 * Finds it: a run that is recorded, or one that has rows in the table, with `last` for the one of them that
 * began last, if none has that for its id. table NULL: of all recorded ones, those that were deleted too.
 * *ret is owned by the caller; NULL without --track-id. That there is no such run is reported, with the one
 * that may be meant; where it may be to come, it is a note, and *ret the id. CTL_OK, or the failure is
 * reported.
 */
int chosen_run(const struct ctl *ctl, xt_client *client, const char *table, bool may_come, char **ret)
	__attribute__((warn_unused_result));

/* Whether it is `last`; NULL is not. */
bool chosen_is_last(const char *id);

/* Says that what changes something takes no `last`, where no run has that for its id; returns CTL_FAILED. */
int chosen_no_last(const struct ctl *ctl);

/* Reports the failure of a change to run `id`, which may be NULL: as ctl_fail() does, or as chosen_no_last().
 */
int chosen_fail(const struct ctl *ctl, const xt_client *client, const char *id, int status);

#endif
