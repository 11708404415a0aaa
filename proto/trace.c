#include "trace.h"

#include <stdio.h>
#include <stdlib.h>

#include "json.h"

#define MOST_BYTES 1000 /* of a message that are shown */

bool trace_wanted(void)
{
	const char *env = getenv("XETRACK_TRACE");

	return env && strcmp(env, "proto") == 0;
}

void trace_message(const char *who, const char *direction, struct span body)
{
	struct buf line = {0};
	struct reader r = reader_of(body);

	json_put(&line, &r);
	if (!buf_failed(&line))
		fprintf(stderr, "%s %s %.*s%s\n", who, direction,
			(int)(line.len < MOST_BYTES ? line.len : MOST_BYTES), (const char *)line.data,
			line.len < MOST_BYTES ? "" : "…");
	buf_done(&line);
}

void trace_frames(const char *who, const char *direction, struct span frames)
{
	struct span body;
	size_t size;

	while (frame_next(frames, XT_MAX_FRAME, &body, &size) == FRAME_OK) {
		trace_message(who, direction, body);
		frames = span_of(frames.data + size, frames.len - size);
	}
}
