/* Sentences in lines: where they are broken, and where never. */
#include <stdlib.h>

#include "unit.h"

#include "prose.h"

static void comes_out(const char *text, struct prose where, const char *expected)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	assert_non_null(f);
	prose_put(f, text, &where);
	fclose(f);
	assert_string_equal(out, expected);
	free(out);
}

static void between_words(void **state)
{
	(void)state;
	comes_out("one two three", (struct prose){.columns = 0}, "one two three");
	comes_out("one two three", (struct prose){.columns = 13}, "one two three");
	comes_out("one two three", (struct prose){.columns = 12}, "one two\nthree");
	comes_out("one two three", (struct prose){.begin = 6, .indent = 2, .columns = 9},
		  "one\n  two\n  three");
	comes_out("endlessly long", (struct prose){.columns = 5}, "endlessly\nlong");
	comes_out("", (struct prose){.begin = 3, .indent = 3, .columns = 5}, "");
	comes_out("äöü äöü", (struct prose){.columns = 7}, "äöü äöü");
}

static void a_label_may_stand_alone(void **state)
{
	(void)state;
	comes_out("longer", (struct prose){.begin = 6, .indent = 2, .columns = 9}, "\n  longer");
	comes_out("longer", (struct prose){.begin = 6, .indent = 6, .columns = 9}, "longer");
}

static void quotes_and_brackets_stay_whole(void **state)
{
	(void)state;
	comes_out("say 'a b c' or so", (struct prose){.columns = 10}, "say\n'a b c' or\nso");
	comes_out("it's a table's name", (struct prose){.columns = 8}, "it's a\ntable's\nname");
	comes_out("x [-n N] [-m M]", (struct prose){.columns = 9}, "x [-n N]\n[-m M]");
	comes_out("[a b c d e f]", (struct prose){.columns = 8}, "[a b c d\ne f]");
}

static void lines_have_ends_and_beginnings(void **state)
{
	(void)state;
	comes_out("a bb cc", (struct prose){.begin = 0, .indent = 2, .columns = 6, .end = " \\"},
		  "a bb \\\n  cc");
	comes_out("aa bb", (struct prose){.begin = 2, .indent = 2, .columns = 5, .lead = "# "}, "aa\n# bb");
}

static void nothing_drives_the_terminal(void **state)
{
	(void)state;
	comes_out("a\033[2J\nb", (struct prose){.columns = 80}, "a\\x1b[2J\\nb");
	comes_out("a\nb", (struct prose){.columns = 0}, "a\\nb");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(between_words),
		cmocka_unit_test(a_label_may_stand_alone),
		cmocka_unit_test(quotes_and_brackets_stay_whole),
		cmocka_unit_test(lines_have_ends_and_beginnings),
		cmocka_unit_test(nothing_drives_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
