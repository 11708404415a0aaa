#include "source.h"

#include <stdlib.h>
#include <sys/stat.h>

#define BUSY_MS 10000 /* what another program's writing may hold up reading */

/* ---- opening ---------------------------------------------------------- */

/* A path may have characters that a URI has for itself. */
static char *uri_of(const char *path)
{
	char *uri = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&uri, &size);

	if (!f)
		return NULL;
	fputs(path[0] == '/' ? "file://" : "file:", f);
	for (; *path; path++)
		fprintf(f, strchr("%?#", *path) ? "%%%02X" : "%c", (unsigned char)*path);
	fputs("?mode=ro", f);
	if (fclose(f) == 0)
		return uri;
	free(uri);
	return NULL;
}

static int fail_sqlite(const struct source *s)
{
	return ctl_error(&s->ctl, "cannot read '%s': %s", s->ctl.database, sqlite3_errmsg(s->db));
}

static int open_sqlite(struct source *s)
{
	char *uri = uri_of(s->ctl.database);
	int status = uri ? CTL_OK : ctl_no_memory(&s->ctl);

	if (uri && sqlite3_open_v2(uri, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
		status = fail_sqlite(s);
	if (status == CTL_OK)
		sqlite3_busy_timeout(s->db, BUSY_MS);
	free(uri);
	return status;
}

int source_open(struct source *s, const struct ctl *ctl, const char *path)
{
	struct stat st;
	bool ours = false;

	*s = (struct source){.ctl = *ctl};
	s->ctl.database = path;
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return ctl_error(ctl, "there is no database '%s'", path);
	int status = open_sqlite(s);
	if (status == CTL_OK)
		status = source_has(s, "SELECT 1 FROM sqlite_schema WHERE name = 'xt_meta'", NULL, 0, &ours);
	if (status != CTL_OK || !ours)
		return status;
	sqlite3_close(s->db);
	s->db = NULL;
	xt_options options = ctl_reading();
	return ctl_open(&s->ctl, &options, &s->client);
}

int source_open_target(struct source *s, const struct ctl *ctl, const char *path)
{
	xt_options options = {0};

	*s = (struct source){.ctl = *ctl};
	s->ctl.database = path;
	return ctl_open(&s->ctl, &options, &s->client);
}

int source_close(struct source *s, int status)
{
	if (s->client)
		status = ctl_close(&s->ctl, s->client, status);
	sqlite3_close(s->db);
	*s = (struct source){0};
	return status;
}

/* ---- asking ----------------------------------------------------------- */

static void bind(sqlite3_stmt *st, int i, const xt_value *v)
{
	if (v->type == XT_T_TEXT)
		sqlite3_bind_text64(st, i, v->as.text, v->n, SQLITE_TRANSIENT, SQLITE_UTF8);
	else if (v->type == XT_T_BLOB)
		sqlite3_bind_blob64(st, i, v->n ? v->as.blob : "", v->n, SQLITE_TRANSIENT);
	else if (v->type == XT_T_INT || v->type == XT_T_UINT)
		sqlite3_bind_int64(st, i, v->as.integer);
	else if (v->type == XT_T_REAL)
		sqlite3_bind_double(st, i, v->as.real);
}

static xt_value column(sqlite3_stmt *st, int i)
{
	int type = sqlite3_column_type(st, i);

	if (type == SQLITE_INTEGER)
		return xt_int(sqlite3_column_int64(st, i));
	if (type == SQLITE_FLOAT)
		return xt_real(sqlite3_column_double(st, i));
	if (type == SQLITE_TEXT) {
		const char *text = (const char *)sqlite3_column_text(st, i);
		return xt_textn(text ? text : "", (size_t)sqlite3_column_bytes(st, i));
	}
	if (type == SQLITE_BLOB) {
		const void *blob = sqlite3_column_blob(st, i);
		return xt_blob(blob ? blob : "", (size_t)sqlite3_column_bytes(st, i));
	}
	return xt_null();
}

int source_ask(struct source *s, const char *sql, const xt_value *args, size_t n, struct question *ret)
{
	*ret = (struct question){.source = s};
	if (s->client) {
		int r = ctl_query(s->client, sql, args, n, 0, &ret->cursor);
		return r == XT_OK ? CTL_OK : source_fail(s, r);
	}
	if (sqlite3_prepare_v2(s->db, sql, -1, &ret->st, NULL) != SQLITE_OK)
		return fail_sqlite(s);
	for (size_t i = 0; i < n; i++)
		bind(ret->st, (int)i + 1, &args[i]);
	ret->n = (size_t)sqlite3_column_count(ret->st);
	ret->row = calloc(ret->n + 1, sizeof(*ret->row));
	return ret->row ? CTL_OK : ctl_no_memory(&s->ctl);
}

int question_next(struct question *q, const xt_value **ret_row)
{
	if (q->cursor)
		return ctl_next(q->cursor, ret_row);
	if (ctl_interrupted())
		return XT_EINTR;
	int rc = sqlite3_step(q->st);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? XT_DONE : XT_EREQUEST;
	for (size_t i = 0; i < q->n; i++)
		q->row[i] = column(q->st, (int)i);
	*ret_row = q->row;
	return XT_OK;
}

void question_done(struct question *q)
{
	xt_cursor_close(q->cursor);
	sqlite3_finalize(q->st);
	free(q->row);
	*q = (struct question){0};
}

int source_fail(const struct source *s, int status)
{
	if (ctl_interrupted())
		return CTL_INTERRUPTED;
	if (status == XT_ENOMEM)
		return ctl_no_memory(&s->ctl);
	return s->client ? ctl_fail(&s->ctl, s->client, status) : fail_sqlite(s);
}

int source_each(struct source *s, const char *sql, const xt_value *args, size_t n,
		int each(const xt_value *row, void *data), void *data)
{
	struct question q;
	const xt_value *row;
	int r = XT_OK, status = source_ask(s, sql, args, n, &q);

	while (status == CTL_OK && (r = question_next(&q, &row)) == XT_OK)
		status = each(row, data);
	if (status == CTL_OK && r != XT_DONE)
		status = source_fail(s, r);
	question_done(&q);
	return status;
}

static int note(const xt_value *row, void *data)
{
	(void)row;
	*(bool *)data = true;
	return CTL_OK;
}

int source_has(struct source *s, const char *sql, const xt_value *args, size_t n, bool *ret)
{
	*ret = false;
	return source_each(s, sql, args, n, note, ret);
}
