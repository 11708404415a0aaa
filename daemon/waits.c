/* Waits for rows of tables. Part of server.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "await.h"
#include "loop.h"
#include "server.h"

#define LOOK_MS 200u   /* between two looks for what other programs have committed */
#define REST_MS 10000u /* without a wait, after which nobody looks any more */
#define NEVER	UINT64_MAX

struct wait_list {
	struct await all;
	struct buf risen;  /* scratch: names of tables */
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
	await_done(&s->waits->all);
	buf_done(&s->waits->risen);
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
	bool idle = l->all.n == 0 && !s->draining && uv_is_active((uv_handle_t *)&s->wal_event);

	l->rest_ms = idle ? uv_now(&s->loop) + REST_MS : NEVER;
	set_timer(s, l->rest_ms);
}

/* ---- waits ------------------------------------------------------------ */

static uint64_t level_of(struct server *s, const struct await_table *t)
{
	return tide_level(&s->writer.tide, span_of(t->name, t->len));
}

/* Without an answer. */
static void drop(struct server *s, struct conn *c, struct wait *w)
{
	await_end(&s->waits->all, w);
	share_give(c->share, SHARE_WAITS, 1);
}

/* With one. Waits end with their connection at the latest, so it is there. */
static void end(struct server *s, struct wait *w, uint64_t level)
{
	struct conn *c = server_conn(s, w->conn);
	struct result_wait ret = {.level = level};

	wire_put_result(&c->out, w->msgid, METHOD_wait, &ret);
	conn_touch(c);
	drop(s, c, w);
}

static void look_at_table(struct server *s, const struct await_table *t)
{
	uint64_t level = level_of(s, t);

	for (struct wait *w = t->first, *next; w; w = next) {
		next = w->next; /* with the last one the table goes */
		if (w->level != level)
			end(s, w, level);
	}
}

void server_look_at_waits(struct server *s)
{
	struct wait_list *l = s->waits;
	bool all;

	buf_clear(&l->risen);
	if (!tide_take(&s->writer.tide, &l->risen, &all))
		return;
	for (struct await_table *t = all ? l->all.tables : NULL, *next; t; t = next) {
		next = t->next;
		look_at_table(s, t);
	}
	for (size_t at = 0; at < l->risen.len && !all;) {
		struct span name = span_str((const char *)l->risen.data + at);
		const struct await_table *t = await_table(&l->all, name);
		at += name.len + 1;
		if (t)
			look_at_table(s, t);
	}
	rest_soon(s);
}

/* Answers those that have waited long enough; when the next has. */
static uint64_t end_late(struct server *s, uint64_t now)
{
	struct wait *w;
	uint64_t due;

	while ((due = await_next(&s->waits->all, &w)) <= now)
		end(s, w, level_of(s, w->table));
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
	bool waited = l->all.n > 0;
	set_timer(s, end_late(s, now));
	if (waited && l->all.n == 0)
		rest_soon(s);
	if (l->looks > 0 && l->look_ms <= now)
		look(s);
	if (l->rest_ms <= now) {
		uv_fs_event_stop(&s->wal_event);
		l->rest_ms = NEVER;
	} else if (!uv_is_active((uv_handle_t *)&s->wal_event) && l->all.n > 0) {
		l->looks = 1; /* the kernel cannot tell of it: look all the time */
	}
	if (l->looks > 0)
		set_timer(s, l->look_ms);
	set_timer(s, l->rest_ms);
}

uint64_t server_level(struct server *s, struct span table)
{
	watch_file(s);
	if (s->waits->all.n == 0)
		rest_soon(s);
	return tide_level(&s->writer.tide, table);
}

int server_wait(struct server *s, uint64_t conn, uint32_t msgid, struct span table, uint64_t level,
		uint64_t until_ms, struct xt_err *err)
{
	struct wait_list *l = s->waits;
	struct conn *c = server_conn(s, conn);

	if (c->row_waits.n >= XT_MAX_WAITS)
		return xt_err_set(err, XT_E_busy, NULL,
				  "%d requests of this connection wait for rows, as many as may; cancel one",
				  XT_MAX_WAITS);
	if (!share_allows(c->share, SHARE_WAITS, 1))
		return xt_err_set(
			err, XT_E_busy, NULL,
			"%zu requests wait for rows, %zu of them of this process; cancel one, or try again",
			l->all.n, c->share->held[SHARE_WAITS]);
	struct wait *w = await_add(&l->all, &c->row_waits, table, until_ms);
	if (!w)
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	w->conn = conn;
	w->msgid = msgid;
	w->level = level;
	share_take(c->share, SHARE_WAITS, 1);
	l->rest_ms = NEVER;
	set_timer(s, until_ms);
	return 0;
}

bool server_wait_cancel(struct server *s, uint64_t conn, uint32_t msgid)
{
	struct wait *w = await_of(&server_conn(s, conn)->row_waits, msgid);

	if (!w)
		return false;
	end(s, w, level_of(s, w->table));
	rest_soon(s);
	return true;
}

void server_end_waits(struct server *s, struct conn *c)
{
	while (c->row_waits.first)
		drop(s, c, c->row_waits.first);
	rest_soon(s);
}
