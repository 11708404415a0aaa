/* Names: keys made into columns, tables, quoting, names of runs. */
#include "unit.h"

#include <ctype.h>

#include "ident.h"

static void column_is(struct span key, const char *want)
{
	char got[IDENT_SIZE];
	struct xt_err err = {0};

	assert_int_equal(ident_column(key, got, &err), 0);
	assert_string_equal(got, want);
}

static void columns(void **state)
{
	static const char *const cases[][2] = {
		{"loss", "loss"},
		{"Loss_2", "Loss_2"},
		{"order", "order"}, /* words of SQL stay: they are quoted */
		{"group", "group"},
		{"default", "default"},
		{"1abc", "_1abc"},
		{"007", "_007"},
		{"_1", "_1"},
		{"a\"b", "a_b"},
		{"a'b", "a_b"},
		{"a`b", "a_b"},
		{"[x]", "_x_"},
		{"loss/train", "loss_train"},
		{"a b", "a_b"},
		{"a.b-c", "a_b_c"},
		{"x; DROP TABLE y; --", "x__DROP_TABLE_y____"},
		{"%s%n", "_s_n"},
		{"?", "_"},
		{" ", "_"},
		{"größe", "größe"},
		{"損失", "損失"},
		{"потеря", "потеря"},
		{"कि", "कि"}, /* a letter with its mark */
		{"😀", "_"},
		{"a€b", "a_b"},
		{"٣x", "٣x"},
		{"rowid", "rowid_"},
		{"RowID", "RowID_"},
		{"oid", "oid_"},
		{"_rowid_", "_rowid__"},
		{"rowid_", "rowid_"},
		{"rowids", "rowids"},
		{"track_id", "track_id"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		column_is(span_str(cases[i][0]), cases[i][1]);
	column_is(BYTES("a\0b"), "a_b");
	column_is(BYTES("\n\t\x7f"), "___");
}

static void long_keys_are_cut_at_characters(void **state)
{
	char key[XT_MAX_KEY + 1], want[IDENT_SIZE];
	struct xt_err err = {0};
	char got[IDENT_SIZE];

	(void)state;
	memset(key, 'k', sizeof(key));
	memset(want, 'k', XT_MAX_NAME);
	want[XT_MAX_NAME] = '\0';
	column_is(span_of(key, XT_MAX_NAME), want);
	column_is(span_of(key, XT_MAX_NAME + 1), want);
	column_is(span_of(key, XT_MAX_KEY), want);
	assert_int_equal(ident_column(span_of(key, XT_MAX_KEY + 1), got, &err), -1);
	assert_int_equal(err.code, XT_E_bad_name);
	key[0] = '1'; /* the '_' before it counts */
	want[0] = '_';
	want[1] = '1';
	column_is(span_of(key, 100), want);
	for (size_t i = 0; i + 4 <= sizeof(key); i += 4)
		memcpy(key + i, "𝑥", 4); /* a letter of four bytes: the longest name there is */
	for (size_t i = 0; i < XT_MAX_NAME; i++)
		memcpy(want + 4 * i, "𝑥", 4);
	want[4 * XT_MAX_NAME] = '\0';
	column_is(span_of(key, 4 * 100), want);
}

static void refused_keys(void **state)
{
	static const struct {
		const char *key;
		size_t len;
		enum xt_code code;
	} cases[] = {
		{"", 0, XT_E_bad_name},
		{"\xff", 1, XT_E_bad_utf8},
		{"a\xc3", 2, XT_E_bad_utf8},
		{"\xed\xa0\x80", 3, XT_E_bad_utf8},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char got[IDENT_SIZE];
		struct xt_err err = {0};
		uint8_t *copy = exact_copy(span_of(cases[i].key, cases[i].len));
		assert_int_equal(ident_column(span_of(copy, cases[i].len), got, &err), -1);
		assert_int_equal(err.code, cases[i].code);
		free(copy);
	}
}

static void tables(void **state)
{
	static const char *const good[] = {
		"events", "order", "my table", "a\"b", "größe",	 "x'; DROP TABLE xt_runs; --",
		"1",	  "t-1",   "xt",       "xtra", "sqlite", "sqlit_e"};
	static const char *const bad[] = {"",	  "xt_runs", "XT_foo", "xT_",  "sqlite_x", "SQLite_sequence",
					  "a\nb", "\x01",    "a\x7f",  "\xff", "a\xc3"};
	char long_name[4 * XT_MAX_NAME + 5], got[IDENT_SIZE];
	struct xt_err err;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(ident_table(span_str(good[i]), got, &err), 0);
		assert_string_equal(got, good[i]);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		err = (struct xt_err){0};
		assert_int_equal(ident_table(span_str(bad[i]), got, &err), -1);
		assert_int_equal(err.code, XT_E_bad_name);
		assert_string_equal(err.field, "table");
	}
	assert_int_equal(ident_table(BYTES("a\0b"), got, &err), -1);
	for (size_t i = 0; i <= XT_MAX_NAME; i++)
		memcpy(long_name + 4 * i, "😀", 4);
	assert_int_equal(ident_table(span_of(long_name, 4 * XT_MAX_NAME), got, &err), 0);
	assert_int_equal(strlen(got), 4 * XT_MAX_NAME);
	assert_int_equal(ident_table(span_of(long_name, 4 * XT_MAX_NAME + 4), got, &err), -1);
}

static void suffixes(void **state)
{
	char name[IDENT_SIZE], got[IDENT_SIZE];

	(void)state;
	ident_suffix("loss_train", 2, got);
	assert_string_equal(got, "loss_train_2");
	memset(name, 'n', XT_MAX_NAME);
	name[XT_MAX_NAME] = '\0';
	ident_suffix(name, 2, got);
	assert_int_equal(strlen(got), XT_MAX_NAME);
	assert_string_equal(got + XT_MAX_NAME - 3, "n_2");
	ident_suffix(name, UINT32_MAX, got);
	assert_int_equal(strlen(got), XT_MAX_NAME);
	assert_string_equal(got + XT_MAX_NAME - 12, "n_4294967295");
	for (size_t i = 0; i < XT_MAX_NAME; i++)
		memcpy(name + 4 * i, "𝑥", 4);
	name[4 * XT_MAX_NAME] = '\0';
	ident_suffix(name, 10, got);
	assert_int_equal(strlen(got), 4 * (XT_MAX_NAME - 3) + 3);
	assert_string_equal(got + 4 * (XT_MAX_NAME - 3), "_10");
}

static void quoting(void **state)
{
	static const char *const cases[][2] = {
		{"order", "\"order\""}, {"a\"b", "\"a\"\"b\""}, {"\"", "\"\"\"\""},
		{"", "\"\""},		{"größe", "\"größe\""},
	};
	struct buf b = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_clear(&b);
		ident_quote(&b, cases[i][0]);
		assert_true(span_is(buf_span(&b), cases[i][1]));
	}
	buf_done(&b);
}

static void run_names(void **state)
{
	char first[64], name[64];
	int same = 0;

	(void)state;
	ident_run_name(first);
	for (int i = 0; i < 1000; i++) {
		const char *p = name;
		ident_run_name(name);
		same += strcmp(name, first) == 0;
		for (int part = 0; part < 2; part++) {
			const char *word = p;
			while (islower((unsigned char)*p))
				p++;
			assert_true(p > word);
			assert_int_equal(*p++, '-');
		}
		for (int digit = 0; digit < 4; digit++)
			assert_true(isdigit((unsigned char)*p++));
		assert_int_equal(*p, '\0');
	}
	assert_true(same < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns),	cmocka_unit_test(long_keys_are_cut_at_characters),
		cmocka_unit_test(refused_keys), cmocka_unit_test(tables),
		cmocka_unit_test(suffixes),	cmocka_unit_test(quoting),
		cmocka_unit_test(run_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
