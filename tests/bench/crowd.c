#include "crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"
#include "place.h"
#include "row.h"
#include "setup.h"
#include "wire.h"
#include "xetrack.h"

#define LIVE_ROWS  1000 /* a second, of all live clients of a crowd */
#define LARGE	   (1 << 20)
#define SLOW_ASKS  32	/* questions of each slow reader */
#define OUR_FILES  64	/* of a process that are no connections */
#define KEPT_FILES 1100 /* of the daemon that are none, about */

static int ready_fd = -1; /* of a process of a crowd */

/* ---- raw connections -------------------------------------------------- */

static int dial(const struct place *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, p->socket, strnlen(p->socket, sizeof(a.sun_path) - 1));
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		die("cannot connect", strerror(errno));
	return fd;
}

static void send_all(int fd, struct buf *b)
{
	size_t at = 0;

	while (at < b->len) {
		ssize_t n = send(fd, b->data + at, b->len - at, MSG_NOSIGNAL);
		if (n < 0)
			die("cannot send", strerror(errno));
		at += (size_t)n;
	}
	buf_clear(b);
}

/* Says hello and reads the answer. */
static int greet(const struct place *p)
{
	uint8_t id[XT_CLIENT_ID], head[FRAME_HEADER], body[4096];
	struct params_hello h = {.has = PARAM_BIT(hello, last_seq), .protocol = XT_PROTOCOL};
	struct buf out = {0};
	int fd = dial(p);

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		die("cannot draw an id", strerror(errno));
	h.client = span_of(id, sizeof(id));
	wire_put_request(&out, 1, METHOD_hello, &h);
	send_all(fd, &out);
	buf_done(&out);
	if (recv(fd, head, sizeof(head), MSG_WAITALL) != sizeof(head))
		die("the daemon closed a connection", "no answer to hello");
	size_t size = (size_t)head[2] << 8 | head[3];
	if (size > sizeof(body) || recv(fd, body, size, MSG_WAITALL) != (ssize_t)size)
		die("the daemon closed a connection", "in the answer to hello");
	return fd;
}

static void find(struct place *p, const char *db)
{
	struct xt_err err;

	if (place_find(p, db, &err) < 0)
		die("cannot find the socket", err.message);
}

void crowd_idle(const char *db, int process, long count)
{
	struct place p;

	(void)process;
	find(&p, db);
	for (long i = 0; i < count; i++)
		(void)greet(&p); /* open until the process ends */
	crowd_ready();
	for (;;)
		pause();
}

void crowd_slow_reader(const char *db, int process, long count)
{
	struct params_query q = {
		.sql = span_str(
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) "
			"SELECT i, printf('%.1000c', 'x') FROM n")};
	struct buf out = {0};
	struct place p;

	(void)process;
	find(&p, db);
	for (long i = 0; i < count; i++) {
		int fd = greet(&p);
		for (uint32_t k = 0; k < SLOW_ASKS; k++)
			wire_put_request(&out, 2 + k, METHOD_query, &q);
		send_all(fd, &out);
	}
	crowd_ready();
	for (;;)
		pause();
}

/* ---- clients ---------------------------------------------------------- */

static xt_run *enter(const char *db, int process, long client, xt_client **ret)
{
	char id[40];
	xt_run *run;

	check(NULL, xt_open(ret, db, &(xt_options){.no_autostart = true}), "open");
	snprintf(id, sizeof(id), "crowd-%d-%ld", process, client);
	check(*ret, xt_run_join(&run, *ret, id, NULL), "join");
	return run;
}

void crowd_live(const char *db, int process, long count)
{
	xt_run **runs = calloc((size_t)count, sizeof(xt_run *));
	long nap_ns = 1000000000L / LIVE_ROWS * (1000 / (count ? count : 1));
	xt_client *xt;

	if (!runs)
		die("out of memory", "");
	for (long i = 0; i < count; i++)
		runs[i] = enter(db, process, i, &xt);
	crowd_ready();
	for (long i = 0;; i++) {
		nanosleep(&(struct timespec){.tv_nsec = nap_ns}, NULL);
		if (row_log(runs[i % count], process, i) != XT_OK)
			die("a live neighbour cannot log", "");
	}
}

static void flood(const char *db, int process, bool flush)
{
	xt_client *xt;
	xt_run *run = enter(db, process, 0, &xt);

	crowd_ready();
	for (long i = 0;; i++) {
		check(xt, row_log(run, process, i), "log");
		if (flush)
			check(xt, xt_flush(xt, XT_FOREVER), "flush");
	}
}

void crowd_flood(const char *db, int process, long count)
{
	(void)count;
	flood(db, process, false);
}

void crowd_flood_flushes(const char *db, int process, long count)
{
	(void)count;
	flood(db, process, true);
}

void crowd_flood_large(const char *db, int process, long count)
{
	char *blob = calloc(1, LARGE);
	xt_client *xt;
	xt_run *run = enter(db, process, 0, &xt);

	(void)count;
	if (!blob)
		die("out of memory", "");
	crowd_ready();
	for (long i = 0;; i++)
		check(xt, xt_log(run, XT("i", i), XT("large", xt_blob(blob, LARGE))), "log");
}

void crowd_scan(const char *db, int process, long count)
{
	const xt_value *row;
	xt_client *xt;
	xt_cursor *k;

	(void)count;
	(void)enter(db, process, 0, &xt);
	crowd_ready();
	for (;;) {
		check(xt,
		      xt_query(&k, xt, "SELECT sum(loss), sum(length(prediction)) FROM events", NULL, 0, 0),
		      "query");
		check(xt, xt_cursor_next(k, &row), "read");
		xt_cursor_close(k);
	}
}

/* ---- processes -------------------------------------------------------- */

void crowd_ready(void)
{
	if (write(ready_fd, "x", 1) != 1)
		_exit(1);
}

struct crowd crowd_start(crowd_role *role, const char *db, int processes, long count)
{
	struct crowd c = {.n = processes};
	int fds[2];
	char byte;

	if (pipe2(fds, O_CLOEXEC) < 0)
		die("cannot make a pipe", strerror(errno));
	for (int i = 0; i < processes; i++) {
		c.pids[i] = fork();
		if (c.pids[i] < 0)
			die("cannot fork", strerror(errno));
		if (c.pids[i] > 0)
			continue;
		ready_fd = fds[1];
		close(fds[0]);
		role(db, i, count / processes);
		_exit(1);
	}
	close(fds[1]);
	for (int i = 0; i < processes; i++)
		if (read(fds[0], &byte, 1) != 1)
			die("a neighbour failed", db);
	close(fds[0]);
	return c;
}

void crowd_end(struct crowd *c)
{
	for (int i = 0; i < c->n; i++)
		kill(c->pids[i], SIGKILL);
	for (int i = 0; i < c->n; i++)
		while (waitpid(c->pids[i], NULL, 0) < 0 && errno == EINTR)
			;
	c->n = 0;
}

long crowd_most(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return 0;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	long files = lim.rlim_max > 1000000 ? 1000000 : (long)lim.rlim_max;
	return files > 2 * KEPT_FILES ? files - KEPT_FILES : files / 2 - OUR_FILES;
}
