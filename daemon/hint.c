#include "hint.h"

#include <stdio.h>
#include <string.h>

#define MOST_NAMES 10000 /* that are looked at: others wait meanwhile */

#define TABLES                                                                                               \
	"FROM sqlite_schema AS t WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'xt\\_%' ESCAPE '\\'" \
	" AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"

/* How a complaint begins that ends with a name, and where such names are. */
static const struct complaint {
	const char *beginning, *names;
} complaints[] = {
	{"no such column: ",
	 "SELECT DISTINCT c.name FROM (SELECT t.name " TABLES ") AS t, pragma_table_info(t.name) AS c"},
	{"no such table: ", "SELECT t.name " TABLES},
};

/* The name at the end, without what stands before its last point: "db.events" is "events". */
static const char *name_of(const char *text)
{
	const char *point = strrchr(text, '.');

	return point ? point + 1 : text;
}

/* The nearest of the names that a statement gives, as a hint. */
static const char *nearest(sqlite3 *db, const char *names, const char *name, size_t n, char ret[HINT_SIZE])
{
	sqlite3_stmt *st = NULL;
	struct near near;

	ret[0] = '\0';
	near_init(&near, name, n);
	if (sqlite3_prepare_v2(db, names, -1, &st, NULL) != SQLITE_OK)
		return ret;
	for (int i = 0; i < MOST_NAMES && sqlite3_step(st) == SQLITE_ROW; i++)
		near_try(&near, (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	if (near.found[0])
		snprintf(ret, HINT_SIZE, "; did you mean '%s'?", near.found);
	return ret;
}

/* What the column of that name is called since it was renamed, as a hint. */
static const char *renamed(sqlite3 *db, const char *name, char ret[HINT_SIZE])
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(db, "SELECT name FROM xt_aliases WHERE key = ?1 COLLATE NOCASE LIMIT 1", -1,
			       &st, NULL) != SQLITE_OK)
		return ret;
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	if (sqlite3_step(st) == SQLITE_ROW)
		snprintf(ret, HINT_SIZE, "; it was renamed to '%s'",
			 (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	return ret;
}

const char *hint_for(sqlite3 *db, const char *message, char ret[HINT_SIZE])
{
	ret[0] = '\0';
	for (size_t i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++) {
		size_t n = strlen(complaints[i].beginning);
		if (strncmp(message, complaints[i].beginning, n) != 0)
			continue;
		const char *name = name_of(message + n);
		if (i == 0 && renamed(db, name, ret)[0])
			return ret;
		return nearest(db, complaints[i].names, name, strlen(name), ret);
	}
	return ret;
}

const char *hint_for_table(sqlite3 *db, struct span name, char ret[HINT_SIZE])
{
	return nearest(db, "SELECT t.name " TABLES, (const char *)name.data, name.len, ret);
}
