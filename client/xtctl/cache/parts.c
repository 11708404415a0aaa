#include "parts.h"

#include "canon.h"
#include "json.h"

#define DIGEST_HEAD  3 /* bytes before an extension's digest: type, length, CANON_DIGEST */
#define DIGEST_SHOWN 6 /* bytes of it that people are shown */

int parts_read(struct span bytes, struct parts *ret)
{
	struct reader r = reader_of(bytes);
	struct token t;
	struct xt_err err;

	if (wire_scan(bytes, &err) < 0 || reader_next(&r, &t) < 0 || t.type != TOKEN_ARRAY || t.count != 4)
		return -1;
	struct parts p = {0};
	struct span *spans[] = {&p.version, &p.args, &p.params};
	static const enum token_type types[] = {TOKEN_STR, TOKEN_MAP, TOKEN_MAP};
	if (reader_next(&r, &t) < 0 || t.type != TOKEN_STR)
		return -1;
	p.function = t.bytes;
	for (size_t i = 0; i < 3; i++) {
		*spans[i] = reader_skip(&r);
		struct reader head = reader_of(*spans[i]);
		if (reader_next(&head, &t) < 0 || (t.type != types[i] && !(i == 0 && t.type == TOKEN_NIL)))
			return -1;
	}
	*ret = p;
	return 0;
}

/* ---- as text ---------------------------------------------------------- */

static bool is_digest(struct span c)
{
	return c.len == DIGEST_HEAD + XT_CACHE_KEY && c.data[0] == 0xc7 && c.data[1] == XT_CACHE_KEY &&
	       c.data[2] == CANON_DIGEST;
}

void parts_put_component(struct buf *out, struct span component, bool quoted)
{
	struct reader r = reader_of(component);

	if (!is_digest(component)) {
		json_put(out, &r);
		return;
	}
	buf_add_str(out, quoted ? "\"digest " : "digest ");
	for (size_t i = 0; i < DIGEST_SHOWN; i++)
		buf_printf(out, "%02x", component.data[DIGEST_HEAD + i]);
	buf_add_str(out, quoted ? "…\"" : "…");
}

void parts_put_map(struct buf *out, struct span map)
{
	struct reader r = reader_of(map);
	struct token head = {0};

	buf_add_str(out, "{");
	if (reader_next(&r, &head) == 0)
		for (uint32_t i = 0; i < head.count; i++) {
			buf_add_str(out, i > 0 ? ", " : "");
			parts_put_component(out, reader_skip(&r), true);
			buf_add_str(out, ": ");
			parts_put_component(out, reader_skip(&r), true);
		}
	buf_add_str(out, "}");
}

/* ---- comparing -------------------------------------------------------- */

/* A walk over an encoded map, whose pairs are in the order of their encoded keys. */
struct walk {
	struct reader r;
	uint32_t left;	   /* pairs that come after this one */
	bool end;	   /* there is no pair any more */
	struct span key;   /* encoded */
	struct span value; /* encoded */
};

static void walk_next(struct walk *w)
{
	w->end = w->left == 0;
	if (w->end)
		return;
	w->left--;
	w->key = reader_skip(&w->r);
	w->value = reader_skip(&w->r);
}

static struct walk walk_of(struct span map)
{
	struct walk w = {.r = reader_of(map)};
	struct token head = {0};

	w.left = reader_next(&w.r, &head) == 0 ? head.count : 0;
	walk_next(&w);
	return w;
}

/* Which of two pairs comes first: below, above or 0. */
static int order(const struct walk *a, const struct walk *b)
{
	if (a->end || b->end)
		return a->end - b->end;
	size_t n = a->key.len < b->key.len ? a->key.len : b->key.len;
	int r = memcmp(a->key.data, b->key.data, n);
	return r ? r : a->key.len < b->key.len ? -1 : a->key.len > b->key.len;
}

struct comparison {
	void (*each)(const struct difference *d, void *data);
	void *data;
	struct likeness likeness;
};

static void compare(struct comparison *c, const char *part, struct span name, struct span a, struct span b)
{
	struct difference d = {.part = part, .name = name, .a = a, .b = b};

	if (a.data && b.data && span_eq(a, b)) {
		c->likeness.same++;
		return;
	}
	c->likeness.different++;
	if (c->each)
		c->each(&d, c->data);
}

static struct span name_of(struct span key)
{
	struct reader r = reader_of(key);
	struct token t;

	return reader_next(&r, &t) == 0 && t.type == TOKEN_STR ? t.bytes : key;
}

static void compare_maps(struct comparison *c, const char *part, struct span first, struct span second)
{
	static const struct span none;
	struct walk a = walk_of(first), b = walk_of(second);

	while (!a.end || !b.end) {
		int r = order(&a, &b);
		compare(c, part, name_of(r <= 0 ? a.key : b.key), r <= 0 ? a.value : none,
			r >= 0 ? b.value : none);
		if (r <= 0)
			walk_next(&a);
		if (r >= 0)
			walk_next(&b);
	}
}

struct likeness parts_compare(const struct parts *a, const struct parts *b,
			      void (*each)(const struct difference *d, void *data), void *data)
{
	static const struct span unnamed;
	struct comparison c = {.each = each, .data = data};

	compare(&c, "version", unnamed, a->version, b->version);
	compare_maps(&c, "argument", a->args, b->args);
	compare_maps(&c, "parameter", a->params, b->params);
	return c.likeness;
}
