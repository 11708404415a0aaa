#include "duck_rows.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "text.h"
#include "xtctl.h"

#define NO_COLUMN SIZE_MAX /* what DuckDB asks for when it needs no column: its rows' numbers */
#define WHY_BYTES 400

/* One pass over a source. */
struct scan {
	const struct duck_api *api;
	struct duck_source *source;
	xt_cursor *cursor; /* owned */
	size_t n;	   /* columns that are asked for */
	size_t *columns;   /* owned: which of the source's, or NO_COLUMN */
	size_t *places;	   /* owned: where in the cursor's rows */
	bool ended;	   /* the cursor has no more */
};

static void scan_free(void *data)
{
	struct scan *scan = data;

	if (!scan)
		return;
	xt_cursor_close(scan->cursor);
	free(scan->columns);
	free(scan->places);
	free(scan);
}

/*
 * DuckDB hands a callback a handle, and only its library can tell what we gave it for that. That one function
 * is looked up each time, for there is no file-scope state to keep it in.
 */
static void *given(duck_handle info, const char *getter)
{
	void *(*get)(duck_handle);
	void *found = dlsym(RTLD_DEFAULT, getter);

	memcpy(&get, &found, sizeof(get));
	return get(info);
}

/* ---- binding ---------------------------------------------------------- */

/* What a callback got belongs to whoever made it. */
static void keep(void *data)
{
	(void)data;
}

static void on_bind(duck_handle info)
{
	struct duck_rows *rows = given(info, "duckdb_bind_get_extra_info");
	const struct duck_api *api = &rows->duck->api;
	duck_handle value = api->bind_get_parameter(info, 0);
	int64_t index = api->get_int64(value);

	api->destroy_value(&value);
	if (index < 0 || (uint64_t)index >= rows->n) {
		api->bind_set_error(info, "xt_rows() is xtctl's own");
		return;
	}
	struct duck_source *s = &rows->sources[index];
	for (size_t i = 0; i < s->n; i++) {
		duck_handle type = api->create_logical_type((int)s->columns[i].type);
		api->bind_add_result_column(info, s->columns[i].name, type);
		api->destroy_logical_type(&type);
	}
	api->bind_set_bind_data(info, s, keep);
}

/* ---- beginning -------------------------------------------------------- */

/* The columns that are asked for, of a table; NULL: out of memory. */
static char *select_columns(const struct scan *scan)
{
	char *sql = NULL;
	size_t size = 0, n = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	fputs("SELECT ", f);
	for (size_t i = 0; i < scan->n; i++) {
		char *quoted = scan->columns[i] == NO_COLUMN
				       ? NULL
				       : ctl_quote(scan->source->columns[scan->columns[i]].name);
		if (quoted)
			fprintf(f, "%s%s", n++ > 0 ? ", " : "", quoted);
		free(quoted);
	}
	fprintf(f, "%s FROM %s", n > 0 ? "" : "1", scan->source->table);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

static int open_cursor(struct scan *scan)
{
	struct duck_source *s = scan->source;
	char *own = s->table ? select_columns(scan) : NULL;

	if (s->table && !own)
		return XT_ENOMEM;
	int r = ctl_query(s->client, own ? own : s->sql, NULL, 0, s->timeout_ms, &scan->cursor);
	free(own);
	size_t place = 0;
	for (size_t i = 0; i < scan->n; i++)
		if (scan->columns[i] != NO_COLUMN)
			scan->places[i] = s->table ? place++ : scan->columns[i];
	if (r == XT_OK && xt_cursor_columns(scan->cursor) < (s->table ? place : s->n))
		r = XT_EPROTOCOL; /* the table has lost a column meanwhile */
	return r;
}

static struct scan *scan_new(const struct duck_api *api, struct duck_source *s, duck_handle info)
{
	struct scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return NULL;
	scan->api = api;
	scan->source = s;
	scan->n = api->init_get_column_count(info);
	scan->columns = calloc(scan->n + 1, sizeof(*scan->columns));
	scan->places = calloc(scan->n + 1, sizeof(*scan->places));
	if (!scan->columns || !scan->places) {
		scan_free(scan);
		return NULL;
	}
	for (size_t i = 0; i < scan->n; i++) {
		duck_count column = api->init_get_column_index(info, i);
		scan->columns[i] = column < s->n ? column : NO_COLUMN;
	}
	return scan;
}

static void on_init(duck_handle info)
{
	struct duck_rows *rows = given(info, "duckdb_init_get_extra_info");
	const struct duck_api *api = &rows->duck->api;
	struct duck_source *s = api->init_get_bind_data(info);
	struct scan *scan = scan_new(api, s, info);

	s->status = scan ? open_cursor(scan) : XT_ENOMEM;
	if (s->status != XT_OK) {
		api->init_set_error(info, s->status == XT_ENOMEM ? "out of memory" : xt_error(s->client));
		scan_free(scan);
		return;
	}
	api->init_set_max_threads(info, 1);
	api->init_set_init_data(info, scan, scan_free);
}

/* ---- values ----------------------------------------------------------- */

/* A column of the chunk that is filled. */
struct target {
	const struct duck_api *api;
	duck_handle vector;
	void *data;
	uint64_t *validity; /* NULL: no NULL so far */
	enum duck_type type;
	bool hex; /* blobs came */
};

static void put_null(struct target *t, size_t row)
{
	if (!t->validity) {
		t->api->vector_ensure_validity_writable(t->vector);
		t->validity = t->api->vector_get_validity(t->vector);
	}
	t->validity[row / 64] &= ~(UINT64_C(1) << (row % 64));
}

static void put_text(struct target *t, size_t row, const char *text, size_t n)
{
	struct duck_string *s = (struct duck_string *)t->data + row;

	if (n > DUCK_IN_PLACE) {
		t->api->vector_assign_string_element_len(t->vector, row, text, n);
		return;
	}
	*s = (struct duck_string){.length = (uint32_t)n};
	if (n > 0)
		memcpy((char *)s + offsetof(struct duck_string, start), text, n);
}

static int put_hex(struct target *t, size_t row, const xt_value *v)
{
	char *hex = malloc(2 * v->n + 1);
	FILE *f = hex ? fmemopen(hex, 2 * v->n + 1, "w") : NULL;

	if (!f) {
		free(hex);
		return -1;
	}
	hex_put(f, v->as.blob, v->n, SIZE_MAX);
	fclose(f);
	put_text(t, row, hex, 2 * v->n);
	free(hex);
	t->hex = true;
	return 0;
}

/* Into a column of text anything goes. -1: out of memory. */
static int put_as_text(struct target *t, size_t row, const xt_value *v)
{
	char number[REAL_BYTES];

	switch (v->type) {
	case XT_T_TEXT:
		put_text(t, row, v->as.text, v->n);
		return 0;
	case XT_T_INT:
		put_text(t, row, number, (size_t)text_int(number, v->as.integer));
		return 0;
	case XT_T_UINT:
		put_text(t, row, number,
			 (size_t)snprintf(number, sizeof(number), "%" PRIu64, v->as.uinteger));
		return 0;
	case XT_T_REAL:
		put_text(t, row, number, (size_t)text_real(number, v->as.real));
		return 0;
	case XT_T_BLOB:
		return put_hex(t, row, v);
	default:
		put_text(t, row, v->as.boolean ? "true" : "false", v->as.boolean ? 4 : 5);
		return 0;
	}
}

/* False: the column takes no such value. */
static bool put_number(struct target *t, size_t row, const xt_value *v)
{
	bool whole = v->type == XT_T_INT || (v->type == XT_T_UINT && v->as.uinteger <= INT64_MAX);

	if (t->type == DUCK_BIGINT && whole)
		((int64_t *)t->data)[row] = v->as.integer;
	else if (t->type == DUCK_DOUBLE && v->type == XT_T_REAL)
		((double *)t->data)[row] = v->as.real;
	else if (t->type == DUCK_DOUBLE && whole)
		((double *)t->data)[row] = (double)v->as.integer;
	else if (t->type == DUCK_BOOLEAN && whole && (uint64_t)v->as.integer <= 1)
		((bool *)t->data)[row] = v->as.integer == 1;
	else if (t->type == DUCK_BOOLEAN && v->type == XT_T_BOOL)
		((bool *)t->data)[row] = v->as.boolean;
	else
		return false;
	return true;
}

/* 0, 1: the column takes no such value, or -1 when out of memory. */
static int put(struct target *t, size_t row, const xt_value *v)
{
	if (v->type == XT_T_NULL) {
		put_null(t, row);
		return 0;
	}
	if (t->type == DUCK_VARCHAR)
		return put_as_text(t, row, v);
	if (t->type == DUCK_BLOB && v->type == XT_T_BLOB) {
		put_text(t, row, v->as.blob, v->n);
		return 0;
	}
	return put_number(t, row, v) ? 0 : 1;
}

/* ---- chunks ----------------------------------------------------------- */

static const char *name_of_type(enum duck_type type)
{
	for (size_t i = 0; i < 5; i++) {
		static const struct {
			enum duck_type type;
			const char *name;
		} names[] = {{DUCK_BIGINT, "whole numbers"},
			     {DUCK_DOUBLE, "reals"},
			     {DUCK_VARCHAR, "texts"},
			     {DUCK_BLOB, "blobs"},
			     {DUCK_BOOLEAN, "true and false"}};
		if (names[i].type == type)
			return names[i].name;
	}
	return "";
}

static void misfit(const struct scan *scan, duck_handle info, size_t i)
{
	const struct duck_column *c = &scan->source->columns[scan->columns[i]];
	char why[WHY_BYTES];

	snprintf(why, sizeof(why),
		 "column '%.100s' is one of %s, and row %" PRIu64
		 " has another value in it; --sql with CAST(%.100s AS TEXT) takes all of them",
		 c->name, name_of_type(c->type), scan->source->rows + 1, c->name);
	scan->api->function_set_error(info, why);
}

/* Fills row `at`. False: it failed, which was told. */
static bool put_row(struct scan *scan, struct target *targets, duck_handle info, size_t at,
		    const xt_value *row)
{
	for (size_t i = 0; i < scan->n; i++) {
		int r = scan->columns[i] == NO_COLUMN ? 0 : put(&targets[i], at, &row[scan->places[i]]);
		if (r == 0)
			continue;
		if (r > 0)
			misfit(scan, info, i);
		else
			scan->api->function_set_error(info, "out of memory");
		return false;
	}
	return true;
}

/* Fills the chunk as far as there are rows. */
static void fill(struct scan *scan, struct target *targets, duck_handle info, duck_handle chunk)
{
	struct duck_source *s = scan->source;
	size_t most = scan->api->vector_size(), at = 0;
	const xt_value *row;
	int r = scan->ended ? XT_DONE : XT_OK;

	while (at < most && r == XT_OK) {
		r = ctl_next(scan->cursor, &row);
		if (r == XT_OK && !put_row(scan, targets, info, at, row))
			return;
		at += r == XT_OK;
		s->rows += r == XT_OK;
	}
	scan->ended = r == XT_DONE;
	if (r < 0) {
		s->status = r;
		scan->api->function_set_error(info, r == XT_EINTR ? "interrupted" : xt_error(s->client));
		return;
	}
	scan->api->data_chunk_set_size(chunk, at);
}

static void on_rows(duck_handle info, duck_handle chunk)
{
	struct scan *scan = given(info, "duckdb_function_get_init_data");
	const struct duck_api *api = scan->api;
	struct target *targets = calloc(scan->n + 1, sizeof(*targets));

	if (!targets) {
		api->function_set_error(info, "out of memory");
		return;
	}
	for (size_t i = 0; i < scan->n; i++) {
		duck_handle vector = api->data_chunk_get_vector(chunk, i);
		targets[i] =
			(struct target){.api = api, .vector = vector, .data = api->vector_get_data(vector)};
		if (scan->columns[i] != NO_COLUMN)
			targets[i].type = scan->source->columns[scan->columns[i]].type;
	}
	fill(scan, targets, info, chunk);
	for (size_t i = 0; i < scan->n; i++)
		if (targets[i].hex)
			scan->source->hex = scan->columns[i] + 1;
	free(targets);
	if (scan->source->progress)
		progress_show(scan->source->progress, scan->source->rows, 0);
}

/* ---- all of it -------------------------------------------------------- */

int duck_rows_register(struct duck_rows *rows)
{
	const struct duck_api *api = &rows->duck->api;
	duck_handle function = api->create_table_function();
	duck_handle index = api->create_logical_type(DUCK_BIGINT);

	api->table_function_set_name(function, "xt_rows");
	api->table_function_add_parameter(function, index);
	api->table_function_set_extra_info(function, rows, keep);
	api->table_function_set_bind(function, on_bind);
	api->table_function_set_init(function, on_init);
	api->table_function_set_function(function, on_rows);
	api->table_function_supports_projection_pushdown(function, true);
	int r = api->register_table_function(rows->duck->connection, function);
	api->destroy_logical_type(&index);
	api->destroy_table_function(&function);
	return r == DUCK_SUCCESS ? 0 : duck_fail(rows->duck, "DuckDB takes no table function");
}

int duck_rows_status(const struct duck_rows *rows, const xt_client **ret_client)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->sources[i].status != XT_OK) {
			*ret_client = rows->sources[i].client;
			return rows->sources[i].status;
		}
	return XT_OK;
}
