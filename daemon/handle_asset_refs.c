/* asset_add, asset_drop, asset_orphans: who needs which content. */
#include "asset.h"
#include "asset_refs.h"
#include "handle.h"
#include "runs.h"

static sqlite3_stmt *stmt_of(struct store *s, enum stmt_id id, const uint8_t *hash, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, id, err);

	if (st)
		sqlite3_bind_blob(st, 1, hash, XT_ASSET_HASH, SQLITE_STATIC);
	return st;
}

static void bind_now(struct store *s, sqlite3_stmt *st, int i)
{
	char now[STAMP_SIZE];

	if (stamp_write(s->now_us(), false, now) == 0)
		sqlite3_bind_text(st, i, now, -1, SQLITE_TRANSIENT);
	else
		sqlite3_bind_text(st, i, "", -1, SQLITE_STATIC);
}

/* 1: there is a row, 0: there is none. */
static int find(struct store *s, const uint8_t *hash, bool *ret_file, struct xt_err *err)
{
	sqlite3_stmt *st = stmt_of(s, STMT_ASSET_GET, hash, err);

	if (!st)
		return -1;
	int r = store_step(s, st, err);
	*ret_file = r > 0 && sqlite3_column_int(st, 1) != 0;
	sqlite3_reset(st);
	return r;
}

static int count_refs(struct store *s, const uint8_t *hash, uint64_t *ret, struct xt_err *err)
{
	sqlite3_stmt *st = stmt_of(s, STMT_ASSET_REFS, hash, err);

	if (!st || store_step(s, st, err) < 0)
		return -1;
	*ret = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return 0;
}

static int no_such_asset(const uint8_t *hash, const char *why, struct xt_err *err)
{
	char hex[ASSET_HEX];

	return xt_err_set(err, XT_E_no_such_asset, "hash", "asset %s %s", asset_hex(hash, hex), why);
}

/* ---- asset_add -------------------------------------------------------- */

/* What was uploaded has the last word: it heals a row whose file is damaged. */
static int put_row(struct work *w, const struct asset *what, struct xt_err *err)
{
	struct store *s = w->store;
	sqlite3_stmt *st = stmt_of(s, STMT_ASSET_PUT, what->hash, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 2, (int64_t)what->size);
	sqlite3_bind_int64(st, 3, (int64_t)what->stored);
	sqlite3_bind_int(st, 4, what->file);
	bind_now(s, st, 5);
	sqlite3_bind_int64(st, 6, w->client->key.uid);
	if (!what->file)
		sqlite3_bind_blob64(st, 7, what->data.data, what->data.len, SQLITE_STATIC);
	return store_run(s, st, err);
}

static int add_ref(struct store *s, const struct params_asset_add *p, struct xt_err *err)
{
	sqlite3_stmt *st = stmt_of(s, STMT_ASSET_REF_ADD, p->hash.data, err);

	if (!st)
		return -1;
	store_bind(st, 2, p->track_id);
	store_bind(st, 3, p->name);
	bind_now(s, st, 4);
	return store_run(s, st, err);
}

int handle_asset_add(struct work *w, const struct params_asset_add *p, struct result_asset_add *ret,
		     struct xt_err *err)
{
	struct store *s = w->store;
	bool file;

	if (memchr(p->track_id.data, 0, p->track_id.len) || memchr(p->name.data, 0, p->name.len))
		return xt_err_set(err, XT_E_bad_name, NULL,
				  "a track_id or a name of an asset may not hold NUL characters");
	struct run *run = runs_find(s, p->track_id, err);
	if (!run)
		return -1;
	if (run->deleted)
		return xt_err_set(err, XT_E_run_deleted, "track_id", "run '%.100s' was deleted",
				  run->track_id);
	const struct asset *what = asset_uploaded(s->assets, p->hash.data);
	int r = find(s, p->hash.data, &file, err);
	if (r == 0 && !what)
		return no_such_asset(p->hash.data, "is not there, nor was it uploaded; put it first", err);
	if (r < 0 || (what && put_row(w, what, err) < 0) || add_ref(s, p, err) < 0 ||
	    count_refs(s, p->hash.data, &ret->refs, err) < 0)
		return -1;
	struct run_start start = {
		.time_us = s->now_us(), .table = "events", .client = &w->client->key, .pid = w->op->pid};
	return run->known ? 0 : runs_add(s, run, &start, err);
}

/* ---- asset_drop ------------------------------------------------------- */

/* Drops references, and the asset with the last one. */
static int drop(struct store *s, const uint8_t *hash, struct span track_id, struct span name,
		struct result_asset_drop *ret, struct xt_err *err)
{
	bool file = false;

	sqlite3_stmt *st = stmt_of(s, STMT_ASSET_REF_DROP, hash, err);
	if (!st)
		return -1;
	if (track_id.len)
		store_bind(st, 2, track_id);
	if (name.len)
		store_bind(st, 3, name);
	if (store_run(s, st, err) < 0)
		return -1;
	ret->dropped = (uint64_t)sqlite3_changes64(s->db);
	if (count_refs(s, hash, &ret->refs, err) < 0)
		return -1;
	if (ret->refs > 0)
		return 0;
	if (find(s, hash, &file, err) < 0 || !(st = stmt_of(s, STMT_ASSET_DELETE, hash, err)) ||
	    store_run(s, st, err) < 0)
		return -1;
	asset_leave(s->assets, hash, file);
	return 0;
}

int handle_asset_drop(struct work *w, const struct params_asset_drop *p, struct result_asset_drop *ret,
		      struct xt_err *err)
{
	struct span track_id = HAS_PARAM(p, asset_drop, track_id) ? p->track_id : span_of(NULL, 0);
	struct span name = HAS_PARAM(p, asset_drop, name) ? p->name : span_of(NULL, 0);
	bool all = track_id.len == 0 && name.len == 0, force = HAS_PARAM(p, asset_drop, force) && p->force;
	struct store *s = w->store;
	char hex[ASSET_HEX];
	uint64_t refs;
	bool file;

	int r = find(s, p->hash.data, &file, err);
	if (r <= 0)
		return r < 0 ? -1 : no_such_asset(p->hash.data, "is not there", err);
	if (count_refs(s, p->hash.data, &refs, err) < 0)
		return -1;
	if (all && refs > 1 && !force)
		return xt_err_set(err, XT_E_asset_in_use, "hash",
				  "asset %s has %llu references; name a run or a name, or use force",
				  asset_hex(p->hash.data, hex), (unsigned long long)refs);
	if (drop(s, p->hash.data, track_id, name, ret, err) < 0)
		return -1;
	return all || ret->dropped > 0 ? 0 : no_such_asset(p->hash.data, "has no such reference", err);
}

int asset_refs_drop_run(struct store *s, struct span track_id, struct xt_err *err)
{
	struct buf hashes = {0};
	int r;

	sqlite3_stmt *st = store_stmt(s, STMT_ASSETS_OF_RUN, err);
	if (!st)
		return -1;
	store_bind(st, 1, track_id);
	while ((r = store_step(s, st, err)) > 0)
		if (sqlite3_column_bytes(st, 0) == XT_ASSET_HASH)
			buf_add(&hashes, sqlite3_column_blob(st, 0), XT_ASSET_HASH);
	if (r == 0 && buf_failed(&hashes))
		r = xt_err_set(err, XT_E_internal, NULL, "out of memory");
	for (size_t at = 0; r == 0 && at < hashes.len; at += XT_ASSET_HASH) {
		struct result_asset_drop ignored = {0};
		r = drop(s, hashes.data + at, track_id, span_of(NULL, 0), &ignored, err);
	}
	buf_done(&hashes);
	return r;
}

/* ---- asset_orphans ---------------------------------------------------- */

int handle_asset_orphans(struct work *w, const struct params_asset_orphans *p,
			 struct result_asset_orphans *ret, struct xt_err *err)
{
	struct asset_orphans found;

	if (assets_orphans(w->store->assets, w->store, (unsigned)p->part,
			   HAS_PARAM(p, asset_orphans, remove) && p->remove, &found, err) < 0)
		return -1;
	ret->files = found.files;
	ret->bytes = found.bytes;
	if (found.files > 0) {
		buf_clear(&w->text);
		buf_add_str(&w->text, found.example);
		ret->has |= RESULT_BIT(asset_orphans, example);
		ret->example = buf_span(&w->text);
	}
	return 0;
}
