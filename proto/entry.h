/*
 * An entry of the cache as it lies in LMDB, read by the daemon and, directly, by clients. A head of
 * ENTRY_HEAD bytes, numbers little-endian, then origin, encoding, parts and value end to end:
 *
 *     0   version 1          8   uid u32            24  created i64, µs    48  checksum, 16 bytes
 *     1   zero               12  bytes of parts     32  function_ns u64
 *     2   bytes of origin    16  bytes of value     40  token u64
 *     4   bytes of encoding  20  zero
 *
 * The checksum is BLAKE2b-128 over the key and the entry with a checksum of zero.
 */
#ifndef XT_ENTRY_H
#define XT_ENTRY_H

#include "buf.h"
#include "proto.h"

#define ENTRY_VERSION  1
#define ENTRY_HEAD     64
#define ENTRY_CHECKSUM 16

/* Spans borrow: from the map, or from who made it. */
struct entry {
	struct span origin;   /* track_id of the run that computed it */
	struct span encoding; /* of the value; empty: MessagePack */
	struct span parts;    /* what the key was made from; may be empty */
	struct span value;
	uint32_t uid;	      /* who stored it */
	int64_t created_us;   /* since 1970-01-01 UTC */
	uint64_t function_ns; /* that the computation took */
	uint64_t token;	      /* of the lease under which it was stored */
};

/* Appends the entry. Errors are the buffer's. */
void entry_put(struct buf *out, const uint8_t key[XT_CACHE_KEY], const struct entry *e);

/* Reads an entry; lengths are checked, the checksum is not. -1: it is none. */
int entry_get(struct span bytes, struct entry *ret) __attribute__((warn_unused_result));

/* Whether the checksum is right. */
bool entry_is_sound(const uint8_t key[XT_CACHE_KEY], struct span bytes);

/* Too old, for entries that live so long? 0: for ever. */
static inline bool entry_is_expired(const struct entry *e, uint64_t ttl_us, int64_t now_us)
{
	return ttl_us > 0 && now_us > e->created_us && (uint64_t)(now_us - e->created_us) >= ttl_us;
}

#endif
