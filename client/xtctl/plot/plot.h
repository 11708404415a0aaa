/*
 * Pictures in the terminal: what all of them share.
 */
#ifndef XTCTL_PLOT_H
#define XTCTL_PLOT_H

#include "axis_time.h"
#include "canvas.h"
#include "frame.h"
#include "where.h"

#define PLOT_LEAST_ROWS 4 /* inside of a picture */

struct plot_options {
	const char *by, *stat, *title, *pch, *colour; /* NULL: not given */
	int64_t width, height, size, bins;	      /* 0: not given */
	bool ascii, log_x, log_y, summary, xlab;
};

/* Rows that are drawn together. */
struct plot_group {
	xt_value value;	    /* of the column of --by; its text is … */
	char *bytes;	    /* … here, owned; NULL: it has none */
	char *label;	    /* owned: escaped, and cut */
	size_t label_width; /* columns */
	int64_t rows;	    /* that are drawn */
};

struct plot {
	struct ctl *ctl;
	xt_client *client;
	const struct plot_options *o;
	struct relation rel;
	char *where;			     /* owned: of SQL: the rows that are looked at */
	const struct relation_column *x, *y; /* y NULL: one column is drawn */
	const struct relation_column *by;    /* NULL: all rows together */
	char *x_sql;			     /* owned: of SQL: x as a number */
	bool time;			     /* x has times; as numbers they are seconds since 1970 */
	size_t width, height; /* characters of the whole picture, and of what is inside of it */
	size_t lines;	      /* that a terminal has for it and for its legend; 0: the height was told */
	struct frame_style style;
	struct plot_group *groups; /* owned: n_groups of them, one without a value where there is no --by */
	size_t n_groups;
};

/* What is known of the columns before anything is drawn. */
struct plot_range {
	int64_t rows, used;		   /* all; those with a number for each axis */
	double x_min, x_max, y_min, y_max; /* of those used */
	bool x_whole, y_whole;		   /* no number has a fraction */
	double mean, std, median;	   /* of x */
};

/* Opens everything, has it drawn, closes it: the whole of a command. */
int plot_run(struct ctl *ctl, int draw(struct plot *p));

/* A condition of SQL that is true for a finite number of a column that plot_is_number(), above 0 for a
 * logarithmic axis, or for a time where x has times. Owned by the caller; NULL: out of memory. */
char *plot_usable(const struct plot *p, const struct relation_column *c, bool log);

/* Whether the column can have numbers; else that is reported. */
bool plot_is_number(const struct plot *p, const struct relation_column *c);

/* Reads the range, and tells which rows are left out. CTL_OK, or the failure is reported: also that there is
 * nothing to draw. */
int plot_range(struct plot *p, struct plot_range *ret) __attribute__((warn_unused_result));

/* Runs a statement. CTL_OK, or the failure is reported. */
int plot_query(const struct plot *p, const char *sql, xt_cursor **ret) __attribute__((warn_unused_result));

/* The next row; false at the end, or when it failed, which then is reported and in *status. */
bool plot_next(const struct plot *p, xt_cursor *cursor, const xt_value **ret_row, int *status);

/* A number of an answer, NaN for NULL. */
double plot_real(const xt_value *v);
int64_t plot_integer(const xt_value *v);

/* ---- plot_groups.c ---------------------------------------------------- */

/* Reads the groups of rows for which `usable` is true: `most` at most, those with the most rows, in the order
 * of their values; that there are more is told. CTL_OK, or the failure is reported. */
int plot_groups_read(struct plot *p, const char *usable, size_t most) __attribute__((warn_unused_result));
void plot_groups_done(struct plot *p);

/* The group that a value is of; n_groups: none. */
size_t plot_group_of(const struct plot *p, const xt_value *value);

/* Which mark and colour each of the groups has, one line; nothing where there is one group. */
void plot_legend(const struct plot *p);

/* Makes a picture whose height was not told so low that its legend is seen with it. */
void plot_make_room(struct plot *p);

/* The widest label. */
size_t plot_label_width(const struct plot *p);

/* ---- plot_time.c ------------------------------------------------------ */

/* Sees whether x has times, and has them drawn as such then. CTL_OK, or the failure is reported. */
int plot_take_time(struct plot *p) __attribute__((warn_unused_result));

/* The condition of SQL that a value is a time. Owned by the caller; NULL: out of memory. */
char *plot_time_usable(const struct relation_column *c);

/* What stands below the axis of x: the column's name, and of times the days. Owned by the caller; NULL: out
 * of memory. */
char *plot_x_name(const struct plot *p, const struct axis *x);

/* ---- the kinds -------------------------------------------------------- */

int plot_hist(struct plot *p);
int plot_scatter(struct plot *p);
int plot_line(struct plot *p);
int plot_box(struct plot *p);
int plot_bar(struct plot *p);

#endif
