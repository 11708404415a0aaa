#include "offer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql.h"
#include "text.h"
#include "value.h"

#define MOST_RUNS   "200"
#define MOST_LOOKED "10000" /* rows at either end of a table whose values are offered */
#define MOST_VALUES 100
#define VALUE_BYTES 100	 /* of one that anybody would type */
#define PATIENCE_MS 1000 /* for what goes through rows: nobody knows what those of a view cost */

#define OF_USERS "name NOT LIKE 'xt\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"

bool offer(const struct typing *t, const char *word, const char *means)
{
	FILE *f = t->ctl->out.file;

	if (strncmp(word, t->typed, strlen(t->typed)) != 0)
		return false;
	fprintf(f, "%.*s%s%s%s%s\n", (int)(t->typed - t->word), t->word, word, t->after ? t->after : "",
		means ? "\t" : "", means ? means : "");
	return true;
}

/* ---- asking ----------------------------------------------------------- */

/* A client of the daemon that serves the database already; NULL: none does. */
static xt_client *reach(const struct typing *t)
{
	xt_options options = ctl_reading();
	xt_client *client = NULL;

	t->ctl->database = t->database;
	if (t->database && setenv("XETRACK_AUTOSTART", "0", 1) == 0 &&
	    ctl_try_open(t->ctl, &options, &client) == XT_OK)
		return client;
	xt_close(client);
	return NULL;
}

/* Whether the text is an item of the list that stands before what is typed, as names are compared. */
static bool is_listed(const struct typing *t, const char *text)
{
	size_t n = strlen(text);

	for (const char *at = t->value; at < t->typed; at += strcspn(at, ",") + 1)
		if (strcspn(at, ",") == n && strncasecmp(at, text, n) == 0)
			return true;
	return false;
}

/* Offers the first column of an answer, with the second as its meaning. */
static void offer_answer(const struct typing *t, xt_client *client, const char *sql, const char *arg)
{
	xt_value value = xt_text(arg);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	if (ctl_query(client, sql, &value, arg ? 1 : 0, 0, &cursor) != XT_OK)
		return;
	while (ctl_next(cursor, &row) == XT_OK) {
		char *word = row[0].type == XT_T_TEXT ? strndup(row[0].as.text, row[0].n) : NULL;
		char *means = row[1].type == XT_T_TEXT ? strndup(row[1].as.text, row[1].n) : NULL;
		if (word && !strpbrk(word, "\t\n") && !is_listed(t, word))
			offer(t, word, means);
		free(word);
		free(means);
	}
	xt_cursor_close(cursor);
}

static void offer_rows(const struct typing *t, const char *sql)
{
	xt_client *client = reach(t);

	if (client)
		offer_answer(t, client, sql, NULL);
	xt_close(client);
}

/* The text that an answer begins with, owned by the caller; NULL: there is none. Frees the statement. */
static char *ask_text(xt_client *client, char *sql)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	char *text = NULL;

	if (sql && ctl_query(client, sql, NULL, 0, PATIENCE_MS, &cursor) == XT_OK &&
	    ctl_next(cursor, &row) == XT_OK && row[0].type == XT_T_TEXT)
		text = strndup(row[0].as.text, row[0].n);
	xt_cursor_close(cursor);
	free(sql);
	return text;
}

/* The table that a command would take, owned by the caller: the one that is named, or `events`, or else the
 * largest; told by the number of its last row, as counting would read all. One without such numbers comes
 * behind all others. NULL: there is none. */
static char *find_table(const struct typing *t, xt_client *client)
{
	const char *env = getenv("XETRACK_TABLE");

	if (t->table || (env && env[0]))
		return strdup(t->table ? t->table : env);
	return ask_text(
		client,
		ask_text(client, strdup("SELECT CASE WHEN max(name = 'events') THEN 'SELECT ''events''' ELSE "
					"group_concat(CASE WHEN wr THEN printf('SELECT %Q, -1', name) ELSE "
					"printf('SELECT %Q, max(rowid) FROM \"%w\"', name, name) END, "
					"' UNION ALL ') || ' ORDER BY 2 DESC LIMIT 1' END "
					"FROM pragma_table_list WHERE schema <> 'temp' AND type = 'table' "
					"AND " OF_USERS)));
}

/* ---- tables, columns, runs -------------------------------------------- */

void offer_tables(const struct typing *t)
{
	offer_rows(t, "SELECT name, NULL FROM sqlite_schema WHERE type IN ('table', 'view') AND " OF_USERS);
}

void offer_columns(const struct typing *t)
{
	xt_client *client = reach(t);
	char *table = client ? find_table(t, client) : NULL;

	if (table)
		offer_answer(t, client, "SELECT name, lower(type) FROM pragma_table_info(?)", table);
	free(table);
	xt_close(client);
}

void offer_runs(const struct typing *t)
{
	offer_rows(t, "SELECT track_id, status || ', ' || substr(start_time, 1, 16) FROM xt_runs "
		      "WHERE status <> 'deleted' ORDER BY start_time DESC LIMIT " MOST_RUNS);
}

/* ---- values ----------------------------------------------------------- */

/* Whether a text means itself where it is typed as a value, and somebody would type it. */
static bool is_typed(const char *text, size_t n)
{
	char why[VALUE_BYTES];
	xt_value again;

	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)text[i]))
			return false;
	return n > 0 && n <= VALUE_BYTES && text[0] != ' ' && strncmp(text, ":=", 2) != 0 &&
	       value_word(&again, text, why, sizeof(why)) == 0 &&
	       (again.type == XT_T_TEXT || again.type == XT_T_INT);
}

/* As it is typed behind KEY=, owned by the caller; NULL: not at all. */
static char *typed_value(const xt_value *v, bool boolean)
{
	char *text = NULL;
	size_t size = 0;
	xt_value shown = *v;

	if (v->type == XT_T_BLOB)
		return NULL;
	if (v->type == XT_T_TEXT) {
		text = strndup(v->as.text, v->n);
		if (text && is_typed(text, v->n))
			return text;
		free(text);
		return NULL;
	}
	if (boolean && v->type == XT_T_INT && (v->as.integer | 1) == 1)
		shown = xt_bool(v->as.integer == 1);
	FILE *f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	json_print(f, &shown);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* Rows of a value and whether the column has booleans. The library's status. */
static int offer_value_rows(const struct typing *t, xt_client *client, const char *sql)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	int n = 0;

	int r = sql ? ctl_query(client, sql, NULL, 0, PATIENCE_MS, &cursor) : XT_ENOMEM;
	while (r == XT_OK && n < MOST_VALUES && (r = ctl_next(cursor, &row)) == XT_OK) {
		char *value = typed_value(&row[0], row[1].type == XT_T_INT && row[1].as.integer == 1);
		n += value && offer(t, value, NULL);
		free(value);
	}
	xt_cursor_close(cursor);
	return r;
}

/* A statement for them. last: also those of the last rows, which not every table or view has, for want of a
 * rowid. */
static char *values_sql(const char *table, const char *column, bool last)
{
	char *from = sql_format("SELECT t.%n AS v FROM %n t LIMIT " MOST_LOOKED, column, table);
	char *more = sql_format(
		"UNION ALL SELECT v FROM (SELECT t.%n AS v FROM %n t ORDER BY t.rowid DESC LIMIT " MOST_LOOKED
		")",
		column, table);
	char *sql = NULL;

	if (from && more)
		sql = sql_format(
			"SELECT DISTINCT v, (SELECT upper(type) = 'BOOLEAN' FROM pragma_table_info(%t) "
			"WHERE name = %t COLLATE NOCASE) FROM (SELECT v FROM (%s) %s) ORDER BY v IS "
			"NULL, v",
			table, column, from, last ? more : "");
	free(from);
	free(more);
	return sql;
}

void offer_values(const struct typing *t, const char *column)
{
	xt_client *client = reach(t);
	char *table = client ? find_table(t, client) : NULL;

	for (int last = 1; table && last >= 0; last--) {
		char *sql = values_sql(table, column, last == 1);
		int r = offer_value_rows(t, client, sql);
		free(sql);
		if (r != XT_EREQUEST || !strstr(xt_error(client), "rowid"))
			break;
	}
	free(table);
	xt_close(client);
}
