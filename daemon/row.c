#include "row.h"

#include "bind.h"
#include "fold.h"
#include "json.h"
#include "rules.h"
#include "suspects.h"

#define MAX_BUMPS 1000000 /* µs that a time may move on to be unique */

/* What binding a row came to. */
enum bound {
	BOUND,
	OTHER_KEYS, /* the row has other keys than the shape */
	WIDEN,	    /* a value does not fit its column */
	BAD,	    /* the row can never be stored */
};

struct misfit {
	size_t column; /* WIDEN: which */
	enum kind to;  /* and what it must become */
};

int row_source_open(struct row_source *src, struct xt_err *err)
{
	src->table = table_find(src->store, src->table_name, err);
	if (!src->table)
		return -1;
	if (stamp_write(src->time_us, src->table->local_time, src->stamp) < 0)
		return xt_err_set(err, XT_E_out_of_range, "time", "a time outside the years 1 to 9999");
	return 0;
}

/* ---- values ----------------------------------------------------------- */

static void name_key(struct xt_err *err, struct span key)
{
	size_t n = key.len < sizeof(err->field) - 1 ? key.len : sizeof(err->field) - 1;

	while (n > 0 && !utf8_valid(span_of(key.data, n)))
		n--;
	snprintf(err->field, sizeof(err->field), "%.*s", (int)n, (const char *)key.data);
}

/* What no column can hold. */
static bool has_bad_text(struct reader start)
{
	struct token t;

	for (struct reader r = reader_of(reader_skip(&start)); r.at < r.end;)
		if (reader_next(&r, &t) < 0 || (t.type == TOKEN_STR && !utf8_valid(t.bytes)))
			return true;
	return false;
}

static int check_value(const struct row_source *src, struct span key, struct reader start,
		       const struct token *t, struct xt_err *err)
{
	int r = bind_check(t, NULL, err);

	if (r == 0 && src->check_utf8 && has_bad_text(start))
		r = xt_err_set(err, XT_E_bad_utf8, NULL, "the text is not valid UTF-8; send bytes as bin");
	if (r < 0)
		name_key(err, key);
	return r;
}

/* Copies the text: of all values only this one wants memory, and can fail to be bound. */
static enum bound bind_json(struct store *s, sqlite3_stmt *st, int at, struct reader *r, struct xt_err *err)
{
	buf_clear(&s->scratch);
	json_put(&s->scratch, r);
	if (sqlite3_bind_text64(st, at, (const char *)s->scratch.data, s->scratch.len, SQLITE_TRANSIENT,
				SQLITE_UTF8) == SQLITE_OK)
		return BOUND;
	store_fail(s, err);
	return BAD;
}

static enum bound bind_cell(const struct row_source *src, const struct shape *sh, size_t i, struct reader *r,
			    struct misfit *misfit, struct xt_err *err)
{
	const struct column *c = &src->table->columns[sh->columns[i]];
	sqlite3_stmt *st = sh->insert;
	struct reader start = *r;
	int at = (int)i + 3;
	struct token t;

	if (reader_next(r, &t) < 0)
		return BAD;
	if ((t.type == TOKEN_UINT || t.type == TOKEN_EXT || src->check_utf8) &&
	    check_value(src, sh->keys[i], start, &t, err) < 0)
		return BAD;
	enum kind need = kind_for(c->kind, &t);
	if (need != c->kind && !c->fixed) {
		*misfit = (struct misfit){.column = sh->columns[i], .to = need};
		return WIDEN;
	}
	switch (t.type) {
	case TOKEN_NIL:
		if (c->required) {
			rules_refuse_null(src->table, c, err);
			return BAD;
		}
		sqlite3_bind_null(st, at);
		break;
	case TOKEN_BOOL:
		sqlite3_bind_int(st, at, t.boolean);
		break;
	case TOKEN_INT:
		sqlite3_bind_int64(st, at, t.integer);
		break;
	case TOKEN_REAL:
		if (c->required && t.real != t.real) { /* stored as NULL */
			rules_refuse_null(src->table, c, err);
			return BAD;
		}
		sqlite3_bind_double(st, at, t.real);
		break;
	case TOKEN_STR:
		store_bind(st, at, t.bytes);
		break;
	case TOKEN_BIN:
		sqlite3_bind_blob64(st, at, t.bytes.len ? (const void *)t.bytes.data : "", t.bytes.len,
				    SQLITE_STATIC);
		break;
	default:
		*r = start;
		return bind_json(src->store, st, at, r, err);
	}
	return BOUND;
}

/* ---- binding a row to a shape ----------------------------------------- */

static enum bound bind_map(const struct row_source *src, const struct shape *sh, struct reader *r,
			   struct misfit *misfit, struct xt_err *err)
{
	struct token t;

	if (reader_next(r, &t) < 0 || t.type != TOKEN_MAP || t.count != sh->n)
		return OTHER_KEYS;
	for (size_t i = 0; i < sh->n; i++) {
		if (reader_next(r, &t) < 0 || t.type != TOKEN_STR || !span_eq(t.bytes, sh->keys[i]))
			return OTHER_KEYS;
		enum bound b = bind_cell(src, sh, i, r, misfit, err);
		if (b != BOUND)
			return b;
	}
	return BOUND;
}

static enum bound bind_array(const struct row_source *src, const struct shape *sh, struct reader *r,
			     struct misfit *misfit, struct xt_err *err)
{
	struct token t;

	if (reader_next(r, &t) < 0 || t.type != TOKEN_ARRAY || t.count != sh->n) {
		xt_err_set(err, XT_E_bad_type, "rows",
			   "a row must be an array of %zu values, as `columns` has names", sh->n);
		return BAD;
	}
	for (size_t i = 0; i < sh->n; i++) {
		enum bound b = bind_cell(src, sh, i, r, misfit, err);
		if (b != BOUND)
			return b;
	}
	return BOUND;
}

/* ---- new shapes ------------------------------------------------------- */

/* The row's keys, checked, in src->keys (of a map) or src->columns; and its values' kinds are told by
 * `values`, a reader over key/value pairs or values. */
static int read_keys(struct row_source *src, struct span row, const struct span **ret_keys, size_t *ret_n,
		     struct xt_err *err)
{
	struct reader r = reader_of(row);
	struct token head, key;

	if (src->columns) {
		*ret_keys = src->columns;
		*ret_n = src->n_columns;
		return 0;
	}
	if (reader_next(&r, &head) < 0 || head.type != TOKEN_MAP)
		return xt_err_set(err, XT_E_bad_type, "rows", "a row must be a map");
	if (head.count > XT_MAX_COLUMNS)
		return xt_err_set(err, XT_E_too_many_columns, NULL,
				  "the row has %u keys, a table holds %d columns", head.count,
				  XT_MAX_COLUMNS);
	for (uint32_t i = 0; i < head.count; i++) {
		if (reader_next(&r, &key) < 0 || key.type != TOKEN_STR)
			return xt_err_set(err, XT_E_bad_type, NULL, "a key must be a string");
		src->keys[i] = key.bytes;
		reader_skip(&r);
	}
	*ret_keys = src->keys;
	*ret_n = head.count;
	return 0;
}

static int check_key(struct span key, struct xt_err *err)
{
	char name[IDENT_SIZE];

	if (!utf8_valid(key))
		return xt_err_set(err, XT_E_bad_utf8, NULL, "a key is not valid UTF-8");
	return ident_column(key, name, err);
}

/* Sorts indices of keys, so that equal ones are neighbours. */
static int compare_keys(const void *a, const void *b, void *data)
{
	const struct span *keys = data, *x = &keys[*(const uint32_t *)a], *y = &keys[*(const uint32_t *)b];

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->len ? memcmp(x->data, y->data, x->len) : 0;
}

static int check_unique(const struct span *keys, size_t n, struct xt_err *err)
{
	uint32_t order[XT_MAX_COLUMNS];

	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, n, sizeof(order[0]), compare_keys, (void *)(uintptr_t)keys);
	for (size_t i = 1; i < n; i++)
		if (span_eq(keys[order[i - 1]], keys[order[i]])) {
			xt_err_set(err, XT_E_duplicate_key, NULL, "the same key twice in one row");
			name_key(err, keys[order[i]]);
			return -1;
		}
	return 0;
}

/* Checks every value, and lists the columns that the table lacks. */
static int plan_columns(const struct row_source *src, struct span row, const struct span *keys, size_t n,
			struct new_column *add, size_t *ret_add, struct xt_err *err)
{
	struct reader r = reader_of(row);
	struct token t;
	size_t n_add = 0;

	if (reader_next(&r, &t) < 0 || (src->columns && (t.type != TOKEN_ARRAY || t.count != n)))
		return xt_err_set(err, XT_E_bad_type, "rows",
				  "a row must be an array of %zu values, as `columns` has names", n);
	for (size_t i = 0; i < n; i++) {
		if (!src->columns)
			reader_skip(&r);
		struct reader start = r;
		if (reader_next(&r, &t) < 0 || check_value(src, keys[i], start, &t, err) < 0)
			return -1;
		r = start;
		reader_skip(&r);
		if (table_column(src->table, keys[i]) >= 0)
			continue;
		if (check_key(keys[i], err) < 0)
			return -1;
		if (rules_may_add(src->table, keys[i], err) < 0) {
			name_key(err, keys[i]);
			return -1;
		}
		add[n_add++] = (struct new_column){.key = keys[i], .kind = kind_for(KIND_UNDECIDED, &t)};
	}
	size_t there = src->table->absent ? 2 : src->table->n_columns;
	if (there + n_add > XT_MAX_COLUMNS)
		return xt_err_set(err, XT_E_too_many_columns, NULL,
				  "table '%s' has %zu columns, %zu more would pass the limit of %d",
				  src->table->name, there, n_add, XT_MAX_COLUMNS);
	*ret_add = n_add;
	return 0;
}

/* Adds what the table lacks, and notices what may be there already under another name. */
static int add_columns(struct row_source *src, const struct span *keys, size_t n,
		       const struct new_column *add, size_t n_add, struct xt_err *err)
{
	struct table *t = src->table;
	size_t first = t->n_columns;
	bool was_there = !t->absent;

	if (n_add == 0 && was_there && t->ready)
		return 0;
	src->altered = true;
	if (table_add_columns(src->store, t, add, n_add, &src->warnings, err) < 0)
		return -1;
	return was_there && n_add > 0 ? suspects_notice(src, first, keys, n, err) : 0;
}

/* The shape for a row, made with its columns where it is new. NULL with the error set. */
static struct shape *shape_for(struct row_source *src, struct span row, struct xt_err *err)
{
	struct new_column add[XT_MAX_COLUMNS];
	const struct span *keys = NULL;
	size_t n = 0, n_add = 0;

	if (read_keys(src, row, &keys, &n, err) < 0)
		return NULL;
	uint64_t hash = keys_hash(keys, n);
	struct shape *sh = table_shape(src->table, keys, n, hash);
	if (!sh) {
		if (check_unique(keys, n, err) < 0 || plan_columns(src, row, keys, n, add, &n_add, err) < 0 ||
		    rules_has_required(src->table, keys, n, err) < 0 ||
		    add_columns(src, keys, n, add, n_add, err) < 0)
			return NULL;
		sh = table_add_shape(src->store, src->table, keys, n, hash, err);
	}
	if (sh)
		src->table->last = sh;
	return sh;
}

/* ---- inserting -------------------------------------------------------- */

/* The last statement failed since (track_id, timestamp) is taken, and not by another constraint. */
static bool time_is_taken(sqlite3 *db)
{
	int code = sqlite3_extended_errcode(db);
	const char *message = sqlite3_errmsg(db); /* `UNIQUE constraint failed: events.track_id, …` */

	return (code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE) &&
	       strcasestr(message, ".track_id") && strcasestr(message, ".timestamp");
}

/* A row is in: who follows its table is told after the commit. */
static void note_row(struct row_source *src)
{
	struct store *s = src->store;
	struct table *t = src->table;

	t->top = sqlite3_last_insert_rowid(s->db);
	if (t->risen == s->batch)
		return;
	t->risen = s->batch;
	buf_add(&s->risen, t->name, strlen(t->name) + 1);
}

/* Another row of the same run has this time: the next free microsecond. */
static int bump(struct row_source *src, sqlite3_stmt *st, struct xt_err *err)
{
	struct table *t = src->table;
	uint64_t track = keys_hash(&src->track_id, 1);
	bool goes_on = track == t->bump_track && src->time_us == t->bump_from;
	int64_t at = goes_on ? t->bump_to : src->time_us + 1;
	char stamp[STAMP_SIZE];

	for (int tries = 0; tries < MAX_BUMPS; tries++, at++) {
		if (stamp_write(at, t->local_time, stamp) < 0)
			break;
		sqlite3_bind_text(st, 2, stamp, STAMP_SIZE - 1, SQLITE_STATIC);
		int rc = sqlite3_step(st);
		bool taken = rc != SQLITE_DONE && time_is_taken(src->store->db);
		sqlite3_reset(st);
		if (rc == SQLITE_DONE) {
			t->bump_track = track;
			t->bump_from = src->time_us;
			t->bump_to = at + 1;
			return 0;
		}
		if (!taken)
			break;
	}
	return store_fail(src->store, err);
}

static int insert(struct row_source *src, const struct shape *sh, struct xt_err *err)
{
	sqlite3_stmt *st = sh->insert;

	store_bind(st, 1, src->track_id);
	sqlite3_bind_text(st, 2, src->stamp, STAMP_SIZE - 1, SQLITE_STATIC);
	if (sqlite3_step(st) == SQLITE_DONE) {
		sqlite3_reset(st);
		note_row(src);
		return 0;
	}
	if (src->table->unique_time && time_is_taken(src->store->db)) {
		sqlite3_reset(st);
		if (bump(src, st, err) < 0)
			return -1;
		note_row(src);
		return 0;
	}
	store_fail(src->store, err);
	sqlite3_reset(st);
	return -1;
}

/* After a failure that may have left the cache ahead of the file. */
static void look_again(struct row_source *src)
{
	struct xt_err ignored;

	tables_drop(src->store);
	src->table = table_find(src->store, src->table_name, &ignored);
}

static int store_plain(struct row_source *src, struct span row, struct xt_err *err)
{
	/* Each turn widens one column or makes the shape: it cannot go on for ever. */
	for (size_t turn = 0; turn < 2 * XT_MAX_COLUMNS; turn++) {
		struct misfit misfit = {0};
		struct reader r = reader_of(row);
		struct shape *sh = shape_for(src, row, err);
		if (!sh)
			return -1;
		enum bound b = src->columns ? bind_array(src, sh, &r, &misfit, err)
					    : bind_map(src, sh, &r, &misfit, err);
		if (b == BOUND) {
			src->shape = sh;
			return insert(src, sh, err);
		}
		if (b != WIDEN)
			return -1;
		src->altered = true;
		if (table_widen(src->store, src->table, misfit.column, misfit.to, &src->warnings, err) < 0)
			return -1;
	}
	return xt_err_set(err, XT_E_internal, NULL, "the row's columns do not come to rest");
}

/* As a map that has each column once. */
static int store_folded(struct row_source *src, struct span row, const struct span *keys, size_t n,
			struct xt_err *err)
{
	struct row_source one = *src;
	struct buf folded = {0};

	int r = check_unique(keys, n, err);
	if (r == 0)
		r = fold_row(src, row, keys, n, &folded, err);
	one.columns = NULL;
	if (r == 0)
		r = store_plain(&one, buf_span(&folded), err);
	src->altered = one.altered;
	buf_done(&folded);
	return r;
}

static int store_slow(struct row_source *src, struct span row, struct xt_err *err)
{
	const struct span *keys = NULL;
	size_t n = 0;

	src->altered = false;
	if (src->table->n_aliases == 0)
		return store_plain(src, row, err);
	if (read_keys(src, row, &keys, &n, err) < 0)
		return -1;
	return fold_needed(src->table, keys, n) ? store_folded(src, row, keys, n, err)
						: store_plain(src, row, err);
}

static int run(struct store *s, enum stmt_id id, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, id, err);

	return st ? store_run(s, st, err) : -1;
}

/* What a row changes in its table goes with it when it cannot be stored. */
static int store_whole(struct row_source *src, struct span row, struct xt_err *err)
{
	struct store *s = src->store;
	size_t warned = src->warnings.out->len;
	struct xt_err undo;

	err->code = XT_E_ok;
	if (run(s, STMT_SAVEPOINT_ROW, err) < 0)
		return -1;
	int r = store_slow(src, row, err);
	if (s->trouble != TROUBLE_NONE || sqlite3_get_autocommit(s->db))
		return -1;
	if (r < 0) {
		src->warnings.out->len = warned;
		if (run(s, STMT_ROLLBACK_ROW, &undo) < 0)
			return -1;
		if (src->altered)
			look_again(src);
	}
	if (run(s, STMT_RELEASE_ROW, &undo) < 0)
		return -1;
	return r;
}

int row_store(struct row_source *src, struct reader *r, struct xt_err *err)
{
	struct reader start = *r;
	struct misfit misfit;
	const struct shape *sh = src->table ? src->table->last : NULL;

	if (!src->table && row_source_open(src, err) < 0) {
		reader_skip(r);
		return -1;
	}
	if (sh && (src->columns ? sh == src->shape && bind_array(src, sh, r, &misfit, err) == BOUND
				: bind_map(src, sh, r, &misfit, err) == BOUND)) {
		if (insert(src, sh, err) == 0)
			return 0;
		*r = start;
		reader_skip(r);
		return -1;
	}
	*r = start;
	return store_whole(src, reader_skip(r), err);
}
