#include "compare.h"

#include <math.h>
#include <stdlib.h>

/* ---- what was asked for ------------------------------------------------ */

/* What must be there, and what goes together. */
static int check_options(const struct ctl *ctl, const struct compare_options *o)
{
	struct amount detect;

	if (!o->metric)
		return ctl_usage(ctl, "--metric is missing: the columns that are compared, such as "
				      "--metric accuracy,latency");
	if (!o->by)
		return ctl_usage(ctl, "--by is missing: the column that names what is compared, such as "
				      "--by params_model");
	if (o->pair_by && o->unpaired)
		return ctl_usage(ctl, "--pair-by and --unpaired exclude each other");
	if (o->detect && (amount_read(o->detect, &detect) < 0 || !(detect.size > 0)))
		return ctl_usage(ctl, "--detect '%s' is no difference; one is 5%% or 0.1", o->detect);
	return CTL_OK;
}

/* ---- the command ------------------------------------------------------ */

static int compare(struct ctl *ctl, const struct relation *r, const struct values *v)
{
	struct rule *rules = NULL;
	struct cells cells = {0};

	int status = rules_read(ctl, v, &rules);
	if (status == CTL_OK)
		status = cells_compute(&cells, ctl, v);
	if (status == CTL_OK)
		status = compare_print(ctl, r, &cells, rules);
	cells_done(&cells);
	free(rules);
	return status;
}

static int run(struct ctl *ctl, xt_client *client)
{
	struct values values = {0};
	struct relation r = {0};

	int status = relation_open(ctl, client, &r);
	if (status == CTL_OK)
		status = values_read(&values, ctl, client, &r);
	if (status == CTL_OK)
		status = compare(ctl, &r, &values);
	values_done(&values);
	relation_done(&r);
	return status;
}

static int cmd_compare(struct ctl *ctl)
{
	int status = check_options(ctl, ctl->own);

	return status == CTL_OK ? ctl_with_client(ctl, run) : status;
}

#define AT(field) offsetof(struct compare_options, field)

static const struct option_def own[] = {
	{"metric", "COLUMN,...", OPTION_TEXT, AT(metric), "what is compared; 0 and 1 count as no and yes", 0,
	 0},
	{"by", "COLUMN", OPTION_TEXT, AT(by), "what names the groups that are compared", 0, 0},
	{"baseline", "VALUE", OPTION_TEXT, AT(baseline),
	 "the group that the others are held against (the first one logged)", 0, 0},
	{"pair-by", "COLUMN", OPTION_TEXT, AT(pair_by),
	 "what the same input has in every group (input_id, where most inputs have it in common)", 0, 0},
	{"unpaired", NULL, OPTION_FLAG, AT(unpaired), "take the groups as samples of different inputs", 0, 0},
	{"cached", NULL, OPTION_FLAG, AT(cached), "also rows that came from the cache", 0, 0},
	{"confidence", "P", OPTION_REAL, AT(confidence),
	 "of intervals, and 1 less the p that counts as sure (0.95)", 0.5, 0.9999},
	{"resamples", "N", OPTION_INT, AT(resamples), "of the bootstrap (10000)", 100, 1000000},
	{"seed", "N", OPTION_INT, AT(seed), "of its random numbers (1)", 0, 9007199254740992.0},
	{"detect", "AMOUNT", OPTION_TEXT, AT(detect),
	 "say where there are too few values to see a difference of 5% or 0.1", 0, 0},
	{"fail-on", "RULE", OPTION_LIST, AT(fail_on),
	 "exit with 1 when a difference passes a limit: 'latency>+5%', 'accuracy<-1pt', 'cost>0.1'", 0, 0},
	{"fail-when", "measured|sure|proven", OPTION_CHOICE, AT(fail_when),
	 "what a rule needs: the difference as measured, a sure one (usual), its whole interval", 0, 0},
	{"despite-failures", NULL, OPTION_FLAG, AT(despite_failures),
	 "let --fail-on pass by the rows that have the metric, where one group lacks more", 0, 0},
	{NULL, NULL, OPTION_FLAG, 0, NULL, 0, 0},
};

static const struct compare_options preset = {
	.fail_when = "sure", .confidence = 0.95, .resamples = 10000, .seed = 1};

const struct command compare_command = {
	.name = "compare",
	.usage = "--metric COLUMN,... --by COLUMN",
	.summary = "whether one model, prompt or setting is better than another, and how sure that is",
	.help = "Groups the rows by --by and holds each group against the baseline. Where the groups "
		"measured the same inputs, each input is held against itself, which shows much smaller "
		"differences. Printed are the means, their difference with its interval, its size beside the "
		"spread, and p, also adjusted for how many comparisons there are; then what that comes to in "
		"words, or how large a difference would have shown.\n"
		"Rows without a number are left out and counted, as are those that came from the cache. "
		"Where one "
		"group lacks the metric in clearly more of its rows, as when it failed on hard inputs, the "
		"verdict "
		"says so and --fail-on does not pass, unless --despite-failures says so. A "
		"difference is sure when the adjusted p and the interval agree, and repeated runs of one "
		"configuration (the same parameters), in the two groups compared, do not differ as much. A "
		"limit that is passed as measured, but by no sure difference, is told on standard error.\n"
		"The verdicts come last. Hashes of commits are shown as their first digits, which --baseline "
		"takes, too; --json and csv have them whole.\n"
		"docs/statistics.md explains every number and where it comes from. The same --seed gives the "
		"same numbers. Memory: 12 bytes a value and metric, up to 100 for each value of the "
		"comparison at hand.",
	.examples =
		(const struct example[]){
			{"the compression ratio of each codec beside the first one's, file by file",
			 "compare demo.db --table predictions --metric ratio --by codec"},
			{"two metrics, with limits for CI", "compare demo.db --metric ratio,ok --by codec "
							    "--fail-on 'ratio<-40%' --fail-on 'ok<0'"},
			{"every number, for a program", "compare demo.db --metric compress_mb_s --by "
							"kind --where codec=lz4 --json"},
			{NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE | OPT_TRACK_ID | OPT_FILTER | OPT_TIMEOUT,
	.own = own,
	.own_size = sizeof(struct compare_options),
	.own_preset = &preset,
	.run = cmd_compare,
};
