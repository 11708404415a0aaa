#include "ends.h"

#include <stdlib.h>

#include "sql.h"
#include "where.h"

/* The columns of one answer. Both lists are owned, their columns borrowed. */
struct columns {
	const struct relation_column **by, **shown;
	size_t n_by, n_shown;
};

/* ---- which columns ---------------------------------------------------- */

/* Where a column is in a list; n: nowhere. */
static size_t place_of(const struct relation_column *c, const struct relation_column *const *list, size_t n)
{
	size_t i = 0;

	while (i < n && list[i] != c)
		i++;
	return i;
}

static void show(struct columns *c, const struct relation_column *column)
{
	if (place_of(column, c->shown, c->n_shown) == c->n_shown)
		c->shown[c->n_shown++] = column;
}

/* Each once. `named` has n columns; NULL: all are shown. */
static int show_all(const struct ends *e, struct columns *c, const struct relation_column *const *named,
		    size_t n)
{
	c->shown = calloc(c->n_by + 1 + n + e->rel->n, sizeof(*c->shown));
	if (!c->shown)
		return ctl_no_memory(e->ctl);
	for (size_t i = 0; i <= c->n_by; i++) {
		const struct relation_column *first = i < c->n_by ? c->by[i] : e->x;
		if (place_of(first, named, n) == n)
			show(c, first);
	}
	for (size_t i = 0; i < n; i++)
		show(c, named[i]);
	for (size_t i = 0; i < e->rel->n && !named; i++)
		show(c, &e->rel->columns[i]);
	return CTL_OK;
}

static int find_columns(const struct ends *e, struct columns *c)
{
	const struct relation_column **named = NULL;
	size_t n = 0;

	int status = e->by ? relation_columns(e->rel, e->by, &c->by, &c->n_by) : CTL_OK;
	if (status == CTL_OK && e->columns)
		status = relation_columns(e->rel, e->columns, &named, &n);
	if (status == CTL_OK)
		status = show_all(e, c, named, n);
	free(named);
	return status;
}

/* ---- the statement ---------------------------------------------------- */

static void put_names(FILE *f, const struct relation_column *const *columns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sql_print(f, i > 0 ? ", %n" : "%n", columns[i]->name);
}

static void put_rows(FILE *f, const struct ends *e)
{
	sql_print(f, " FROM %n WHERE %s AND %n IS NOT NULL", e->rel->name, e->where, e->x->name);
}

/* Where a column has numbers and text, as one without a type may, the numbers are meant. */
static void put_order(FILE *f, const struct ends *e)
{
	sql_print(f, " ORDER BY typeof(%n) IN ('integer', 'real') DESC, %n %s", e->x->name, e->x->name,
		  e->largest ? "DESC" : "ASC");
}

static void put_ends(FILE *f, const struct ends *e, const struct columns *c)
{
	fputs("SELECT ", f);
	put_names(f, c->shown, c->n_shown);
	put_rows(f, e);
	if (e->n >= 0) {
		put_order(f, e);
		fprintf(f, " LIMIT %lld", (long long)e->n);
		return;
	}
	sql_print(f, " AND %n = (SELECT %n", e->x->name, e->x->name);
	put_rows(f, e);
	put_order(f, e);
	fputs(" LIMIT 1)", f);
}

/* Inside, columns become c0, c1, …: whatever a table calls its own, none of them is the place. Outside they
 * have their names again, so that to sort by them they are named as those of `ends`. */
static void put_ends_of_groups(FILE *f, const struct ends *e, const struct columns *c)
{
	fputs("SELECT ", f);
	for (size_t i = 0; i < c->n_shown; i++) {
		fprintf(f, "%sends.c%zu AS ", i > 0 ? ", " : "", i);
		sql_put_name(f, c->shown[i]->name);
	}
	fprintf(f, " FROM (SELECT %s() OVER (PARTITION BY ", e->n < 0 ? "rank" : "row_number");
	put_names(f, c->by, c->n_by);
	put_order(f, e);
	fputs(") AS place", f);
	for (size_t i = 0; i < c->n_shown; i++) {
		sql_print(f, ", %n AS ", c->shown[i]->name);
		fprintf(f, "c%zu", i);
	}
	put_rows(f, e);
	fprintf(f, ") AS ends WHERE ends.place <= %lld ORDER BY ", e->n < 0 ? 1LL : (long long)e->n);
	for (size_t i = 0; i < c->n_by; i++)
		fprintf(f, "ends.c%zu, ", place_of(c->by[i], c->shown, c->n_shown));
	fputs("ends.place", f);
}

/* NULL: out of memory. */
static char *make_sql(const struct ends *e, const struct columns *c)
{
	char *sql = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	if (c->n_by > 0)
		put_ends_of_groups(f, e, c);
	else
		put_ends(f, e, c);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

/* ---- all -------------------------------------------------------------- */

int ends_print(const struct ends *e)
{
	struct format_options how = ctl_how_to_print(e->ctl);
	struct columns c = {0};
	xt_cursor *cursor = NULL;
	uint64_t rows = 0;

	int status = find_columns(e, &c);
	if (status == CTL_OK) {
		char *sql = make_sql(e, &c);
		int r = ctl_summarise(e->client, sql, &cursor);
		free(sql);
		status = r == XT_OK ? ctl_print_rows(e->ctl, &e->ctl->out, &how, e->client, cursor, NULL,
						     NULL, &rows)
				    : ctl_fail(e->ctl, e->client, r);
	}
	xt_cursor_close(cursor);
	if (status == CTL_OK && rows == 0)
		status = where_tell_none(e->rel, e->client, e->where, NULL);
	free(c.by);
	free(c.shown);
	return status;
}
