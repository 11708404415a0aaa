#include "side.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "sql.h"

#define MOST_ROWS   1000 /* of one INSERT */
#define MOST_VALUES 30000
#define MOST_BYTES  4000000
#define SHOWN	    5  /* deleted runs that are named */
#define MOST_VAIN   12 /* tries at a run that get no further than those before */

/* docs/storage.md: when the last rows of a table are deleted their numbers are used again, and a new epoch
 * begins. */
#define EPOCH "(SELECT coalesce(max(epoch), 0) FROM xt_epochs WHERE table_name = ?)"

/* ---- writing ---------------------------------------------------------- */

/* Nothing is stored of a run that was deleted meanwhile, nor when somebody else, another copy perhaps, put
 * rows of it there behind those that were compared: these may be the same ones. */
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
	fputs(") SELECT * FROM (VALUES ", f);
	for (size_t k = 0; k < t->batch.n; k++) {
		fputs(k == 0 ? "(?1" : "), (?1", f);
		for (size_t i = 0; i < t->n + 1; i++)
			fputs(", ?", f);
	}
	fputs(")) WHERE NOT EXISTS (SELECT 1 FROM xt_runs WHERE track_id = ?1 AND status = 'deleted')", f);
	if (t->number)
		sql_print(f,
			  " AND NOT EXISTS (SELECT 1 FROM %n WHERE track_id IS ?1 AND %s > ?) AND " EPOCH
			  " = ?",
			  t->table, t->number);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

static int take_top(const xt_value *row, void *data)
{
	memcpy(data, row, 2 * sizeof(*row)); /* numbers */
	return CTL_OK;
}

/* The table's last number, and the epoch that it is of, before what the target has of a run is read. */
static int find_top(struct transfer *t)
{
	xt_value table = xt_text(t->table), top[2] = {xt_int(0), xt_null()};

	if (!t->number)
		return CTL_OK;
	char *sql = sql_format("SELECT " EPOCH ", (SELECT max(%s) FROM %n)", t->number, t->table);
	if (!sql)
		return ctl_no_memory(&t->to->ctl);
	int status = source_each(t->to, sql, &table, 1, take_top, top);
	free(sql);
	t->epoch = top[0].as.integer;
	t->top = top[1].type == XT_T_INT ? top[1].as.integer : INT64_MIN;
	return status;
}

/* How many rows the run has behind t->top, and the last one's number, which becomes that: before they are
 * read, so that rows which come in between are taken for others'. */
static int advance(struct transfer *t, const xt_value *run, uint64_t *ret_n)
{
	xt_value found[2] = {xt_int(0), xt_null()};

	if (!t->number)
		return CTL_OK;
	char *sql = sql_format("SELECT count(*), max(%s) FROM %n WHERE track_id IS ? AND %s > ?", t->number,
			       t->table, t->number);
	if (!sql)
		return ctl_no_memory(&t->to->ctl);
	int status = source_each(t->to, sql, (xt_value[]){*run, xt_int(t->top)}, 2, take_top, found);
	free(sql);
	*ret_n = (uint64_t)found[0].as.integer;
	if (status == CTL_OK && found[1].type == XT_T_INT)
		t->top = found[1].as.integer;
	return status;
}

/* Why nothing was stored. */
static int refused(struct transfer *t, const xt_value *run)
{
	int status = source_has(t->to, "SELECT 1 FROM xt_runs WHERE track_id = ? AND status = 'deleted'", run,
				1, &t->gone);

	t->overtaken = !t->gone;
	return status;
}

static int store(struct transfer *t, const xt_value *run, const char *sql, const xt_value *args,
		 size_t n_args, bool last)
{
	uint64_t changed = 0, n = t->batch.n;

	int r = xt_exec(t->to->client, sql, args, n_args, 0, &changed);
	if (r != XT_OK)
		return source_fail(t->to, r);
	if (changed == 0)
		return refused(t, run);
	*t->copied += changed;
	progress_show(t->progress, *t->copied, 0);
	int status = last ? CTL_OK : advance(t, run, &n);
	t->overtaken = n != t->batch.n;
	return status;
}

/* last: of the run. The caller looks at t->overtaken and t->gone. */
static int flush(struct transfer *t, const xt_value *run, bool last)
{
	size_t width = t->n + 1, n = 1 + t->batch.n * width;

	if (t->batch.n == 0 || t->overtaken || t->gone)
		return CTL_OK;
	char *sql = insert_statement(t);
	xt_value *args = calloc(n + 3, sizeof(*args));
	int status = CTL_FAILED;
	if (sql && args) {
		args[0] = *run;
		for (size_t k = 0; k < t->batch.n; k++)
			memcpy(&args[1 + k * width], t->batch.rows[k], width * sizeof(*args));
		args[n] = xt_int(t->top);
		args[n + 1] = xt_text(t->table);
		args[n + 2] = xt_int(t->epoch);
		status = store(t, run, sql, args, t->number ? n + 3 : n, last);
	} else {
		ctl_no_memory(&t->to->ctl);
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
	return full ? flush(t, run, false) : CTL_OK;
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
	int status = side_next(ours, width);

	while (status == CTL_OK && !t->overtaken && !t->gone) {
		status = side_next(theirs, width);
		if (status != CTL_OK || theirs->group.n == 0)
			break;
		t->seen += theirs->group.n;
		const xt_value *when = &theirs->group.rows[0][0];
		while (status == CTL_OK && ours->group.n > 0 &&
		       value_order(&ours->group.rows[0][0], when) < 0)
			status = side_next(ours, width);
		bool same = ours->group.n > 0 && value_order(&ours->group.rows[0][0], when) == 0;
		if (status == CTL_OK)
			status = add_missing(t, run, &theirs->group, same ? &ours->group : &none);
	}
	return status == CTL_OK ? flush(t, run, true) : status;
}

static int try_run(struct transfer *t, const xt_value *run)
{
	struct side theirs = {0}, ours = {0};

	t->moved = t->overtaken = false;
	t->seen = 0;
	int status = find_top(t);
	if (status == CTL_OK)
		status = side_open(&theirs, t->from, t, run, false);
	if (status == CTL_OK)
		status = side_open(&ours, t->to, t, run, true);
	if (status == CTL_OK)
		status = merge(t, run, &theirs, &ours);
	side_close(&theirs);
	side_close(&ours);
	group_clear(&t->batch);
	t->bytes = 0;
	return status;
}

/* Again, as long as that leads anywhere: another copy that is ahead stores what this one was about to. */
static int copy_run(struct transfer *t, const xt_value *run)
{
	uint64_t furthest = 0, copied;
	unsigned vain = 0;
	int status;

	t->gone = false;
	do {
		copied = *t->copied;
		status = try_run(t, run);
		bool further = t->seen > furthest || *t->copied > copied;
		furthest = t->seen > furthest ? t->seen : furthest;
		vain = further ? 0 : vain + 1;
		if (status == CTL_OK && t->overtaken && vain >= MOST_VAIN)
			return ctl_error(
				&t->to->ctl,
				"others keep adding rows of run '%.*s' to table '%s' of '%s'; repeat "
				"the copy when they have ended",
				run->type == XT_T_TEXT ? (int)run->n : 4,
				run->type == XT_T_TEXT ? run->as.text : "NULL", t->table,
				t->to->ctl.database);
		if (status == CTL_OK && t->overtaken)
			(void)!poll(NULL, 0, vain < 8 ? 2 << vain : 500);
		if (ctl_interrupted())
			return CTL_INTERRUPTED;
	} while (status == CTL_OK && t->overtaken);
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
		t->gone = is_skipped(t, run);
		if (!t->gone)
			status = copy_run(t, run);
		if (t->gone && status == CTL_OK)
			status = group_add(&skipped, run, 1) == 0 ? CTL_OK : ctl_no_memory(&t->to->ctl);
	}
	note_skipped(t, &skipped);
	group_done(&skipped);
	return status;
}

/* A column of that name hides the rows' numbers. */
static int find_number(struct transfer *t)
{
	static const char *const names[] = {"rowid", "_rowid_", "oid"};
	xt_value args[2] = {xt_text(t->table), xt_null()};
	bool hidden;

	t->number = NULL;
	int status = source_has(t->to, "SELECT 1 FROM pragma_table_list WHERE name = ? COLLATE NOCASE AND wr",
				args, 1, &hidden);
	for (size_t i = 0; i < 3 && status == CTL_OK && !hidden && !t->number; i++) {
		bool taken = false;
		args[1] = xt_text(names[i]);
		status =
			source_has(t->to, "SELECT 1 FROM pragma_table_xinfo(?) WHERE name = ? COLLATE NOCASE",
				   args, 2, &taken);
		t->number = taken ? NULL : names[i];
	}
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
		status = find_number(t);
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
	for (size_t i = 0; i < t->n; i++)
		transfer_column_done(&t->columns[i]);
	free(t->columns);
	group_done(&t->batch);
	*t = (struct transfer){0};
}
