#include "side.h"

#include <stdlib.h>

#include "sql.h"

/* The table's own order: by rowid, or by its key where it has none. */
static int add_key(const xt_value *row, void *data)
{
	char *name = strndup(row[0].as.text, row[0].n);

	if (name)
		sql_print(data, ", %n", name);
	free(name);
	return CTL_OK;
}

static int put_order(struct side *s, const char *table, FILE *f)
{
	xt_value name = xt_text(table);
	bool keyed;

	int status =
		source_has(s->source, "SELECT 1 FROM pragma_table_list WHERE name = ? COLLATE NOCASE AND wr",
			   &name, 1, &keyed);
	fputs(" ORDER BY timestamp", f);
	if (status == CTL_OK && keyed)
		return source_each(s->source,
				   "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", &name, 1,
				   add_key, f);
	fputs(", rowid", f);
	return status;
}

static char *statement(struct side *s, const struct transfer *t, bool mapped, const char *more)
{
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	fputs("SELECT timestamp", f);
	for (size_t i = 0; i < t->n; i++)
		sql_print(f, ", %n", mapped ? t->columns[i].mapped : t->columns[i].name);
	sql_print(f, " FROM %n WHERE track_id IS ?1%s", t->table, more);
	int status = put_order(s, t->table, f);
	if (fclose(f) == 0 && status == CTL_OK)
		return sql;
	free(sql);
	return NULL;
}

int side_open(struct side *s, struct source *source, const struct transfer *t, const xt_value *run,
	      bool mapped)
{
	*s = (struct side){.source = source, .track_id = *run};
	s->sql = statement(s, t, mapped, "");
	s->again = statement(s, t, mapped, " AND timestamp >= ?2");
	if (!s->sql || !s->again)
		return ctl_no_memory(&source->ctl);
	return source_ask(source, s->sql, run, 1, &s->question);
}

void side_close(struct side *s)
{
	question_done(&s->question);
	group_done(&s->group);
	free(s->ahead);
	free(s->last);
	free(s->sql);
	free(s->again);
}

static int reopen(struct side *s)
{
	bool later = s->last && s->last->type != XT_T_NULL;
	xt_value args[2] = {s->track_id, later ? *s->last : xt_null()};

	question_done(&s->question);
	s->skip = s->seen; /* NULLs come first: where nothing is later, they are all that was seen */
	return source_ask(s->source, later ? s->again : s->sql, args, later ? 2 : 1, &s->question);
}

static bool expired(const struct side *s, int r)
{
	if (!s->source->client)
		return false;
	return r == XT_ELOST ||
	       (r == XT_EREQUEST && strcmp(xt_error_code(s->source->client), "cursor_expired") == 0);
}

/* The next row; NULL: there is none. CTL_OK, or the failure is reported. */
static int next_row(struct side *s, const xt_value **ret_row)
{
	*ret_row = NULL;
	for (;;) {
		const xt_value *row;
		int r = question_next(&s->question, &row);
		if (expired(s, r)) {
			int status = reopen(s);
			if (status != CTL_OK)
				return status;
			continue;
		}
		if (r != XT_OK)
			return r == XT_DONE ? CTL_OK : source_fail(s->source, r);
		bool same = s->last && value_order(s->last, row) == 0;
		if (s->skip > 0 && same) {
			s->skip--;
			continue;
		}
		s->skip = 0; /* some of them were deleted meanwhile */
		s->seen = same ? s->seen + 1 : 1;
		if (!same) {
			free(s->last);
			s->last = group_copy(row, 1);
			if (!s->last)
				return ctl_no_memory(&s->source->ctl);
		}
		*ret_row = row;
		return CTL_OK;
	}
}

int side_next(struct side *s, size_t n_values)
{
	group_clear(&s->group);
	if (s->ahead) {
		int r = group_add(&s->group, s->ahead, n_values);
		free(s->ahead);
		s->ahead = NULL;
		if (r < 0)
			return ctl_no_memory(&s->source->ctl);
	}
	while (!s->ended) {
		const xt_value *row;
		int status = next_row(s, &row);
		if (status != CTL_OK)
			return status;
		s->ended = !row;
		if (row && s->group.n > 0 && value_order(&row[0], &s->group.rows[0][0]) != 0) {
			s->ahead = group_copy(row, n_values);
			return s->ahead ? CTL_OK : ctl_no_memory(&s->source->ctl);
		}
		if (row && group_add(&s->group, row, n_values) < 0)
			return ctl_no_memory(&s->source->ctl);
	}
	return CTL_OK;
}
