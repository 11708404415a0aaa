/*
 * A table of rows as the writer knows it: its columns, which key goes to which column, and the
 * shapes (lists of keys) that rows have had, each with a prepared INSERT.
 */
#ifndef XT_TABLE_H
#define XT_TABLE_H

#include "nearest.h"
#include "store.h"
#include "wire.h"

/* Integers up to this size are the same as REAL. */
#define REAL_EXACT (INT64_C(1) << 53)

/* What a column holds, by its declaration. */
enum kind {
	KIND_UNDECIDED, /* ours, only nulls so far: declared by its first value */
	KIND_ANY,	/* no declared type */
	KIND_INTEGER,
	KIND_REAL,
	KIND_TEXT,
	KIND_BLOB,
	KIND_BOOLEAN,
	KIND_NUMERIC, /* any other declaration of numeric affinity, made by others */
};

struct column {
	char *name; /* owned */
	struct span
		key; /* owned: the name as logged; no data for track_id and timestamp, which no key reaches */
	enum kind kind;
	bool fixed;    /* its declaration stays: part of a primary key, or of a STRICT table */
	bool required; /* a row without a value for it is rejected */
};

/* A key that leads to the column of another key, since its own column was renamed. */
struct alias {
	struct span key; /* owned */
	uint32_t column; /* index */
};

/* A list of keys, and how to insert a row that has them in this order. */
struct shape {
	struct span *keys; /* owned with their bytes: n of them */
	uint32_t *columns; /* owned: index of each key's column */
	size_t n;
	uint64_t hash;	      /* of the keys */
	sqlite3_stmt *insert; /* owned: track_id, timestamp, then the values in order */
};

struct table {
	char *name;		/* owned: as SQLite spells it */
	struct column *columns; /* owned, in the table's order */
	size_t n_columns, cap_columns;
	uint32_t *by_key;  /* owned: open hash of column indices + 1, by key; of aliases with a bit more */
	size_t by_key_cap; /* a power of two */
	struct alias *aliases; /* owned */
	size_t n_aliases;
	char **required; /* owned: names of columns, there or not, that each row must have a value for */
	size_t n_required;
	bool frozen;		 /* takes no new columns */
	struct nearest *nearest; /* owned: keys that it refused for that, once there are any */
	struct shape **shapes;	 /* owned */
	size_t n_shapes;
	struct shape *last;	    /* the last row's: most rows are like it */
	bool absent;		    /* not made yet: its first row makes it */
	bool ready;		    /* has track_id and timestamp */
	bool local_time;	    /* made by the Python library: its times are local */
	bool unique_time;	    /* (track_id, timestamp) is unique: equal times move on by 1 µs */
	uint64_t risen;		    /* transaction that put a row into it last */
	int64_t top;		    /* number of that row; 0: not known */
	uint64_t bump_track;	    /* hash of the last track_id whose time moved on */
	int64_t bump_from, bump_to; /* the time it had, and the next that is free */
};

/* Events that tell a client what was not stored quite as sent are appended here. */
struct warnings {
	struct buf *out; /* borrowed: encoded `warning` frames */
};

/* The table of that name. absent is set when there is none. NULL with the error set: a name that is
 * refused, a view, or trouble. */
struct table *table_find(struct store *s, struct span name, struct xt_err *err);

/* The same; that there is none is an error too, which says what may be meant. */
struct table *table_existing(struct store *s, struct span name, struct xt_err *err);

/* Forgets all tables; statements with them. */
void tables_drop(struct store *s);

/* Appends the names of the tables that rows are logged to, each with a NUL behind it. */
int tables_names(struct store *s, struct buf *ret, struct xt_err *err) __attribute__((warn_unused_result));

#define TABLE_NUMBER 16

/* The name by which a table's rows are numbered: one that is no column of it; "" for a table WITHOUT ROWID of
 * another program, or one that has columns of all these names. */
int table_number(struct store *s, const char *table, char ret[TABLE_NUMBER], struct xt_err *err)
	__attribute__((warn_unused_result));

/* Index of the column of a key, or -1. */
long table_column(const struct table *t, struct span key);

/* The same of a column's name, as SQLite compares names. */
long table_named(const struct table *t, const char *name);

/* Has a key lead to a column, unless a column of its own has it. */
int table_alias(struct table *t, struct span key, size_t column, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Names a column that each row must have a value for; before columns are taken in. */
int table_require(struct table *t, struct span name, struct xt_err *err) __attribute__((warn_unused_result));

/* The kind that a column must have to take a value; the same when it fits. */
enum kind kind_for(enum kind now, const struct token *value);

/* The declaration of a kind. */
const char *kind_name(enum kind kind);

/* FNV-1a over the keys, their lengths counted. */
uint64_t keys_hash(const struct span *keys, size_t n);

/* Takes a column in, in memory; a key without data: none leads to it. */
int table_remember(struct table *t, const char *name, struct span key, enum kind kind, bool fixed,
		   struct xt_err *err) __attribute__((warn_unused_result));

/* track_id and timestamp, which no key may reach. */
bool table_is_system(const char *column);

/* ---- alter.c ---------------------------------------------------------- */

/* A key that a row brings and the table lacks. */
struct new_column {
	struct span key; /* as logged */
	enum kind kind;	 /* of its first value; KIND_UNDECIDED for null */
};

/* Adds columns; makes the table when it is absent. The caller has checked the keys and values. */
int table_add_columns(struct store *s, struct table *t, const struct new_column *add, size_t n,
		      struct warnings *w, struct xt_err *err) __attribute__((warn_unused_result));

/* Writes a column's row in xt_columns. */
int table_put_column(struct store *s, const struct table *t, const struct column *c, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Has the column integers that REAL would show with other digits? */
int table_has_large(struct store *s, const struct table *t, const char *column, bool *ret, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Appends a warning event about a column, with a message as printf() has it. */
void table_warn(struct warnings *w, const char *code, const struct table *t, const char *column,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Declares a column anew, since a value of another kind came. */
int table_widen(struct store *s, struct table *t, size_t column, enum kind to, struct warnings *w,
		struct xt_err *err) __attribute__((warn_unused_result));

/* ---- shape.c ---------------------------------------------------------- */

/* Frees a table's shapes. */
void shapes_drop(struct table *t);

/* The shape with these keys, or NULL. */
struct shape *table_shape(struct table *t, const struct span *keys, size_t n, uint64_t hash);

/* Makes a shape; every key must have its column. */
struct shape *table_add_shape(struct store *s, struct table *t, const struct span *keys, size_t n,
			      uint64_t hash, struct xt_err *err);

#endif
