/* Words as a shell takes them. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shell.h"

static void becomes(const char *word, const char *want)
{
	char quoted[100];

	assert_int_equal(shell_word(quoted, sizeof(quoted), word), 0);
	assert_string_equal(quoted, want);
}

static void test_words(void **state)
{
	(void)state;
	becomes("benchmark.db", "benchmark.db");
	becomes("/tmp/a-b_c/../d.db", "/tmp/a-b_c/../d.db");
	becomes("", "\"\"");
	becomes("my own.db", "\"my own.db\"");
	becomes("it's", "\"it's\"");
	becomes("$HOME/`x`\\\"", "\"\\$HOME/\\`x\\`\\\\\\\"\"");
	becomes("größe", "\"größe\"");
}

/* The shell itself reads it back. */
static void test_a_shell_agrees(void **state)
{
	const char *word = "a b'c\"d$HOME`date`\\e;f|g*h~";
	char quoted[200], line[300], answer[100] = "";

	(void)state;
	assert_int_equal(shell_word(quoted, sizeof(quoted), word), 0);
	snprintf(line, sizeof(line), "printf %%s %s", quoted);
	FILE *f = popen(line, "r"); /* NOLINT(cert-env33-c): it is the shell that is asked */
	assert_non_null(f);
	size_t n = fread(answer, 1, sizeof(answer) - 1, f);
	assert_int_equal(pclose(f), 0);
	answer[n] = '\0';
	assert_string_equal(answer, word);
}

static void test_room(void **state)
{
	char quoted[SHELL_BYTES(3)];

	(void)state;
	assert_int_equal(shell_word(quoted, sizeof(quoted), "$$$"), 0);
	assert_int_equal(strlen(quoted), sizeof(quoted) - 1);
	assert_int_equal(shell_word(quoted, sizeof(quoted) - 1, "$$$"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_a_shell_agrees),
		cmocka_unit_test(test_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
