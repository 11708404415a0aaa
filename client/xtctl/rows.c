#include "xtctl.h"

#include <stdlib.h>

#include "commands.h"
#include "text.h"

int ctl_query(xt_client *client, const char *sql, const xt_value *args, size_t n, int timeout_ms,
	      xt_cursor **ret)
{
	int r;

	*ret = NULL;
	do
		r = ctl_interrupted() ? XT_EINTR : xt_query(ret, client, sql, args, n, timeout_ms);
	while (ctl_again(r));
	return r;
}

int ctl_summarise(xt_client *client, const char *sql, xt_cursor **ret)
{
	*ret = NULL;
	return sql ? ctl_query(client, sql, NULL, 0, CTL_LONG_MS, ret) : XT_ENOMEM;
}

int ctl_next(xt_cursor *cursor, const xt_value **ret_row)
{
	int r;

	do
		r = ctl_interrupted() ? XT_EINTR : xt_cursor_next(cursor, ret_row);
	while (ctl_again(r));
	return r;
}

/* ---- printing --------------------------------------------------------- */

/* Rows until the end, a failure, or nobody reads them any more. The library's status. */
static int copy_rows(struct format *f, struct out *out, xt_cursor *cursor, ctl_row_seen *seen, void *data,
		     uint64_t *ret_rows)
{
	const xt_value *row;
	uint64_t rows = 0;
	int r = XT_OK;

	while (r == XT_OK && out->error == 0) {
		r = ctl_next(cursor, &row);
		if (r == XT_OK && format_row(f, row) < 0)
			r = XT_ENOMEM;
		rows += r == XT_OK;
		if (r == XT_OK && seen)
			seen(data, row, rows);
	}
	*ret_rows = rows;
	return r;
}

/* The cursor's names and types; 0, or -1 when out of memory. */
static int columns_of(const xt_cursor *cursor, size_t n, const char ***ret_names, const char ***ret_types)
{
	const char **names = calloc(n + 1, sizeof(*names)), **types = calloc(n + 1, sizeof(*types));

	if (!names || !types) {
		free(names);
		free(types);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		names[i] = xt_cursor_name(cursor, i);
		types[i] = xt_cursor_type(cursor, i);
	}
	*ret_names = names;
	*ret_types = types;
	return 0;
}

int ctl_format_end(const struct ctl *ctl, struct out *out, struct format *f, size_t n, bool whole)
{
	int r = format_end(f, whole);

	fflush(out->file); /* a failure of the output is told by whoever closes it */
	if (out->error == 0 && format_hidden(f) > 0) {
		struct option_set set = command_options(ctl->command);
		ctl_note(ctl, "%zu of %zu columns do not fit and are left out; --format json shows them, %s",
			 format_hidden(f), n,
			 options_find(&set, "columns") ? "--columns a,b only those named"
						       : "or name columns with sql");
	}
	return r;
}

int ctl_print_rows(const struct ctl *ctl, struct out *out, const struct format_options *how,
		   const xt_client *client, xt_cursor *cursor, ctl_row_seen *seen, void *data,
		   uint64_t *ret_rows)
{
	size_t n = xt_cursor_columns(cursor);
	const char **names, **types;
	int r = XT_ENOMEM;

	*ret_rows = 0;
	if (columns_of(cursor, n, &names, &types) < 0)
		return ctl_no_memory(ctl);
	struct format *f = format_new(out, how, n, names, types);
	if (f) {
		r = copy_rows(f, out, cursor, seen, data, ret_rows);
		if (ctl_format_end(ctl, out, f, n, r == XT_DONE) < 0)
			r = XT_ENOMEM;
	}
	format_free(f);
	free(names);
	free(types);
	if (r == XT_ENOMEM)
		return ctl_no_memory(ctl);
	return r == XT_DONE || r == XT_OK ? CTL_OK : ctl_fail(ctl, client, r);
}

int ctl_print_to(const struct ctl *ctl, struct out *out, const struct format_options *how,
		 const xt_client *client, xt_cursor *cursor)
{
	uint64_t rows;

	return ctl_print_rows(ctl, out, how, client, cursor, NULL, NULL, &rows);
}

struct format_options ctl_how_to_print(const struct ctl *ctl)
{
	return (struct format_options){
		.kind = ctl->options.format, .no_header = ctl->options.no_header, .utf8 = ctl->utf8};
}

int ctl_print(struct ctl *ctl, const xt_client *client, xt_cursor *cursor)
{
	struct format_options how = ctl_how_to_print(ctl);

	return ctl_print_to(ctl, &ctl->out, &how, client, cursor);
}

int ctl_print_count(struct ctl *ctl, const char *done, uint64_t count)
{
	struct format_options how = ctl_how_to_print(ctl);
	xt_value row = xt_uint(count);
	char number[COUNT_BYTES];

	if (ctl->options.format == FORMAT_TABLE) {
		fprintf(ctl->out.file, "%s %s %s\n", text_count(number, count), count == 1 ? "row" : "rows",
			done);
		return CTL_OK;
	}
	if (ctl->options.json)
		how.kind = FORMAT_JSONL; /* one answer: one object, not a list of one */
	struct format *f = format_new(&ctl->out, &how, 1, &done, (const char *[]){""});
	int r = !f || format_row(f, &row) < 0 || format_end(f, true) < 0 ? ctl_no_memory(ctl) : CTL_OK;
	format_free(f);
	return r;
}

/* ---- tables ----------------------------------------------------------- */

char *ctl_quote(const char *name)
{
	char *quoted = malloc(2 * strlen(name) + 3), *to = quoted;

	if (!quoted)
		return NULL;
	*to++ = '"';
	for (; *name; name++) {
		if (*name == '"')
			*to++ = '"';
		*to++ = *name;
	}
	*to++ = '"';
	*to = '\0';
	return quoted;
}

char *ctl_statement(const char *form, const char *table)
{
	char *quoted = ctl_quote(table), *sql = NULL;
	size_t size = 0;
	FILE *f = quoted ? open_memstream(&sql, &size) : NULL;

	for (const char *mark; f && (mark = strstr(form, "%s")); form = mark + 2)
		fprintf(f, "%.*s%s", (int)(mark - form), form, quoted);
	if (f)
		fputs(form, f);
	free(quoted);
	if (f && fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

bool ctl_no_table(const xt_client *client)
{
	return strcmp(xt_error_code(client), "no_such_table") == 0 ||
	       strstr(xt_error(client), "no such table");
}

static size_t column_of(const xt_cursor *cursor, const char *name)
{
	size_t n = xt_cursor_columns(cursor), i = 0;

	while (i < n && strcmp(xt_cursor_name(cursor, i), name) != 0)
		i++;
	return i;
}

static int64_t number_of(const xt_value *v)
{
	return v->type == XT_T_UINT ? (int64_t)v->as.uinteger : v->type == XT_T_INT ? v->as.integer : 0;
}

int ctl_no_rows(const struct ctl *ctl)
{
	return ctl_error(ctl, "no table 'events' in '%s': nothing was logged yet", ctl->database);
}

char *ctl_other_table(const struct ctl *ctl, xt_client *client)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	char *best = NULL;
	int64_t most = -1;

	if (ctl->table_named || xt_tables(&cursor, client) != XT_OK)
		return NULL;
	size_t n = xt_cursor_columns(cursor), name = column_of(cursor, "name"),
	       rows = column_of(cursor, "rows");
	while (name < n && rows < n && ctl_next(cursor, &row) == XT_OK) {
		if (row[name].type != XT_T_TEXT || number_of(&row[rows]) <= most)
			continue;
		most = number_of(&row[rows]);
		free(best);
		best = strndup(row[name].as.text, row[name].n);
	}
	xt_cursor_close(cursor);
	if (best)
		ctl_note(ctl, "there is no table 'events'; this is '%s' (--table names another)", best);
	return best;
}
