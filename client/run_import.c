/* Records of runs that ended in another database. */
#include "client.h"

static const char *const statuses[] = {"finished", "failed", "crashed"};

static void pack_text(msgpack_packer *pk, const char *text)
{
	if (!text) {
		msgpack_pack_nil(pk);
		return;
	}
	msgpack_pack_str(pk, strlen(text));
	msgpack_pack_str_body(pk, text, strlen(text));
}

static void pack_worker(msgpack_packer *pk, const xt_run_worker *w)
{
	msgpack_pack_array(pk, 6); /* in the order of docs/protocol.md */
	msgpack_pack_uint32(pk, w->uid);
	if (w->pid > 0)
		msgpack_pack_int32(pk, w->pid);
	else
		msgpack_pack_nil(pk);
	pack_text(pk, statuses[w->status]);
	msgpack_pack_int64(pk, w->start_us);
	if (w->end_us != XT_NO_TIME)
		msgpack_pack_int64(pk, w->end_us);
	else
		msgpack_pack_nil(pk);
	pack_text(pk, w->cause && w->cause[0] ? w->cause : NULL);
}

static bool is_status(enum xt_run_status status)
{
	return (unsigned)status < sizeof(statuses) / sizeof(statuses[0]);
}

static int check(struct xt_client *c, const xt_run_record *r)
{
	if (!r->track_id)
		return client_fail(c, XT_EINVAL, "no track_id was given");
	if (r->n_workers > XT_MAX_WORKERS)
		return client_fail(c, XT_EINVAL, "%zu workers, a record has %d at most", r->n_workers,
				   XT_MAX_WORKERS);
	bool good = is_status(r->status);
	for (size_t i = 0; i < r->n_workers && good; i++)
		good = is_status(r->workers[i].status);
	return good ? XT_OK : client_fail(c, XT_EINVAL, "a status that there is not");
}

static void put_text(struct params_run_import *p, uint64_t bit, struct span *field, const char *text)
{
	if (!text || !text[0])
		return;
	p->has |= bit;
	*field = span_str(text);
}

/* What is known of the run itself; `seq` is call_run()'s affair. */
static struct params_run_import params_of(const xt_run_record *r)
{
	struct params_run_import p = {.has = PARAM_BIT(run_import, rejects),
				      .track_id = span_str(r->track_id),
				      .status = span_str(statuses[r->status]),
				      .start = r->start_us,
				      .end = r->end_us,
				      .rejects = r->rejects,
				      .uid = (uint64_t)r->uid,
				      .pid = (uint64_t)r->pid};

	p.has |= r->end_us != XT_NO_TIME ? PARAM_BIT(run_import, end) : 0;
	p.has |= r->uid >= 0 ? PARAM_BIT(run_import, uid) : 0;
	p.has |= r->pid > 0 ? PARAM_BIT(run_import, pid) : 0;
	put_text(&p, PARAM_BIT(run_import, cause), &p.cause, r->cause);
	put_text(&p, PARAM_BIT(run_import, table), &p.table, r->table);
	put_text(&p, PARAM_BIT(run_import, params), &p.params, r->params);
	put_text(&p, PARAM_BIT(run_import, host), &p.host, r->host);
	put_text(&p, PARAM_BIT(run_import, executable), &p.executable, r->executable);
	put_text(&p, PARAM_BIT(run_import, command_line), &p.command_line, r->command_line);
	put_text(&p, PARAM_BIT(run_import, directory), &p.directory, r->directory);
	return p;
}

static int import(struct xt_client *c, const xt_run_record *record, bool *ret_imported)
{
	struct result_run_import result;
	struct buf workers = {0};
	struct call call = {0};

	int r = check(c, record);
	if (r != XT_OK)
		return r;
	struct params_run_import p = params_of(record);
	if (record->n_workers > 0) {
		msgpack_packer pk = wire_packer(&workers);
		msgpack_pack_array(&pk, record->n_workers);
		for (size_t i = 0; i < record->n_workers; i++)
			pack_worker(&pk, &record->workers[i]);
		p.has |= PARAM_BIT(run_import, workers);
		p.workers = buf_span(&workers);
		if (buf_failed(&workers))
			r = client_fail(c, XT_ENOMEM, "out of memory");
	}
	if (r == XT_OK)
		r = call_run(c, METHOD_run_import, &p, &call, &result, NEVER);
	if (r == XT_OK && ret_imported)
		*ret_imported = result.imported;
	call_done(&call);
	buf_done(&workers);
	return r;
}

int xt_run_import(xt_client *client, const xt_run_record *record, bool *ret_imported)
{
	client_enter(client);
	return client_leave(client, import(client, record, ret_imported));
}
