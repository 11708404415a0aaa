#include "sql_duck.h"

#include <stdlib.h>
#include <strings.h>

#include "duck_answer.h"
#include "duck_rows.h"
#include "sql.h"

/* What is at work. */
struct engine {
	struct ctl *ctl; /* borrowed, as the next ones */
	xt_client *client;
	struct duck *duck;
	struct duck_source *sources; /* owned: n of them, the tables that the statement may name */
	char **names;		     /* owned: theirs */
	size_t n;
	struct duck_rows rows;
};

/* ---- the tables ------------------------------------------------------- */

/* Whether the statement has that name in it, as a whole word where it is one. */
static bool names(const char *sql, const char *table)
{
	size_t n = strlen(table);

	for (const char *at = sql; (at = strcasestr(at, table)); at++) {
		unsigned char before = at > sql ? (unsigned char)at[-1] : ' ', after = (unsigned char)at[n];
		bool inside = before == '_' || (before >= '0' && before <= '9') ||
			      (((unsigned)before | 32) >= 'a' && ((unsigned)before | 32) <= 'z');
		bool goes_on = after == '_' || (after >= '0' && after <= '9') ||
			       (((unsigned)after | 32) >= 'a' && ((unsigned)after | 32) <= 'z');
		if (!inside && !goes_on)
			return true;
	}
	return false;
}

static int add_table(struct engine *e, const char *name)
{
	struct duck_source *sources = reallocarray(e->sources, e->n + 1, sizeof(*sources));
	if (sources)
		e->sources = sources;
	char **list = reallocarray(e->names, e->n + 1, sizeof(*list));
	if (list)
		e->names = list;
	if (!sources || !list)
		return XT_ENOMEM;
	e->sources[e->n] = (struct duck_source){.client = e->client,
						.timeout_ms = (int)e->ctl->options.timeout_s * 1000,
						.leaving = &e->ctl->leaving,
						.table = ctl_quote(name)};
	e->names[e->n] = strdup(name);
	e->n++;
	return e->names[e->n - 1] && e->sources[e->n - 1].table ? XT_OK : XT_ENOMEM;
}

static int find_tables(struct engine *e, const char *sql)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ctl_query(e->client,
			  "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE "
			  "'sqlite\\_%' ESCAPE '\\'",
			  NULL, 0, 0, &cursor);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		char *name = row[0].type == XT_T_TEXT ? strndup(row[0].as.text, row[0].n) : NULL;
		if (!name)
			r = XT_ENOMEM;
		else if (names(sql, name))
			r = add_table(e, name);
		free(name);
	}
	xt_cursor_close(cursor);
	for (size_t i = 0; i < e->n && r == XT_DONE; i++) {
		int described = duck_source_describe(&e->sources[i]);
		r = described == XT_OK ? XT_DONE : described;
	}
	return r == XT_DONE ? XT_OK : r;
}

/* A view a table, in a database of DuckDB's that is called `db` and used first. */
static int make_views(struct engine *e)
{
	int r = duck_run(e->duck, "ATTACH ':memory:' AS db");

	for (size_t i = 0; i < e->n && r == 0; i++) {
		char number[32];
		snprintf(number, sizeof(number), "%zu", i);
		char *sql = sql_format("CREATE VIEW db.main.%n AS FROM xt_rows(%s)", e->names[i], number);
		r = sql ? duck_run(e->duck, sql) : duck_fail(e->duck, "out of memory");
		free(sql);
	}
	return r == 0 ? duck_run(e->duck, "USE db") : r;
}

static void engine_done(struct engine *e)
{
	for (size_t i = 0; i < e->n; i++) {
		duck_source_done(&e->sources[i]);
		free(e->names[i]);
	}
	free(e->sources);
	free(e->names);
}

/* ---- the answer ------------------------------------------------------- */

/* A failure of DuckDB, or of the daemon behind it. */
static int fail(const struct engine *e)
{
	const xt_client *client;
	int r = duck_rows_status(&e->rows, &client);

	if (ctl_interrupted())
		return CTL_INTERRUPTED;
	if (r == XT_ENOMEM)
		return ctl_no_memory(e->ctl);
	return r != XT_OK ? ctl_fail(e->ctl, client, r) : ctl_error(e->ctl, "%s", e->duck->error);
}

static int print_rows(struct engine *e, struct duck_answer *a)
{
	struct format_options how = ctl_how_to_print(e->ctl);
	struct out *out = &e->ctl->out;
	const xt_value *row;
	int r = 1, status = CTL_OK;

	struct format *f = format_new(out, &how, a->n, a->names, a->types);
	if (!f)
		return ctl_no_memory(e->ctl);
	while (r > 0 && status == CTL_OK && out->error == 0) {
		r = duck_answer_next(a, &row);
		if (r > 0 && format_row(f, row) < 0)
			status = ctl_no_memory(e->ctl);
	}
	if (ctl_format_end(e->ctl, out, f, a->n, r == 0) < 0 && status == CTL_OK)
		status = ctl_no_memory(e->ctl);
	if (r < 0 && status == CTL_OK)
		status = fail(e);
	format_free(f);
	return status;
}

/* What was changed, or written to a file, is one number; what has none says nothing. */
static int print_change(struct engine *e, struct duck_answer *a)
{
	const xt_value *row;
	int r = a->n == 1 ? duck_answer_next(a, &row) : 0;

	if (r < 0)
		return fail(e);
	return r > 0 && row[0].type == XT_T_INT
		       ? ctl_print_count(e->ctl, "written", (uint64_t)row[0].as.integer)
		       : CTL_OK;
}

static int answer(struct engine *e, const char *sql, const xt_value *args, size_t n)
{
	struct duck_answer a = {0};
	int status;

	if (duck_answer_open(&a, e->duck, sql, args, n) < 0)
		status = fail(e);
	else
		status = duck_answer_has_rows(&a) ? print_rows(e, &a) : print_change(e, &a);
	duck_answer_done(&a);
	return status;
}

int sql_duck(struct ctl *ctl, xt_client *client, struct duck *duck, const char *sql, const xt_value *args,
	     size_t n)
{
	struct engine e = {.ctl = ctl, .client = client, .duck = duck};
	int status = CTL_FAILED;

	int r = find_tables(&e, sql);
	e.rows = (struct duck_rows){duck, e.sources, e.n};
	if (r == XT_ENOMEM)
		status = ctl_no_memory(ctl);
	else if (r != XT_OK)
		status = ctl_fail(ctl, client, r);
	else if (duck_rows_register(&e.rows) < 0 || make_views(&e) < 0)
		status = fail(&e);
	else
		status = answer(&e, sql, args, n);
	duck_close(duck); /* a statement that was left may still read from the sources, and from the client */
	engine_done(&e);
	return status;
}
