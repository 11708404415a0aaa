#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "trace.h"

#define NAP_MS	      10
#define MAX_NAP_MS    200
#define MAX_DOUBLINGS 4 /* of the time between two tries */

void link_drop(struct xt_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->mute = c->stale = false;
	c->confirmed = 0;
	buf_clear(&c->in);
	for (struct call *k = c->calls; k; k = k->next)
		if (!k->seq && !k->done)
			k->done = k->lost = true;
	window_rewind(c);
	pthread_cond_broadcast(&c->cond);
}

static bool peer_is_right(int fd, const struct place *p, uid_t *ret_uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct stat st;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	*ret_uid = cred.uid;
	return cred.uid == geteuid() || cred.uid == 0 ||
	       (stat(p->database, &st) == 0 && cred.uid == st.st_uid);
}

int link_dial(const struct place *p, uid_t *ret_uid)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	memcpy(a.sun_path, p->socket, strnlen(p->socket, sizeof(a.sun_path) - 1));
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	if (!peer_is_right(fd, p, ret_uid)) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

/* ---- hello ------------------------------------------------------------ */

enum greeting { GREETED, AGAIN, REFUSED };

static int send_hello(struct xt_client *c, int64_t deadline)
{
	struct params_hello p = {.protocol = XT_PROTOCOL,
				 .client = span_of(c->id, sizeof(c->id)),
				 .last_seq = c->last_seq,
				 .acked = c->acked,
				 .database_id = span_of(c->database_id, sizeof(c->database_id)),
				 .name = span_str(c->name),
				 .pid = (uint64_t)c->pid};
	struct buf out = {0}, leases = {0};
	size_t at = 0;

	p.has = PARAM_BIT(hello, last_seq) | PARAM_BIT(hello, acked) | PARAM_BIT(hello, name) |
		PARAM_BIT(hello, pid);
	if (flight_tell(c, &leases) > 0) {
		p.has |= PARAM_BIT(hello, leases);
		p.leases = buf_span(&leases);
	}
	if (c->knows_database)
		p.has |= PARAM_BIT(hello, database_id);
	wire_put_request(&out, ++c->msgid, METHOD_hello, &p);
	if (c->trace)
		trace_frames("libxetrack", "->", buf_span(&out));
	while (!out.failed && at < out.len && now_ms() < deadline) {
		ssize_t n = send(c->fd, out.data + at, out.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	int r = at == out.len && !out.failed ? 0 : -1;
	buf_done(&out);
	buf_done(&leases);
	return r;
}

/* The first frame, left in `in`: its body and bytes. Others that follow stay for parse(). */
static int read_hello(struct xt_client *c, int64_t deadline, struct span *ret_body, size_t *ret_size)
{
	for (;;) {
		enum frame_status s = frame_next(buf_span(&c->in), XT_MAX_FRAME, ret_body, ret_size);
		if (s == FRAME_OK)
			return XT_OK;
		if (s == FRAME_BAD)
			return client_fail(c, XT_EPROTOCOL,
					   "what listens at the socket does not speak xetrack's protocol");
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		int r = poll(&p, 1, poll_timeout(deadline, INT32_MAX));
		if (r < 0 && errno == EINTR)
			return client_fail(c, XT_EINTR, "a signal came while connecting");
		if (r == 0)
			return client_fail(c, XT_ECONNECT,
					   "the daemon took the connection but does not answer");
		if (buf_reserve(&c->in, 4096) < 0)
			return client_fail(c, XT_ENOMEM, "out of memory");
		ssize_t n = recv(c->fd, c->in.data + c->in.len, 4096, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return XT_ELOST;
		c->in.len += (size_t)n;
	}
}

/* Takes over the daemon's mark. AGAIN: the database is not the one we knew. */
static enum greeting adopt(struct xt_client *c, const struct result_hello *h, int *ret_status)
{
	bool other = c->knows_database && memcmp(c->database_id, h->database_id.data, XT_CLIENT_ID) != 0;

	/* A mark above our numbers would make the daemon drop what comes next as known already. */
	if (other || h->mark < c->acked || h->mark > c->last_seq) {
		c->restored |= c->acked > 0; /* else nothing of ours went with the file */
		c->knows_database = false;
		*ret_status = client_new_id(c);
		if (*ret_status != XT_OK)
			return REFUSED;
		window_renumber(c);
		return AGAIN;
	}
	memcpy(c->database_id, h->database_id.data, XT_CLIENT_ID);
	c->knows_database = true;
	c->trouble[0] = c->trouble_code[0] = '\0'; /* told again behind hello */
	c->read_only = h->read_only;
	flight_cache_at(c, h->cache, h->cache_ttl_ms);
	c->acked = h->mark;
	window_rewind(c);
	flight_settle(c);
	return GREETED;
}

static enum greeting refuse(struct xt_client *c, struct span error, int *ret_status)
{
	struct xt_err err;

	if (wire_decode_error(error, &err) < 0)
		xt_err_set(&err, XT_E_internal, NULL, "the daemon refused the connection");
	bool later = err.code == XT_E_stopping || err.code == XT_E_busy || err.code == XT_E_file_replaced;
	*ret_status = client_fail_err(c,
				      later				  ? XT_ECONNECT
				      : err.code == XT_E_protocol_version ? XT_EPROTOCOL
									  : XT_EREQUEST,
				      &err);
	return later ? AGAIN : REFUSED;
}

/* The daemon serves the file that was asked for, perhaps by another name. */
static bool same_database(const struct place *p, struct span served)
{
	char path[PATH_MAX];
	struct stat ours, theirs;

	if (span_is(served, p->database))
		return true;
	snprintf(path, sizeof(path), "%.*s", (int)(served.len < PATH_MAX ? served.len : 0),
		 (const char *)served.data);
	return stat(p->database, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

static enum greeting greet(struct xt_client *c, const struct place *p, int64_t deadline, int *ret_status)
{
	struct result_hello h;
	struct wire_msg m;
	struct xt_err err;
	struct span body;
	size_t size;

	*ret_status = XT_ECONNECT;
	if (send_hello(c, deadline) < 0)
		return AGAIN;
	*ret_status = read_hello(c, deadline, &body, &size);
	if (*ret_status != XT_OK)
		return *ret_status == XT_ELOST ? AGAIN : REFUSED;
	/* The database's path may be any bytes. */
	if (c->trace && wire_scan(body, &err) == 0)
		trace_message("libxetrack", "<-", body);
	if ((wire_open(body, &m, &err) < 0 && err.code != XT_E_bad_utf8) || m.kind != WIRE_RESPONSE) {
		*ret_status = client_fail(c, XT_EPROTOCOL, "the daemon's answer to hello makes no sense");
		return REFUSED;
	}
	if (m.error.len > 1)
		return refuse(c, m.error, ret_status);
	if (wire_decode(&proto_method(METHOD_hello)->result, m.result, &h, &err) < 0) {
		*ret_status = client_fail(c, XT_EPROTOCOL, "the daemon's answer to hello: %s", err.message);
		return REFUSED;
	}
	if (!same_database(p, h.database)) {
		*ret_status = client_fail(
			c, XT_ECONNECT,
			"the daemon at '%.200s' serves '%.*s', not '%.200s'; one socket is one database: "
			"unset XETRACK_SOCKET, or set it to this one's",
			p->socket, (int)(h.database.len < 200 ? h.database.len : 200),
			(const char *)h.database.data, p->database);
		return REFUSED;
	}
	if (!c->spill.dir && !(c->spill.dir = strdup(p->spool)))
		*ret_status = client_fail(c, XT_ENOMEM, "out of memory");
	enum greeting g = c->spill.dir ? adopt(c, &h, ret_status) : REFUSED;
	if (g == GREETED)
		buf_consume(&c->in, size);
	return g;
}

/* ---- connecting ------------------------------------------------------- */

static bool may_start(const struct xt_client *c)
{
	const char *env = getenv("XETRACK_AUTOSTART");

	return !c->opt.no_autostart && !(env && strcmp(env, "0") == 0);
}

/* Nobody listens. XT_OK: try again. */
static int nobody(struct xt_client *c, const struct place *p, int error, bool patient, int64_t deadline)
{
	if (!p->exists && c->opt.read_only)
		return client_fail(c, XT_ENODB, "no database '%s'", p->database);
	if (p->held && !c->opt.revive)
		return client_fail(c, XT_EDOWN, "the daemon of '%s' was stopped; `xtctl up` starts it again",
				   p->database);
	if (!may_start(c)) {
		client_fail(c, XT_ECONNECT, "no daemon at '%s' (%s), and starting one is turned off",
			    p->socket, strerror(error));
		return patient && c->knows_database ? XT_OK : XT_ECONNECT; /* it may be about to come back */
	}
	return start_daemon(c, p, deadline);
}

/* From here on who reads waits, for SLICE_MS at most; what is sent never does (MSG_DONTWAIT). */
static bool let_wait(int fd)
{
	struct timeval slice = {.tv_usec = SLICE_MS * 1000};
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof(slice)) == 0 &&
	       fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

/* Whose the socket is: its directory is closed to others as a rule, and tells the same. False: nobody says.
 */
static bool owner_of(const char *socket, uid_t *ret)
{
	const char *slash = strrchr(socket, '/');
	char dir[PATH_MAX];
	struct stat st;

	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - socket) : 0, socket);
	if (stat(socket, &st) < 0 && stat(dir, &st) < 0)
		return false;
	*ret = st.st_uid;
	return true;
}

static int unreachable(struct xt_client *c, const struct place *p, int error)
{
	uid_t owner;

	if (error == EACCES && owner_of(p->socket, &owner) && owner != geteuid())
		return client_fail(
			c, XT_ECONNECT,
			"cannot connect to '%s': %s; the daemon belongs to user %u, who admits others "
			"by `xetrackd --group NAME` or `--readers`",
			p->socket, strerror(error), (unsigned)owner);
	return client_fail(c, XT_ECONNECT, "cannot connect to '%s': %s", p->socket, strerror(error));
}

/* One try. XT_OK with fd set, or with fd -1: try again. */
static int attempt(struct xt_client *c, bool patient, int64_t deadline)
{
	struct xt_err err;
	struct place p;
	uid_t uid = (uid_t)-1;
	int status = XT_OK;

	if (place_find(&p, c->database, &err) < 0)
		return client_fail_err(c, strcmp(err.field, "database") == 0 ? XT_ENODB : XT_ECONNECT, &err);
	int fd = link_dial(&p, &uid);
	if (fd == -EPERM)
		return client_fail(c, XT_EPEER,
				   "the daemon at '%s' belongs to user %u, not to this user, root or the "
				   "file's owner",
				   p.socket, (unsigned)uid);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return nobody(c, &p, -fd, patient, deadline);
	if (fd == -EAGAIN || fd == -EINTR)
		return XT_OK;
	if (fd < 0)
		return unreachable(c, &p, -fd);
	c->fd = fd;
	buf_clear(&c->in);
	enum greeting g = greet(c, &p, deadline, &status);
	if (g == GREETED) {
		c->waits = let_wait(fd);
		return XT_OK;
	}
	link_drop(c);
	return g == AGAIN ? XT_OK : status;
}

int link_open(struct xt_client *c, int timeout_ms, bool patient)
{
	int64_t deadline = deadline_in(timeout_ms);
	int nap = NAP_MS;

	c->error[0] = c->code[0] = '\0';
	for (;;) {
		int r = attempt(c, patient, deadline);
		if (r != XT_OK)
			return r;
		if (c->fd >= 0)
			break;
		if (now_ms() >= deadline)
			return c->error[0] ? XT_ECONNECT
					   : client_fail(c, XT_ECONNECT, "no daemon for '%s' after %d ms",
							 c->database, timeout_ms);
		if (poll(NULL, 0, nap) < 0 && errno == EINTR)
			return client_fail(c, XT_EINTR, "a signal came while connecting");
		nap = 2 * nap < MAX_NAP_MS ? 2 * nap : MAX_NAP_MS;
	}
	c->error[0] = c->code[0] = '\0';
	c->stream = (struct xt_err){0};
	c->epoch++;
	c->confirmed = 0;
	window_send(c);
	/* Answers that were lost may have come in one piece with the hello: nothing may follow them. */
	if (pump_parse(c) < 0) {
		link_drop(c);
		return client_fail(c, XT_EPROTOCOL, "%s", c->stream.message);
	}
	window_trim(c);
	return XT_OK;
}

bool link_try(struct xt_client *c)
{
	int64_t start = now_ms();

	if (c->fd >= 0)
		return true;
	if (c->reading || start < c->retry_at)
		return false;
	int most = c->opt.connect_timeout_ms < 2000 ? c->opt.connect_timeout_ms : 2000;
	if (link_open(c, most, false) == XT_OK) {
		c->failed_tries = 0;
		return true;
	}
	/* A try that took long is not made often: rows must not wait for a daemon that hangs. */
	int64_t took = now_ms() - start;
	int64_t wait = RETRY_MS << (c->failed_tries < MAX_DOUBLINGS ? c->failed_tries++ : MAX_DOUBLINGS);
	c->retry_at = now_ms() + (took * 4 > wait ? took * 4 : wait);
	return false;
}
