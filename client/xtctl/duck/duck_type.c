#include "duck_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "xtctl.h"

#define AT_ONCE 50 /* columns that are looked at in one statement */

static const struct {
	const char *declared;
	enum duck_type type;
} types[] = {
	{"INTEGER", DUCK_BIGINT},  {"INT", DUCK_BIGINT},      {"BIGINT", DUCK_BIGINT},
	{"REAL", DUCK_DOUBLE},	   {"DOUBLE", DUCK_DOUBLE},   {"FLOAT", DUCK_DOUBLE},
	{"TEXT", DUCK_VARCHAR},	   {"VARCHAR", DUCK_VARCHAR}, {"BLOB", DUCK_BLOB},
	{"BOOLEAN", DUCK_BOOLEAN},
};

/* DUCK_SQLNULL: the declaration does not tell. */
static enum duck_type declared(const char *type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(types[i].declared, type) == 0)
			return types[i].type;
	return DUCK_SQLNULL;
}

/* SELECT <what> FROM the source. Owned by the caller; NULL: out of memory. */
static char *statement(const struct duck_source *s, const char *what, const char *end)
{
	char *sql;
	/* A statement may end in a comment. */
	int n = s->table ? asprintf(&sql, "SELECT %s FROM %s%s", what, s->table, end)
			 : asprintf(&sql, "SELECT %s FROM (\n%s\n)%s", what, s->sql, end);

	return n < 0 ? NULL : sql;
}

static int ask(const struct duck_source *s, const char *what, const char *end, xt_cursor **ret)
{
	char *sql = statement(s, what, end);

	if (!sql)
		return XT_ENOMEM;
	/* All rows are read before the first page of the answer. */
	int r = ctl_query(s->client, sql, NULL, 0, s->timeout_ms ? s->timeout_ms : XT_FOREVER, ret);
	free(sql);
	return r;
}

static int read_columns(struct duck_source *s)
{
	xt_cursor *cursor = NULL;

	int r = ask(s, "*", " LIMIT 0", &cursor);
	if (r != XT_OK)
		return r;
	s->n = xt_cursor_columns(cursor);
	s->columns = calloc(s->n + 1, sizeof(*s->columns));
	if (!s->columns)
		s->n = 0;
	for (size_t i = 0; i < s->n; i++) {
		s->columns[i].name = strdup(xt_cursor_name(cursor, i));
		s->columns[i].type = declared(xt_cursor_type(cursor, i));
	}
	xt_cursor_close(cursor);
	for (size_t i = 0; i < s->n; i++)
		if (!s->columns[i].name)
			return XT_ENOMEM;
	return s->columns ? XT_OK : XT_ENOMEM;
}

/* ---- columns whose declaration does not tell -------------------------- */

/* What SQLite calls the types of its values, first and last of those that occur: blob, integer, real, text.
 */
static void put_types(FILE *f, const char *quoted)
{
	fprintf(f, "min(nullif(typeof(%1$s), 'null')), max(nullif(typeof(%1$s), 'null'))", quoted);
}

/* Beyond 2^53 a double does not tell whole numbers apart. */
static void put_large(FILE *f, const char *quoted)
{
	fprintf(f,
		"max(typeof(%1$s) = 'integer' AND %1$s NOT BETWEEN -9007199254740992 AND 9007199254740992)",
		quoted);
}

static bool is(const xt_value *v, const char *text)
{
	return v->type == XT_T_TEXT && v->n == strlen(text) && memcmp(v->as.text, text, v->n) == 0;
}

static void take_types(struct duck_column *c, const xt_value *found)
{
	const xt_value *first = &found[0], *last = &found[1];

	c->type = DUCK_VARCHAR;
	if (is(last, "blob"))
		c->type = DUCK_BLOB;
	else if (is(first, "integer") && is(last, "integer"))
		c->type = DUCK_BIGINT;
	else if ((is(first, "integer") || is(first, "real")) && is(last, "real"))
		c->type = DUCK_DOUBLE;
	c->mixed = is(first, "integer") && is(last, "real");
}

static void take_large(struct duck_column *c, const xt_value *found)
{
	if (found[0].type != XT_T_NULL && found[0].as.integer > 0)
		c->type = DUCK_VARCHAR;
}

/* What is asked of all values of a column. */
struct look {
	void (*put)(FILE *f, const char *quoted);
	size_t width; /* columns of the answer */
	void (*take)(struct duck_column *c, const xt_value *found);
};

static char *question(const struct duck_source *s, const struct look *look, const size_t *open, size_t n)
{
	char *what = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&what, &size);

	for (size_t i = 0; f && i < n; i++) {
		char *quoted = ctl_quote(s->columns[open[i]].name);
		fputs(i > 0 ? ", " : "", f);
		if (quoted)
			look->put(f, quoted);
		free(quoted);
	}
	if (f && fclose(f) == 0)
		return what;
	free(what);
	return NULL;
}

/* Looks at the columns `open`, n of them. */
static int look_at(struct duck_source *s, const struct look *look, const size_t *open, size_t n)
{
	char *what = question(s, look, open, n);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = what ? ask(s, what, "", &cursor) : XT_ENOMEM;
	free(what);
	if (r == XT_OK && xt_cursor_columns(cursor) != n * look->width)
		r = XT_ENOMEM; /* a name could not be quoted */
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	for (size_t i = 0; i < n && r == XT_OK; i++)
		look->take(&s->columns[open[i]], row + i * look->width);
	xt_cursor_close(cursor);
	return r;
}

static bool is_open(const struct duck_column *c)
{
	return c->type == DUCK_SQLNULL;
}

static bool is_mixed(const struct duck_column *c)
{
	return c->mixed;
}

/* Looks at the columns that are meant, some at a time. */
static int look_at_all(struct duck_source *s, const struct look *look,
		       bool meant(const struct duck_column *c))
{
	size_t open[AT_ONCE], n = 0;
	int r = XT_OK;

	for (size_t i = 0; r == XT_OK && i < s->n; i++) {
		if (meant(&s->columns[i]))
			open[n++] = i;
		if (n == AT_ONCE || (n > 0 && i + 1 == s->n)) {
			r = look_at(s, look, open, n);
			n = 0;
		}
	}
	return r;
}

int duck_source_describe(struct duck_source *s)
{
	static const struct look kinds = {put_types, 2, take_types}, large = {put_large, 1, take_large};

	int r = read_columns(s);
	if (r == XT_OK)
		r = look_at_all(s, &kinds, is_open);
	return r == XT_OK ? look_at_all(s, &large, is_mixed) : r;
}

void duck_source_done(struct duck_source *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->columns[i].name);
	free(s->columns);
	free(s->table);
	*s = (struct duck_source){0};
}
