/* Random MessagePack values from a fixed seed, for the differential tests. */
#ifndef XT_UNIT_RANDOM_H
#define XT_UNIT_RANDOM_H

#include "wire.h"

/* xorshift64*: the same numbers on every machine. */
static inline uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

static inline size_t random_below(uint64_t *seed, size_t n)
{
	return (size_t)(random_next(seed) >> 33) % n;
}

static inline void random_text(msgpack_packer *pk, uint64_t *seed)
{
	static const char *const words[] = {"",
					    "a",
					    "loss",
					    "größe",
					    "損失",
					    "😀",
					    "\"\\\n\t\x01\x7f",
					    "a text of some length, more than 31 bytes"};
	const char *s = words[random_below(seed, sizeof(words) / sizeof(words[0]))];

	msgpack_pack_str(pk, strlen(s));
	msgpack_pack_str_body(pk, s, strlen(s));
}

static inline void random_bytes(msgpack_packer *pk, uint64_t *seed)
{
	uint8_t bytes[300];
	size_t n = random_below(seed, 8) == 0 ? sizeof(bytes) : random_below(seed, 20);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)random_next(seed);
	if (random_below(seed, 2)) {
		msgpack_pack_bin(pk, n);
		msgpack_pack_bin_body(pk, bytes, n);
	} else {
		msgpack_pack_ext(pk, n, (int8_t)random_next(seed));
		msgpack_pack_ext_body(pk, bytes, n);
	}
}

static inline void random_number(msgpack_packer *pk, uint64_t *seed)
{
	uint64_t u = random_next(seed) >> random_below(seed, 64);
	double d;

	switch (random_below(seed, 8)) {
	case 0:
		msgpack_pack_uint64(pk, u);
		break;
	case 1:
		msgpack_pack_int64(pk, (int64_t)u);
		break;
	case 2:
		msgpack_pack_int64(pk, -(int64_t)(u >> 1));
		break;
	case 3: /* every width, also where a smaller one would do */
		msgpack_pack_fix_int64(pk, (int8_t)u);
		break;
	case 4:
		msgpack_pack_fix_int16(pk, (int16_t)u);
		break;
	case 5:
		msgpack_pack_fix_uint32(pk, (uint32_t)u);
		break;
	case 6:
		msgpack_pack_float(pk, (float)(int64_t)u / 3);
		break;
	default:
		memcpy(&d, &u, sizeof(d));
		msgpack_pack_double(pk, d);
	}
}

/* One value, with containers in it up to the depth. */
static inline void random_value(msgpack_packer *pk, uint64_t *seed, unsigned depth)
{
	size_t n;

	switch (random_below(seed, depth > 0 ? 8 : 5)) {
	case 0:
		if (random_below(seed, 2))
			msgpack_pack_nil(pk);
		else if (random_below(seed, 2))
			msgpack_pack_true(pk);
		else
			msgpack_pack_false(pk);
		break;
	case 1:
		random_text(pk, seed);
		break;
	case 2:
		random_bytes(pk, seed);
		break;
	case 3:
	case 4:
		random_number(pk, seed);
		break;
	case 5:
	case 6:
		n = random_below(seed, 16) == 0 ? 20 : random_below(seed, 4);
		msgpack_pack_array(pk, n);
		while (n-- > 0)
			random_value(pk, seed, depth - 1);
		break;
	default:
		n = random_below(seed, 16) == 0 ? 20 : random_below(seed, 4);
		msgpack_pack_map(pk, n);
		while (n-- > 0) {
			if (random_below(seed, 8) == 0)
				random_value(pk, seed, depth - 1);
			else
				random_text(pk, seed);
			random_value(pk, seed, depth - 1);
		}
	}
}

#endif
