#include "tide.h"

#include <stdlib.h>

#include "ident.h"

#define MAX_TABLES 1024 /* that are told apart; a row of any other raises all */

struct tide_table {
	char *name;		 /* owned */
	uint64_t level;		 /* above that of all */
	bool risen;		 /* is in tide.risen */
	struct tide_table *next; /* in its bucket */
};

void tide_init(struct tide *t, uint64_t start)
{
	*t = (struct tide){.level = start};
	pthread_mutex_init(&t->lock, NULL);
}

void tide_done(struct tide *t)
{
	for (size_t i = 0; i < TIDE_BUCKETS; i++)
		while (t->buckets[i]) {
			struct tide_table *next = t->buckets[i]->next;
			free(t->buckets[i]->name);
			free(t->buckets[i]);
			t->buckets[i] = next;
		}
	buf_done(&t->risen);
	pthread_mutex_destroy(&t->lock);
}

static struct tide_table **bucket_of(struct tide *t, struct span name)
{
	return &t->buckets[ident_hash(name) % TIDE_BUCKETS];
}

static struct tide_table *find(struct tide *t, struct span name)
{
	struct tide_table *k = *bucket_of(t, name);

	while (k && !ident_same(span_str(k->name), name))
		k = k->next;
	return k;
}

static struct tide_table *add(struct tide *t, const char *name)
{
	struct tide_table *k = t->n_tables < MAX_TABLES ? calloc(1, sizeof(*k)) : NULL,
			  **bucket = bucket_of(t, span_str(name));

	if (k)
		k->name = strdup(name);
	if (!k || !k->name) {
		free(k);
		return NULL;
	}
	k->next = *bucket;
	*bucket = k;
	t->n_tables++;
	return k;
}

void tide_rise(struct tide *t, const char *table)
{
	pthread_mutex_lock(&t->lock);
	struct tide_table *k = table ? find(t, span_str(table)) : NULL;
	if (table && !k)
		k = add(t, table);
	if (!k) {
		t->level++;
		t->all_risen = true;
	} else {
		k->level++;
		if (!k->risen)
			buf_add(&t->risen, k->name, strlen(k->name) + 1);
		k->risen = true;
	}
	pthread_mutex_unlock(&t->lock);
	atomic_store(&t->news, true);
}

void tide_rise_all(struct tide *t, const struct buf *names, bool every)
{
	if (every || buf_failed(names)) {
		tide_rise(t, NULL);
		return;
	}
	for (size_t at = 0; at < names->len;) {
		const char *name = (const char *)names->data + at;
		at += strlen(name) + 1;
		tide_rise(t, name);
	}
}

uint64_t tide_level(struct tide *t, struct span table)
{
	pthread_mutex_lock(&t->lock);
	const struct tide_table *k = find(t, table);
	uint64_t level = t->level + (k ? k->level : 0);
	pthread_mutex_unlock(&t->lock);
	return level;
}

bool tide_take(struct tide *t, struct buf *names, bool *ret_all)
{
	if (!atomic_exchange(&t->news, false))
		return false;
	pthread_mutex_lock(&t->lock);
	*ret_all = t->all_risen || buf_failed(&t->risen);
	for (size_t i = 0; i < TIDE_BUCKETS && *ret_all; i++)
		for (struct tide_table *k = t->buckets[i]; k; k = k->next)
			k->risen = false;
	for (size_t at = 0; at < t->risen.len && !*ret_all;) {
		const char *name = (const char *)t->risen.data + at;
		find(t, span_str(name))->risen = false;
		at += strlen(name) + 1;
	}
	buf_add(names, t->risen.data, *ret_all ? 0 : t->risen.len);
	buf_clear(&t->risen);
	t->all_risen = false;
	pthread_mutex_unlock(&t->lock);
	*ret_all = *ret_all || buf_failed(names);
	return true;
}
