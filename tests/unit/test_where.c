/* --where: conditions as they are typed. */
#include "unit.h"

#include "where.h"

static void parsed(const char *text, const char *key, const char *op, enum xt_type type)
{
	struct condition c;
	char why[200] = "";

	assert_int_equal(condition_parse(&c, text, why, sizeof(why)), 0);
	assert_string_equal(c.key, key);
	assert_string_equal(c.op, op);
	assert_int_equal(c.value.is.type, type);
	condition_done(&c);
}

static void refused(const char *text, const char *says)
{
	struct condition c;
	char why[200] = "";

	assert_int_equal(condition_parse(&c, text, why, sizeof(why)), -1);
	assert_non_null(strstr(why, says));
	condition_done(&c);
}

static void test_operators(void **state)
{
	(void)state;
	parsed("a=1", "a", "IS", XT_T_INT);
	parsed("a!=x", "a", "IS NOT", XT_T_TEXT);
	parsed("a<1.5", "a", "<", XT_T_REAL);
	parsed("a<=-inf", "a", "<=", XT_T_REAL);
	parsed("a>true", "a", ">", XT_T_BOOL);
	parsed("a>=null", "a", ">=", XT_T_NULL);
	parsed("a=", "a", "IS", XT_T_TEXT);
	parsed("größe=<b>", "größe", "IS", XT_T_TEXT);
}

static void test_blanks(void **state)
{
	struct condition c;
	char why[200];

	(void)state;
	parsed("a > 3", "a", ">", XT_T_INT);
	assert_int_equal(condition_parse(&c, "a  =  b c", why, sizeof(why)), 0);
	assert_string_equal(c.value.is.as.text, "b c");
	condition_done(&c);
	assert_int_equal(condition_parse(&c, "a= b", why, sizeof(why)), 0); /* it may be meant */
	assert_string_equal(c.value.is.as.text, " b");
	condition_done(&c);
}

static void test_operators_of_other_languages(void **state)
{
	(void)state;
	refused("latency=>0.05", "did you mean >=, as in 'latency>=0.05'?");
	refused("latency =< 0.05", "did you mean <=, as in 'latency <= 0.05'?");
	refused("a==beta", "did you mean =, as in 'a=beta'?");
	refused("a<>1", "did you mean !=, as in 'a!=1'?");
	refused("a=<", "did you mean <=");
	parsed("a=</b>", "a", "IS", XT_T_TEXT);
	parsed("a:=\">=1\"", "a", "IS", XT_T_TEXT);
	parsed("a=x==y", "a", "IS", XT_T_TEXT);
}

static void test_json(void **state)
{
	(void)state;
	parsed("a:=\"1\"", "a", "IS", XT_T_TEXT);
	parsed("a:=1", "a", "IS", XT_T_INT);
	refused("a:=[1]", "cannot be compared");
	refused("a:=x", "not JSON");
}

static void test_what_is_none(void **state)
{
	(void)state;
	refused("", "is not KEY=VALUE");
	refused("a", "is not KEY=VALUE");
	refused("=1", "is not KEY=VALUE");
	refused(":=1", "is not KEY=VALUE");
	refused(" <1", "is not KEY=VALUE");
	refused("a!1", "is not KEY=VALUE");
	refused("a=99999999999999999999", "64 bits");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_operators_of_other_languages),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_what_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
