/*
 * What rises with every commit that put rows into a table: a number for each, its level, so that who waits
 * for rows is told of them without looking. Raised by the writer's thread, read by the loop.
 */
#ifndef XT_TIDE_H
#define XT_TIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "buf.h"

#define TIDE_BUCKETS 256

struct tide_table;

struct tide {
	pthread_mutex_t lock; /* guards what follows but `news` */
	uint64_t level;	      /* of a table that is not listed; part of that of all others */
	struct tide_table *buckets[TIDE_BUCKETS]; /* owned: those that rose by themselves, by name */
	size_t n_tables;			  /* of them */
	struct buf risen; /* names of those that rose since tide_take() was asked, each with a NUL */
	bool all_risen;	  /* or all did */
	atomic_bool news; /* there is something in `risen`, or all_risen */
};

/* start: a level that no earlier daemon of the database came to, such as the time in microseconds. */
void tide_init(struct tide *t, uint64_t start);
void tide_done(struct tide *t);

/* Raises a table's level, by the name that SQLite knows it by; NULL: of every table there is or will be. */
void tide_rise(struct tide *t, const char *table);

/* Raises the levels of tables by their names, each with a NUL behind it; those of all when `every`, or when
 * the names could not be kept. */
void tide_rise_all(struct tide *t, const struct buf *names, bool every);

/* The level of a table, however its name is spelled. */
uint64_t tide_level(struct tide *t, struct span table);

/* Whether anything rose since this was asked last: `names` gets the names of tables, each once, with a NUL
 * behind it; *ret_all says that any may have. */
bool tide_take(struct tide *t, struct buf *names, bool *ret_all);

#endif
