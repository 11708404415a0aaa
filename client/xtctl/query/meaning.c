#include "meaning.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* "commit" is said to anything, so it comes last. */
const char *const meaning_code_columns[] = {"code_commit", "git_commit",  "git_commit_hash", "git_hash",
					    "git_sha",	   "commit_hash", "commit",	     NULL};

const char *const meaning_data_columns[] = {"data_commit", "data_version", NULL};

#define MOST_PART 32 /* bytes of a part that may be a word of ours */

/* Lists of words as they stand in the help. Those of `not` take the meaning away: the log of a probability is
 * negative, and so may a difference of times be. */
static const struct {
	unsigned meaning;
	const char *words;
	const char *not_with;
} lists[] = {
	{MEANS_SHARE | MEANS_NUMBER, MEANING_SHARES ", probs, probabilities, confidences",
	 "log, logprob, nll, percent, pct, perc, delta, diff, change, gain, error, id, text"},
	{MEANS_AMOUNT | MEANS_NUMBER,
	 MEANING_AMOUNTS ", times, sec, secs, minutes, hours, costs, counts, len, lengths, sizes, token",
	 "log, delta, diff, change, offset, relative, gain, zone, stamp, id, text, name, unit, units, type"},
	{MEANS_NUMBER, "loss, score, rate, mean, median, bleu, rouge, perplexity, mse, rmse, mae, r2",
	 "id, text, name, type"},
	{MEANS_ANSWER, MEANING_ANSWERS ", responses, completions, outputs",
	 MEANING_AMOUNTS ", id, type, format, dir, path, file, tokens, code, status"},
	{MEANS_ANSWER, "text", "id, type, format, path, file, encoding"},
};

/* Whole names. */
static const struct {
	const char *name;
	unsigned meaning;
} names[] = {
	{"prediction", MEANS_RESULT},	 {"ground_truth", MEANS_RESULT}, {"raw_response", MEANS_RESULT},
	{"input_id", MEANS_RESULT},	 {"error", MEANS_FAILURE},	 {"error_type", MEANS_FAILURE},
	{"lease_lost", MEANS_FAILURE},	 {"track_id", MEANS_SYSTEM},	 {"timestamp", MEANS_SYSTEM},
	{"function_name", MEANS_SYSTEM}, {"args", MEANS_SYSTEM},	 {"kwargs", MEANS_SYSTEM},
	{"cache", MEANS_SYSTEM},
};

static bool has_word(const char *list, const char *word, size_t len)
{
	while (*list) {
		size_t n = strcspn(list, ",");
		if (n == len && strncasecmp(list, word, n) == 0)
			return true;
		list += n + strspn(list + n, ", ");
	}
	return false;
}

/* The length of the part that begins here: up to `_` or another sign, or where a capital begins a word. */
static size_t part_length(const char *s)
{
	size_t n = 0;

	while (s[n] && isalnum((unsigned char)s[n]) &&
	       !(n > 0 && islower((unsigned char)s[n - 1]) && isupper((unsigned char)s[n])))
		n++;
	return n;
}

static bool any_part(const char *name, const char *list)
{
	while (*name) {
		size_t n = part_length(name);
		if (n > 0 && n < MOST_PART && has_word(list, name, n))
			return true;
		name += n ? n : 1;
	}
	return false;
}

unsigned meaning_of(const char *column)
{
	unsigned found = strncasecmp(column, "params_", 7) == 0 ? MEANS_PARAMETER : 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(column, names[i].name) == 0)
			found |= names[i].meaning;
	if (found & (MEANS_FAILURE | MEANS_SYSTEM))
		return found;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (any_part(column, lists[i].words) && !any_part(column, lists[i].not_with))
			found |= lists[i].meaning;
	return found;
}
