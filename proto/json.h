/* MessagePack values as JSON text (RFC 8259): how nested values and parameters are stored. */
#ifndef XT_JSON_H
#define XT_JSON_H

#include "wire.h"

/* Appends one scanned value. Bytes become lower-case hex, NaN and infinities null, keys that are
 * not text their JSON in quotes. Errors are the buffer's. */
void json_put(struct buf *out, struct reader *r);

#endif
