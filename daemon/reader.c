#include "reader.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "asset_get.h"
#include "asset_put.h"
#include "backup.h"
#include "handle.h"
#include "mem.h"
#include "store.h"

#define MAX_IDLE  8    /* connections kept open */
#define CACHE_KIB 2048 /* page cache of each */
#define BUSY_MS	  5000
#define SPARE_LEAST \
	65536 /* bytes of a buffer that is kept for the next page: what is smaller costs little … */
#define SPARE_MOST \
	(2 * XT_PAGE_BYTES) /* … and a page has this much of room at most, but for a single large row */
#define STOP_S 5 /* that threads may take to stop: nothing looks at the clock inside a function of SQL */
#define STACK  (8u << 20) /* of a thread, whatever `ulimit -s` says: compiling deep statements recurses */

/* ---- connections ------------------------------------------------------ */

static void db_free(struct reader_db *db)
{
	if (!db)
		return;
	sqlite3_close_v2(db->db);
	guard_done(&db->guard);
	free(db);
}

static struct reader_db *db_open(const char *path, struct xt_err *err)
{
	struct reader_db *db = calloc(1, sizeof(*db));
	char sql[128];

	if (!db) {
		xt_err_set(err, XT_E_internal, NULL, "out of memory");
		return NULL;
	}
	int rc = store_open_reader(path, &db->db);
	if (rc != SQLITE_OK) {
		xt_err_set(err, store_code(rc), NULL, "cannot open '%.200s' for reading: %s", path,
			   sqlite3_errstr(rc));
		db_free(db);
		return NULL;
	}
	sqlite3_extended_result_codes(db->db, 1);
	sqlite3_busy_timeout(db->db, BUSY_MS);
	sqlite3_db_config(db->db, SQLITE_DBCONFIG_MAINDBNAME, "db");
	sqlite3_limit(db->db, SQLITE_LIMIT_ATTACHED, 0);
	guard_limit(db->db, true);
	sqlite3_db_config(db->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	snprintf(sql, sizeof(sql),
		 "PRAGMA query_only = ON; PRAGMA temp_store = FILE; PRAGMA cache_size = -%d; "
		 "PRAGMA trusted_schema = OFF",
		 CACHE_KIB);
	guard_install(&db->guard, db->db);
	if (sqlite3_exec(db->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		xt_err_set(err, store_code(sqlite3_errcode(db->db)), NULL,
			   "cannot set up a connection for reading: %s", sqlite3_errmsg(db->db));
		db_free(db);
		return NULL;
	}
	return db;
}

static struct reader_db *db_get(struct reader_pool *r, struct xt_err *err)
{
	pthread_mutex_lock(&r->lock);
	struct reader_db *db = r->idle;
	if (db) {
		r->idle = db->next;
		r->n_idle--;
	}
	pthread_mutex_unlock(&r->lock);
	return db ? db : db_open(r->path, err);
}

static void db_put(struct reader_pool *r, struct reader_db *db)
{
	pthread_mutex_lock(&r->lock);
	bool keep = r->n_idle < MAX_IDLE;
	if (keep) {
		db->next = r->idle;
		r->idle = db;
		r->n_idle++;
	}
	pthread_mutex_unlock(&r->lock);
	if (!keep)
		db_free(db);
}

/* ---- buffers ---------------------------------------------------------- */

void reader_keep(struct reader_pool *r, struct buf *b)
{
	pthread_mutex_lock(&r->lock);
	if (b->cap >= SPARE_LEAST && b->cap <= SPARE_MOST && r->n_spares < READER_SPARES) {
		r->spares[r->n_spares++] = *b;
		b->data = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	buf_done(b);
}

void reader_forget(struct reader_pool *r)
{
	pthread_mutex_lock(&r->lock);
	while (r->n_spares > 0)
		buf_done(&r->spares[--r->n_spares]);
	pthread_mutex_unlock(&r->lock);
}

/* Gives a buffer memory that it may need, where some is left. */
static void take_spare(struct reader_pool *r, struct buf *b)
{
	if (b->cap > 0)
		return;
	pthread_mutex_lock(&r->lock);
	if (r->n_spares > 0) {
		r->n_spares--;
		b->data = r->spares[r->n_spares].data;
		b->cap = r->spares[r->n_spares].cap;
	}
	pthread_mutex_unlock(&r->lock);
}

/* ---- cursors ---------------------------------------------------------- */

struct cursor *cursor_new(const struct store *s, uint64_t conn, uint32_t msgid)
{
	struct cursor *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->path = s->path;
	c->assets = s->assets;
	c->conn = conn;
	c->msgid = msgid;
	buf_init(&c->rows, XT_MAX_FRAME);
	return c;
}

static void give_db_back(struct reader_pool *r, struct cursor *c)
{
	if (c->db) {
		mem_tidy(c->db->guard.account);
		db_put(r, c->db);
	}
	c->db = NULL;
}

static void asset_close(struct cursor *c)
{
	asset_put_free(c->put);
	asset_get_free(c->get);
	c->put = NULL;
	c->get = NULL;
}

static void cursor_close(struct reader_pool *r, struct cursor *c)
{
	asset_close(c);
	backup_free(c->backup);
	c->backup = NULL;
	sqlite3_finalize(c->st);
	c->st = NULL;
	give_db_back(r, c);
	c->finished = true;
}

void cursor_free(struct cursor *c)
{
	if (!c)
		return;
	asset_close(c);
	backup_free(c->backup);
	sqlite3_finalize(c->st);
	db_free(c->db);
	buf_done(&c->names);
	buf_done(&c->types);
	buf_done(&c->rows);
	free(c);
}

/* ---- threads ---------------------------------------------------------- */

union any_result {
#define METHOD(name, id, kind, thread, flags, doc) struct result_##name name;
#include "methods.def"
};

static void run(struct reader_pool *r, struct op *op)
{
	struct cursor *c = op->cursor;
	union any_result result = {0};
	struct xt_err err = {0};
	int failed = 0;

	if (op->kind == OP_CLOSE) {
		cursor_close(r, c);
		return;
	}
	if (atomic_load(&c->cancelled))
		failed = xt_err_set(&err, XT_E_cancelled, NULL, "the query was cancelled");
	if (!failed && !c->db && !(c->db = db_get(r, &err)))
		failed = -1;
	take_spare(r, &c->rows);
	if (!failed)
		failed = handle_call(op->method, c, op->params, &result, &err);
	take_spare(r, &op->out);
	size_t start = op->out.len;
	if (!failed) {
		wire_put_result(&op->out, op->msgid, op->method->id, &result);
		if (buf_failed(&op->out)) {
			buf_clear(&op->out);
			op->out.len = start;
			failed = xt_err_set(&err, XT_E_too_large, NULL,
					    "the answer is larger than a message can be (%d bytes)",
					    XT_MAX_FRAME);
		}
	}
	if (failed && err.code == XT_E_cancelled && atomic_load(&r->leaving))
		xt_err_set(&err, XT_E_stopping, NULL, "the daemon is stopping; connect again");
	if (failed)
		wire_put_error(&op->out, op->msgid, &err);
	reader_keep(r, &c->rows);
	if (failed || (!c->st && !c->put && !c->get))
		cursor_close(r, c);
	else if (!c->st)
		give_db_back(r, c); /* it holds no snapshot, and others can use it */
}

/* Whether a process may have one thread more: no more than it leaves to others (share.h). */
static bool may_run(const struct reader_pool *r, const struct share *s)
{
	size_t ours = 0, idle = 0;

	for (size_t i = 0; i < READER_THREADS; i++) {
		ours += r->running[i] == s;
		idle += r->running[i] == NULL;
	}
	return !s || ours < idle;
}

/* The first message that may run; NULL: there is none. */
static struct op *next_op(struct reader_pool *r)
{
	struct op_list rest = {0};
	struct op *op, *found = NULL;

	while ((op = op_pop(&r->queue))) {
		if (!found && may_run(r, op->share))
			found = op;
		else
			op_push(&rest, op);
	}
	r->queue = rest;
	return found;
}

static void *reader_main(void *data)
{
	struct reader_pool *r = data;
	struct op *op;

	pthread_setname_np(pthread_self(), "xt-reader");
	pthread_mutex_lock(&r->lock);
	size_t self = r->n_named++;
	while (!r->stopping) {
		op = next_op(r);
		if (!op) {
			pthread_cond_wait(&r->cond, &r->lock);
			continue;
		}
		r->running[self] = op->share;
		pthread_mutex_unlock(&r->lock);
		run(r, op);
		pthread_mutex_lock(&r->lock);
		r->running[self] = NULL;
		op_push(&r->done, op);
		r->wake(r->data);
		if (r->queue.first)
			pthread_cond_signal(&r->cond); /* what had to wait for this one may run now */
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int reader_start(struct reader_pool *r, const char *path, void (*wake)(void *data), void *data)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc = 0;

	*r = (struct reader_pool){.path = strdup(path), .wake = wake, .data = data};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->cond, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (; r->n_threads < READER_THREADS && rc == 0; r->n_threads += rc == 0)
		rc = pthread_create(&r->threads[r->n_threads], &attr, reader_main, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

void reader_submit(struct reader_pool *r, struct op *op)
{
	pthread_mutex_lock(&r->lock);
	op_push(&r->queue, op);
	pthread_mutex_unlock(&r->lock);
	pthread_cond_signal(&r->cond);
}

void reader_take(struct reader_pool *r, struct op_list *ret)
{
	pthread_mutex_lock(&r->lock);
	op_splice(ret, &r->done);
	pthread_mutex_unlock(&r->lock);
}

bool reader_stop(struct reader_pool *r)
{
	struct timespec until;

	if (!r->path)
		return true;
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_mutex_unlock(&r->lock);
	pthread_cond_broadcast(&r->cond);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_S;
	for (; r->n_threads > 0; r->n_threads--)
		if (pthread_timedjoin_np(r->threads[r->n_threads - 1], NULL, &until) != 0)
			return false;
	op_splice(&r->done, &r->queue);
	while (r->idle) {
		struct reader_db *next = r->idle->next;
		db_free(r->idle);
		r->idle = next;
	}
	reader_forget(r);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->cond);
	free(r->path);
	r->path = NULL;
	return true;
}
