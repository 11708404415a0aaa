/*
 * From a frame to the thread that handles it. All gates are here and nowhere else: hello first, the
 * kind of message, the role, the thread, each from its flag in methods.def.
 */
#ifndef XT_DISPATCH_H
#define XT_DISPATCH_H

#include "conn.h"

/* Takes one frame's body, which lies in c->in. Answers or queues it, or ends the connection. */
void dispatch_message(struct conn *c, struct span body);

#endif
