#include "tide.h"

#include <sqlite3.h>
#include <stdlib.h>

#define MAX_TABLES 1024 /* that are told apart; a row of any other raises all */

struct tide_table {
	char *name;		 /* owned */
	uint64_t level;		 /* above that of all */
	struct tide_table *next; /* in tide.tables */
};

void tide_init(struct tide *t, uint64_t start)
{
	*t = (struct tide){.level = start};
	pthread_mutex_init(&t->lock, NULL);
}

void tide_done(struct tide *t)
{
	while (t->tables) {
		struct tide_table *next = t->tables->next;
		free(t->tables->name);
		free(t->tables);
		t->tables = next;
	}
	pthread_mutex_destroy(&t->lock);
}

/* SQLite tells no two names apart that differ in the case of ASCII letters only. */
static struct tide_table *find(const struct tide *t, struct span name)
{
	for (struct tide_table *k = t->tables; k; k = k->next)
		if (strlen(k->name) == name.len &&
		    sqlite3_strnicmp(k->name, (const char *)name.data, (int)name.len) == 0)
			return k;
	return NULL;
}

static struct tide_table *add(struct tide *t, const char *name)
{
	struct tide_table *k = t->n_tables < MAX_TABLES ? calloc(1, sizeof(*k)) : NULL;

	if (k)
		k->name = strdup(name);
	if (!k || !k->name) {
		free(k);
		return NULL;
	}
	k->next = t->tables;
	t->tables = k;
	t->n_tables++;
	return k;
}

void tide_rise(struct tide *t, const char *table)
{
	pthread_mutex_lock(&t->lock);
	struct tide_table *k = table ? find(t, span_str(table)) : NULL;
	if (table && !k)
		k = add(t, table);
	if (k)
		k->level++;
	else
		t->level++;
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

bool tide_news(struct tide *t)
{
	return atomic_exchange(&t->news, false);
}
