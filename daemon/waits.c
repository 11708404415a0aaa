/* Waits for rows of tables. Part of server.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "loop.h"
#include "server.h"

#define MAX_WAITS      100000 /* in all */
#define MAX_CONN_WAITS 64     /* of a connection */
#define LOOK_MS	       200u   /* between two looks for what other programs have committed */
#define REST_MS	       10000u /* without a wait, after which nobody looks any more */
#define NEVER	       UINT64_MAX

struct wait {
	uint64_t conn;	   /* who waits, by id … */
	uint32_t msgid;	   /* … and for the answer to which request */
	uint64_t level;	   /* that the table had */
	uint64_t until_ms; /* loop time; NEVER */
	struct wait *next;
	size_t len;   /* bytes of: */
	char table[]; /* its name, as sent */
};

struct wait_list {
	struct wait *first;
	size_t n;
	uint64_t timer_ms; /* loop time at which wait_timer fires; NEVER: it does not */
	unsigned looks;	   /* that are due, the first at: */
	uint64_t look_ms;  /* loop time */
	bool looking;	   /* one is with the writer */
	uint64_t rest_ms;  /* loop time at which wal_event stops, if nobody waits; NEVER: it is stopped */
};

int server_waits_init(struct server *s, struct xt_err *err)
{
	s->waits = calloc(1, sizeof(*s->waits));
	if (!s->waits)
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	s->waits->timer_ms = s->waits->rest_ms = NEVER;
	return 0;
}

void server_waits_done(struct server *s)
{
	if (!s->waits)
		return;
	for (struct wait *w = s->waits->first, *next; w; w = next) {
		next = w->next;
		free(w);
	}
	free(s->waits);
	s->waits = NULL;
}

/* ---- time ------------------------------------------------------------- */

static void on_wait_timer(uv_timer_t *t);

static void set_timer(struct server *s, uint64_t at_ms)
{
	struct wait_list *l = s->waits;
	uint64_t now = uv_now(&s->loop);

	if (at_ms >= l->timer_ms || uv_is_closing((uv_handle_t *)&s->wait_timer))
		return;
	l->timer_ms = at_ms;
	uv_timer_start(&s->wait_timer, on_wait_timer, at_ms > now ? at_ms - now : 0, 0);
}

/* ---- other programs ---------------------------------------------------- */

/* Nothing tells of a commit but that its file was written to; our own commits do so too. The second look is
 * for what was written when the first one came, and not yet committed. */
static void on_wal_event(uv_fs_event_t *e, const char *name, int events, int status)
{
	struct server *s = e->data;
	struct wait_list *l = s->waits;

	(void)name;
	(void)events;
	(void)status;
	if (!l || s->draining)
		return;
	if (l->looks == 0 && l->look_ms < uv_now(&s->loop))
		l->look_ms = uv_now(&s->loop);
	l->looks = 2;
	set_timer(s, l->look_ms);
}

/* An empty transaction of the writer's, which notices what others have done. */
static void look(struct server *s)
{
	struct wait_list *l = s->waits;

	l->looks--;
	l->look_ms = uv_now(&s->loop) + LOOK_MS;
	if (!l->looking)
		l->looking = server_queue_internal(s, OP_LOOK, NULL, NULL) != NULL;
}

void server_looked(struct server *s)
{
	s->waits->looking = false;
}

/* Somebody asks for levels: from now on what others do is noticed. */
static void watch_file(struct server *s)
{
	char path[PATH_MAX + 8];

	if (uv_is_active((uv_handle_t *)&s->wal_event) || uv_is_closing((uv_handle_t *)&s->wal_event))
		return;
	snprintf(path, sizeof(path), "%s-wal", s->store->path);
	if (access(path, F_OK) < 0)
		path[strlen(s->store->path)] = '\0';
	uv_fs_event_start(&s->wal_event, on_wal_event, path, 0);
	on_wal_event(&s->wal_event, NULL, 0, 0); /* what was done before */
}

/* When nobody waits, and nobody has come again for a while, it is not watched any more. */
static void rest_soon(struct server *s)
{
	struct wait_list *l = s->waits;
	bool idle = l->n == 0 && !s->draining && uv_is_active((uv_handle_t *)&s->wal_event);

	l->rest_ms = idle ? uv_now(&s->loop) + REST_MS : NEVER;
	set_timer(s, l->rest_ms);
}

/* ---- waits ------------------------------------------------------------ */

static uint64_t level_of(struct server *s, const struct wait *w)
{
	return tide_level(&s->writer.tide, span_of(w->table, w->len));
}

static void answer(struct server *s, const struct wait *w, uint64_t level)
{
	struct conn *c = server_conn(s, w->conn);
	struct result_wait ret = {.level = level};

	if (!c)
		return;
	wire_put_result(&c->out, w->msgid, METHOD_wait, &ret);
	conn_touch(c);
}

/* Ends one, answered. */
static void end(struct server *s, struct wait **at)
{
	struct wait *w = *at;

	answer(s, w, level_of(s, w));
	*at = w->next;
	s->waits->n--;
	free(w);
}

void server_look_at_waits(struct server *s)
{
	if (!tide_news(&s->writer.tide))
		return;
	for (struct wait **at = &s->waits->first; *at;) {
		const struct wait *w = *at;
		if (level_of(s, w) != w->level)
			end(s, at);
		else
			at = &(*at)->next;
	}
	rest_soon(s);
}

/* Answers those that have waited long enough; when the next has. */
static uint64_t end_late(struct server *s, uint64_t now)
{
	uint64_t due = NEVER;

	for (struct wait **at = &s->waits->first; *at;) {
		if ((*at)->until_ms <= now) {
			end(s, at);
			continue;
		}
		due = (*at)->until_ms < due ? (*at)->until_ms : due;
		at = &(*at)->next;
	}
	return due;
}

static void on_wait_timer(uv_timer_t *t)
{
	struct server *s = t->data;
	struct wait_list *l = s->waits;
	uint64_t now = uv_now(&s->loop);

	l->timer_ms = NEVER;
	if (s->draining)
		return;
	bool waited = l->n > 0;
	set_timer(s, end_late(s, now));
	if (waited && l->n == 0)
		rest_soon(s);
	if (l->looks > 0 && l->look_ms <= now)
		look(s);
	if (l->rest_ms <= now) {
		uv_fs_event_stop(&s->wal_event);
		l->rest_ms = NEVER;
	} else if (!uv_is_active((uv_handle_t *)&s->wal_event) && l->n > 0) {
		l->looks = 1; /* the kernel cannot tell of it: look all the time */
	}
	if (l->looks > 0)
		set_timer(s, l->look_ms);
	set_timer(s, l->rest_ms);
}

uint64_t server_level(struct server *s, struct span table)
{
	watch_file(s);
	if (s->waits->n == 0)
		rest_soon(s);
	return tide_level(&s->writer.tide, table);
}

int server_wait(struct server *s, uint64_t conn, uint32_t msgid, struct span table, uint64_t level,
		uint64_t until_ms, struct xt_err *err)
{
	struct wait_list *l = s->waits;
	size_t ours = 0;

	for (const struct wait *w = l->first; w; w = w->next)
		ours += w->conn == conn;
	if (l->n >= MAX_WAITS || ours >= MAX_CONN_WAITS)
		return xt_err_set(err, XT_E_busy, NULL, "%zu requests wait for rows, %zu of this connection",
				  l->n, ours);
	struct wait *w = malloc(sizeof(*w) + table.len);
	if (!w)
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	*w = (struct wait){
		.conn = conn, .msgid = msgid, .level = level, .until_ms = until_ms, .next = l->first};
	w->len = table.len;
	memcpy(w->table, table.data, table.len);
	l->first = w;
	l->n++;
	l->rest_ms = NEVER;
	set_timer(s, until_ms);
	return 0;
}

bool server_wait_cancel(struct server *s, uint64_t conn, uint32_t msgid)
{
	for (struct wait **at = &s->waits->first; *at; at = &(*at)->next)
		if ((*at)->conn == conn && (*at)->msgid == msgid) {
			end(s, at);
			rest_soon(s);
			return true;
		}
	return false;
}

void server_end_waits(struct server *s, uint64_t conn)
{
	for (struct wait **at = &s->waits->first; *at;) {
		struct wait *w = *at;
		if (w->conn != conn) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		s->waits->n--;
		free(w);
	}
	rest_soon(s);
}
