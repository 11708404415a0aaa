/* Names: keys made into column names, identifiers quoted for SQL, names of runs. */
#ifndef XT_IDENT_H
#define XT_IDENT_H

#include "buf.h"
#include "proto.h"

/* A column or table name: XT_MAX_NAME characters of at most 4 bytes. */
#define IDENT_SIZE (4 * XT_MAX_NAME + 1)

/* The column name of a key: letters of any script, digits and '_' stay, everything else becomes
 * '_', a leading digit gets a '_' before it, XT_MAX_NAME characters at most; `rowid`, `oid` and
 * `_rowid_` get a trailing '_'. -1 for an empty key. */
int ident_column(struct span key, char ret[IDENT_SIZE], struct xt_err *err)
	__attribute__((warn_unused_result));

/* Checks a table name: any text of XT_MAX_NAME characters without control characters, but not
 * `xt_…` or `sqlite_…`. Copies it to ret. */
int ident_table(struct span name, char ret[IDENT_SIZE], struct xt_err *err)
	__attribute__((warn_unused_result));

/* name with "_<n>" behind it, cut so that it still fits. */
void ident_suffix(const char *name, unsigned n, char ret[IDENT_SIZE]);

/* Appends the name in double quotes, inner quotes doubled. */
void ident_quote(struct buf *out, const char *name);

/* SQLite tells no two names apart that differ in the case of ASCII letters only: whether they are one to it,
 * and a hash that is the same for such. */
bool ident_same(struct span a, struct span b);
uint32_t ident_hash(struct span name);

/* A random run name of two words and four digits, at most 64 bytes. */
void ident_run_name(char ret[64]);

/* The table that a message means: `events` where it names none. */
static inline struct span table_or_events(bool has, struct span name)
{
	return has ? name : span_str("events");
}

#endif
