#include "cached.h"

#include <stdlib.h>
#include <time.h>

#define LEAST_DIGITS 4	/* of a key's beginning */
#define NAMED	     3	/* keys that are named where several are meant */
#define MOST_COUNTED 99 /* keys that are counted where several are meant */

/* ---- keys ------------------------------------------------------------- */

const char *key_text(char ret[KEY_TEXT], const uint8_t key[XT_KEY_BYTES], size_t digits)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < digits; i++)
		ret[i] = hex[key[i / 2] >> (i % 2 ? 0 : 4) & 15];
	ret[digits] = '\0';
	return ret;
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

bool prefix_read(struct prefix *ret, const char *word)
{
	size_t digits = strlen(word);

	*ret = (struct prefix){.half = -1};
	if (digits < LEAST_DIGITS || digits > sizeof(ret->bytes) * 2)
		return false;
	for (size_t i = 0; i < digits; i++) {
		int digit = digit_of(word[i]);
		if (digit < 0)
			return false;
		if (i % 2) {
			ret->bytes[ret->n++] = (uint8_t)(ret->half << 4 | digit);
			ret->half = -1;
		} else {
			ret->half = digit;
		}
	}
	return true;
}

bool prefix_is(const char *word)
{
	struct prefix ignored;

	return prefix_read(&ignored, word);
}

/* Keys that begin as one says. */
struct matches {
	const struct prefix *prefix;
	uint8_t key[XT_KEY_BYTES]; /* the first of them */
	int n;
	char *several; /* NULL, or where the first are named … */
	size_t digits; /* with so many digits each */
	size_t len;    /* of what stands there */
};

static bool match(const xt_cache_item *item, void *data)
{
	struct matches *m = data;
	char text[KEY_TEXT];

	if (m->prefix->half >= 0 && item->key[m->prefix->n] >> 4 != m->prefix->half)
		return true;
	if (m->n++ == 0)
		memcpy(m->key, item->key, XT_KEY_BYTES);
	if (m->several && m->n <= NAMED)
		m->len += (size_t)snprintf(m->several + m->len, SEVERAL_BYTES - m->len, "%s%s",
					   m->n > 1 ? ", " : "", key_text(text, item->key, m->digits));
	return m->n < MOST_COUNTED && !ctl_interrupted();
}

int key_find(xt_client *client, const struct prefix *p, uint8_t ret_key[XT_KEY_BYTES],
	     char several[SEVERAL_BYTES])
{
	size_t digits = 2 * p->n + 4; /* enough to tell them apart, as a rule */
	struct matches m = {.prefix = p, .several = several};
	xt_cache_filter filter = {.prefix = p->bytes, .prefix_size = p->n};

	m.digits = digits < KEY_SHORT ? KEY_SHORT : digits > KEY_TEXT - 1 ? KEY_TEXT - 1 : digits;
	int r = xt_cache_each(client, &filter, match, &m);
	if (r != XT_OK)
		return r;
	memcpy(ret_key, m.key, XT_KEY_BYTES);
	return m.n;
}

int key_find_one(struct ctl *ctl, xt_client *client, const char *word, uint8_t ret_key[XT_KEY_BYTES])
{
	char several[SEVERAL_BYTES] = "";
	struct cache_facts facts;
	struct prefix p;

	if (!prefix_read(&p, word))
		return ctl_usage(ctl, "'%s' is no beginning of a key: %d to %d hexadecimal digits", word,
				 LEAST_DIGITS, 2 * XT_KEY_BYTES);
	int n = key_find(client, &p, ret_key, several);
	if (n < 0)
		return ctl_fail(ctl, client, n);
	if (n == 1)
		return CTL_OK;
	if (n > 1)
		return ctl_error(ctl, "%s%d keys begin with '%s': %s%s; give more digits",
				 n == MOST_COUNTED ? "more than " : "", n == MOST_COUNTED ? n - 1 : n, word,
				 several, n > NAMED ? ", ..." : "");
	int status = cached_facts(ctl, client, &facts);
	if (status != CTL_OK || cached_is_off(ctl, &facts))
		return CTL_FAILED;
	return facts.entries == 0 ? ctl_error(ctl, "no key begins with '%s': the cache is empty", word)
				  : ctl_error(ctl, "no key begins with '%s'; '%s cache ls %s' lists them",
					      word, ctl->program, ctl_db(ctl));
}

void cached_put_json(struct ctl *ctl, const void *json, size_t n)
{
	if (ctl->out.terminal)
		text_put(ctl->out.file, json, n, SIZE_MAX);
	else
		fwrite(json, 1, n, ctl->out.file);
}

/* ---- ages ------------------------------------------------------------- */

int64_t cached_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool cached_is_old(const struct options *o, const xt_cache_item *item, int64_t now_us)
{
	return o->older_than_s < 0 || now_us - item->created_us >= o->older_than_s * 1000000;
}

/* ---- the whole -------------------------------------------------------- */

static void take_fact(struct cache_facts *facts, const char *name, const xt_value *v)
{
	static const struct {
		const char *name;
		size_t offset;
	} numbers[] = {{"entries", offsetof(struct cache_facts, entries)},
		       {"bytes", offsetof(struct cache_facts, bytes)},
		       {"max_bytes", offsetof(struct cache_facts, max_bytes)},
		       {"ttl_ms", offsetof(struct cache_facts, ttl_ms)},
		       {"hits", offsetof(struct cache_facts, hits)},
		       {"misses", offsetof(struct cache_facts, misses)}};

	if (v->type == XT_T_TEXT && strcmp(name, "state") == 0)
		snprintf(facts->state, sizeof(facts->state), "%.*s", (int)v->n, v->as.text);
	if (v->type == XT_T_TEXT && strcmp(name, "path") == 0)
		snprintf(facts->path, sizeof(facts->path), "%.*s", (int)v->n, v->as.text);
	uint64_t number = v->type == XT_T_UINT			     ? v->as.uinteger
			  : v->type == XT_T_INT && v->as.integer > 0 ? (uint64_t)v->as.integer
								     : 0;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(name, numbers[i].name) == 0)
			memcpy((char *)facts + numbers[i].offset, &number, sizeof(number));
}

int cached_facts(struct ctl *ctl, xt_client *client, struct cache_facts *ret)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	*ret = (struct cache_facts){0};
	int r = xt_cache_stats(&cursor, client);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	for (size_t i = 0; r == XT_OK && i < xt_cursor_columns(cursor); i++)
		take_fact(ret, xt_cursor_name(cursor, i), &row[i]);
	xt_cursor_close(cursor);
	return r == XT_OK ? CTL_OK : ctl_fail(ctl, client, r);
}

bool cached_is_off(const struct ctl *ctl, const struct cache_facts *facts)
{
	bool off = strncmp(facts->state, "off", 3) == 0;

	if (off)
		ctl_error(ctl, "the cache is %s", facts->state);
	return off;
}
