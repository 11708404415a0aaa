#include "client.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "trace.h"

#define GOODBYE_MS 1000 /* for the daemon to read what was said last */

/* ---- time and errors -------------------------------------------------- */

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t deadline_in(int timeout_ms)
{
	return timeout_ms < 0 ? NEVER : now_ms() + timeout_ms;
}

int poll_timeout(int64_t deadline, int most)
{
	int64_t left = deadline == NEVER ? most : deadline - now_ms();

	return left < 0 ? 0 : left > most ? most : (int)left;
}

int64_t client_full_deadline(const struct xt_client *c)
{
	if (c->opt.full_fails)
		return now_ms();
	return c->opt.full_timeout_ms ? deadline_in(c->opt.full_timeout_ms) : NEVER;
}

int client_fail(struct xt_client *c, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	c->code[0] = '\0';
	return status;
}

int client_fail_err(struct xt_client *c, int status, const struct xt_err *err)
{
	client_fail(c, status, "%s", err->message);
	snprintf(c->code, sizeof(c->code), "%s", proto_error_name(err->code));
	return status;
}

const char *xt_error(const xt_client *client)
{
	return client ? client->error : "out of memory";
}

const char *xt_error_code(const xt_client *client)
{
	return client ? client->code : "";
}

const char *xt_version(void)
{
	return XT_VERSION;
}

const char *xt_status_name(int status)
{
	static const char *const names[] = {"XT_OK",	"XT_EINVAL",	"XT_ENOMEM",   "XT_ECONNECT",
					    "XT_ENODB", "XT_EDOWN",	"XT_ETIMEOUT", "XT_EINTR",
					    "XT_EFULL", "XT_EREJECTED", "XT_EREQUEST", "XT_EPROTOCOL",
					    "XT_EPEER", "XT_ELOST",	"XT_ERESTORED"};

	if (status == XT_DONE)
		return "XT_DONE";
	if (status == XT_SPOOLED)
		return "XT_SPOOLED";
	if (status == XT_HIT)
		return "XT_HIT";
	return status <= 0 && status >= XT_ERESTORED ? names[-status] : "unknown status";
}

int client_writable(struct xt_client *c)
{
	struct xt_err err;

	if (c->read_only && c->fd < 0)
		(void)link_try(c); /* another daemon may think otherwise */
	if (!c->read_only)
		return XT_OK;
	xt_err_set(&err, XT_E_read_only, NULL, "'%.300s' cannot be written: its daemon only reads it",
		   c->database);
	return client_fail_err(c, XT_EREQUEST, &err);
}

/* ---- identity and fork ------------------------------------------------ */

int client_new_id(struct xt_client *c)
{
	ssize_t n;

	do
		n = getrandom(c->id, sizeof(c->id), 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(c->id) ? XT_OK : client_fail(c, XT_ECONNECT, "cannot draw a client id");
}

static int init_cond(struct xt_client *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	int r = pthread_cond_init(&c->cond, &attr);
	pthread_condattr_destroy(&attr);
	return r == 0 ? 0 : -1;
}

enum { FRESH, OURS, CLAIMED }; /* of the page's first byte: fork made it FRESH */

/* A page that is zero in a child: its first byte tells without a system call. */
static void watch_fork(struct xt_client *c)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	c->pid = getpid();
	if (p == MAP_FAILED)
		return;
	if (madvise(p, page, MADV_WIPEONFORK) < 0) {
		munmap(p, page);
		return;
	}
	*p = OURS;
	c->alive = p;
}

/* True for the one thread of a child that has to make the client its own. */
static bool claim(struct xt_client *c)
{
	uint8_t expected = FRESH;

	if (!c->alive)
		return c->pid != getpid();
	if (__builtin_expect(__atomic_load_n(c->alive, __ATOMIC_ACQUIRE) == OURS, 1))
		return false;
	if (__atomic_compare_exchange_n(c->alive, &expected, CLAIMED, false, __ATOMIC_ACQUIRE,
					__ATOMIC_ACQUIRE))
		return true;
	while (__atomic_load_n(c->alive, __ATOMIC_ACQUIRE) == CLAIMED)
		sched_yield();
	return false;
}

/* What the parent had in flight is the parent's: drop it and begin anew. */
static void become_child(struct xt_client *c)
{
	/* Taken by a thread that does not exist here: its work was cut anywhere, so leave its memory. */
	bool whole = pthread_mutex_trylock(&c->lock) == 0;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (whole) {
		window_done(&c->window);
		buf_done(&c->in);
	} else {
		c->spill.file.in = (struct buf){0};
	}
	spill_leave(c); /* closing it here leaves the parent's lock alone */
	if (whole) {
		direct_abandon(&c->direct);
		flight_forget(c); /* leases are the parent's, as what was under way is */
	} else {
		c->direct = (struct direct){0};
		c->held = NULL;
	}
	c->window = (struct window){0};
	c->in = (struct buf){.max = 2 * (size_t)XT_MAX_FRAME};
	c->calls = NULL;
	c->reading = c->mute = c->stale = c->restored = c->knows_database = c->read_only = false;
	c->last_seq = c->acked = c->confirm = c->confirmed = c->reject_seq = 0;
	c->rejected = c->flushed_rejected = 0;
	c->reason[0] = c->first_reason[0] = c->error[0] = c->code[0] = '\0';
	c->retry_at = 0;
	c->epoch++;
	if (whole)
		pthread_mutex_unlock(&c->lock);
	else
		pthread_mutex_init(&c->lock, NULL);
	(void)!init_cond(c); /* threads that waited are the parent's */
	(void)!client_new_id(c);
	c->pid = getpid();
	if (c->alive)
		__atomic_store_n(c->alive, OURS, __ATOMIC_RELEASE);
}

void client_enter(struct xt_client *c)
{
	if (__builtin_expect(claim(c), 0))
		become_child(c);
	pthread_mutex_lock(&c->lock);
}

int client_leave(struct xt_client *c, int status)
{
	pthread_mutex_unlock(&c->lock);
	return status;
}

/* ---- open ------------------------------------------------------------- */

/* What `status` calls us: a message holds 256 bytes of it, and UTF-8 only. */
static char *short_name(const char *name)
{
	char *s = strndup(name, 256);

	for (size_t len = s ? strlen(s) : 0; len > 0 && !utf8_valid(span_of(s, len)); len--)
		s[len - 1] = '\0';
	return s;
}

static int fill_in(struct xt_client *c, const char *database, const xt_options *options)
{
	c->trace = trace_wanted();
	c->fd = -1;
	c->in.max = 2 * (size_t)XT_MAX_FRAME;
	if (options)
		c->opt = *options;
	if (c->opt.connect_timeout_ms <= 0)
		c->opt.connect_timeout_ms = CONNECT_TIMEOUT_MS;
	if (c->opt.window_bytes == 0)
		c->opt.window_bytes = WINDOW_BYTES;
	if (c->opt.spool_bytes == 0)
		c->opt.spool_bytes = SPOOL_BYTES;
	c->spill.file.fd = -1;
	c->name = short_name(c->opt.name ? c->opt.name : program_invocation_short_name);
	c->opt.name = NULL;
	if (!database || !database[0])
		return client_fail(c, XT_EINVAL, "no database was named");
	/* Absolute, so that a later chdir of the program changes nothing. */
	char *cwd = database[0] == '/' ? NULL : getcwd(NULL, 0);
	if (asprintf(&c->database, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", database) < 0)
		c->database = NULL;
	free(cwd);
	if (!c->name || !c->database)
		return client_fail(c, XT_ENOMEM, "out of memory");
	return client_new_id(c);
}

int xt_open(xt_client **ret_client, const char *database, const xt_options *options)
{
	struct xt_client *c = calloc(1, sizeof(*c));

	*ret_client = NULL;
	if (!c || pthread_mutex_init(&c->lock, NULL) != 0 || init_cond(c) < 0) {
		free(c);
		return XT_ENOMEM;
	}
	watch_fork(c);
	*ret_client = c;
	int r = fill_in(c, database, options);
	if (r != XT_OK)
		return r;
	client_enter(c);
	return client_leave(c, link_open(c, c->opt.connect_timeout_ms, true));
}

/* ---- flush ------------------------------------------------------------ */

static int not_acknowledged(struct xt_client *c, int status, uint64_t n)
{
	client_fail(c, status, "%llu rows or requests were not acknowledged in time%s%s%s%s",
		    (unsigned long long)n, c->spill.on ? "; they are in the spool " : "",
		    c->spill.on ? c->spill.file.path : "", c->trouble[0] ? ": " : "", c->trouble);
	snprintf(c->code, sizeof(c->code), "%s", c->trouble_code);
	return status;
}

/* Waits until `target` is acknowledged. The daemon commits what it has as soon as it can and
 * acknowledges unasked: a request would only come behind. */
int client_await(struct xt_client *c, uint64_t target, int64_t deadline)
{
	while (c->acked < target) {
		if (c->fd < 0 && !link_try(c)) {
			bool kept = spill_begin(c);
			if (c->retry_at >= deadline || now_ms() >= deadline || (c->closing && kept))
				return XT_ECONNECT;
		}
		window_send(c);
		int r = pump_wait(c, deadline);
		if (r == XT_EINTR)
			return client_fail(c, r, "a signal came while waiting for the daemon to acknowledge");
		if (r == XT_ETIMEOUT && c->acked < target)
			return not_acknowledged(c, r, target - c->acked);
		if (target > c->last_seq)
			target = c->last_seq; /* numbered anew: none of our rows is above it */
	}
	return XT_OK;
}

static int fail_rejected(struct xt_client *c, uint64_t n, const char *reason)
{
	return client_fail(c, XT_EREJECTED, "%llu %s rejected, the first because of %s",
			   (unsigned long long)n, n == 1 ? "row was" : "rows were", reason);
}

static int flush(struct xt_client *c, int64_t deadline)
{
	if (c->fd >= 0)
		pump_read(c);
	int r = client_await(c, c->last_seq, deadline);
	window_trim(c);
	window_send(c);
	if (r != XT_OK)
		return r;
	uint64_t rejects = c->rejected - c->flushed_rejected;
	c->flushed_rejected = c->rejected;
	if (c->restored) {
		c->restored = false;
		return client_fail(c, XT_ERESTORED,
				   "the database was replaced by another or older one; rows that were "
				   "not acknowledged were sent again");
	}
	if (rejects == 0)
		return XT_OK;
	fail_rejected(c, rejects, c->reason);
	snprintf(c->code, sizeof(c->code), "%.*s", (int)strcspn(c->reason, ":"), c->reason);
	c->reason[0] = '\0';
	return XT_EREJECTED;
}

int xt_flush(xt_client *client, int timeout_ms)
{
	client_enter(client);
	return client_leave(client, flush(client, deadline_in(timeout_ms)));
}

static uint64_t get(const xt_client *client, const uint64_t *number)
{
	xt_client *c = (xt_client *)client; /* only the mutex is written to */

	client_enter(c);
	uint64_t value = *number;
	client_leave(c, 0);
	return value;
}

uint64_t xt_last_seq(const xt_client *client)
{
	return get(client, &client->last_seq);
}

uint64_t xt_acked_seq(const xt_client *client)
{
	client_enter((xt_client *)client);
	pump_read((xt_client *)client);
	client_leave((xt_client *)client, 0);
	return get(client, &client->acked);
}

uint64_t xt_rejected(const xt_client *client)
{
	return get(client, &client->rejected);
}

/* ---- close ------------------------------------------------------------ */

/* Says goodbye and reads to the end: closing with unread bytes would make the daemon lose ours. */
static void goodbye(struct xt_client *c)
{
	struct params_bye bye = {.has = PARAM_BIT(bye, last_seq), .last_seq = c->last_seq};

	if (c->failed_runs) {
		bye.has |= PARAM_BIT(bye, status);
		bye.status = span_str("failed");
	}
	int64_t deadline = deadline_in(GOODBYE_MS);

	if (c->fd < 0 || window_put(c, proto_method(METHOD_bye), 0, &bye, NULL) != XT_OK)
		return;
	window_send(c);
	while (c->fd >= 0 && !c->mute && c->window.sent < c->window.bytes.len)
		if (pump_wait(c, deadline) == XT_ETIMEOUT)
			break;
	if (c->fd >= 0)
		shutdown(c->fd, SHUT_WR);
	c->mute = true;
	while (c->fd >= 0 && pump_wait(c, deadline) != XT_ETIMEOUT)
		continue;
}

static void client_free(struct xt_client *c)
{
	while (c->runs)
		xt_run_free(c->runs);
	if (c->fd >= 0)
		close(c->fd);
	window_done(&c->window);
	spill_leave(c);
	direct_close(&c->direct);
	flight_forget(c);
	buf_done(&c->cached);
	free(c->spill.dir);
	buf_done(&c->in);
	if (c->alive)
		munmap(c->alive, (size_t)sysconf(_SC_PAGESIZE));
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c->name);
	free(c->database);
	free(c);
}

/* What is not acknowledged when the client closes: waited for, then left in the spool. */
static int deliver(struct xt_client *c)
{
	int64_t deadline = deadline_in(CLOSE_TIMEOUT_MS);
	int r;

	c->closing = true;
	do
		r = flush(c, deadline);
	while (r == XT_EINTR); /* the last chance of these rows */
	uint64_t undelivered = c->last_seq - c->acked;
	if (undelivered == 0 || (r != XT_ETIMEOUT && r != XT_ECONNECT))
		return r;
	char why[200];
	snprintf(why, sizeof(why), "%.199s", c->error);
	if (spill_all(c, c->failed_runs ? "failed" : "finished") > 0)
		return client_fail(c, XT_SPOOLED,
				   "%llu rows or requests are in the spool '%s': the next daemon stores them",
				   (unsigned long long)undelivered, c->spill.file.path);
	return client_fail(c, r, "%s; the daemon may still store them", why);
}

static int close_with(struct xt_client *c, char *message, size_t size)
{
	int r = c->last_seq > c->acked ? deliver(c) : XT_OK;

	if (r != XT_SPOOLED) /* else it is in the spool, and the stream may have ended within a frame */
		goodbye(c);
	if ((r == XT_OK || r == XT_EREJECTED) && c->rejected > 0)
		r = fail_rejected(c, c->rejected, c->first_reason);
	if (r != XT_OK && message && size)
		snprintf(message, size, "%s", c->error);
	client_leave(c, r);
	client_free(c);
	return r;
}

int xt_close_message(xt_client *client, char *message, size_t size)
{
	if (message && size)
		message[0] = '\0';
	if (!client)
		return XT_OK;
	client_enter(client);
	return close_with(client, message, size);
}

int xt_close_failed(xt_client *client)
{
	if (!client)
		return XT_OK;
	client_enter(client);
	client->failed_runs = true;
	return close_with(client, NULL, 0);
}

int xt_close(xt_client *client)
{
	return xt_close_message(client, NULL, 0);
}
