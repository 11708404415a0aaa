/* What handlers on the loop may ask of the server; knows no libuv. */
#ifndef XT_LOOP_H
#define XT_LOOP_H

#include "lease.h"
#include "writer.h"

struct server;

/* The server's numbers, for `status`. Strings are the server's. */
struct server_facts {
	const char *socket, *log_file; /* paths; log_file may be NULL */
	const char *durability;
	const struct store *store; /* path, database_id, read_only only: they do not change */
	struct writer_stats *stats;
	uint64_t connections, queued_ops, queued_bytes, cursors;
	uint64_t uptime_ms, idle_exit_ms;
	bool draining;
	enum writer_state writer;
	struct xt_err why; /* of a writer that is not WRITER_OK */
};

void server_facts(struct server *s, struct server_facts *ret);

/* The cache, who computes what, and the time: of the loop in milliseconds, of the day in microseconds. */
struct cache *server_cache(struct server *s);
struct leases *server_leases(struct server *s);
uint64_t server_now_ms(const struct server *s);
int64_t server_wall_us(const struct server *s);

/* A question waits for a lease until then: it is answered in time. */
void server_lease_timer(struct server *s, uint64_t until_ms);

/* The level of a table (tide.h). */
uint64_t server_level(struct server *s, struct span table);

/* Keeps a `wait` until the table has another level, or until then; SERVER_NEVER: for ever. The message that
 * it answers is told by connection and msgid. */
#define SERVER_NEVER UINT64_MAX
int server_wait(struct server *s, uint64_t conn, uint32_t msgid, struct span table, uint64_t level,
		uint64_t until_ms, struct xt_err *err) __attribute__((warn_unused_result));

/* Ends such a wait: it is answered. False: there is none of that name. */
bool server_wait_cancel(struct server *s, uint64_t conn, uint32_t msgid);

/* Stops a query of a connection. False: there is none of that name. */
bool server_cancel(struct server *s, uint64_t conn, uint32_t cursor);

/* Accepts no more, applies what was sent, acknowledges, closes; then the loop ends. hold: nobody
 * starts the daemon again until `xtctl up`. */
void server_drain(struct server *s, bool hold);

#endif
