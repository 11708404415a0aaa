#include "await.h"

#include <stdlib.h>
#include <string.h>

#include "ident.h"

void await_done(struct await *a)
{
	while (a->tables) {
		struct await_table *t = a->tables;
		a->tables = t->next;
		for (struct wait *w = t->first, *next; w; w = next) {
			next = w->next;
			free(w);
		}
		free(t);
	}
	free(a->by_time);
	*a = (struct await){0};
}

/* ---- tables ----------------------------------------------------------- */

static struct await_table **bucket_of(const struct await *a, struct span name)
{
	return (struct await_table **)&a->buckets[ident_hash(name) % AWAIT_BUCKETS];
}

struct await_table *await_table(const struct await *a, struct span name)
{
	struct await_table *t = *bucket_of(a, name);

	while (t && !ident_same(span_of(t->name, t->len), name))
		t = t->next_same;
	return t;
}

static struct await_table *add_table(struct await *a, struct span name)
{
	struct await_table *t = malloc(sizeof(*t) + name.len), **bucket = bucket_of(a, name);

	if (!t)
		return NULL;
	*t = (struct await_table){.next = a->tables, .next_same = *bucket, .len = name.len};
	memcpy(t->name, name.data, name.len);
	if (a->tables)
		a->tables->prev = t;
	a->tables = *bucket = t;
	return t;
}

static void drop_table(struct await *a, struct await_table *t)
{
	struct await_table **at = bucket_of(a, span_of(t->name, t->len));

	while (*at != t)
		at = &(*at)->next_same;
	*at = t->next_same;
	if (t->prev)
		t->prev->next = t->next;
	else
		a->tables = t->next;
	if (t->next)
		t->next->prev = t->prev;
	free(t);
}

/* ---- time ------------------------------------------------------------- */

static void put(struct await *a, size_t at, struct wait *w)
{
	a->by_time[at] = w;
	w->at = at;
}

/* Puts one into its place, when all others are in theirs; `at` is free. */
static void sift(struct await *a, size_t at, struct wait *w)
{
	for (; at > 0 && a->by_time[(at - 1) / 2]->until_ms > w->until_ms; at = (at - 1) / 2)
		put(a, at, a->by_time[(at - 1) / 2]);
	for (size_t child; (child = 2 * at + 1) < a->n_timed; at = child) {
		if (child + 1 < a->n_timed && a->by_time[child + 1]->until_ms < a->by_time[child]->until_ms)
			child++;
		if (a->by_time[child]->until_ms >= w->until_ms)
			break;
		put(a, at, a->by_time[child]);
	}
	put(a, at, w);
}

static int add_time(struct await *a, struct wait *w)
{
	if (a->n_timed == a->cap_timed) {
		size_t cap = a->cap_timed ? 2 * a->cap_timed : 64;
		struct wait **more = reallocarray(a->by_time, cap, sizeof(struct wait *));
		if (!more)
			return -1;
		a->by_time = more;
		a->cap_timed = cap;
	}
	a->n_timed++;
	sift(a, a->n_timed - 1, w);
	return 0;
}

static void drop_time(struct await *a, const struct wait *w)
{
	struct wait *last = a->by_time[--a->n_timed];

	if (last != w)
		sift(a, w->at, last);
}

uint64_t await_next(const struct await *a, struct wait **ret)
{
	*ret = a->n_timed > 0 ? a->by_time[0] : NULL;
	return *ret ? (*ret)->until_ms : AWAIT_NEVER;
}

/* ---- waits ------------------------------------------------------------ */

struct wait *await_add(struct await *a, struct await_owner *owner, struct span table, uint64_t until_ms)
{
	struct await_table *t = await_table(a, table);
	struct wait *w = calloc(1, sizeof(*w));

	if (w)
		w->until_ms = until_ms;
	if (!w || (!t && !(t = add_table(a, table))) || (until_ms != AWAIT_NEVER && add_time(a, w) < 0)) {
		free(w);
		if (t && !t->first)
			drop_table(a, t);
		return NULL;
	}
	w->table = t;
	w->next = t->first;
	if (t->first)
		t->first->prev = w;
	t->first = w;
	w->owner = owner;
	w->next_owned = owner->first;
	if (owner->first)
		owner->first->prev_owned = w;
	owner->first = w;
	owner->n++;
	a->n++;
	return w;
}

void await_end(struct await *a, struct wait *w)
{
	if (w->until_ms != AWAIT_NEVER)
		drop_time(a, w);
	if (w->prev)
		w->prev->next = w->next;
	else
		w->table->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	if (!w->table->first)
		drop_table(a, w->table);
	if (w->prev_owned)
		w->prev_owned->next_owned = w->next_owned;
	else
		w->owner->first = w->next_owned;
	if (w->next_owned)
		w->next_owned->prev_owned = w->prev_owned;
	w->owner->n--;
	a->n--;
	free(w);
}

struct wait *await_of(const struct await_owner *owner, uint32_t msgid)
{
	struct wait *w = owner->first;

	while (w && w->msgid != msgid)
		w = w->next_owned;
	return w;
}
