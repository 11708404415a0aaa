/* Times as the tables hold them. */
#ifndef XT_STAMP_H
#define XT_STAMP_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since 1970 as `YYYY-MM-DD HH:MM:SS.ffffff`, UTC or local; -1 outside the years 1 to 9999.
 * The last second's text is kept from one call to the next, a thread each. */
#define STAMP_SIZE 27
int stamp_write(int64_t us, bool local, char ret[STAMP_SIZE]) __attribute__((warn_unused_result));

#endif
