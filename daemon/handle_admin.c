/* status, cancel, shutdown: on the loop, at once. */
#include <stdio.h>
#include <unistd.h>

#include "handle.h"
#include "loop.h"
#include "spool.h"
#include "store.h"

#define MAX_SPOOLS 1000 /* files that `status` looks at */

#ifndef XT_VERSION
#define XT_VERSION "0.1.0"
#endif

/* The state as a sentence; `text` is scratch. */
static const char *describe_state(const struct server_facts *f, char *text, size_t size)
{
	if (f->draining)
		return "stopping";
	if (f->writer == WRITER_OK)
		return f->store->read_only ? "read only" : "ok";
	const char *name = f->writer == WRITER_WARNED ? "warning"
			   : f->writer == WRITER_SLOW ? "slow"
						      : "degraded";
	snprintf(text, size, "%s: %s: %.180s", name, proto_error_name(f->why.code), f->why.message);
	return text;
}

static bool add_spool(const struct spool_facts *f, void *data)
{
	struct result_status *ret = data;

	ret->spools++;
	ret->spooled_bytes += f->bytes;
	if (f->first)
		ret->spooled_rows += f->last - f->first + 1;
	return ret->spools < MAX_SPOOLS;
}

static void count_spools(const struct store *s, struct result_status *ret)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s.spool", s->path);
	(void)!spool_list(dir, add_spool, ret);
}

int handle_status(struct loop_call *c, const struct params_status *p, struct result_status *ret,
		  struct xt_err *err)
{
	static _Thread_local char state[256]; /* the result borrows it until it is encoded */
	struct server_facts f;

	(void)p;
	(void)err;
	server_facts(c->server, &f);
	ret->version = span_str(XT_VERSION);
	ret->pid = (uint64_t)getpid();
	ret->database = span_str(f.store->path);
	ret->database_id = span_of(f.store->database_id, XT_CLIENT_ID);
	ret->socket = span_str(f.socket);
	ret->state = span_str(describe_state(&f, state, sizeof(state)));
	ret->durability = span_str(f.durability);
	ret->uptime_ms = f.uptime_ms;
	ret->connections = f.connections;
	ret->rows = atomic_load(&f.stats->rows);
	ret->rejects = atomic_load(&f.stats->rejects);
	ret->duplicates = atomic_load(&f.stats->duplicates);
	ret->batches = atomic_load(&f.stats->batches);
	ret->commit_us = atomic_load(&f.stats->batch_us);
	ret->commit_max_us = atomic_load(&f.stats->batch_max_us);
	ret->queued_ops = f.queued_ops;
	ret->queued_bytes = f.queued_bytes;
	ret->cursors = f.cursors;
	ret->wal_bytes = store_wal_bytes(f.store);
	ret->idle_exit_ms = f.idle_exit_ms;
	ret->has |= RESULT_BIT(status, spools) | RESULT_BIT(status, spooled_rows) |
		    RESULT_BIT(status, spooled_bytes) | RESULT_BIT(status, disk_free);
	count_spools(f.store, ret);
	ret->disk_free = disk_free(f.store->path);
	if (f.log_file) {
		ret->has |= RESULT_BIT(status, log_file);
		ret->log_file = span_str(f.log_file);
	}
	return 0;
}

int handle_cancel(struct loop_call *c, const struct params_cancel *p, struct result_cancel *ret,
		  struct xt_err *err)
{
	(void)err;
	ret->found = server_cancel(c->server, c->op->conn, (uint32_t)p->cursor) ||
		     lease_cancel(server_leases(c->server), c->op->conn, (uint32_t)p->cursor) ||
		     server_wait_cancel(c->server, c->op->conn, (uint32_t)p->cursor);
	return 0;
}

int handle_shutdown(struct loop_call *c, const struct params_shutdown *p, struct result_shutdown *ret,
		    struct xt_err *err)
{
	struct server_facts f;

	server_facts(c->server, &f);
	if (HAS_PARAM(p, shutdown, careful) && p->careful && f.writer == WRITER_DEGRADED && f.queued_ops > 0)
		return xt_err_set(err, f.why.code, NULL,
				  "%llu messages cannot be stored now and would go with the daemon: %s",
				  (unsigned long long)f.queued_ops, f.why.message);
	ret->pid = (uint64_t)getpid();
	server_drain(c->server, HAS_PARAM(p, shutdown, hold) && p->hold);
	return 0;
}
