#include "temp_store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "table.h"
#include "temp_dir.h"

static struct {
	char path[4096];
	struct store store;
	int64_t objects; /* in the schema, before any input */
	bool open;
} temp;

static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm"};

static int64_t clock_us(void)
{
	return INT64_C(1700000000123456);
}

static void close_store(void)
{
	store_done(&temp.store);
}

static void must(bool done, const struct xt_err *err)
{
	if (done)
		return;
	fprintf(stderr, "the target's database: %s\n", err->message);
	abort();
}

struct store *temp_store(const char *sql)
{
	struct store_options o = {.path = temp.path, .durability = DURABILITY_OFF, .now_us = clock_us};
	struct xt_err err;

	if (temp.open)
		return &temp.store;
	snprintf(temp.path, sizeof(temp.path), "%s/%s", temp_dir(), names[0]);
	must(store_open(&temp.store, &o, &err) == 0, &err);
	must(store_exec(&temp.store, sql, &err) == 0, &err);
	temp.objects = temp_store_value(&temp.store, "SELECT count(*) FROM sqlite_schema");
	temp.open = true;
	atexit(close_store); /* before the directory is removed */
	return &temp.store;
}

void temp_store_begin(struct store *s, int64_t limit_ms)
{
	struct xt_err err;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	s->guard.timed_out = false;
	s->guard.deadline_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + limit_ms * 1000000;
	must(store_begin(s, &err) == 0, &err);
}

void temp_store_undo(struct store *s)
{
	assert(s->trouble != TROUBLE_FATAL && s->trouble != TROUBLE_RETRY);
	store_rollback(s);
	s->guard.deadline_ns = 0;
	s->guard.timed_out = false;
	assert(s->guard.mode == GUARD_OURS);
	assert(temp_store_value(s, "SELECT count(*) FROM sqlite_schema") == temp.objects);
}

int64_t temp_store_value(struct store *s, const char *sql)
{
	sqlite3_stmt *st = NULL;
	int64_t value;

	assert(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) == SQLITE_OK);
	assert(sqlite3_step(st) == SQLITE_ROW);
	if (sqlite3_column_type(st, 0) == SQLITE_INTEGER) {
		value = sqlite3_column_int64(st, 0);
	} else {
		struct span text = span_of(sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
		value = (int64_t)keys_hash(&text, 1);
	}
	sqlite3_finalize(st);
	return value;
}

void temp_store_alone(void)
{
	temp_dir_holds(names, sizeof(names) / sizeof(names[0]));
}
