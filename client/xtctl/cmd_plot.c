/* The group `plot`: pictures of columns. */
#include "plot.h"

#define AT(field) offsetof(struct plot_options, field)

/* Options of all kinds. */
#define COMMON                                                                                             \
	{"title", "TEXT", OPTION_TEXT, AT(title), .help = "stands above the picture"},                     \
		{"width",                                                                                  \
		 "CHARACTERS",                                                                             \
		 OPTION_INT,                                                                               \
		 AT(width),                                                                                \
		 .help = "of the whole picture (the terminal's, or 80)",                                   \
		 .least = 20,                                                                              \
		 .most = 1000},                                                                            \
		{"ascii", NULL, OPTION_FLAG, AT(ascii), .help = "no other characters than ASCII"},         \
	{                                                                                                  \
		"colour", "NAME", OPTION_TEXT, AT(colour), .help = "of what is drawn first, on a terminal" \
	}
#define BY(means)                                                  \
	{                                                          \
		"by", "COLUMN", OPTION_TEXT, AT(by), .help = means \
	}
#define HEIGHT                                                                                      \
	{                                                                                           \
		"height", "ROWS", OPTION_INT, AT(height), .help = "inside of the axes", .least = 3, \
							  .most = 200                               \
	}
#define LOG_X                                                                    \
	{                                                                        \
		"log-x", NULL, OPTION_FLAG, AT(log_x),                           \
			.help = "logarithmic; values of 0 and less are left out" \
	}
#define LOG_Y                                                                     \
	{                                                                         \
		"log-y", NULL, OPTION_FLAG, AT(log_y), .help = "the same upwards" \
	}
#define PCH                                                                     \
	{                                                                       \
		"pch", "CHARACTER", OPTION_TEXT, AT(pch),                       \
			.help = "that is drawn with, instead of dots or blocks" \
	}

static const struct option_def hist_own[] = {
	BY("a picture for each value of this column; must sort the rows"),
	{"bins", "N", OPTION_INT, AT(bins),
	 .help = "equal parts from the least to the largest value (round ones, by the number of rows)",
	 .least = 1, .most = 1000},
	LOG_X,
	LOG_Y,
	HEIGHT,
	COMMON,
	PCH,
	{"summary", NULL, OPTION_FLAG, AT(summary), .help = "the mean and other figures below"},
	{"xlab", NULL, OPTION_FLAG, AT(xlab), .help = "accepted and ignored: the axis always has its labels"},
	{0},
};

static const struct option_def points_own[] = {
	BY("a colour or mark for each value of this column, 8 at most"),
	LOG_X,
	LOG_Y,
	HEIGHT,
	{"size", "ROWS", OPTION_INT, AT(size), .help = "the same as --height", .least = 3, .most = 200},
	COMMON,
	PCH,
	{0},
};

static const struct option_def box_own[] = {
	BY("a box for each value of this column; must sort the rows"), LOG_X, COMMON, {0}};

static const struct option_def bar_own[] = {
	BY("a bar for each value of this column; must sort the rows"),
	{"stat", "mean|median|sum|min|max|count", OPTION_CHOICE, AT(stat),
	 .help = "what a bar is (mean; without --by count)"},
	COMMON,
	{0},
};

static int run_hist(struct ctl *ctl)
{
	return plot_run(ctl, plot_hist);
}

static int run_scatter(struct ctl *ctl)
{
	return plot_run(ctl, plot_scatter);
}

static int run_line(struct ctl *ctl)
{
	return plot_run(ctl, plot_line);
}

static int run_box(struct ctl *ctl)
{
	return plot_run(ctl, plot_box);
}

static int run_bar(struct ctl *ctl)
{
	return plot_run(ctl, plot_bar);
}

#define TIMES                                                                                                \
	"\nTimes (texts such as 2026-07-31 08:15:00.5) have a clock or a calendar below. They are shown as " \
	"they are written: in UTC, but those of the Python library xetrack in local time."
#define ROWS_OPTIONS (OPT_TABLE | OPT_TRACK_ID | OPT_FILTER)

static const struct command hist_command = {
	.name = "plot hist",
	.usage = "COLUMN",
	.summary = "how often values of each size are there",
	.help = "Counted in the database, in two passes and constant memory. A bin has its lower edge, the "
		"last one both." TIMES,
	.examples = (const struct example[]){{"the ratios of all codecs", "plot hist demo.db ratio"},
					     {"when rows were stored", "plot hist demo.db timestamp"},
					     {"speeds over several decades, for each codec",
					      "plot hist demo.db compress_mb_s --log-x --by codec"},
					     {0}},
	.options = ROWS_OPTIONS,
	.own = hist_own,
	.own_size = sizeof(struct plot_options),
	.least = 1,
	.most = 1,
	.run = run_hist,
};

static const struct command scatter_command = {
	.name = "plot scatter",
	.usage = "COLUMN_X COLUMN_Y",
	.summary = "a dot for each row",
	.help = "Rows stream by; memory stays constant." TIMES,
	.examples = (const struct example[]){{"does what compresses well take long?",
					      "plot scatter demo.db ratio compress_mb_s --log-y --by codec"},
					     {0}},
	.options = ROWS_OPTIONS,
	.own = points_own,
	.own_size = sizeof(struct plot_options),
	.least = 2,
	.most = 2,
	.run = run_scatter,
};

static const struct command line_command = {
	.name = "plot line",
	.usage = "[COLUMN_X] COLUMN_Y",
	.summary = "the mean of one column at each value of another, or one row by row",
	.help = "With COLUMN_X the rows must be sorted. Without it rows are taken as they are stored, those "
		"of each group on their own." TIMES
		" No line is drawn over a time that is many times as long as the usual one from row to "
		"row.\nMore times than there are dots across are taken "
		"together, by the second, minute or what else is round.",
	.examples = (const struct example[]){{"how the ratio grows with the level",
					      "plot line demo.db level ratio --by codec"},
					     {"speed over time", "plot line demo.db timestamp compress_mb_s"},
					     {0}},
	.options = ROWS_OPTIONS,
	.own = points_own,
	.own_size = sizeof(struct plot_options),
	.least = 1,
	.most = 2,
	.is_arg = ctl_is_no_database,
	.run = run_line,
};

static const struct command box_command = {
	.name = "plot box",
	.usage = "COLUMN",
	.summary = "quartiles and tails of groups, a line each",
	.help = "The box reaches from the first to the third quartile, with the median in it; the lines out "
		"of it to the 5th and the 95th percentile; the dots are the least and the largest value.",
	.examples = (const struct example[]){{"the speeds of the codecs side by side",
					      "plot box demo.db compress_mb_s --log-x --by codec"},
					     {0}},
	.options = ROWS_OPTIONS,
	.own = box_own,
	.own_size = sizeof(struct plot_options),
	.least = 1,
	.most = 1,
	.run = run_box,
};

static const struct command bar_command = {
	.name = "plot bar",
	.usage = "COLUMN",
	.summary = "the mean of a column in each group, or how often each value is there",
	.help = "What reaches out of a bar of a mean is 1.96 standard errors: the 95 % interval where there "
		"are many rows.",
	.examples =
		(const struct example[]){
			{"the mean ratio of each codec", "plot bar demo.db ratio --by codec"},
			{"how many files there are of each kind", "plot bar demo.db kind"},
			{0}},
	.options = ROWS_OPTIONS,
	.own = bar_own,
	.own_size = sizeof(struct plot_options),
	.least = 1,
	.most = 1,
	.run = run_bar,
};

static const struct command *const parts[] = {
	&hist_command, &scatter_command, &line_command, &box_command, &bar_command, NULL,
};

const struct command plot_command = {
	.name = "plot",
	.usage = "[hist|scatter|line|box|bar] ...",
	.summary = "pictures of columns in the terminal",
	.help = "'plot hist --help' tells more of one:",
	.parts = parts,
};
