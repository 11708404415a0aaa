#include "chosen.h"

#include <stdlib.h>
#include <string.h>

#include "near.h"
#include "runs.h"
#include "sql.h"

#define LAST	    "last"
#define LEAST_PART  3	   /* letters, from which on a part of an id may stand for it */
#define MOST_LOOKED "1000" /* runs that are looked at for one that may be meant */

/* What a function needs that looks for a run. */
struct chosen {
	const struct ctl *ctl;
	xt_client *client;
	const char *prefix; /* of statements over our own tables */
	const char *table;  /* NULL: of none */
	const char *word;   /* that was given */
};

/* Runs a statement, which this frees, and of which `arg` is ?1, or NULL where it has none, and calls `each`
 * for the texts in its first column. The library's status. */
static int each_run(const struct chosen *c, char *sql, const char *arg,
		    void each(void *data, const char *run), void *data)
{
	const xt_value args[] = {xt_text(arg)};
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = sql ? ctl_query(c->client, sql, args, arg != NULL, CTL_LONG_MS, &cursor) : XT_ENOMEM;
	free(sql);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		char *run = row[0].type == XT_T_TEXT ? strndup(row[0].as.text, row[0].n) : NULL;
		if (run)
			each(data, run);
		else if (row[0].type == XT_T_TEXT)
			r = XT_ENOMEM;
		free(run);
	}
	xt_cursor_close(cursor);
	return r == XT_DONE ? XT_OK : r;
}

static int failed(const struct chosen *c, int r)
{
	return r == XT_ENOMEM ? ctl_no_memory(c->ctl) : ctl_fail(c->ctl, c->client, r);
}

static void keep(void *data, const char *run)
{
	char **kept = data;

	if (!*kept)
		*kept = strdup(run);
}

/* ---- one that is there ------------------------------------------------ */

/* *ret_known: the word is a run. Both lookups go by an index. */
static int look_up(const struct chosen *c, bool *ret_known)
{
	char *found = NULL, *sql;

	if (c->table)
		sql = sql_format("%s SELECT 'known' FROM xt_runs WHERE track_id = ?1 AND status <> 'deleted' "
				 "UNION ALL SELECT 'known' FROM (SELECT 1 FROM %n WHERE track_id = ?1 LIMIT "
				 "1)",
				 c->prefix, c->table);
	else
		sql = sql_format("%s SELECT 'known' FROM xt_runs WHERE track_id = ?1", c->prefix);
	int r = each_run(c, sql, c->word, keep, &found);
	*ret_known = found != NULL;
	free(found);
	return r == XT_OK ? CTL_OK : failed(c, r);
}

/* The run that began last: one that was started for the table counts before it has a row there. Where none is
 * recorded, the one of the row that was stored last. */
static int find_last(const struct chosen *c, char **ret)
{
	char *sql, *found = NULL;

	if (c->table)
		sql = sql_format(
			"%s SELECT track_id FROM xt_runs r WHERE status <> 'deleted' AND (table_name "
			"= ?1 COLLATE NOCASE OR EXISTS (SELECT 1 FROM %n t WHERE t.track_id = "
			"r.track_id)) ORDER BY start_time DESC, track_id LIMIT 1",
			c->prefix, c->table);
	else
		sql = sql_format(
			"%s SELECT track_id FROM xt_runs WHERE status <> 'deleted' ORDER BY start_time "
			"DESC, track_id LIMIT 1",
			c->prefix);
	int r = each_run(c, sql, c->table, keep, &found);
	if (r == XT_OK && !found && c->table) {
		/* A view answers with some row's rowid, or with an error. */
		sql = sql_format(
			"SELECT track_id FROM %n WHERE track_id IS NOT NULL AND NOT EXISTS (SELECT 1 "
			"FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE) ORDER "
			"BY rowid DESC LIMIT 1",
			c->table);
		r = each_run(c, sql, c->table, keep, &found);
		if (r == XT_EREQUEST && strstr(xt_error(c->client), "rowid"))
			r = XT_OK;
	}
	if (r != XT_OK) {
		free(found);
		return failed(c, r);
	}
	*ret = found;
	if (found)
		return CTL_OK;
	return c->table
		       ? ctl_error(c->ctl,
				   "there is no last run in table '%s': it has none yet, or its rows have no "
				   "order, as those of a view",
				   c->table)
		       : ctl_error(c->ctl, "there is no run yet in '%s'", c->ctl->database);
}

/* ---- one that may be meant -------------------------------------------- */

/* Runs, the youngest first, beside the word. */
struct meant {
	const char *word;
	struct near near;
	char *part; /* owned: the first that has the word for a part */
	size_t parts;
};

static void try_run(void *data, const char *run)
{
	struct meant *m = data;

	near_try(&m->near, run);
	if (strlen(m->word) >= LEAST_PART && strcasestr(run, m->word) && m->parts++ == 0)
		m->part = strdup(run);
}

/* What is said after "there is no run": owned; NULL: out of memory, or the statements failed. */
static char *suggest(const struct chosen *c)
{
	struct meant m = {.word = c->word};
	char *text = NULL;

	near_init(&m.near, c->word, strlen(c->word));
	int r = each_run(c,
			 sql_format("%s SELECT track_id FROM xt_runs WHERE status <> 'deleted' ORDER BY "
				    "start_time DESC LIMIT " MOST_LOOKED,
				    c->prefix),
			 NULL, try_run, &m);
	if (r == XT_OK && c->table && !m.near.found[0] && m.parts == 0)
		r = each_run(c, sql_format("SELECT DISTINCT track_id FROM %n LIMIT " MOST_LOOKED, c->table),
			     NULL, try_run, &m);
	const char *found = m.near.found[0] ? m.near.found : m.parts == 1 ? m.part : NULL;
	int n = r != XT_OK ? -1
		: found	   ? asprintf(&text, "; did you mean '%s'?", found)
			   : asprintf(&text, "; '%s runs %s' lists them", c->ctl->program, ctl_db(c->ctl));
	free(m.part);
	return n < 0 ? NULL : text;
}

/* ---- all -------------------------------------------------------------- */

bool chosen_is_last(const char *id)
{
	return id && strcmp(id, LAST) == 0;
}

int chosen_run(const struct ctl *ctl, xt_client *client, const char *table, bool may_come, char **ret)
{
	const char *word = ctl->options.track_id;
	struct chosen c = {.ctl = ctl, .client = client, .table = table, .word = word};
	bool known = false;

	*ret = NULL;
	if (!word)
		return CTL_OK;
	int status = runs_prefix(ctl, client, &c.prefix);
	if (status == CTL_OK)
		status = look_up(&c, &known);
	if (status != CTL_OK)
		return status;
	if (!known && chosen_is_last(word))
		return find_last(&c, ret);
	if (!known && may_come) {
		ctl_note(ctl, "there is no run '%s' yet; waiting for its first row", word);
	} else if (!known) {
		char *more = suggest(&c);
		status = ctl_error(ctl, "there is no run '%s'%s", word, more ? more : "");
		free(more);
		return status;
	}
	*ret = strdup(word);
	return *ret ? CTL_OK : ctl_no_memory(ctl);
}

int chosen_fail(const struct ctl *ctl, const xt_client *client, const char *id, int status)
{
	if (!chosen_is_last(id) || strcmp(xt_error_code(client), "no_such_run") != 0)
		return ctl_fail(ctl, client, status);
	return chosen_no_last(ctl);
}

int chosen_no_last(const struct ctl *ctl)
{
	return ctl_error(ctl,
			 "'last' is for reading only, since another run may have begun meanwhile: give the "
			 "run's id, which '%s show %s last' tells",
			 ctl->program, ctl_db(ctl));
}
