/* XETRACK_TRACE=proto: every message on stderr with its field names, for who writes a client. */
#ifndef XT_TRACE_H
#define XT_TRACE_H

#include "wire.h"

/* True when the environment asks for it. */
bool trace_wanted(void);

/* Prints one scanned message: `who direction json`, cut after some hundred bytes. */
void trace_message(const char *who, const char *direction, struct span body);

/* Prints all of whole frames. */
void trace_frames(const char *who, const char *direction, struct span frames);

#endif
