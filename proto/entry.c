#include "entry.h"

#include <endian.h>
#include <sodium.h>

/* Where things are in the head. */
enum {
	AT_VERSION = 0,
	AT_ORIGIN = 2,
	AT_ENCODING = 4,
	AT_UID = 8,
	AT_PARTS = 12,
	AT_VALUE = 16,
	AT_CREATED = 24,
	AT_FUNCTION = 32,
	AT_TOKEN = 40,
	AT_CHECKSUM = 48
};

static void put16(uint8_t *p, size_t n)
{
	uint16_t u = htole16((uint16_t)n);

	memcpy(p, &u, sizeof(u));
}

static void put32(uint8_t *p, size_t n)
{
	uint32_t u = htole32((uint32_t)n);

	memcpy(p, &u, sizeof(u));
}

static void put64(uint8_t *p, uint64_t n)
{
	n = htole64(n);
	memcpy(p, &n, sizeof(n));
}

static size_t get16(const uint8_t *p)
{
	uint16_t u;

	memcpy(&u, p, sizeof(u));
	return le16toh(u);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t u;

	memcpy(&u, p, sizeof(u));
	return le32toh(u);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t u;

	memcpy(&u, p, sizeof(u));
	return le64toh(u);
}

static void checksum(const uint8_t key[XT_CACHE_KEY], const uint8_t head[ENTRY_HEAD], struct span rest,
		     uint8_t ret[ENTRY_CHECKSUM])
{
	crypto_generichash_state state;
	uint8_t copy[ENTRY_HEAD];

	memcpy(copy, head, ENTRY_HEAD);
	memset(copy + AT_CHECKSUM, 0, ENTRY_CHECKSUM);
	crypto_generichash_init(&state, NULL, 0, ENTRY_CHECKSUM);
	crypto_generichash_update(&state, key, XT_CACHE_KEY);
	crypto_generichash_update(&state, copy, ENTRY_HEAD);
	crypto_generichash_update(&state, rest.data, rest.len);
	crypto_generichash_final(&state, ret, ENTRY_CHECKSUM);
}

void entry_put(struct buf *out, const uint8_t key[XT_CACHE_KEY], const struct entry *e)
{
	uint8_t head[ENTRY_HEAD] = {ENTRY_VERSION};
	size_t from = out->len;

	put16(head + AT_ORIGIN, e->origin.len);
	put16(head + AT_ENCODING, e->encoding.len);
	put32(head + AT_UID, e->uid);
	put32(head + AT_PARTS, e->parts.len);
	put32(head + AT_VALUE, e->value.len);
	put64(head + AT_CREATED, (uint64_t)e->created_us);
	put64(head + AT_FUNCTION, e->function_ns);
	put64(head + AT_TOKEN, e->token);
	buf_add(out, head, ENTRY_HEAD);
	buf_add(out, e->origin.data, e->origin.len);
	buf_add(out, e->encoding.data, e->encoding.len);
	buf_add(out, e->parts.data, e->parts.len);
	buf_add(out, e->value.data, e->value.len);
	if (buf_failed(out))
		return;
	struct span rest = span_of(out->data + from + ENTRY_HEAD, out->len - from - ENTRY_HEAD);
	checksum(key, head, rest, out->data + from + AT_CHECKSUM);
}

int entry_get(struct span bytes, struct entry *ret)
{
	const uint8_t *p = bytes.data;

	if (bytes.len < ENTRY_HEAD || p[AT_VERSION] != ENTRY_VERSION)
		return -1;
	size_t origin = get16(p + AT_ORIGIN), encoding = get16(p + AT_ENCODING);
	size_t parts = get32(p + AT_PARTS), value = get32(p + AT_VALUE);
	if (bytes.len != ENTRY_HEAD + origin + encoding + parts + value)
		return -1;
	*ret = (struct entry){
		.origin = span_of(p + ENTRY_HEAD, origin),
		.encoding = span_of(p + ENTRY_HEAD + origin, encoding),
		.parts = span_of(p + ENTRY_HEAD + origin + encoding, parts),
		.value = span_of(p + ENTRY_HEAD + origin + encoding + parts, value),
		.uid = get32(p + AT_UID),
		.created_us = (int64_t)get64(p + AT_CREATED),
		.function_ns = get64(p + AT_FUNCTION),
		.token = get64(p + AT_TOKEN),
	};
	return 0;
}

bool entry_is_sound(const uint8_t key[XT_CACHE_KEY], struct span bytes)
{
	uint8_t sum[ENTRY_CHECKSUM];
	struct entry e;

	if (entry_get(bytes, &e) < 0)
		return false;
	checksum(key, bytes.data, span_of(bytes.data + ENTRY_HEAD, bytes.len - ENTRY_HEAD), sum);
	return memcmp(sum, bytes.data + AT_CHECKSUM, ENTRY_CHECKSUM) == 0;
}
