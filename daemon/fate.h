/* What becomes of a client's runs, and of the calls it is in, when it ends; and when it comes back. */
#ifndef XT_FATE_H
#define XT_FATE_H

#include "handle.h"

#define FATE_AWAY "gone while the daemon was away"

/* It ended without a goodbye: its runs crash, its calls become rows that say so. cause: for people; "": its
 * connection only ended after a goodbye. */
int fate_crashed(struct work *w, const struct client_key *client, const char *cause, struct xt_err *err)
	__attribute__((warn_unused_result));

/* It said goodbye. */
int fate_left(struct work *w, const struct client_key *client, bool failed, struct xt_err *err)
	__attribute__((warn_unused_result));

/* It is there again: what was called crashed goes on. Rows of its calls stay until those end. */
int fate_returned(struct work *w, const struct client_key *client, struct xt_err *err)
	__attribute__((warn_unused_result));

/* The time to come back is over: clients that have running runs and are not connected have crashed, unless
 * their process lives. ret_again: there are such, to be looked at later. */
int fate_judge(struct work *w, bool *ret_again, struct xt_err *err) __attribute__((warn_unused_result));

#endif
