#include "transfer.h"

#include <stdlib.h>
#include <time.h>

#include "sql.h"

#define MOST_ROWS   1000 /* of one INSERT */
#define MOST_VALUES 30000
#define MOST_BYTES  4000000
#define SHOWN	    5 /* deleted runs that are named */

/* ---- rows of a run, sorted by time ------------------------------------ */

/* The rows of one side. A cursor that was idle for too long, since the other database is slow, is opened
 * again behind the last time that was seen. */
struct side {
	struct source *source;
	char *sql;   /* owned: from the beginning */
	char *again; /* owned: from a time on */
	xt_value track_id;
	struct question question;
	xt_value *last;	    /* owned: the last time seen, one value; NULL: none */
	uint64_t seen;	    /* rows with it */
	uint64_t skip;	    /* rows to pass over */
	struct group group; /* rows of one time */
	xt_value *ahead;    /* owned: the first row of the next time */
	bool ended;
};

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

static int open_side(struct side *s, struct source *source, const struct transfer *t, const xt_value *run,
		     bool mapped)
{
	*s = (struct side){.source = source, .track_id = *run};
	s->sql = statement(s, t, mapped, "");
	s->again = statement(s, t, mapped, " AND timestamp >= ?2");
	if (!s->sql || !s->again)
		return ctl_no_memory(&source->ctl);
	return source_ask(source, s->sql, run, 1, &s->question);
}

static void close_side(struct side *s)
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
	s->skip = later ? s->seen : 0;
	return source_ask(s->source, later ? s->again : s->sql, args, later ? 2 : 1, &s->question);
}

static bool expired(const struct side *s, int r)
{
	return r == XT_EREQUEST && s->source->client &&
	       strcmp(xt_error_code(s->source->client), "cursor_expired") == 0;
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
		if (s->skip > 0) {
			s->skip--;
			continue;
		}
		bool same = s->last && value_order(s->last, row) == 0;
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

/* Reads the rows of the next time into s->group, which is empty at the end. */
static int next_group(struct side *s, size_t n_values)
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

/* ---- writing ---------------------------------------------------------- */

static char *insert_statement(const struct transfer *t)
{
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	sql_print(f, "INSERT INTO %n(track_id, timestamp", t->table);
	for (size_t i = 0; i < t->n; i++)
		sql_print(f, ", %n", t->columns[i].mapped);
	for (size_t k = 0; k < t->batch.n; k++) {
		fputs(k == 0 ? ") VALUES (?1" : "), (?1", f);
		for (size_t i = 0; i < t->n + 1; i++)
			fputs(", ?", f);
	}
	fputs(")", f);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

static int flush(struct transfer *t, const xt_value *run)
{
	size_t width = t->n + 1;

	if (t->batch.n == 0)
		return CTL_OK;
	char *sql = insert_statement(t);
	xt_value *args = calloc(1 + t->batch.n * width, sizeof(*args));
	int status = CTL_FAILED;
	if (sql && args) {
		args[0] = *run;
		for (size_t k = 0; k < t->batch.n; k++)
			memcpy(&args[1 + k * width], t->batch.rows[k], width * sizeof(*args));
		int r = xt_exec(t->to->client, sql, args, 1 + t->batch.n * width, 0, NULL);
		status = r == XT_OK ? CTL_OK : source_fail(t->to, r);
	} else {
		ctl_no_memory(&t->to->ctl);
	}
	if (status == CTL_OK) {
		*t->copied += t->batch.n;
		progress_show(t->progress, *t->copied, 0);
	}
	free(sql);
	free(args);
	group_clear(&t->batch);
	t->bytes = 0;
	return status;
}

static int add(struct transfer *t, const xt_value *run, const xt_value *row)
{
	size_t width = t->n + 1;

	if (group_add(&t->batch, row, width) < 0)
		return ctl_no_memory(&t->to->ctl);
	for (size_t i = 0; i < width; i++)
		t->bytes += row[i].type == XT_T_TEXT || row[i].type == XT_T_BLOB ? row[i].n : 9;
	bool full = t->batch.n >= MOST_ROWS || 1 + (t->batch.n + 1) * width > MOST_VALUES ||
		    t->bytes > MOST_BYTES;
	return full ? flush(t, run) : CTL_OK;
}

/* ---- where a time is taken once --------------------------------------- */

/* The microsecond behind a time of the form 2026-07-31 08:15:00.123456. False: it has another form. */
static bool next_microsecond(char ret[40], const xt_value *when)
{
	struct tm tm = {0};
	char text[40];
	unsigned micro;
	int used = 0;

	if (when->type != XT_T_TEXT || when->n != 26)
		return false;
	memcpy(text, when->as.text, 26);
	text[26] = '\0';
	const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
	if (!end || sscanf(end, ".%6u%n", &micro, &used) != 1 || end[used] != '\0')
		return false;
	time_t seconds = timegm(&tm) + (micro == 999999);
	micro = (micro + 1) % 1000000;
	size_t n = strftime(ret, 40, "%Y-%m-%d %H:%M:%S", gmtime_r(&seconds, &tm));
	snprintf(ret + n, 40 - n, ".%06u", micro);
	return true;
}

/* The row of that time; NULL: none has it. */
struct taken {
	xt_value *row; /* owned */
	size_t n_values;
};

static int keep(const xt_value *row, void *data)
{
	struct taken *taken = data;

	free(taken->row);
	taken->row = group_copy(row, taken->n_values);
	return taken->row ? CTL_OK : CTL_FAILED;
}

static int find_taken(struct transfer *t, const xt_value *run, const xt_value *when, struct taken *ret)
{
	*ret = (struct taken){.n_values = t->n + 1};
	for (size_t i = 0; i < t->batch.n; i++)
		if (value_order(&t->batch.rows[i][0], when) == 0)
			return keep(t->batch.rows[i], ret);
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);
	if (!f)
		return ctl_no_memory(&t->to->ctl);
	fputs("SELECT timestamp", f);
	for (size_t i = 0; i < t->n; i++)
		sql_print(f, ", %n", t->columns[i].mapped);
	sql_print(f, " FROM %n WHERE track_id = ? AND timestamp = ?", t->table);
	int status = fclose(f) == 0 ? CTL_OK : ctl_no_memory(&t->to->ctl);
	if (status == CTL_OK)
		status = source_each(t->to, sql, (xt_value[]){*run, *when}, 2, keep, ret);
	free(sql);
	return status;
}

static bool same_values(const struct transfer *t, const xt_value *a, const xt_value *b)
{
	for (size_t i = 1; i <= t->n; i++)
		if (value_order(&a[i], &b[i]) != 0)
			return false;
	return true;
}

/* Into a table where a time is taken once: at the next free microsecond, unless the row was put there before.
 */
static int add_apart(struct transfer *t, const xt_value *run, const xt_value *row)
{
	xt_value *moved = group_copy(row, t->n + 1);
	char when[40];
	int status = CTL_OK;

	if (!moved)
		return ctl_no_memory(&t->to->ctl);
	for (bool first = true; status == CTL_OK; first = false) {
		struct taken taken;
		status = find_taken(t, run, &moved[0], &taken);
		bool free_time = !taken.row, there = taken.row && !first && same_values(t, taken.row, row);
		free(taken.row);
		if (status != CTL_OK || there)
			break;
		if (free_time) {
			status = add(t, run, moved);
			break;
		}
		if (!next_microsecond(when, &moved[0]))
			status = ctl_error(
				&t->to->ctl,
				"a time in table '%s' is taken and cannot be moved on: it has another form "
				"than 2026-07-31 08:15:00.123456",
				t->table);
		else
			moved[0] = xt_text(when);
		t->moved = true;
	}
	free(moved);
	return status;
}

/* ---- one run ---------------------------------------------------------- */

static int add_missing(struct transfer *t, const xt_value *run, const struct group *theirs,
		       const struct group *ours)
{
	bool *missing = calloc(theirs->n + 1, sizeof(*missing));
	bool taken = ours->n > 0 || theirs->n > 1 || t->moved;
	int status = CTL_OK;

	if (!missing || group_missing(theirs, ours, t->n + 1, missing) < 0) {
		free(missing);
		return ctl_no_memory(&t->to->ctl);
	}
	for (size_t i = 0; i < theirs->n && status == CTL_OK; i++)
		if (missing[i])
			status = t->unique && taken ? add_apart(t, run, theirs->rows[i])
						    : add(t, run, theirs->rows[i]);
	free(missing);
	return status;
}

static int merge(struct transfer *t, const xt_value *run, struct side *theirs, struct side *ours)
{
	static const struct group none;
	size_t width = t->n + 1;
	int status = next_group(ours, width);

	while (status == CTL_OK) {
		status = next_group(theirs, width);
		if (status != CTL_OK || theirs->group.n == 0)
			break;
		const xt_value *when = &theirs->group.rows[0][0];
		while (status == CTL_OK && ours->group.n > 0 &&
		       value_order(&ours->group.rows[0][0], when) < 0)
			status = next_group(ours, width);
		bool same = ours->group.n > 0 && value_order(&ours->group.rows[0][0], when) == 0;
		if (status == CTL_OK)
			status = add_missing(t, run, &theirs->group, same ? &ours->group : &none);
	}
	return status == CTL_OK ? flush(t, run) : status;
}

static int copy_run(struct transfer *t, const xt_value *run)
{
	struct side theirs = {0}, ours = {0};

	t->moved = false;
	int status = open_side(&theirs, t->from, t, run, false);
	if (status == CTL_OK)
		status = open_side(&ours, t->to, t, run, true);
	if (status == CTL_OK)
		status = merge(t, run, &theirs, &ours);
	close_side(&theirs);
	close_side(&ours);
	return status;
}

/* ---- all of them ------------------------------------------------------ */

static int add_run(const xt_value *row, void *data)
{
	return group_add(data, row, 1) == 0 ? CTL_OK : CTL_FAILED;
}

static bool is_skipped(const struct transfer *t, const xt_value *run)
{
	for (size_t i = 0; i < t->skipped->n; i++)
		if (value_order(&t->skipped->rows[i][0], run) == 0)
			return true;
	return false;
}

static void note_skipped(const struct transfer *t, const struct group *skipped)
{
	char *list = NULL;
	size_t size = 0;
	FILE *f = skipped->n > 0 ? open_memstream(&list, &size) : NULL;

	for (size_t i = 0; f && i < skipped->n && i < SHOWN; i++)
		fprintf(f, "%s%.*s", i > 0 ? ", " : "", (int)skipped->rows[i][0].n,
			skipped->rows[i][0].as.text);
	if (f && skipped->n > SHOWN)
		fputs(", ...", f);
	if (f && fclose(f) == 0) {
		progress_hide(t->progress);
		ctl_note(&t->to->ctl,
			 "table '%s': runs that were deleted from the target were not copied: %s", t->table,
			 list);
	}
	free(list);
}

static int copy_runs(struct transfer *t, const struct group *runs)
{
	struct group skipped = {0};
	int status = CTL_OK;

	for (size_t i = 0; i < runs->n && status == CTL_OK; i++) {
		const xt_value *run = runs->rows[i];
		size_t n = strlen(TRANSFER_PROBE);
		if (is_skipped(t, run))
			status = group_add(&skipped, run, 1) == 0 ? CTL_OK : ctl_no_memory(&t->to->ctl);
		else if (run->type != XT_T_TEXT || run->n < n || memcmp(run->as.text, TRANSFER_PROBE, n) != 0)
			status = copy_run(t, run);
	}
	note_skipped(t, &skipped);
	group_done(&skipped);
	return status;
}

int transfer_table(struct transfer *t)
{
	struct group runs = {0};
	bool local = false;

	int status = transfer_columns(t);
	if (status == CTL_OK)
		status = transfer_is_unique(t->to, t->table, &t->unique);
	if (status == CTL_OK)
		status = transfer_is_unique(t->from, t->table, &local);
	if (status == CTL_OK && local != t->unique)
		ctl_note(&t->to->ctl,
			 "table '%s': times are local in one of the two databases and UTC in the other; they "
			 "were "
			 "copied as they are",
			 t->table);
	char *sql = sql_format("SELECT DISTINCT track_id FROM %n", t->table);
	if (status == CTL_OK)
		status =
			sql ? source_each(t->from, sql, NULL, 0, add_run, &runs) : ctl_no_memory(&t->to->ctl);
	if (status == CTL_OK)
		status = copy_runs(t, &runs);
	group_done(&runs);
	free(sql);
	return status;
}

void transfer_done(struct transfer *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->columns[i].name);
		free(t->columns[i].type);
		free(t->columns[i].key);
		free(t->columns[i].mapped);
	}
	free(t->columns);
	group_done(&t->batch);
	*t = (struct transfer){0};
}
