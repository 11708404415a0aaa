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

/* Stops a query of a connection. False: there is none of that name. */
bool server_cancel(struct server *s, uint64_t conn, uint32_t cursor);

/* Accepts no more, applies what was sent, acknowledges, closes; then the loop ends. hold: nobody
 * starts the daemon again until `xtctl up`. */
void server_drain(struct server *s, bool hold);

#endif
