/*
 * Messages for the writer thread, one behind the other, as one client sends them after its hello. Each is
 * applied twice: the second time it is known already and changes nothing. Whatever a message does, its
 * answers can be read, the mark moves on by what was applied, and the transaction lives or is known to
 * be lost.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "apply.h"
#include "entries.h"
#include "intake.h"
#include "temp_store.h"

#define MOST_MESSAGES 32
#define LIMIT_MS      200 /* that a user's statement or trigger may run */

static const char tables[] =
	"CREATE TABLE events(track_id TEXT, timestamp TEXT, loss REAL, epoch INTEGER, name TEXT);"
	"CREATE INDEX xt_index_events ON events(track_id);"
	"INSERT INTO events VALUES ('calm-otter-0042', '2023-11-14 22:13:20.000000', 0.5, 1, 'a');"
	"INSERT INTO xt_runs(track_id, status, start_time) VALUES ('calm-otter-0042', 'finished', '2023');";

union any_struct {
	uint64_t has;
	uint8_t bytes[1024];
};

/* ---- answers ---------------------------------------------------------- */

/* known: the number was used before, perhaps for another method, whose answer comes again. */
static void check_response(const struct op *op, const struct wire_msg *m, bool known)
{
	union any_struct result;
	struct xt_err err;

	if (m->error.data[0] == 0xc0)
		assert(known || wire_decode(&op->method->result, m->result, &result, &err) == 0);
	else
		assert(wire_decode_error(m->error, &err) == 0 && err.code != XT_E_ok && err.message[0]);
}

/* What is sent are whole frames, each an event or a response. */
static void check_out(const struct op *op, bool known)
{
	assert(!buf_failed(&op->out));
	for (struct span left = buf_span(&op->out); left.len > 0;) {
		struct span body = {0};
		struct wire_msg m = {0};
		union any_struct params;
		struct xt_err err = {0};
		size_t size = 0;
		assert(frame_next(left, XT_MAX_FRAME, &body, &size) == FRAME_OK);
		assert(wire_open(body, &m, &err) == 0);
		if (m.kind == WIRE_RESPONSE)
			check_response(op, &m, known);
		else
			assert(m.kind == WIRE_NOTIFY && m.method && m.method->kind == KIND_EVENT &&
			       wire_decode(&m.method->params, m.params, &params, &err) == 0);
		left = span_of(left.data + size, left.len - size);
	}
}

/* ---- one message ------------------------------------------------------ */

/* As dispatch.c makes it. NULL: it does not come this far. */
static struct op *make_op(struct span body)
{
	struct wire_msg m = {0};
	struct xt_err err = {0};
	int opened = wire_open(body, &m, &err);

	if (m.kind == WIRE_RESPONSE || !m.method || m.method->thread != THREAD_WRITER)
		return NULL;
	if (m.method->id == METHOD_compact ||
	    m.method->id == METHOD_asset_orphans) /* run in no transaction */
		return NULL;
	if (opened < 0 && (err.code != XT_E_bad_utf8 || m.kind != WIRE_NOTIFY || m.method->id != METHOD_log))
		return NULL;
	if (m.kind == WIRE_REQUEST ? m.method->kind == KIND_NOTIFY : m.method->kind == KIND_REQUEST)
		return NULL;
	struct op *op = calloc(1, sizeof(*op) + m.method->params.size);
	assert(op);
	op->method = m.method;
	op->request = m.kind == WIRE_REQUEST;
	op->check_utf8 = opened < 0;
	op->msgid = m.msgid;
	op->client.uid = 1000;
	if (wire_decode(&m.method->params, m.params, op->params, &err) < 0) {
		free(op);
		return NULL;
	}
	if (m.method->id == METHOD_exec) {
		struct params_exec *p = (struct params_exec *)op->params;
		p->has |= PARAM_BIT(exec, timeout_ms);
		p->timeout_ms = LIMIT_MS;
	}
	return op;
}

/* What a message with a number does is done once. */
static void apply_again(struct work *w, struct op *op)
{
	uint64_t mark = w->client->mark, stored = w->stored;
	int64_t changes = sqlite3_total_changes64(w->store->db);
	struct xt_err err;

	op->out.len = 0;
	op->close = op->more = false;
	assert(work_apply(w, op, &err) == 0);
	check_out(op, true);
	assert(w->client->mark == mark && w->stored == stored);
	assert(sqlite3_total_changes64(w->store->db) == changes);
}

/* False: the transaction is lost, or must be undone. */
static bool apply(struct work *w, struct op *op)
{
	uint64_t mark = w->client ? w->client->mark : 0, done = w->stored + w->rejected, seq = UINT64_MAX;
	struct xt_err err = {0};

	if (op->method->flags & METHOD_SEQ)
		memcpy(&seq, op->params + op->method->params.fields[0].offset, sizeof(seq));
	if (work_apply(w, op, &err) < 0 || work_broken(w->store)) {
		assert(err.code != XT_E_ok);
		return false;
	}
	check_out(op, seq <= mark);
	assert(w->store->guard.mode == GUARD_OURS);
	if (op->method->flags & METHOD_SEQ) {
		uint64_t moved = w->client->mark - mark;
		assert(op->ack == w->client->mark);
		assert(moved ==
		       (op->method->id == METHOD_log ? w->stored + w->rejected - done : seq == mark + 1));
		apply_again(w, op);
	}
	return true;
}

static void apply_all(struct work *w, struct span in)
{
	int64_t changes = sqlite3_total_changes64(w->store->db);
	struct reader r = reader_of(in);
	bool lives = true;

	for (int i = 0; i < MOST_MESSAGES && lives && r.at < r.end; i++) {
		struct span body = reader_skip(&r);
		if (body.len == 0)
			break;
		struct op *op = make_op(body);
		if (!op)
			continue;
		lives = apply(w, op);
		buf_done(&op->out);
		free(op);
	}
	if (lives && sqlite3_total_changes64(w->store->db) != changes)
		assert(temp_store_value(w->store,
					"SELECT integrity_check = 'ok' FROM pragma_integrity_check"));
}

/* As beside a database that is only read. */
static struct cache *no_cache(void)
{
	static const uint8_t id[XT_CLIENT_ID];
	static struct cache cache;

	if (!cache.writes &&
	    cache_open(&cache,
		       &(struct cache_options){.database = "", .database_id = id, .read_only = true}) < 0)
		abort();
	return &cache;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct span names[XT_MAX_COLUMNS + 1], keys[XT_MAX_COLUMNS + 1];
	static struct intake intake; /* of a directory that is not there */
	struct work w = {.store = temp_store(tables),
			 .intake = &intake,
			 .cache = no_cache(),
			 .names = names,
			 .keys = keys};

	intake_init(&intake, w.store->path);
	temp_store_begin(w.store, LIMIT_MS);
	apply_all(&w, span_of(data, size));
	buf_done(&w.text);
	buf_done(&w.rows);
	intake_done(&intake);
	entries_rolled_back(w.cache);
	temp_store_undo(w.store);
	temp_store_alone();
	return 0;
}
