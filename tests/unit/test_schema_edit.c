/* The text of CREATE TABLE edited: a column's type replaced, everything else left as it was. */
#include "unit.h"

#include <sqlite3.h>

#include "schema_edit.h"

static void retyped(const char *sql, const char *column, const char *type, const char *want)
{
	struct buf b = {0};

	assert_int_equal(schema_retype(&b, sql, column, type), 0);
	assert_string_equal((const char *)b.data, want);
	buf_done(&b);
}

static void refused(const char *sql, const char *column)
{
	struct buf b = {0};

	assert_int_equal(schema_retype(&b, sql, column, "REAL"), -1);
	buf_done(&b);
}

static void types(void **state)
{
	(void)state;
	retyped("CREATE TABLE t(\"a\" INTEGER, \"b\")", "a", "REAL", "CREATE TABLE t(\"a\" REAL, \"b\")");
	retyped("CREATE TABLE t(\"a\" INTEGER, \"b\")", "a", "", "CREATE TABLE t(\"a\", \"b\")");
	retyped("CREATE TABLE t(\"a\" INTEGER, \"b\")", "b", "TEXT",
		"CREATE TABLE t(\"a\" INTEGER, \"b\" TEXT)");
	retyped("CREATE TABLE t(a VARCHAR(20, 3) NOT NULL, b)", "a", "TEXT",
		"CREATE TABLE t(a TEXT NOT NULL, b)");
	retyped("CREATE TABLE t(a DOUBLE PRECISION DEFAULT 0.5)", "a", "REAL",
		"CREATE TABLE t(a REAL DEFAULT 0.5)");
	retyped("CREATE TABLE t(x DECIMAL(3,4) CHECK (x > (1 + 2)), y INT)", "y", "",
		"CREATE TABLE t(x DECIMAL(3,4) CHECK (x > (1 + 2)), y)");
}

static void names(void **state)
{
	(void)state;
	retyped("CREATE TABLE t([a b] INT)", "a b", "REAL", "CREATE TABLE t([a b] REAL)");
	retyped("CREATE TABLE t(`a``b` INT)", "a`b", "REAL", "CREATE TABLE t(`a``b` REAL)");
	retyped("CREATE TABLE t(\"a\"\"b\" INT)", "a\"b", "REAL", "CREATE TABLE t(\"a\"\"b\" REAL)");
	retyped("CREATE TABLE t(Acc INT)", "acc", "REAL", "CREATE TABLE t(Acc REAL)");
	retyped("CREATE TABLE t(\"größe\" INT)", "größe", "REAL", "CREATE TABLE t(\"größe\" REAL)");
	refused("CREATE TABLE t(aa INT, ba INT)", "a");
	refused("CREATE TABLE t(a INT)", "");
	refused("CREATE TABLE t(b INT DEFAULT 'a', PRIMARY KEY(b))", "a");
	refused("", "a");
	refused("CREATE TABLE t(", "a");
	refused("CREATE TABLE t(\"a", "b");
}

static void comments(void **state)
{
	(void)state;
	retyped("CREATE TABLE t( -- a INT, (\n a /* the , one */ INT, b)", "a", "REAL",
		"CREATE TABLE t( -- a INT, (\n a REAL, b)");
	retyped("CREATE TABLE \"t(\"(a INT)", "a", "REAL", "CREATE TABLE \"t(\"(a REAL)");
}

static void column_type(sqlite3 *db, const char *column, char *ret, size_t size)
{
	const char *type = NULL;

	assert_int_equal(
		sqlite3_table_column_metadata(db, "main", "t", column, &type, NULL, NULL, NULL, NULL),
		SQLITE_OK);
	snprintf(ret, size, "%s", type ? type : "");
}

/* Whatever is edited, SQLite reads the result, and only that column's type has changed. */
static void sqlite_agrees(void **state)
{
	static const char *const tables[] = {
		"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT UNIQUE COLLATE NOCASE, c NUMERIC(5) AS (a + "
		"1), d)",
		"CREATE TABLE t(a, b INT REFERENCES x(y) ON DELETE CASCADE, c \"odd type\" DEFAULT (1, 2), d "
		"BLOB NOT NULL)",
		"CREATE TABLE t(a BIGINT UNSIGNED NULL, b CONSTRAINT n NOT NULL, c GENERATED ALWAYS AS (b), "
		"d, CHECK (a <> ','))",
		"CREATE TABLE t(a TEXT, b TEXT, c TEXT, d TEXT, PRIMARY KEY (a, b), FOREIGN KEY (c) "
		"REFERENCES x(y)) WITHOUT ROWID",
	};
	static const char columns[][2] = {"a", "b", "c", "d"};

	(void)state;
	for (size_t i = 0; i < COUNT(tables); i++)
		for (size_t k = 0; k < COUNT(columns); k++) {
			sqlite3 *before, *after;
			struct buf b = {0};
			char was[64], is[64];
			assert_int_equal(schema_retype(&b, tables[i], columns[k], "REAL"), 0);
			sqlite3_open(":memory:", &before);
			sqlite3_open(":memory:", &after);
			int rc = sqlite3_exec(before, tables[i], NULL, NULL, NULL);
			assert_int_equal(sqlite3_exec(after, (char *)b.data, NULL, NULL, NULL), rc);
			for (size_t c = 0; c < COUNT(columns) && rc == SQLITE_OK; c++) {
				column_type(before, columns[c], was, sizeof(was));
				column_type(after, columns[c], is, sizeof(is));
				assert_string_equal(is, c == k ? "REAL" : was);
			}
			sqlite3_close(before);
			sqlite3_close(after);
			buf_done(&b);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types),
		cmocka_unit_test(names),
		cmocka_unit_test(comments),
		cmocka_unit_test(sqlite_agrees),
	};

	return cmocka_run_group_tests_name("schema_edit", tests, NULL, NULL);
}
