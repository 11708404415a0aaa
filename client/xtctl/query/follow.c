#include "follow.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "relation.h"
#include "sql.h"
#include "where.h"

#define MOST_TRIES 20 /* to go on after a failure that may pass, without a row in between */

/* The table's epoch, up to which row it is known, its highest row, and which database it is. ?1: the table,
 * ?2, ?3: the epoch and row up to which it was known. */
static const char head_form[] = "SELECT %s, min(?3, coalesce((SELECT min(top) FROM %s WHERE table_name = ?1 "
				"AND epoch > ?2), ?3), top), "
				"top, %s FROM (SELECT coalesce(max(_rowid_), 0) AS top FROM %n)";

static const char epoch_sql[] = "(SELECT coalesce(max(epoch), 0) FROM xt_epochs WHERE table_name = ?1)";
static const char id_sql[] = "(SELECT hex(value) FROM xt_meta WHERE key = 'database_id')";

struct follow {
	struct ctl *ctl;
	const struct follow_options *opt;
	xt_client *client;
	char *table;		     /* owned */
	char *head, *rows, *first;   /* owned: the statements; NULL: the table is not there yet */
	int64_t epoch, seen, top;    /* where we are; the highest row at the last look */
	char database[40];	     /* its id at the last look; "" before */
	uint64_t level;		     /* of xt_wait */
	struct format *format;	     /* owned; NULL: before the first row */
	const char **names, **types; /* owned with their texts: columns that it was made for, n of them */
	size_t n;
	bool begun; /* a row was shown, or there was none to begin with */
	bool shown; /* a row, since the last failure */
};

/* ---- what to ask ------------------------------------------------------ */

static int put_columns(const struct follow *f, const struct relation *rel, FILE *sql)
{
	const struct relation_column **columns = NULL;
	size_t n = 0;

	if (!f->opt->columns) {
		fputs("*", sql);
		return CTL_OK;
	}
	int status = relation_columns(rel, f->opt->columns, &columns, &n);
	for (size_t i = 0; i < n; i++)
		sql_print(sql, i ? ", %n" : "%n", columns[i]->name);
	free(columns);
	return status;
}

/* Only tables whose rows have numbers can be followed. A file that is only read may lack our tables. */
static int check_kind(struct follow *f, bool *ret_ours)
{
	xt_value name = xt_text(f->table);
	xt_cursor *cursor = NULL;
	const xt_value *row;
	int status = CTL_OK;

	int r = ctl_query(
		f->client,
		"SELECT max(type = 'view'), max(wr), (SELECT count(*) FROM sqlite_schema WHERE "
		"name IN ('xt_epochs', 'xt_meta')) = 2 FROM pragma_table_list WHERE name = ?1 COLLATE "
		"NOCASE",
		&name, 1, 0, &cursor);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r != XT_OK)
		status = ctl_fail(f->ctl, f->client, r);
	else if (row[0].as.integer)
		status = ctl_error(f->ctl, "'%s' is a view: no rows are logged to it; follow a table",
				   f->table);
	else if (row[1].as.integer)
		status = ctl_error(f->ctl, "'%s' is WITHOUT ROWID: its rows have no order in which they came",
				   f->table);
	else
		*ret_ours = row[2].as.integer != 0;
	xt_cursor_close(cursor);
	return status;
}

/* Makes the statements for the table's rows. */
static int make_statements(struct follow *f, const struct relation *rel)
{
	char *conditions = NULL, *columns = NULL;
	size_t size;
	bool ours = false;

	FILE *list = open_memstream(&columns, &size);
	int status = list ? check_kind(f, &ours) : ctl_no_memory(f->ctl);
	if (status == CTL_OK)
		status = where_make(rel, &conditions);
	if (status == CTL_OK)
		status = put_columns(f, rel, list);
	if (list && fclose(list) != 0)
		status = ctl_no_memory(f->ctl);
	if (status == CTL_OK) {
		const char *epoch = ours ? epoch_sql : "0";
		f->head = sql_format(head_form, epoch,
				     ours ? "xt_epochs"
					  : "(SELECT NULL AS top, NULL AS table_name, 0 AS epoch)",
				     ours ? id_sql : "''", f->table);
		f->rows = sql_format(
			"SELECT %s, _rowid_, %s FROM %n WHERE _rowid_ > ?3 AND %s ORDER BY _rowid_", epoch,
			columns, f->table, conditions);
		f->first = sql_format(
			"SELECT %s, _rowid_ FROM %n WHERE _rowid_ <= ?3 AND %s ORDER BY _rowid_ DESC "
			"LIMIT 1 OFFSET ?2",
			epoch, f->table, conditions);
		if (!f->head || !f->rows || !f->first)
			status = ctl_no_memory(f->ctl);
	}
	free(conditions);
	free(columns);
	return status;
}

/* Finds the table. It may be to come: then there is nothing to ask yet. */
static int find_table(struct follow *f)
{
	struct relation rel = {0};
	xt_cursor *cursor = NULL;
	int status = CTL_OK;

	int r = xt_columns(&cursor, f->client, f->table);
	xt_cursor_close(cursor);
	if (r != XT_OK && !ctl_no_table(f->client))
		return ctl_fail(f->ctl, f->client, r);
	if (r != XT_OK) {
		char *other = f->level == 0 ? ctl_other_table(f->ctl, f->client) : NULL;
		if (!other)
			return CTL_OK;
		free(f->table);
		f->table = other;
		f->ctl->table = other;
	}
	status = relation_open_early(f->ctl, f->client, &rel);
	if (status == CTL_OK)
		status = make_statements(f, &rel);
	relation_done(&rel);
	return status;
}

/* The values of a statement: ?1 the table, ?2 and ?3 as given. */
static int ask(struct follow *f, const char *sql, int64_t second, int64_t third, xt_cursor **ret)
{
	const xt_value args[] = {xt_text(f->table), xt_int(second), xt_int(third)};

	return ctl_query(f->client, sql, args, 3, CTL_LONG_MS, ret);
}

/* ---- printing --------------------------------------------------------- */

static void forget_columns(struct follow *f)
{
	format_free(f->format);
	for (size_t i = 0; i < f->n; i++) {
		free((char *)(uintptr_t)f->names[i]);
		free((char *)(uintptr_t)f->types[i]);
	}
	free(f->names);
	free(f->types);
	f->format = NULL;
	f->names = f->types = NULL;
	f->n = 0;
}

static bool same_columns(const struct follow *f, const xt_cursor *cursor)
{
	if (!f->format || xt_cursor_columns(cursor) != f->n + 2)
		return false;
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->names[i], xt_cursor_name(cursor, i + 2)) != 0 ||
		    strcmp(f->types[i], xt_cursor_type(cursor, i + 2)) != 0)
			return false;
	return true;
}

/* The rows to come may have more columns than those before: they get a head of their own. */
static int take_columns(struct follow *f, const xt_cursor *cursor)
{
	struct format_options how = ctl_how_to_print(f->ctl);
	size_t n = xt_cursor_columns(cursor) - 2;

	if (same_columns(f, cursor))
		return XT_OK;
	if (f->format && format_flush(f->format) < 0)
		return XT_ENOMEM;
	forget_columns(f);
	f->names = calloc(n + 1, sizeof(*f->names));
	f->types = calloc(n + 1, sizeof(*f->types));
	for (size_t i = 0; f->names && f->types && i < n; i++, f->n++) {
		f->names[i] = strdup(xt_cursor_name(cursor, i + 2));
		f->types[i] = strdup(xt_cursor_type(cursor, i + 2));
		if (!f->names[i] || !f->types[i])
			return XT_ENOMEM;
	}
	how.follows = true;
	if (how.kind == FORMAT_JSON) /* a list without an end is nobody's JSON */
		how.kind = FORMAT_JSONL;
	if (f->n == n)
		f->format = format_new(&f->ctl->out, &how, n, f->names, f->types);
	return f->format ? XT_OK : XT_ENOMEM;
}

/* Prints the rows of a cursor; where we are moves on with each. *ret_stale: another epoch began meanwhile. */
static int print_rows(struct follow *f, xt_cursor *cursor, bool *ret_stale)
{
	const xt_value *row;
	int r = XT_OK;

	while (f->ctl->out.error == 0 && (r = ctl_next(cursor, &row)) == XT_OK) {
		*ret_stale = row[0].as.integer != f->epoch;
		if (*ret_stale)
			return XT_OK;
		r = take_columns(f, cursor);
		if (r == XT_OK && format_row(f->format, row + 2) < 0)
			r = XT_ENOMEM;
		if (r != XT_OK)
			return r;
		f->seen = row[1].as.integer;
		f->shown = f->begun = true;
	}
	f->begun = f->begun || r == XT_DONE;
	return r;
}

/* ---- looking ---------------------------------------------------------- */

/* Where we are, by the present state. *ret_other: it is another database than before. */
static int look_at_head(struct follow *f, bool *ret_other)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	char id[sizeof(f->database)] = "";

	int r = ask(f, f->head, f->epoch, f->seen, &cursor);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK) {
		if (row[3].type == XT_T_TEXT)
			snprintf(id, sizeof(id), "%.*s", (int)row[3].n, row[3].as.text);
		*ret_other = f->database[0] && strcmp(id, f->database) != 0;
		memcpy(f->database, id, sizeof(id));
		f->epoch = row[0].as.integer;
		f->top = row[2].as.integer;
		f->seen = *ret_other ? f->top : row[1].as.integer;
	}
	xt_cursor_close(cursor);
	return r;
}

/* Goes back by the rows that are wanted to begin with. */
static int go_back(struct follow *f, bool *ret_stale)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ask(f, f->first, f->opt->last, f->top, &cursor);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK && row[0].as.integer != f->epoch)
		*ret_stale = true;
	else if (r == XT_OK)
		f->seen = row[1].as.integer;
	else if (r == XT_DONE)
		f->seen = INT64_MIN;
	xt_cursor_close(cursor);
	return r == XT_DONE ? XT_OK : r;
}

/* Shows what is new; at first, of what is there the last rows. The library's status. */
static int look(struct follow *f)
{
	bool stale = true, other = false;
	int r = XT_OK;

	while (r == XT_OK && stale) {
		xt_cursor *cursor = NULL;
		stale = false;
		bool begin = !f->begun;
		if (begin)
			f->seen = INT64_MAX;
		r = look_at_head(f, &other);
		if (r == XT_OK && other)
			ctl_note(f->ctl, "another database took the place of '%s'; what comes is of that",
				 f->ctl->database);
		if (r == XT_OK && begin && f->opt->last > 0)
			r = go_back(f, &stale);
		if (r == XT_OK && !stale)
			r = ask(f, f->rows, 0, f->seen, &cursor);
		if (r == XT_OK && !stale)
			r = print_rows(f, cursor, &stale);
		xt_cursor_close(cursor);
		if (r == XT_DONE && f->seen < f->top)
			f->seen = f->top; /* none of those between is wanted */
	}
	if (f->format && format_flush(f->format) < 0)
		return XT_ENOMEM;
	return r == XT_DONE ? XT_OK : r;
}

/* ---- going on --------------------------------------------------------- */

/* Nothing is read any more: `| head` has seen enough. */
static bool reader_gone(const struct ctl *ctl)
{
	struct pollfd p = {.fd = ctl->out.fd};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLNVAL));
}

/* Asked while a call waits: Ctrl-C may have come just before it slept. */
static bool must_stop(void *user)
{
	return ctl_interrupted() || reader_gone(user);
}

/* Whether it passes by itself: the daemon is being started anew, a query was open for too long. */
static bool passes(const struct follow *f, int r)
{
	const char *code = xt_error_code(f->client);

	return r == XT_ELOST ||
	       (r == XT_EREQUEST && (strcmp(code, "cursor_expired") == 0 || strcmp(code, "stopping") == 0 ||
				     strcmp(code, "file_replaced") == 0));
}

/* Until Ctrl-C, a failure that does not pass, or nobody reads. The exit status. */
static int go_on(struct follow *f)
{
	unsigned tries = 0;
	int status = CTL_OK;

	while (status == CTL_OK && f->ctl->out.error == 0 && !ctl_interrupted()) {
		int r = xt_wait(f->client, f->table, &f->level, XT_FOREVER);
		if (r == XT_OK && !f->rows)
			status = find_table(f);
		if (r == XT_OK && status == CTL_OK && f->rows) {
			r = look(f);
			if (ctl_no_table(f->client) && r != XT_OK)
				r = XT_OK; /* it was dropped, and may be made anew */
		}
		tries = r == XT_OK || f->shown ? 0 : tries + 1;
		f->shown = false;
		if (r == XT_EINTR && !ctl_interrupted() && !reader_gone(f->ctl))
			continue;
		if (r == XT_EINTR && !ctl_interrupted())
			break;
		if (r == XT_ENOMEM)
			status = ctl_no_memory(f->ctl);
		else if (r != XT_OK && (!passes(f, r) || tries > MOST_TRIES))
			status = ctl_fail(f->ctl, f->client, r);
	}
	return ctl_interrupted() ? CTL_INTERRUPTED : status;
}

int follow_run(struct ctl *ctl, const struct follow_options *o)
{
	xt_options options = ctl_reading();
	struct follow f = {.ctl = ctl, .opt = o, .table = strdup(ctl->table)};

	options.interrupted = must_stop;
	options.user = ctl;
	int status = ctl_open(ctl, &options, &f.client);
	if (status != CTL_OK) {
		free(f.table);
		return status;
	}
	status = f.table ? find_table(&f) : ctl_no_memory(ctl);
	if (status == CTL_OK && !f.rows) {
		f.begun = true;
		f.seen = INT64_MIN; /* all of it will be new */
		ctl_note(ctl, "there is no table '%s' yet; waiting for its first row", f.table);
	}
	if (status == CTL_OK)
		status = go_on(&f);
	forget_columns(&f);
	free(f.head);
	free(f.rows);
	free(f.first);
	status = ctl_close(ctl, f.client, status);
	free(f.table);
	return status;
}
