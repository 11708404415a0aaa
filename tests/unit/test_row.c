/* Rows bound to tables, on a real database file: shapes, new columns, widening, refusals, rollback. */
#include "unit.h"

#include <unistd.h>

#include "row.h"

static struct {
	char dir[64], path[128];
	struct store store;
	struct span keys[XT_MAX_COLUMNS + 1];
	struct buf events;
} fix;

static int64_t clock_us(void)
{
	return INT64_C(1700000000123456);
}

static int set_up(void **state)
{
	struct xt_err err;

	(void)state;
	snprintf(fix.dir, sizeof(fix.dir), "/tmp/xt-row-XXXXXX");
	assert_non_null(mkdtemp(fix.dir));
	snprintf(fix.path, sizeof(fix.path), "%s/t.db", fix.dir);
	struct store_options o = {.path = fix.path, .durability = DURABILITY_OFF, .now_us = clock_us};
	assert_int_equal(store_open(&fix.store, &o, &err), 0);
	assert_int_equal(store_begin(&fix.store, &err), 0);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char path[160];

	(void)state;
	store_rollback(&fix.store);
	store_done(&fix.store);
	buf_done(&fix.events);
	for (size_t i = 0; i < COUNT(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", fix.path, suffixes[i]);
		unlink(path);
	}
	return rmdir(fix.dir);
}

/* Stores the rows that lie end to end in `bytes`; each of them must come to `want`. */
static void store_rows(struct span bytes, size_t n, enum xt_code want)
{
	struct row_source src = {.store = &fix.store,
				 .table_name = span_str("t"),
				 .track_id = span_str("run"),
				 .time_us = clock_us(),
				 .warnings = {&fix.events},
				 .keys = fix.keys};
	struct reader r = reader_of(bytes);
	struct xt_err err = {0};

	assert_int_equal(row_source_open(&src, &err), 0);
	for (size_t i = 0; i < n; i++) {
		err = (struct xt_err){0};
		int got = row_store(&src, &r, &err);
		assert_int_equal(err.code, want);
		assert_int_equal(got, want == XT_E_ok ? 0 : -1);
	}
	assert_ptr_equal(r.at, bytes.data + bytes.len);
}

/* The first column of the first row of a statement, as text. */
static void value_is(const char *sql, const char *want)
{
	sqlite3_stmt *st;

	assert_int_equal(sqlite3_prepare_v2(fix.store.db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	const char *got = (const char *)sqlite3_column_text(st, 0);
	assert_string_equal(got ? got : "NULL", want);
	sqlite3_finalize(st);
}

static void one_row(void **state)
{
	(void)state;
	store_rows(BYTES("\x83\xa1"
			 "a\x01\xa1"
			 "b\xa1x\xa1"
			 "c\xc3"),
		   1, XT_E_ok);
	value_is("SELECT track_id || '|' || timestamp || '|' || a || b || c FROM t",
		 "run|2023-11-14 22:13:20.123456|1x1");
	value_is("SELECT group_concat(type) FROM pragma_table_info('t')", "TEXT,TEXT,INTEGER,TEXT,BOOLEAN");
}

static void same_shape_is_prepared_once(void **state)
{
	struct xt_err err;

	(void)state;
	store_rows(BYTES("\x81\xa1"
			 "a\x01\x81\xa1"
			 "a\x02\x82\xa1"
			 "a\x03\xa1"
			 "b\x01\x81\xa1"
			 "a\x04"),
		   4, XT_E_ok);
	struct table *t = table_find(&fix.store, span_str("t"), &err);
	assert_int_equal(t->n_shapes, 2);
	value_is("SELECT group_concat(a) FROM t", "1,2,3,4");
}

static void null_first_is_declared_later(void **state)
{
	(void)state;
	store_rows(BYTES("\x81\xa1"
			 "a\xc0"),
		   1, XT_E_ok);
	value_is("SELECT type FROM pragma_table_info('t') WHERE name = 'a'", "");
	store_rows(BYTES("\x81\xa1"
			 "a\xcb\x3f\xe0\0\0\0\0\0\0"),
		   1, XT_E_ok);
	value_is("SELECT type FROM pragma_table_info('t') WHERE name = 'a'", "REAL");
	assert_int_equal(fix.events.len, 0);
}

static void widening(void **state)
{
	(void)state;
	store_rows(BYTES("\x81\xa1"
			 "a\x05"),
		   1, XT_E_ok);
	store_rows(BYTES("\x81\xa1"
			 "a\xcb\x3f\xe0\0\0\0\0\0\0"),
		   1, XT_E_ok);
	value_is("SELECT type FROM pragma_table_info('t') WHERE name = 'a'", "REAL");
	assert_int_equal(fix.events.len, 0);
	store_rows(BYTES("\x81\xa1"
			 "a\xa3"
			 "007"),
		   1, XT_E_ok);
	value_is("SELECT type FROM pragma_table_info('t') WHERE name = 'a'", "");
	value_is("SELECT a FROM t WHERE typeof(a) = 'text'", "007");
	assert_true(fix.events.len > 0);
	value_is("PRAGMA integrity_check", "ok");
}

static void refused_rows_leave_nothing(void **state)
{
	(void)state;
	store_rows(BYTES("\x82\xa1"
			 "a\x01\xa1"
			 "b\xcf\x80\0\0\0\0\0\0\0"),
		   1, XT_E_out_of_range);
	store_rows(BYTES("\x82\xa1"
			 "a\x01\xa1"
			 "a\x02"),
		   1, XT_E_duplicate_key);
	store_rows(BYTES("\x82\xa1"
			 "a\x01\xa1"
			 "b\xd4\x05x"),
		   1, XT_E_bad_type);
	store_rows(BYTES("\x81\xa0\x01"), 1, XT_E_bad_name);
	store_rows(BYTES("\x81\x05\x01"), 1, XT_E_bad_type);
	store_rows(BYTES("\x05"), 1, XT_E_bad_type);
	value_is("SELECT count(*) FROM sqlite_schema WHERE name = 't'", "0");
	value_is("SELECT count(*) FROM xt_columns", "0");
}

static void names_of_their_own(void **state)
{
	(void)state;
	store_rows(BYTES("\x83\xa3"
			 "a/b\x01\xa3"
			 "a_b\x02\xa3"
			 "A_B\x03"),
		   1, XT_E_ok);
	value_is("SELECT group_concat(key || '=' || name) FROM (SELECT * FROM xt_columns ORDER BY name)",
		 "a/b=a_b,a_b=a_b_2,A_B=A_B_3");
	value_is("SELECT a_b || a_b_2 || A_B_3 FROM t", "123");
}

/* What was made in memory goes with the transaction. */
static void rollback_forgets_columns(void **state)
{
	struct xt_err err;

	(void)state;
	store_rows(BYTES("\x81\xa1"
			 "a\x01"),
		   1, XT_E_ok);
	assert_int_equal(store_commit(&fix.store, &err), 0);
	assert_int_equal(store_begin(&fix.store, &err), 0);
	store_rows(BYTES("\x81\xa1"
			 "b\x01"),
		   1, XT_E_ok);
	store_rows(BYTES("\x81\xa1"
			 "a\xa1x"),
		   1, XT_E_ok);
	store_rollback(&fix.store);
	assert_int_equal(store_begin(&fix.store, &err), 0);
	value_is("SELECT group_concat(name || type) FROM pragma_table_info('t')",
		 "track_idTEXT,timestampTEXT,aINTEGER");
	store_rows(BYTES("\x82\xa1"
			 "b\xa1y\xa1"
			 "a\x02"),
		   1, XT_E_ok);
	value_is("SELECT group_concat(name || type) FROM pragma_table_info('t')",
		 "track_idTEXT,timestampTEXT,aINTEGER,bTEXT");
}

static void kinds(void **state)
{
	struct token integer = {.type = TOKEN_INT, .integer = 5},
		     large = {.type = TOKEN_INT, .integer = REAL_EXACT + 1};
	struct token real = {.type = TOKEN_REAL, .real = 0.5}, nil = {.type = TOKEN_NIL},
		     yes = {.type = TOKEN_BOOL};
	struct token digits = {.type = TOKEN_STR, .bytes = BYTES(" 5")},
		     word = {.type = TOKEN_STR, .bytes = BYTES("x")};

	(void)state;
	for (int k = KIND_UNDECIDED; k <= KIND_NUMERIC; k++)
		assert_int_equal(kind_for((enum kind)k, &nil), k);
	assert_int_equal(kind_for(KIND_INTEGER, &real), KIND_REAL);
	assert_int_equal(kind_for(KIND_REAL, &integer), KIND_REAL);
	assert_int_equal(kind_for(KIND_REAL, &large), KIND_ANY);
	assert_int_equal(kind_for(KIND_INTEGER, &yes), KIND_ANY);
	assert_int_equal(kind_for(KIND_TEXT, &integer), KIND_ANY);
	assert_int_equal(kind_for(KIND_NUMERIC, &digits), KIND_ANY);
	assert_int_equal(kind_for(KIND_NUMERIC, &word), KIND_NUMERIC);
	assert_int_equal(kind_for(KIND_UNDECIDED, &word), KIND_TEXT);
}

static void stamps(void **state)
{
	char text[STAMP_SIZE];

	(void)state;
	assert_int_equal(stamp_write(0, false, text), 0);
	assert_string_equal(text, "1970-01-01 00:00:00.000000");
	assert_int_equal(stamp_write(-1, false, text), 0);
	assert_string_equal(text, "1969-12-31 23:59:59.999999");
	assert_int_equal(stamp_write(INT64_C(253402300799999999), false, text), 0);
	assert_string_equal(text, "9999-12-31 23:59:59.999999");
	assert_int_equal(stamp_write(INT64_C(253402300800000000), false, text), -1);
	assert_int_equal(stamp_write(INT64_MAX, false, text), -1);
	assert_int_equal(stamp_write(INT64_MIN, false, text), -1);
}

#define ON_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_FILE(one_row),
		ON_FILE(same_shape_is_prepared_once),
		ON_FILE(null_first_is_declared_later),
		ON_FILE(widening),
		ON_FILE(refused_rows_leave_nothing),
		ON_FILE(names_of_their_own),
		ON_FILE(rollback_forgets_columns),
		cmocka_unit_test(kinds),
		cmocka_unit_test(stamps),
	};

	return cmocka_run_group_tests_name("row", tests, NULL, NULL);
}
