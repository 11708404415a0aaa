#include "cursor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES (4u << 20) /* that one step copies; a tenth of a second's worth where a pace is set */
#define TICK_MS	   100	      /* between two calls of on_progress while the daemon works */
#define GIVE_UP_MS 5000	      /* for a stopped copy to be put away */

/* A copy under way. */
struct copy {
	struct xt_client *client;
	const xt_backup_options *opt;
	char *path;	      /* owned: absolute, of the file */
	char *part;	      /* owned: where it is until it is whole */
	unsigned epoch;	      /* connection that it lives on */
	uint32_t id;	      /* its name there */
	uint64_t total, page; /* pages; bytes of one */
	uint64_t done;	      /* pages copied */
};

/* ---- progress ------------------------------------------------------------- */

/* False: it is to stop. */
static bool tell(const struct copy *copy)
{
	const xt_backup_options *o = copy->opt;
	uint64_t done = copy->done * copy->page, total = copy->total * copy->page;
	struct stat st;

	if (!o->on_progress)
		return true;
	/* The daemon is in the middle of it; the file, if it can be seen from here, shows how far. */
	if (o->compact && done < total && copy->part && stat(copy->part, &st) == 0)
		done = (uint64_t)st.st_size < total ? (uint64_t)st.st_size : total;
	return o->on_progress(done, total, o->user);
}

static bool goes_on(const struct copy *copy, int status)
{
	if (status == XT_EINTR)
		return copy->opt->on_progress && tell(copy);
	return tell(copy);
}

static int stopped(struct copy *copy)
{
	return client_fail(copy->client, XT_EINTR, "the copy was stopped; nothing is left of it");
}

/* Waits for an answer, telling how far it is meanwhile. */
static int wait_step(struct copy *copy, struct call *call)
{
	struct xt_client *c = copy->client;
	int r;

	do
		r = call_wait(c, call, now_ms() + TICK_MS);
	while ((r == XT_ETIMEOUT || r == XT_EINTR) && goes_on(copy, r));
	if (r != XT_ETIMEOUT && r != XT_EINTR)
		return r;
	cursor_cancel(c, copy->id, copy->epoch);
	int64_t deadline = now_ms() + GIVE_UP_MS;
	do
		r = call_wait(c, call, deadline);
	while (r == XT_EINTR && now_ms() < deadline);
	call_forget(c, call);
	return r == XT_OK ? r : stopped(copy); /* perhaps it was done just then */
}

/* ---- steps ---------------------------------------------------------------- */

static int lost(struct copy *copy, const char *why)
{
	return client_fail(copy->client, XT_ELOST, "%s before the copy '%.300s' was done; begin it anew", why,
			   copy->path);
}

static int decode(struct copy *copy, enum method_id method, const struct call *call, void *ret)
{
	struct xt_err err;

	if (wire_decode(&proto_method(method)->result, buf_span(&call->result), ret, &err) == 0)
		return XT_OK;
	return client_fail(copy->client, XT_EPROTOCOL, "the daemon's answer: %s", err.message);
}

static int begin(struct copy *copy)
{
	const xt_backup_options *o = copy->opt;
	struct params_backup p = {.has = PARAM_BIT(backup, after) | PARAM_BIT(backup, replace) |
					 PARAM_BIT(backup, compact),
				  .path = span_str(copy->path),
				  .replace = o->replace,
				  .compact = o->compact};
	struct result_backup result;
	struct call call;

	int r = cursor_ask(copy->client, METHOD_backup, &p, &p.after, &call);
	copy->id = call.msgid;
	copy->epoch = copy->client->epoch;
	if (r == XT_EINTR)
		cursor_cancel(copy->client, copy->id, copy->epoch);
	if (r == XT_OK)
		r = decode(copy, METHOD_backup, &call, &result);
	if (r == XT_OK) {
		copy->total = result.total;
		copy->page = result.page_size;
	}
	call_done(&call);
	return r;
}

static uint64_t step_pages(const struct copy *copy)
{
	uint64_t bytes = STEP_BYTES, pace = copy->opt->bytes_per_second / 10;

	if (copy->opt->bytes_per_second > 0 && pace < bytes)
		bytes = pace;
	return bytes > copy->page && copy->page > 0 ? bytes / copy->page : 1;
}

static int step(struct copy *copy, struct result_backup_step *ret)
{
	struct params_backup_step p = {
		.has = PARAM_BIT(backup_step, pages), .cursor = copy->id, .pages = step_pages(copy)};
	struct xt_client *c = copy->client;
	struct call call;

	if (c->fd < 0 || c->epoch != copy->epoch)
		return lost(copy, "the connection broke");
	int r = call_send(c, METHOD_backup_step, &p, &call);
	if (r == XT_OK)
		r = wait_step(copy, &call);
	if (r == XT_OK)
		r = decode(copy, METHOD_backup_step, &call, ret);
	else if (r == XT_ELOST || (r == XT_EREQUEST && call.err.code == XT_E_stopping))
		r = lost(copy, "the daemon left");
	else if (r == XT_EREQUEST &&
		 (call.err.code == XT_E_cursor_expired || call.err.code == XT_E_cancelled))
		r = lost(copy, "the daemon closed it, since it was open for too long,");
	call_done(&call);
	return r;
}

/* Waits until so much may be copied. */
static int keep_pace(struct copy *copy, int64_t began)
{
	uint64_t pace = copy->opt->bytes_per_second;
	int r = XT_OK;

	if (pace == 0 || copy->opt->compact)
		return XT_OK;
	int64_t due = began + (int64_t)((double)(copy->done * copy->page) * 1000.0 / (double)pace);
	while (now_ms() < due && copy->client->fd >= 0 && copy->client->epoch == copy->epoch) {
		int64_t until = now_ms() + TICK_MS;
		r = pump_wait(copy->client, until < due ? until : due);
		if (r != XT_OK && r != XT_ETIMEOUT && r != XT_EINTR)
			return r;
		if (!goes_on(copy, r))
			return stopped(copy);
	}
	return XT_OK;
}

static int run(struct copy *copy)
{
	struct result_backup_step s = {0};
	int64_t began = now_ms();
	int r = begin(copy);

	while (r == XT_OK && !s.done) {
		if (!tell(copy))
			r = stopped(copy);
		if (r == XT_OK)
			r = step(copy, &s);
		if (r != XT_OK)
			break;
		copy->done = copy->total > s.remaining ? copy->total - s.remaining : 0;
		if (!s.done)
			r = keep_pace(copy, began);
	}
	if (r == XT_OK)
		tell(copy);
	else if (r == XT_EINTR || r == XT_EPROTOCOL)
		cursor_cancel(copy->client, copy->id, copy->epoch);
	return r;
}

/* ---- the calls ------------------------------------------------------------ */

/* The daemon has another working directory. */
static int make_paths(struct copy *copy, const char *path)
{
	char *dir = path && path[0] != '/' ? getcwd(NULL, 0) : NULL;
	int r = XT_OK;

	if (!path || !path[0])
		return client_fail(copy->client, XT_EINVAL, "no path was given for the copy");
	if (path[0] != '/' && !dir)
		return client_fail(copy->client, XT_EINVAL, "cannot find the working directory: %s",
				   strerror(errno));
	if (asprintf(&copy->path, "%s%s%s", dir ? dir : "", dir ? "/" : "", path) < 0)
		copy->path = NULL;
	if (!copy->path || asprintf(&copy->part, "%s.part", copy->path) < 0)
		copy->part = NULL;
	if (!copy->part)
		r = client_fail(copy->client, XT_ENOMEM, "out of memory");
	free(dir);
	return r;
}

int xt_backup(xt_client *client, const char *path, const xt_backup_options *options)
{
	static const xt_backup_options defaults;
	struct copy copy = {.client = client, .opt = options ? options : &defaults};

	client_enter(client);
	int r = make_paths(&copy, path);
	if (r == XT_OK)
		r = run(&copy);
	free(copy.path);
	free(copy.part);
	return client_leave(client, r);
}

int xt_compact(xt_client *client, uint64_t *ret_before, uint64_t *ret_after)
{
	struct params_compact p = {0};
	struct result_compact result = {0};
	struct call call = {0};

	client_enter(client);
	int r = call_run(client, METHOD_compact, &p, &call, &result, NEVER);
	if (r == XT_OK && ret_before)
		*ret_before = result.before;
	if (r == XT_OK && ret_after)
		*ret_after = result.after;
	call_done(&call);
	return client_leave(client, r);
}
