/*
 * How wide each column of a table is, so that the table fits a terminal: wide text columns give
 * way first, then reals; times lose their fraction and their day; whole numbers never give way; and when
 * that is not enough, columns are left out: those that have nothing but NULL first, then those with one
 * value in all rows, then those in the middle.
 */
#ifndef XTCTL_FIT_H
#define XTCTL_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CELL_TIME: a text as daemon and libraries write the time of a row. */
enum cell_kind { CELL_NULL, CELL_TEXT, CELL_INTEGER, CELL_REAL, CELL_TIME };
#define CELL_KINDS 5

/* How much a column tells of the rows that came so far. */
enum fit_news { FIT_EMPTY, FIT_SAME, FIT_NEWS };

#define FIT_SEPARATOR 3 /* columns between two cells */

/* One column. Zeroed to begin with. */
struct fit {
	char *name;		   /* owned by the table: the head, escaped */
	size_t head;		   /* its width */
	size_t widest[CELL_KINDS]; /* widest cell seen of each enum cell_kind */
	size_t rows;		   /* cells seen */
	uint64_t first;		   /* the first one's hash, by which others are known to be the same */
	bool differs;		   /* not all are the same */
	char day[10];		   /* of the first time */
	bool days;		   /* there are times of more than one day */
	bool hidden;		   /* left out */
	enum fit_news hidden_as;   /* what it told when that was decided */
	size_t width;		   /* what it got */
	size_t before;		   /* and on the page before: the table's */
	bool hidden_before;	   /* likewise */
};

/* Keeps room for a cell. */
void fit_add(struct fit *f, enum cell_kind kind, size_t width);

/* Takes a cell of n bytes into account, which are so many columns wide. */
void fit_cell(struct fit *f, enum cell_kind kind, const char *text, size_t n, size_t width);

/* Whether a text is "YYYY-MM-DD HH:MM:SS", with or without a fraction. */
bool fit_is_time(const char *text, size_t n);

/* The part of a time of n bytes that fits into `columns`: where it begins, and its length; the clock always
 * stays. False: the column has other texts, too, so that it is shortened like any. */
bool fit_time(const struct fit *f, size_t n, size_t columns, size_t *ret_from, size_t *ret_n);

/* True when its cells were numbers, NULLs aside. */
bool fit_is_number(const struct fit *f);

/* Sets the widths of n columns for a line of at most `columns`, 0: any length. Which columns are left out is
 * decided anew when `choose`: once the head is printed it must stay true. */
void fit_columns(struct fit *f, size_t n, size_t columns, bool choose);

/* Whether the columns that are shown have become too wide for a line, however they are shortened. */
bool fit_overflows(const struct fit *f, size_t n, size_t columns);

/* Whether one that is left out tells more by now than when that was decided. */
bool fit_has_news(const struct fit *f, size_t n);

#endif
