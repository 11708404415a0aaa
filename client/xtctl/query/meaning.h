/*
 * What a column holds, as far as its name tells: the parts of the name between `_`, or between a small and a
 * capital letter, are held against lists of words.
 */
#ifndef XTCTL_MEANING_H
#define XTCTL_MEANING_H

#include <stdbool.h>

enum meaning {
	MEANS_SHARE = 1 << 0,	  /* a probability or the like: from 0 to 1 */
	MEANS_AMOUNT = 1 << 1,	  /* a time, cost, count or size: not negative */
	MEANS_ANSWER = 1 << 2,	  /* text that a model gave: not empty */
	MEANS_RESULT = 1 << 3,	  /* what it was run for, and must be there: prediction, ground_truth … */
	MEANS_PARAMETER = 1 << 4, /* params_… */
	MEANS_NUMBER = 1 << 5,	  /* any measurement: not text */
	MEANS_FAILURE = 1 << 6,	  /* error, error_type: NULL where all went well */
	MEANS_SYSTEM = 1 << 7, /* written by who logs, not by the experiment: track_id, function_name … */
};

/* Bits of enum meaning. */
unsigned meaning_of(const char *column);

/* What people call the column of the commit of the code, and of the data, that a row came from; each ends
 * with NULL. */
extern const char *const meaning_code_columns[], *const meaning_data_columns[];

/* The words of a list, for the help. */
#define MEANING_SHARES "prob, probability, confidence, accuracy, acc, f1, precision, recall, auc, auroc, iou"
#define MEANING_AMOUNTS                                                                                     \
	"time, latency, duration, elapsed, seconds, ms, us, ns, cost, price, count, length, size, tokens, " \
	"bytes"
#define MEANING_ANSWERS "response, completion, output, answer, reply"

#endif
