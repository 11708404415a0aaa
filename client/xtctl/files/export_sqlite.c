/* A selection of rows as a SQLite file of its own. */
#include "export.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "sql.h"

/* The file that is written. Nobody else has it, and it is brought to disk as a whole at the end. */
struct target {
	struct export_job *job; /* borrowed */
	sqlite3 *db;		/* owned */
	sqlite3_stmt *insert;	/* owned */
	int n;			/* columns */
};

static int fail(const struct target *t)
{
	if (ctl_interrupted())
		return CTL_INTERRUPTED;
	return ctl_error(t->job->ctl, "cannot write '%s': %s", t->job->file->path, sqlite3_errmsg(t->db));
}

static const char *table_of(const struct export_job *job)
{
	return job->from->relation.name ? job->from->relation.name
	       : job->ctl->table_named	? job->ctl->table
					: "result";
}

static int create(struct target *t, const xt_cursor *cursor, char **ret_insert)
{
	const char *table = table_of(t->job);
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return ctl_no_memory(t->job->ctl);
	t->n = (int)xt_cursor_columns(cursor);
	sql_print(f, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN; CREATE TABLE %n(", table);
	for (int i = 0; i < t->n; i++)
		sql_print(f, "%s%n %s", i > 0 ? ", " : "", xt_cursor_name(cursor, (size_t)i),
			  xt_cursor_type(cursor, (size_t)i));
	fputs(")", f);
	int status = fclose(f) == 0 ? CTL_OK : ctl_no_memory(t->job->ctl);
	if (status == CTL_OK && sqlite3_exec(t->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		status = fail(t);
	free(sql);
	*ret_insert = sql_format("INSERT INTO %n VALUES (?", table);
	return status;
}

static int prepare(struct target *t, const xt_cursor *cursor)
{
	char *begin = NULL, *sql = NULL;
	size_t size = 0;
	int status = create(t, cursor, &begin);

	FILE *f = status == CTL_OK && begin ? open_memstream(&sql, &size) : NULL;
	if (f) {
		fputs(begin, f);
		for (int i = 1; i < t->n; i++)
			fputs(", ?", f);
		fputs(")", f);
		if (fclose(f) != 0)
			status = ctl_no_memory(t->job->ctl);
		else if (sqlite3_prepare_v2(t->db, sql, -1, &t->insert, NULL) != SQLITE_OK)
			status = fail(t);
	} else if (status == CTL_OK) {
		status = ctl_no_memory(t->job->ctl);
	}
	free(begin);
	free(sql);
	return status;
}

/* Texts and blobs are borrowed until the row is stepped. */
static void bind(sqlite3_stmt *st, int i, const xt_value *v)
{
	switch (v->type) {
	case XT_T_BOOL:
		sqlite3_bind_int(st, i, v->as.boolean);
		break;
	case XT_T_INT:
	case XT_T_UINT: /* what SQLite stored is below 2^63 */
		sqlite3_bind_int64(st, i, v->as.integer);
		break;
	case XT_T_REAL:
		sqlite3_bind_double(st, i, v->as.real);
		break;
	case XT_T_TEXT:
		sqlite3_bind_text64(st, i, v->as.text, v->n, SQLITE_STATIC, SQLITE_UTF8);
		break;
	case XT_T_BLOB:
		if (v->n > 0)
			sqlite3_bind_blob64(st, i, v->as.blob, v->n, SQLITE_STATIC);
		else
			sqlite3_bind_zeroblob(st, i, 0);
		break;
	default:
		sqlite3_bind_null(st, i);
	}
}

static int insert_rows(struct target *t, xt_cursor *cursor)
{
	const xt_value *row;
	int r;

	while ((r = ctl_next(cursor, &row)) == XT_OK) {
		for (int i = 0; i < t->n; i++)
			bind(t->insert, i + 1, &row[i]);
		if (sqlite3_step(t->insert) != SQLITE_DONE || sqlite3_reset(t->insert) != SQLITE_OK)
			return fail(t);
		if (++t->job->rows % SHOW_EVERY == 0)
			progress_show(&t->job->progress, t->job->rows, 0);
	}
	return r == XT_DONE ? CTL_OK : ctl_fail(t->job->ctl, t->job->client, r);
}

/* As the daemon has it: what is asked of one run is found at once. */
static int finish(struct target *t, const xt_cursor *cursor)
{
	bool runs = false;

	const struct select *from = t->job->from;
	for (size_t i = 0; i < xt_cursor_columns(cursor); i++)
		runs = runs || strcmp(xt_cursor_name(cursor, i), "track_id") == 0;
	char *sql = from->relation.name && runs ? sql_format("CREATE INDEX %n ON %n(track_id); COMMIT",
							     "index_track_id", from->relation.name)
						: strdup("COMMIT");

	if (!sql)
		return ctl_no_memory(t->job->ctl);
	int status = sqlite3_exec(t->db, sql, NULL, NULL, NULL) == SQLITE_OK ? CTL_OK : fail(t);
	free(sql);
	return status;
}

int export_sqlite(struct export_job *job)
{
	const struct select *from = job->from;
	struct target t = {.job = job};
	xt_cursor *cursor = NULL;

	if (!job->file->part)
		return ctl_error(job->ctl, "'%s' is no file that a database can be written to",
				 job->file->path);
	int r = ctl_query(job->client, from->sql, NULL, 0, (int)job->ctl->options.timeout_s * 1000, &cursor);
	if (r != XT_OK)
		return ctl_fail(job->ctl, job->client, r);
	int status = sqlite3_open(newfile_path(job->file), &t.db) == SQLITE_OK ? CTL_OK : fail(&t);
	if (status == CTL_OK)
		status = prepare(&t, cursor);
	if (status == CTL_OK)
		status = insert_rows(&t, cursor);
	if (status == CTL_OK)
		status = finish(&t, cursor);
	sqlite3_finalize(t.insert);
	if (sqlite3_close(t.db) != SQLITE_OK && status == CTL_OK)
		status = fail(&t);
	xt_cursor_close(cursor);
	return status;
}
