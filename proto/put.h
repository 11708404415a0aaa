/*
 * Values written as MessagePack, each in its shortest form, at a place that has room for them: where values
 * are many, the packer's call for every few bytes costs more than the bytes.
 */
#ifndef XT_PUT_H
#define XT_PUT_H

#include "span.h"

#define PUT_SCALAR 9 /* bytes of null, a boolean or a number, at most */
#define PUT_HEAD   5 /* bytes before a text's, a blob's or a container's own, at most */

static inline void put_be64(uint8_t *p, uint64_t u)
{
	u = __builtin_bswap64(u);
	memcpy(p, &u, sizeof(u));
}

static inline void put_be32(uint8_t *p, uint32_t u)
{
	u = __builtin_bswap32(u);
	memcpy(p, &u, sizeof(u));
}

/* What follows returns where it ends. */

static inline uint8_t *put_head8(uint8_t *p, uint8_t tag, size_t n)
{
	p[0] = tag;
	p[1] = (uint8_t)n;
	return p + 2;
}

static inline uint8_t *put_head16(uint8_t *p, uint8_t tag, size_t n)
{
	p[0] = tag;
	p[1] = (uint8_t)(n >> 8);
	p[2] = (uint8_t)n;
	return p + 3;
}

static inline uint8_t *put_head32(uint8_t *p, uint8_t tag, size_t n)
{
	*p = tag;
	put_be32(p + 1, (uint32_t)n);
	return p + 5;
}

static inline uint8_t *put_head64(uint8_t *p, uint8_t tag, uint64_t u)
{
	*p = tag;
	put_be64(p + 1, u);
	return p + 9;
}

static inline uint8_t *put_array(uint8_t *p, size_t n)
{
	if (n < 16) {
		*p = (uint8_t)(0x90 | n);
		return p + 1;
	}
	return n <= UINT16_MAX ? put_head16(p, 0xdc, n) : put_head32(p, 0xdd, n);
}

static inline uint8_t *put_map(uint8_t *p, size_t n)
{
	if (n < 16) {
		*p = (uint8_t)(0x80 | n);
		return p + 1;
	}
	return n <= UINT16_MAX ? put_head16(p, 0xde, n) : put_head32(p, 0xdf, n);
}

static inline uint8_t *put_bytes(uint8_t *p, const void *data, size_t n)
{
	if (n)
		memcpy(p, data, n);
	return p + n;
}

static inline uint8_t *put_str(uint8_t *p, const void *text, size_t n)
{
	if (n < 32)
		*p++ = (uint8_t)(0xa0 | n);
	else
		p = n <= UINT8_MAX    ? put_head8(p, 0xd9, n)
		    : n <= UINT16_MAX ? put_head16(p, 0xda, n)
				      : put_head32(p, 0xdb, n);
	return put_bytes(p, text, n);
}

static inline uint8_t *put_bin(uint8_t *p, const void *data, size_t n)
{
	p = n <= UINT8_MAX    ? put_head8(p, 0xc4, n)
	    : n <= UINT16_MAX ? put_head16(p, 0xc5, n)
			      : put_head32(p, 0xc6, n);
	return put_bytes(p, data, n);
}

static inline uint8_t *put_nil(uint8_t *p)
{
	*p = 0xc0;
	return p + 1;
}

static inline uint8_t *put_bool(uint8_t *p, bool yes)
{
	*p = yes ? 0xc3 : 0xc2;
	return p + 1;
}

static inline uint8_t *put_uint(uint8_t *p, uint64_t u)
{
	if (u < 128) {
		*p = (uint8_t)u;
		return p + 1;
	}
	return u <= UINT8_MAX	 ? put_head8(p, 0xcc, u)
	       : u <= UINT16_MAX ? put_head16(p, 0xcd, u)
	       : u <= UINT32_MAX ? put_head32(p, 0xce, u)
				 : put_head64(p, 0xcf, u);
}

static inline uint8_t *put_int(uint8_t *p, int64_t i)
{
	if (i >= 0)
		return put_uint(p, (uint64_t)i);
	if (i >= -32) {
		*p = (uint8_t)i;
		return p + 1;
	}
	return i >= INT8_MIN	? put_head8(p, 0xd0, (uint8_t)i)
	       : i >= INT16_MIN ? put_head16(p, 0xd1, (uint16_t)i)
	       : i >= INT32_MIN ? put_head32(p, 0xd2, (uint32_t)i)
				: put_head64(p, 0xd3, (uint64_t)i);
}

static inline uint8_t *put_real(uint8_t *p, double d)
{
	uint64_t u;

	memcpy(&u, &d, sizeof(u));
	return put_head64(p, 0xcb, u);
}

#endif
