#include "bare.h"

#include <sqlite3.h>
#include <stdio.h>
#include <time.h>

#include "row.h"

static void must(sqlite3 *db, int rc)
{
	if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
		die("SQLite", sqlite3_errmsg(db));
}

/* As the daemon formats it, without its per-message caching: the library's own way. */
static void stamp(char ret[32])
{
	struct timespec t;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	size_t n = strftime(ret, 32, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(ret + n, 32 - n, ".%06ld", t.tv_nsec / 1000);
}

static void bind_row(sqlite3_stmt *st, const struct bench_row *r)
{
	sqlite3_bind_int64(st, 3, r->input_id);
	sqlite3_bind_int64(st, 4, r->worker);
	sqlite3_bind_int64(st, 5, r->epoch);
	sqlite3_bind_int64(st, 6, r->tokens);
	sqlite3_bind_text(st, 7, r->model, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 8, r->dataset, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 9, r->prediction, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 10, r->ground_truth, -1, SQLITE_STATIC);
	sqlite3_bind_double(st, 11, r->loss);
	sqlite3_bind_double(st, 12, r->accuracy);
	sqlite3_bind_double(st, 13, r->latency_ms);
	sqlite3_bind_int(st, 14, r->ok);
}

double bare_insert(const char *path, long rows, long per_commit, int page_size, struct samples *commits)
{
	char sql[200], when[32];
	sqlite3_stmt *st;
	sqlite3 *db;

	must(NULL, sqlite3_open(path, &db));
	snprintf(sql, sizeof(sql),
		 "PRAGMA page_size = %d; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		 "PRAGMA secure_delete = OFF; PRAGMA cache_size = -16384",
		 page_size);
	must(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
	must(db,
	     sqlite3_exec(db,
			  "CREATE TABLE events(track_id TEXT, timestamp TEXT, input_id INTEGER, worker "
			  "INTEGER, epoch INTEGER, "
			  "tokens INTEGER, model TEXT, dataset TEXT, prediction TEXT, ground_truth TEXT, "
			  "loss REAL, accuracy REAL, "
			  "latency_ms REAL, ok BOOLEAN); CREATE INDEX events_track_id ON events(track_id)",
			  NULL, NULL, NULL));
	must(db,
	     sqlite3_prepare_v2(db, "INSERT INTO events VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)", -1, &st, NULL));
	sqlite3_bind_text(st, 1, "bench-0", -1, SQLITE_STATIC);
	int64_t start = now_ns();
	for (long i = 0; i < rows;) {
		int64_t t = now_ns();
		must(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
		for (long k = 0; k < per_commit && i < rows; k++, i++) {
			struct bench_row r = bench_row_make(0, i);
			stamp(when);
			sqlite3_bind_text(st, 2, when, -1, SQLITE_STATIC);
			bind_row(st, &r);
			must(db, sqlite3_step(st));
			sqlite3_reset(st);
		}
		must(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
		if (commits)
			samples_add(commits, (double)(now_ns() - t) / 1000);
	}
	double rate = (double)rows * 1e9 / (double)(now_ns() - start);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return rate;
}

long count_rows(const char *path)
{
	sqlite3_stmt *st;
	sqlite3 *db;

	must(NULL, sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL));
	must(db, sqlite3_prepare_v2(db, "SELECT count(*) FROM events", -1, &st, NULL));
	must(db, sqlite3_step(st));
	long n = (long)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}
