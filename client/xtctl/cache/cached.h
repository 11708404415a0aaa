/*
 * Entries of the cache, as all commands of the group see them: keys and their beginnings, what may be meant,
 * the state of the whole.
 */
#ifndef XTCTL_CACHED_H
#define XTCTL_CACHED_H

#include "text.h"
#include "xtctl.h"

#define KEY_SHORT 12 /* digits of a key that people are shown */
#define KEY_TEXT  (2 * XT_KEY_BYTES + 1)

/* A key as hexadecimal digits, `digits` of them; returns ret. */
const char *key_text(char ret[KEY_TEXT], const uint8_t key[XT_KEY_BYTES], size_t digits);

/* The beginning of a key. */
struct prefix {
	uint8_t bytes[XT_KEY_BYTES];
	size_t n; /* whole bytes of it */
	int half; /* the digit that comes after them; -1: none */
};

/* Whether a word is hexadecimal digits that can be one: 4 to 64. */
bool prefix_is(const char *word);

/* Reads such a word. False: it is none. */
bool prefix_read(struct prefix *ret, const char *word);

#define SEVERAL_BYTES 240

/* The key that begins so. 1, or 0: there is none; more: there are so many, of which `several`, when it is not
 * NULL, names the first; negative: the library's status. */
int key_find(xt_client *client, const struct prefix *p, uint8_t ret_key[XT_KEY_BYTES],
	     char several[SEVERAL_BYTES]);

/* The one key that begins as the word says. CTL_OK, or the failure is reported, with what to do. */
int key_find_one(struct ctl *ctl, xt_client *client, const char *word, uint8_t ret_key[XT_KEY_BYTES]);

/* Writes JSON that is made already: as it is, but to a terminal with what could drive it escaped. */
void cached_put_json(struct ctl *ctl, const void *json, size_t n);

/* Now, in microseconds since 1970-01-01 UTC. */
int64_t cached_now(void);

/* Whether an entry is as old as --older-than says; true when it says nothing. */
bool cached_is_old(const struct options *o, const xt_cache_item *item, int64_t now_us);

/* What cache_stats says, as far as commands act on it. */
struct cache_facts {
	char state[512]; /* "ok", "empty", or "off: …" */
	char path[4096]; /* where it is */
	uint64_t entries, bytes, max_bytes, ttl_ms, hits, misses;
};

/* CTL_OK, or the failure is reported. */
int cached_facts(struct ctl *ctl, xt_client *client, struct cache_facts *ret);

/* Where there is no cache, says so and why; true then. */
bool cached_is_off(const struct ctl *ctl, const struct cache_facts *facts);

#endif
