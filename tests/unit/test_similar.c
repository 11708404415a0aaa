/* How alike two names are: the measure's published values, what Python's difflib says, and abbreviations. */
#include "unit.h"

#include "similar.h"

static double ratio_of(const char *a, const char *b)
{
	struct similar x, y;

	similar_of(&x, span_str(a));
	similar_of(&y, span_str(b));
	return similar_ratio(&x, &y);
}

static double names(const char *a, const char *b)
{
	struct similar x, y;

	similar_of(&x, span_str(a));
	similar_of(&y, span_str(b));
	return similar_names(&x, &y, NULL);
}

static bool abbreviates(const char *a, const char *b)
{
	struct similar x, y;

	similar_of(&x, span_str(a));
	similar_of(&y, span_str(b));
	assert_int_equal(similar_abbreviates(&x, &y), similar_abbreviates(&y, &x));
	return similar_abbreviates(&x, &y);
}

/* Of the article of 1988 (pennsylvania: 67 %), of Wikipedia's "Gestalt pattern matching", the rest from
 * difflib.SequenceMatcher(None, a, b).ratio() of Python 3.11. */
static const struct {
	const char *a, *b;
	double ratio;
} known[] = {
	{"wikimedia", "wikimania", 0.7777777777777778},
	{"pennsylvania", "pencilvaneya", 0.6666666666666666},
	{"params_learning_rate", "params_lr", 0.6206896551724138},
	{"learning_rate", "lr", 0.26666666666666666},
	{"train_loss", "train_acc", 0.631578947368421},
	{"val_loss", "train_loss", 0.6666666666666666},
	{"accuracy", "acc", 0.5454545454545454},
	{"loss", "losses", 0.8},
	{"abcd", "bcde", 0.75},
	{"a", "b", 0.0},
	{"epoch", "epochs", 0.9090909090909091},
	{"tide", "diet", 0.25},
	{"private thread", "private threat", 0.9285714285714286},
	{"abxcdxabxcd", "abcdabcd", 0.8421052631578947},
	{"größe", "grösse", 0.7272727272727273},
	{"温度", "温度計", 0.8},
	{"model", "mode", 0.8888888888888888},
	{"qabxcd", "abycdf", 0.6666666666666666},
	{"error", "error_type", 0.6666666666666666},
	{"", "", 1.0},
	{"", "a", 0.0},
	{"aaaaaaaaaa", "aaaa", 0.5714285714285714},
	{"abababab", "babababa", 0.875},
	{"batch_size", "batchsize", 0.9473684210526315},
	{"gestalt pattern matching", "gestalt practice", 0.6},
	{"gestalt practice", "gestalt pattern matching", 0.65},
};

static void ratios(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(known); i++)
		if (ratio_of(known[i].a, known[i].b) != known[i].ratio)
			fail_msg("%s, %s: %.17g, not %.17g", known[i].a, known[i].b,
				 ratio_of(known[i].a, known[i].b), known[i].ratio);
}

static void case_does_not_count(void **state)
{
	(void)state;
	assert_true(ratio_of("Learning_Rate", "learning_rate") == 1);
	assert_true(ratio_of("É", "é") == 0); /* as SQLite: only ASCII */
}

static void long_names_are_cut(void **state)
{
	char a[200], b[200];

	(void)state;
	memset(a, 'x', sizeof(a));
	memset(b, 'x', sizeof(b));
	a[199] = b[199] = '\0';
	b[64] = 'y';
	assert_true(ratio_of(a, b) == 1);
	b[63] = 'y';
	assert_true(ratio_of(a, b) == 126.0 / 128);
	for (size_t i = 0; i < 199; i++)
		a[i] = i % 2 ? '_' : 'a';
	assert_false(abbreviates(a, b));
	assert_true(abbreviates("aa", "a_a"));
}

static void bytes_that_are_no_text(void **state)
{
	(void)state;
	assert_true(ratio_of("\xff\xf0\x80", "\xff\xf0\x80") == 1);
	assert_true(ratio_of("a\xc3", "a") > 0.5);
	assert_false(abbreviates("\xff", "\xff_\xff"));
}

static void abbreviations(void **state)
{
	static const char *const yes[][2] = {
		{"lr", "learning_rate"},
		{"params_lr", "params_learning_rate"},
		{"val_acc", "validation_accuracy"},
		{"n_epochs", "num_epochs"},
		{"bs", "batch_size"},
		{"cfg", "config"},
		{"acc", "accuracy"},
		{"nepochs", "num_epochs"},
		{"optim_wd", "optimizer_weight_decay"},
		{"learnrate", "learning_rate"},
	};
	static const char *const no[][2] = {
		{"train_loss", "train_acc"},
		{"x", "x_train"},
		{"rl", "learning_rate"},
		{"lr", "learning"},
		{"loss", "l_oss_x"},
		{"lr", "lr"},
		{"", "a"},
		{"_", "a_b"},
		{"a_b_c", "abcd"},
		{"rate", "learning_rate"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(yes); i++)
		if (!abbreviates(yes[i][0], yes[i][1]) || names(yes[i][0], yes[i][1]) < SIMILAR_ABBREVIATION)
			fail_msg("%s should abbreviate %s", yes[i][0], yes[i][1]);
	for (size_t i = 0; i < COUNT(no); i++)
		if (abbreviates(no[i][0], no[i][1]))
			fail_msg("%s should not abbreviate %s", no[i][0], no[i][1]);
}

static void a_glance_misses_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(known); i++) {
		if (known[i].ratio >= SIMILAR_ENOUGH)
			assert_true(names(known[i].a, known[i].b) >= known[i].ratio);
		else if (!abbreviates(known[i].a, known[i].b) &&
			 ratio_of(known[i].b, known[i].a) < SIMILAR_ENOUGH)
			assert_true(names(known[i].a, known[i].b) == 0);
	}
	assert_true(names("GESTALT PATTERN MATCHING", "GESTALT PRACTICE") >= 0.6);
}

static void a_budget_ends(void **state)
{
	struct similar x, y;
	unsigned budget = 2;

	(void)state;
	similar_of(&x, span_str("epoch"));
	similar_of(&y, span_str("epochs"));
	assert_true(similar_names(&x, &y, &budget) > 0.9);
	similar_of(&y, span_str("zzzzzz"));
	assert_true(similar_names(&x, &y, &budget) == 0); /* a glance is free */
	assert_int_equal(budget, 1);
	similar_of(&y, span_str("epochs"));
	assert_true(similar_names(&x, &y, &budget) > 0.9);
	assert_true(similar_names(&x, &y, &budget) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ratios),
		cmocka_unit_test(case_does_not_count),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(bytes_that_are_no_text),
		cmocka_unit_test(abbreviations),
		cmocka_unit_test(a_glance_misses_nothing),
		cmocka_unit_test(a_budget_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
