/* log: rows into tables, each applied once. */
#include "calls.h"
#include "crash.h"
#include "entries.h"
#include "extra.h"
#include "handle.h"
#include "row.h"
#include "runs.h"

/* One message on its way into a table. */
struct message {
	struct row_source src;
	struct run *run;	      /* of its track_id */
	struct reader rows;	      /* at the first row */
	uint32_t n;		      /* rows in it */
	const struct xt_err *refusal; /* why none of its rows can be stored; NULL */
};

static int read_columns(struct work *w, struct message *m, struct span columns, struct xt_err *err)
{
	struct reader r = reader_of(columns);
	struct token head = {0}, name = {0};

	if (reader_next(&r, &head) < 0 || head.count == 0 || head.count > XT_MAX_COLUMNS)
		return xt_err_set(err, XT_E_too_many_columns, "columns", "`columns` must have 1 to %d names",
				  XT_MAX_COLUMNS);
	for (uint32_t i = 0; i < head.count; i++) {
		if (reader_next(&r, &name) < 0 || name.type != TOKEN_STR)
			return xt_err_set(err, XT_E_bad_type, "columns", "`columns` must be strings");
		w->names[i] = name.bytes;
	}
	m->src.columns = w->names;
	m->src.n_columns = head.count;
	return 0;
}

/* The run of the rows, which a first row starts. */
static int find_run(struct work *w, struct message *m, struct xt_err *err)
{
	m->run = runs_find(w->store, m->src.track_id, err);
	if (!m->run)
		return -1;
	if (m->run->deleted)
		return xt_err_set(err, XT_E_run_deleted, "track_id", "run '%.100s' was deleted",
				  m->run->track_id);
	if (m->run->known)
		return 0;
	struct run_start start = {.time_us = m->src.time_us,
				  .table = m->src.table->name,
				  .client = &w->client->key,
				  .pid = w->op->pid};
	return runs_add(w->store, m->run, &start, err);
}

static int open_message(struct work *w, struct message *m, const struct params_log *p, struct xt_err *err)
{
	static const char events[] = "events";
	struct span table = HAS_PARAM(p, log, table) ? p->table : span_str(events);

	m->src.store = w->store;
	m->src.table_name = table;
	m->src.track_id = p->track_id;
	m->src.time_us = HAS_PARAM(p, log, time) ? p->time : w->store->now_us();
	m->src.check_utf8 = w->op->check_utf8;
	m->src.keys = w->keys;
	m->src.warnings.out = w->events;
	if (w->op->check_utf8 && (!utf8_valid(table) || !utf8_valid(p->track_id)))
		return xt_err_set(err, XT_E_bad_utf8, "track_id",
				  "the track_id or the table's name is not valid UTF-8");
	if (memchr(p->track_id.data, 0, p->track_id.len))
		return xt_err_set(err, XT_E_bad_name, "track_id", "a track_id may not hold NUL characters");
	if (HAS_PARAM(p, log, columns) && read_columns(w, m, p->columns, err) < 0)
		return -1;
	if (row_source_open(&m->src, err) < 0)
		return -1;
	return find_run(w, m, err);
}

/* Stores or rejects the next row. -1: the batch cannot go on. Errors are large, and rows many: none is
 * copied unless there is one. */
static int apply_row(struct work *w, struct message *m, uint64_t seq, struct xt_err *err)
{
	const struct culprit *known = w->culprit ? work_culprit(w, seq) : NULL;
	const struct xt_err *why = known ? &known->err : m->refusal;
	struct xt_err bad;

	if (why) {
		reader_skip(&m->rows);
	} else if (row_store(&m->src, &m->rows, &bad) == 0) {
		w->stored++;
		w->client->stored++;
		return 0;
	} else if (w->store->trouble != TROUBLE_NONE || sqlite3_get_autocommit(w->store->db)) {
		*err = bad;
		return -1;
	} else {
		why = &bad;
	}
	if (work_reject(w, seq, why, err) < 0)
		return -1;
	w->rejected++;
	w->client->rejected++;
	return 0;
}

/* Steps over the rows that were applied before; how many. */
static uint64_t skip_known(struct work *w, struct message *m, uint64_t seq)
{
	uint64_t mark = w->client->mark, skip = mark >= seq ? mark + 1 - seq : 0;

	if (crash_defect("no deduplication"))
		return 0;
	if (skip > m->n)
		skip = m->n;
	for (uint64_t i = 0; i < skip; i++)
		reader_skip(&m->rows);
	if (!w->op->resumed)
		w->duplicates += skip;
	return skip;
}

int rows_log(struct work *w, const struct params_log *sent, const struct extra *add, struct result_log *ret,
	     struct xt_err *err)
{
	const struct params_log *p = sent;
	struct params_log longer;
	struct message m = {0};
	struct token head = {0};
	struct xt_err refusal;
	uint64_t stored = w->stored, rejected = w->rejected;
	int r = 0;

	if (add->n > 0) {
		longer = *sent;
		extra_put(add, &longer.columns, &longer.rows, &w->rows);
		p = &longer;
	}
	m.rows = reader_of(p->rows);
	m.n = reader_next(&m.rows, &head) == 0 ? head.count : 0;
	uint64_t known = skip_known(w, &m, p->seq), i = known;
	if (i < m.n && open_message(w, &m, p, &refusal) < 0) {
		m.refusal = &refusal;
		if (w->store->trouble != TROUBLE_NONE) {
			*err = refusal;
			return -1;
		}
	}
	for (; i < m.n && r == 0 && !w->met; i++) {
		r = apply_row(w, &m, p->seq + i, err);
		if (r == 0)
			clients_advance(w->store, w->client, p->seq + i);
	}
	if (r == 0 && i > known && HAS_PARAM(p, log, call))
		r = calls_end(w, p->call, err);
	if (HAS_PARAM(p, log, hit))
		for (uint64_t k = stored; k < w->stored; k++)
			entries_use(w->cache, p->hit.data, w->store->now_us());
	if (r == 0 && m.run && m.run->known)
		r = clients_count(w->store, w->client, m.run, w->stored - stored, w->rejected - rejected,
				  err);
	w->op->more = i < m.n; /* what follows a culprit is not to be undone with the next one */
	w->op->stored = w->op->kept_stored + (w->stored - stored);
	w->op->rejected = w->op->kept_rejected + (w->rejected - rejected);
	*ret = (struct result_log){.stored = w->op->stored, .rejected = w->op->rejected};
	return r;
}

int handle_log(struct work *w, const struct params_log *p, struct result_log *ret, struct xt_err *err)
{
	struct extra samples = {0};

	extra_add(&samples, buf_span(&w->op->extra));
	return rows_log(w, p, &samples, ret, err);
}
