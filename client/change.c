#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define GONE_MS	     60000 /* for a daemon to drain and leave */
#define NAP_MS	     10
#define PIECE	     5000    /* rows that are deleted in a transaction: some ten milliseconds */
#define SET_PIECE    10000   /* rows that are gone through to set a value: as long */
#define LONGEST_EXEC 3600000 /* `timeout_ms` of exec, at most */

/* ---- values over rows ---------------------------------------------------- */

static int set(struct xt_client *c, const char *key, const xt_value *value, const xt_set_options *o,
	       uint64_t *ret_changed)
{
	struct params_set p = {.key = span_str(key)};
	struct buf to = {0}, where = {0};
	uint64_t changed = 0;
	bool more = true;

	if (!key)
		return client_fail(c, XT_EINVAL, "no key was given");
	if (o && o->table) {
		p.has |= PARAM_BIT(set, table);
		p.table = span_str(o->table);
	}
	if (o && o->track_id) {
		p.has |= PARAM_BIT(set, track_id);
		p.track_id = span_str(o->track_id);
	} else {
		p.has |= PARAM_BIT(set, limit);
		p.limit = SET_PIECE;
	}
	int r = pack_to(c, &to, key, value);
	if (r == XT_OK && o && o->where_key) {
		r = pack_to(c, &where, o->where_key, &o->where_value);
		p.has |= PARAM_BIT(set, where_key) | PARAM_BIT(set, where_value);
		p.where_key = span_str(o->where_key);
		p.where_value = buf_span(&where);
	}
	p.value = buf_span(&to);
	while (r == XT_OK && more) { /* others have their turn between two pieces */
		struct result_set result;
		struct call call = {0};
		r = call_run(c, METHOD_set, &p, &call, &result, NEVER);
		more = r == XT_OK && (result.has & RESULT_BIT(set, more)) && result.more;
		changed += r == XT_OK ? result.changed : 0;
		if (more) {
			p.has |= PARAM_BIT(set, after) | PARAM_BIT(set, upto);
			p.after = result.next;
			p.upto = result.top;
		}
		call_done(&call);
	}
	if (r == XT_OK && ret_changed)
		*ret_changed = changed;
	buf_done(&to);
	buf_done(&where);
	return r;
}

int xt_set(xt_client *client, const char *key, xt_value value, const xt_set_options *options,
	   uint64_t *ret_changed)
{
	client_enter(client);
	return client_leave(client, set(client, key, &value, options, ret_changed));
}

int xt_declare(xt_client *client, const char *table, const char *key, xt_value value)
{
	struct params_declare p = {.key = span_str(key)};
	struct buf to = {0};
	struct result_declare result;
	struct call call = {0};

	client_enter(client);
	if (!key)
		return client_leave(client, client_fail(client, XT_EINVAL, "no key was given"));
	if (table) {
		p.has |= PARAM_BIT(declare, table);
		p.table = span_str(table);
	}
	int r = pack_to(client, &to, key, &value);
	p.value = buf_span(&to);
	if (r == XT_OK)
		r = call_run(client, METHOD_declare, &p, &call, &result, NEVER);
	call_done(&call);
	buf_done(&to);
	return client_leave(client, r);
}

int xt_run_set(xt_run *run, const char *key, xt_value value, uint64_t *ret_changed)
{
	return xt_set(run->client, key, value, &(xt_set_options){.table = run->table, .track_id = run->id},
		      ret_changed);
}

/* ---- deleting, SQL -------------------------------------------------------- */

int xt_delete_run(xt_client *client, const char *track_id, const char *table, bool force,
		  uint64_t *ret_deleted)
{
	struct params_delete_run p = {.has = PARAM_BIT(delete_run, force) | PARAM_BIT(delete_run, limit),
				      .track_id = span_str(track_id),
				      .force = force,
				      .limit = PIECE};
	uint64_t deleted = 0;
	bool more = true;
	int r = XT_OK;

	if (table) {
		p.has |= PARAM_BIT(delete_run, table);
		p.table = span_str(table);
	}
	client_enter(client);
	while (r == XT_OK && more) { /* others have their turn between two pieces */
		struct result_delete_run result;
		struct call call = {0};
		r = call_run(client, METHOD_delete_run, &p, &call, &result, NEVER);
		if (r == XT_OK)
			deleted += result.deleted;
		more = r == XT_OK && (result.has & RESULT_BIT(delete_run, more)) && result.more;
		call_done(&call);
	}
	if (r == XT_OK && ret_deleted)
		*ret_deleted = deleted;
	return client_leave(client, r);
}

static int exec(struct xt_client *c, struct params_exec *p, const xt_value *args, size_t n_args,
		uint64_t *ret_changed)
{
	struct result_exec result;
	struct call call = {0};
	struct buf packed = {0};
	int r = XT_OK;

	if (n_args > 0) {
		r = pack_to(c, &packed, "args", &(xt_value){XT_T_ARRAY, {.items = args}, n_args});
		p->has |= PARAM_BIT(exec, args);
		p->args = buf_span(&packed);
	}
	if (r == XT_OK)
		r = call_run(c, METHOD_exec, p, &call, &result, NEVER);
	if (r == XT_OK && ret_changed)
		*ret_changed = result.changed;
	call_done(&call);
	buf_done(&packed);
	return r;
}

int xt_exec(xt_client *client, const char *sql, const xt_value *args, size_t n_args, int timeout_ms,
	    uint64_t *ret_changed)
{
	struct params_exec p = {.sql = span_str(sql)};

	if (timeout_ms != 0) {
		p.has |= PARAM_BIT(exec, timeout_ms);
		p.timeout_ms =
			timeout_ms < 0 || timeout_ms > LONGEST_EXEC ? LONGEST_EXEC : (uint64_t)timeout_ms;
	}
	client_enter(client);
	return client_leave(client, exec(client, &p, args, n_args, ret_changed));
}

/* ---- settings and spools -------------------------------------------------- */

int xt_config(xt_client *client, const char *key, const int64_t *value, int64_t *ret_value)
{
	struct params_config p = {.key = span_str(key)};
	struct result_config result;
	struct call call = {0};

	if (value) {
		p.has |= PARAM_BIT(config, value);
		p.value = *value;
	}
	client_enter(client);
	int r = call_run(client, METHOD_config, &p, &call, &result, NEVER);
	if (r == XT_OK && ret_value)
		*ret_value = result.value;
	call_done(&call);
	return client_leave(client, r);
}

int xt_spool_replay(xt_client *client, xt_spool_report *ret_report)
{
	struct params_spool_replay p = {0};
	struct result_spool_replay result;
	struct call call = {0};

	client_enter(client);
	int r = call_run(client, METHOD_spool_replay, &p, &call, &result, NEVER);
	if (r == XT_OK)
		*ret_report = (xt_spool_report){.rows = result.rows,
						.more = result.more,
						.owned = result.owned,
						.damaged = result.damaged};
	call_done(&call);
	return client_leave(client, r);
}

/* ---- stopping the daemon -------------------------------------------------- */

/* True when the lock file names another process, which the one we wait for must have left it to. */
static bool other_holder(int fd, uint64_t pid)
{
	char text[PATH_MAX + 64];
	unsigned long long holder = 0;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	const char *line = strstr(text, "\npid ");
	return line && sscanf(line, "\npid %llu", &holder) == 1 && holder != pid;
}

/* Beside the database; or, where its directory cannot be written, beside the socket. */
static int open_lock(const struct place *p)
{
	char path[PATH_MAX + 8];
	int fd = open(p->lock, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "%s.lock", p->socket);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Waits for the daemon's lock on the database. Its process id would not do: it may live in another PID
 * namespace, or stay a zombie that nobody reaps. Called without the mutex. */
static int wait_unlocked(const struct place *p, uint64_t pid, int64_t deadline)
{
	int fd = open_lock(p), r = XT_OK;

	if (fd < 0)
		return XT_OK; /* there is no such file any more, so nobody holds it */
	/* Shared, so that several who wait do not take each other for the daemon. */
	while (r == XT_OK && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK &&
	       !(pid && other_holder(fd, pid))) {
		if (now_ms() >= deadline)
			r = XT_ETIMEOUT;
		else if (poll(NULL, 0, NAP_MS) < 0 && errno == EINTR)
			r = XT_EINTR;
	}
	close(fd);
	return r;
}

/* Waits until the daemon has closed this connection. Acknowledgements still arrive meanwhile. */
static int wait_closed(struct xt_client *c, unsigned epoch, int64_t deadline)
{
	int r = XT_OK;

	while (r == XT_OK && c->fd >= 0 && c->epoch == epoch)
		r = pump_wait(c, deadline);
	return c->fd < 0 || c->epoch != epoch ? XT_OK : r;
}

static int not_gone(struct xt_client *c, int status, uint64_t pid)
{
	return client_fail(c, status, "%s the daemon (process %llu) had gone; it is stopping",
			   status == XT_EINTR ? "a signal came before" : "the time ran out before",
			   (unsigned long long)pid);
}

static int stop(xt_client *client, bool hold, bool careful)
{
	struct params_shutdown p = {.has = PARAM_BIT(shutdown, hold) | PARAM_BIT(shutdown, careful),
				    .hold = hold,
				    .careful = careful};
	int64_t deadline = deadline_in(GONE_MS);
	struct result_shutdown result = {0};
	struct call call = {0};
	struct place place;
	struct xt_err err;

	client_enter(client);
	int r = call_run(client, METHOD_shutdown, &p, &call, &result, deadline);
	call_done(&call);
	if (r == XT_ELOST && !hold)
		r = XT_OK; /* it left before it could answer, perhaps because another client stopped it */
	if (r != XT_OK)
		return client_leave(client, r);
	unsigned epoch = client->epoch;
	r = wait_closed(client, epoch, deadline);
	if (r == XT_OK && place_find(&place, client->database, &err) < 0)
		return client_leave(client, client_fail_err(client, XT_ECONNECT, &err));
	client_leave(client, r);
	if (r == XT_OK)
		r = wait_unlocked(&place, result.pid, deadline);
	client_enter(client);
	return client_leave(client, r == XT_OK ? r : not_gone(client, r, result.pid));
}

int xt_shutdown(xt_client *client, bool hold)
{
	return stop(client, hold, true);
}

int xt_shutdown_anyway(xt_client *client, bool hold)
{
	return stop(client, hold, false);
}
