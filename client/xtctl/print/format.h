/*
 * Rows of values in the form the user asked for, as they come: nothing is kept but a page of the
 * table forms.
 */
#ifndef XTCTL_FORMAT_H
#define XTCTL_FORMAT_H

#include "out.h"
#include "xetrack.h"

enum format_kind { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON, FORMAT_JSONL, FORMAT_MD };

/* Its name, and the kind of a name: false when there is none. */
const char *format_name(enum format_kind kind);
bool format_find(const char *name, enum format_kind *ret_kind);

/* All names, for messages: "table, csv, …". */
#define FORMAT_NAMES   "table, csv, json, jsonl or md"
#define FORMAT_CHOICES "table|csv|json|jsonl|md"

struct format_options {
	enum format_kind kind;
	bool no_header; /* csv and tables without the line of names */
	bool crlf;	/* csv ends its lines as RFC 4180 has it */
	char delimiter; /* of csv; 0: a comma */
	bool follows;	/* rows come one by one: see table.h */
	bool utf8;	/* tables may use more than ASCII */
	const char *
		json_column; /* the name of a column whose text is JSON, put into json as it is; NULL: none */
	int digits; /* significant digits of reals in tables; 0: all. The other forms always have all */
};

struct format;

/*
 * n columns; names and types (as declared, "" for none) are borrowed for the format's life. Columns
 * declared BOOLEAN show 0 and 1 as false and true. NULL when out of memory.
 */
struct format *format_new(struct out *out, const struct format_options *options, size_t n,
			  const char *const *names, const char *const *types);
void format_free(struct format *f);

/* One row of n values. 0, or -1 when out of memory; write errors show in out->error. */
int format_row(struct format *f, const xt_value *row) __attribute__((warn_unused_result));

/* Shows what came so far, when nothing more may come for a while. 0, or -1 when out of memory. */
int format_flush(struct format *f) __attribute__((warn_unused_result));

/* The end. whole: that was all; else what came so far is shown, and JSON is left open, so that
 * nobody takes it for the whole. 0, or -1 when out of memory. */
int format_end(struct format *f, bool whole) __attribute__((warn_unused_result));

/* Columns that a table left out for want of room. */
size_t format_hidden(const struct format *f);

#endif
