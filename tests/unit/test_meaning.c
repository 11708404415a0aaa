#include "meaning.h"
#include "unit.h"

static const struct {
	const char *column;
	unsigned meaning;
} known[] = {
	{"prob", MEANS_SHARE | MEANS_NUMBER},
	{"class_probability", MEANS_SHARE | MEANS_NUMBER},
	{"classProb", MEANS_SHARE | MEANS_NUMBER},
	{"F1_macro", MEANS_SHARE | MEANS_NUMBER},
	{"top_1_accuracy", MEANS_SHARE | MEANS_NUMBER},
	{"log_prob", 0},
	{"problem", 0},
	{"accuracy_percent", 0},
	{"precision_delta", 0},
	{"latency", MEANS_AMOUNT | MEANS_NUMBER},
	{"function_time", MEANS_AMOUNT | MEANS_NUMBER},
	{"avg_latency_ms", MEANS_AMOUNT | MEANS_NUMBER},
	{"inputLength", MEANS_AMOUNT | MEANS_NUMBER},
	{"cost_usd", MEANS_AMOUNT | MEANS_NUMBER},
	{"time_offset", 0},
	{"timestamp", MEANS_SYSTEM},
	{"sometimes", 0},
	{"discount", 0},
	{"loss", MEANS_NUMBER},
	{"learning_rate", MEANS_NUMBER},
	{"params_lr", MEANS_PARAMETER},
	{"params_max_tokens", MEANS_PARAMETER | MEANS_AMOUNT | MEANS_NUMBER},
	{"raw_response", MEANS_RESULT | MEANS_ANSWER},
	{"response_time", MEANS_AMOUNT | MEANS_NUMBER},
	{"output_path", 0},
	{"prediction", MEANS_RESULT},
	{"Input_ID", MEANS_RESULT},
	{"text_id", 0},
	{"error", MEANS_FAILURE},
	{"cache", MEANS_SYSTEM},
	{"größe", 0},
	{"", 0},
	{"___", 0},
};

static void names_mean_what_they_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(known); i++)
		if (meaning_of(known[i].column) != known[i].meaning)
			fail_msg("'%s' means %#x, not %#x", known[i].column, meaning_of(known[i].column),
				 known[i].meaning);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(names_mean_what_they_say)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
