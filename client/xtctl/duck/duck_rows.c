#include "duck_rows.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "duck_ahead.h"
#include "xtctl.h"

#define NO_COLUMN SIZE_MAX /* what DuckDB asks for when it needs no column: its rows' numbers */

/* One pass over a source. */
struct scan {
	const struct duck_api *api;
	struct duck_source *source;
	xt_cursor *cursor;	  /* owned; who reads ahead uses it */
	struct duck_ahead *ahead; /* owned: reads the rows */
	size_t n;		  /* columns that are asked for */
	size_t *columns;	  /* owned: which of the source's, or NO_COLUMN */
	size_t *places;		  /* owned: where in the cursor's rows */
	enum duck_type *types;	  /* owned: DUCK_SQLNULL where there is NO_COLUMN */
	const char **names;	  /* owned; the names are the source's */
};

static void scan_free(void *data)
{
	struct scan *scan = data;

	if (!scan)
		return;
	duck_ahead_stop(scan->ahead);
	xt_cursor_close(scan->cursor);
	free(scan->columns);
	free(scan->places);
	free(scan->types);
	free(scan->names);
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
	scan->types = calloc(scan->n + 1, sizeof(*scan->types));
	scan->names = calloc(scan->n + 1, sizeof(*scan->names));
	if (!scan->columns || !scan->places || !scan->types || !scan->names) {
		scan_free(scan);
		return NULL;
	}
	for (size_t i = 0; i < scan->n; i++) {
		duck_count column = api->init_get_column_index(info, i);
		bool known = column < s->n;
		scan->columns[i] = known ? column : NO_COLUMN;
		scan->types[i] = known ? s->columns[column].type : DUCK_SQLNULL;
		scan->names[i] = known ? s->columns[column].name : "";
	}
	return scan;
}

static int read_ahead(struct scan *scan)
{
	const struct duck_reading reading = {.api = scan->api,
					     .client = scan->source->client,
					     .cursor = scan->cursor,
					     .types = scan->types,
					     .places = scan->places,
					     .names = scan->names,
					     .n = scan->n,
					     .leaving = scan->source->leaving};

	scan->ahead = duck_ahead_start(&reading);
	return scan->ahead ? XT_OK : XT_ENOMEM;
}

static void on_init(duck_handle info)
{
	struct duck_rows *rows = given(info, "duckdb_init_get_extra_info");
	const struct duck_api *api = &rows->duck->api;
	struct duck_source *s = api->init_get_bind_data(info);
	struct scan *scan = scan_new(api, s, info);

	s->status = scan ? open_cursor(scan) : XT_ENOMEM;
	if (s->status == XT_OK)
		s->status = read_ahead(scan);
	if (s->status != XT_OK) {
		api->init_set_error(info, s->status == XT_ENOMEM ? "out of memory" : xt_error(s->client));
		scan_free(scan);
		return;
	}
	api->init_set_max_threads(info, 1);
	api->init_set_init_data(info, scan, scan_free);
}

/* ---- chunks ----------------------------------------------------------- */

static void note_hex(const struct scan *scan, const struct duck_batch *batch)
{
	for (size_t i = 0; i < scan->n; i++)
		if (duck_batch_has_hex(batch, i))
			scan->source->hex = scan->columns[i] + 1;
}

/* An empty chunk, as it comes, says that there are no more rows. */
static void on_rows(duck_handle info, duck_handle chunk)
{
	struct scan *scan = given(info, "duckdb_function_get_init_data");
	struct duck_source *s = scan->source;
	const struct duck_batch *batch;
	const char *why;

	int r = duck_ahead_next(scan->ahead, &batch, &why);
	if (r == XT_OK) {
		duck_batch_give(batch, chunk);
		note_hex(scan, batch);
		s->rows += duck_batch_rows(batch);
	} else if (r != XT_DONE) {
		if (r != XT_EINVAL) /* that is no failure of the library's */
			s->status = r;
		scan->api->function_set_error(info, why);
	}
	if (s->progress)
		progress_show(s->progress, s->rows, 0);
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
