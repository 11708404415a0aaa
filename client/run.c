#include "client.h"

#include <stdlib.h>

/* ---- what every row of a run repeats ----------------------------------- */

static void run_done(struct xt_run *run)
{
	buf_done(&run->params);
	free(run->param);
	free(run->head);
	free(run->table);
	free(run->id);
	free(run);
}

/* A name that goes into every row, so that the daemon would refuse each of them. */
static int check_name(struct xt_client *c, const char *what, const char *name, size_t most)
{
	size_t len = strlen(name);

	if (len == 0 || len > most)
		return client_fail(c, XT_EINVAL, "the %s has %zu bytes, allowed are 1 to %zu", what, len,
				   most);
	if (!utf8_valid(span_of(name, len)))
		return client_fail(c, XT_EINVAL, "the %s is not valid UTF-8", what);
	return XT_OK;
}

/* Encodes the parameters once; row.c copies them into each row. */
static int put_params(struct xt_run *run, const xt_field *fields, const size_t *lens, size_t n, size_t bytes)
{
	struct xt_client *c = run->client;

	run->param = calloc(n, sizeof(*run->param));
	if (!run->param || buf_reserve(&run->params, bytes) < 0)
		return client_fail(c, XT_ENOMEM, "out of memory");
	uint8_t *start = run->params.data, *p = start;
	for (size_t i = 0; i < n; i++) {
		struct param *a = &run->param[i];
		a->at = (size_t)(p - start);
		p = put_str(p, fields[i].key, lens[i]);
		a->value = (size_t)(p - start);
		a->key = (const char *)p - lens[i];
		a->len = lens[i];
		p = pack_value(p, &fields[i].value);
		a->end = (size_t)(p - start);
	}
	run->params.len = (size_t)(p - start);
	run->n_params = n;
	return XT_OK;
}

static int take_params(struct xt_run *run, const xt_field *fields, size_t n)
{
	struct xt_client *c = run->client;
	size_t bytes = 0;

	if (n == 0)
		return XT_OK;
	if (!fields || n > XT_MAX_COLUMNS)
		return client_fail(c, XT_EINVAL, "%zu parameters%s, a row holds %d", n,
				   fields ? "" : " at NULL", XT_MAX_COLUMNS);
	size_t *lens = calloc(n, sizeof(*lens));
	if (!lens)
		return client_fail(c, XT_ENOMEM, "out of memory");
	int r = row_check(c, fields, n, lens, &bytes, &run->items, &run->bloom);
	if (r == XT_OK && (bytes > XT_MAX_FRAME || run->items > ROW_ITEMS))
		r = client_fail(c, XT_EINVAL,
				"the parameters have %zu bytes and %zu items, a message holds %d and %d",
				bytes, run->items, XT_MAX_FRAME, ROW_ITEMS);
	if (r == XT_OK)
		r = put_params(run, fields, lens, n, bytes);
	free(lens);
	return r;
}

/* The parameters as one encoded map. */
static int params_map(const struct xt_run *run, struct buf *out)
{
	uint8_t head[5];

	buf_add(out, head, (size_t)(put_map(head, run->n_params) - head));
	buf_add(out, run->params.data, run->params.len);
	return buf_failed(out) ? client_fail(run->client, XT_ENOMEM, "out of memory") : XT_OK;
}

static uint8_t *put(uint8_t *p, const char *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

/* A `log` frame up to and including its time: row.c fills in length, number and time. */
static int build_head(struct xt_run *run)
{
	struct xt_client *c = run->client;
	size_t id = strlen(run->id), table = run->table ? strlen(run->table) : 0;
	size_t fields = (size_t)4 + !!run->table + !!run->sample_ms + run->sample_network;
	uint8_t *p = run->head = malloc(96 + id + table);

	if (!p)
		return client_fail(c, XT_ENOMEM, "out of memory");
	p = put(p, "\0\0\0\0\x93\x02\xa3log\x91", 11);
	run->map_off = (size_t)(p - run->head);
	p = put_map(p, fields); /* seq, track_id, table, sample, sample_network, time, rows */
	p = put(p, "\xa3seq\xcf", 5);
	run->seq_off = (size_t)(p - run->head);
	p = put(p, "\0\0\0\0\0\0\0\0", 8);
	p = put_str(p, "track_id", 8);
	p = put_str(p, run->id, id);
	if (run->table) {
		p = put_str(p, "table", 5);
		p = put_str(p, run->table, table);
	}
	if (run->sample_ms)
		p = put(p, "\xa6sample\xc3", 8);
	if (run->sample_network)
		p = put(p, "\xaesample_network\xc3", 16);
	p = put(p, "\xa4time\xd3\0\0\0\0\0\0\0\0", 14);
	run->head_len = (size_t)(p - run->head);
	return XT_OK;
}

/* ---- start, join, finish ------------------------------------------------ */

/* A handle without a name, not yet in the client's list; NULL with *ret_status set. */
static struct xt_run *run_new(struct xt_client *c, const xt_run_options *options, int *ret_status)
{
	static const xt_run_options none;
	struct xt_run *run = calloc(1, sizeof(*run));
	int r = XT_OK;

	if (!options)
		options = &none;
	if (!run) {
		*ret_status = client_fail(c, XT_ENOMEM, "out of memory");
		return NULL;
	}
	run->client = c;
	run->pid = c->pid;
	run->sample_ms = options->sample_ms;
	run->sample_network = options->sample_network;
	if (options->table) {
		r = check_name(c, "table's name", options->table, XT_MAX_KEY);
		if (r == XT_OK && !(run->table = strdup(options->table)))
			r = client_fail(c, XT_ENOMEM, "out of memory");
	}
	if (r == XT_OK && (options->sample_ms < 0 || options->sample_ms > XT_MAX_SAMPLE_MS))
		r = client_fail(c, XT_EINVAL, "sample_ms is %d, allowed are 0 to %d", options->sample_ms,
				XT_MAX_SAMPLE_MS);
	if (r == XT_OK)
		r = take_params(run, options->params, options->n_params);
	*ret_status = r;
	if (r == XT_OK)
		return run;
	run_done(run);
	return NULL;
}

/* Gives the handle its name and lists it, or frees it. */
static int run_name(struct xt_run *run, struct span id)
{
	struct xt_client *c = run->client;

	run->id = strndup((const char *)id.data, id.len);
	int r = run->id ? build_head(run) : client_fail(c, XT_ENOMEM, "out of memory");
	if (r != XT_OK) {
		run_done(run);
		return r;
	}
	run->next = c->runs;
	c->runs = run;
	return XT_OK;
}

static int start(struct xt_run *run, const xt_run_options *options, int64_t time_us)
{
	struct params_run_start p = {.has = PARAM_BIT(run_start, time), .time = time_us};
	struct xt_client *c = run->client;
	struct result_run_start result;
	struct buf map = {0};
	struct call call = {0};
	int r = XT_OK;

	if (options && options->track_id) {
		p.has |= PARAM_BIT(run_start, track_id);
		p.track_id = span_str(options->track_id);
	}
	if (run->table) {
		p.has |= PARAM_BIT(run_start, table);
		p.table = span_str(run->table);
	}
	if (run->n_params) {
		r = params_map(run, &map);
		p.has |= PARAM_BIT(run_start, params);
		p.params = buf_span(&map);
	}
	if (r == XT_OK)
		r = call_run(c, METHOD_run_start, &p, &call, &result, NEVER);
	if (r == XT_OK)
		r = run_name(run, result.track_id);
	else
		run_done(run);
	call_done(&call);
	buf_done(&map);
	return r;
}

int xt_run_start(xt_run **ret_run, xt_client *client, const xt_run_options *options)
{
	return xt_run_start_at(ret_run, client, options, wall_us());
}

int xt_run_start_at(xt_run **ret_run, xt_client *client, const xt_run_options *options, int64_t time_us)
{
	int r;

	*ret_run = NULL;
	client_enter(client);
	struct xt_run *run = run_new(client, options, &r);
	if (run)
		r = start(run, options, time_us);
	if (r == XT_OK)
		*ret_run = run;
	return client_leave(client, r);
}

/* Tells the daemon that this client takes part, once a run. */
static int tell_joined(struct xt_run *run, const char *track_id)
{
	struct params_run_join p = {.has = PARAM_BIT(run_join, time),
				    .seq = UINT64_MAX,
				    .track_id = span_str(track_id),
				    .time = wall_us()};
	struct xt_client *c = run->client;

	for (const struct xt_run *known = c->runs; known; known = known->next)
		if (known->pid == c->pid && strcmp(known->id, track_id) == 0)
			return XT_OK;
	if (run->table) {
		p.has |= PARAM_BIT(run_join, table);
		p.table = span_str(run->table);
	}
	int r = client_writable(c);
	if (r == XT_OK)
		r = window_room(c, 256 + p.track_id.len + p.table.len);
	if (r == XT_OK)
		r = window_put(c, proto_method(METHOD_run_join), 0, &p, &run->joined);
	return r == XT_OK ? row_push(c) : r;
}

/* Nobody waits for the daemon's word on a joined run: what it would refuse in every row is found here. */
static int join(struct xt_run *run, const char *track_id, bool apart)
{
	struct xt_client *c = run->client;
	struct buf map = {0};
	struct xt_err err;

	int r = check_name(c, "track_id", track_id, XT_MAX_TRACK_ID);
	if (r == XT_OK)
		r = params_map(run, &map);
	if (r == XT_OK && wire_scan(buf_span(&map), &err) < 0)
		r = client_fail(c, XT_EINVAL, "the parameters: %s", err.message);
	buf_done(&map);
	if (r == XT_OK && !apart)
		r = tell_joined(run, track_id);
	if (r == XT_OK)
		return run_name(run, span_str(track_id));
	run_done(run);
	return r;
}

int xt_run_join(xt_run **ret_run, xt_client *client, const char *track_id, const xt_run_options *options)
{
	int r;

	*ret_run = NULL;
	client_enter(client);
	if (!track_id)
		return client_leave(client, client_fail(client, XT_EINVAL, "no track_id was given"));
	struct xt_run *run = run_new(client, options, &r);
	if (run)
		r = join(run, track_id, options && options->apart);
	if (r == XT_OK)
		*ret_run = run;
	return client_leave(client, r);
}

const char *xt_run_id(const xt_run *run)
{
	return run ? run->id : "";
}

/* Takes the handle out of its client's list and frees it. */
static void forget(struct xt_run *run)
{
	for (struct xt_run **at = &run->client->runs; *at; at = &(*at)->next)
		if (*at == run) {
			*at = run->next;
			break;
		}
	run_done(run);
}

/* No daemon: the end of the run goes to the spool, behind its rows. seq: its number when it was sent
 * already; 0: it was not. */
static int spool_finish(struct xt_client *c, struct params_run_finish *p, uint64_t seq, int status)
{
	if (!spill_begin(c))
		return status;
	if (seq == 0) {
		if (++c->msgid == 0)
			c->msgid = 1;
		int r = window_put(c, proto_method(METHOD_run_finish), c->msgid, p, NULL);
		if (r == XT_OK)
			r = spill_last(c);
		if (r != XT_OK)
			return r;
	}
	return client_fail(c, XT_SPOOLED, "the end of the run is in the spool '%s'", c->spill.file.path);
}

static struct params_run_finish finish_of(const struct xt_run *run, enum xt_run_status status,
					  int64_t time_us)
{
	return (struct params_run_finish){.has = PARAM_BIT(run_finish, time),
					  .seq = UINT64_MAX,
					  .track_id = span_str(run->id),
					  .status = span_str(status == XT_FINISHED ? "finished" : "failed"),
					  .time = time_us};
}

int xt_run_end(xt_run *run, enum xt_run_status status)
{
	struct xt_client *c = run->client;
	struct params_run_finish p = finish_of(run, status, wall_us());

	client_enter(c);
	int r = client_writable(c);
	if (r == XT_OK)
		r = window_room(c, 256 + p.track_id.len);
	if (r == XT_OK && ++c->msgid == 0)
		c->msgid = 1; /* nobody waits for its answer */
	if (r == XT_OK)
		r = window_put(c, proto_method(METHOD_run_finish), c->msgid, &p, NULL);
	if (r == XT_OK)
		r = row_push(c);
	forget(run);
	return client_leave(c, r);
}

int xt_run_finish(xt_run *run, enum xt_run_status status)
{
	return xt_run_finish_at(run, status, wall_us());
}

int xt_run_finish_at(xt_run *run, enum xt_run_status status, int64_t time_us)
{
	struct xt_client *c = run->client;
	struct params_run_finish p = finish_of(run, status, time_us);
	struct result_run_finish result;
	struct call call = {0};

	client_enter(c);
	int r = call_run(c, METHOD_run_finish, &p, &call, &result, NEVER);
	if (r == XT_ECONNECT || r == XT_EDOWN)
		r = spool_finish(c, &p, call.seq, r);
	call_done(&call);
	forget(run);
	return client_leave(c, r);
}

void xt_run_free(xt_run *run)
{
	if (!run)
		return;
	struct xt_client *c = run->client;
	client_enter(c);
	forget(run);
	client_leave(c, XT_OK);
}
