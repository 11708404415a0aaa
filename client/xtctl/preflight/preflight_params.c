/*
 * The keys that the code is going to log, held against the columns that there are and the parameters that the
 * last run had.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "meaning.h"
#include "near.h"
#include "preflight.h"
#include "schema.h"
#include "similar.h"
#include "sql.h"

#define FIRST_ROWS "1000" /* of the last run, in which its parameters are looked for */
#define AT_ONCE	   100	  /* columns that one statement asks for */

/* The fields of structured arguments are logged behind it. */
#define PREFIX	   "params_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

/* What is known of a column. */
struct mark {
	bool listed;   /* --params names it */
	bool param;    /* it is a parameter: the last run had it as one, or it is called so */
	bool last;     /* the last run had it as a parameter */
	bool required; /* rows without it are rejected */
	bool renamed;  /* a key of --params seems to mean it */
};

struct check {
	struct preflight *p;
	const struct relation *rel;
	struct mark *marks; /* owned: of each column */
	char *run;	    /* owned: the table's last run; NULL: there is none */
	size_t first;	    /* columns of the chunk that is asked for */
	bool frozen, found; /* the table is; there was such an alias */
	bool failed;	    /* out of memory */
};

static bool has_prefix(const char *name)
{
	return strncasecmp(name, PREFIX, PREFIX_LEN) == 0;
}

static const char *without_prefix(const char *name)
{
	return has_prefix(name) ? name + PREFIX_LEN : name;
}

/* ---- columns and keys --------------------------------------------------- */

/* The mark of the column that a key fills: by the column's name, or the key that it was made for. */
static struct mark *mark_of(struct check *c, const char *key)
{
	const struct relation_column *found = relation_find(c->rel, key);

	for (size_t i = 0; i < c->rel->n && !found; i++)
		if (c->rel->columns[i].key && strcmp(c->rel->columns[i].key, key) == 0)
			found = &c->rel->columns[i];
	return found ? &c->marks[found - c->rel->columns] : NULL;
}

/* The same where the key may lack its prefix. */
static struct mark *mark_of_key(struct check *c, const char *key)
{
	struct mark *found = mark_of(c, key);
	char *longer = NULL;

	if (!found && asprintf(&longer, PREFIX "%s", key) >= 0)
		found = mark_of(c, longer);
	free(longer);
	return found;
}

/* ---- what is known ------------------------------------------------------- */

static bool take_run(const xt_value *row, void *data)
{
	struct check *c = data;

	if (!c->run)
		c->run = schema_text(&row[0]);
	return false;
}

static bool take_param(const xt_value *row, void *data)
{
	struct check *c = data;
	char *key = schema_text(&row[0]);
	struct mark *mark = key ? mark_of(c, key) : NULL;

	if (mark)
		mark->param = mark->last = true;
	free(key);
	return true;
}

static bool take_row_params(const xt_value *row, void *data)
{
	struct check *c = data;

	for (size_t i = 0, at = 0; i < c->rel->n; i++)
		if (has_prefix(c->rel->columns[i].name) && i >= c->first && at < AT_ONCE) {
			c->marks[i].last = c->marks[i].last || schema_number(&row[at]) > 0;
			at++;
		}
	return false;
}

static bool take_required(const xt_value *row, void *data)
{
	struct check *c = data;
	char *name = schema_text(&row[0]);
	struct mark *mark = name ? mark_of(c, name) : NULL;

	if (mark)
		mark->required = true;
	free(name);
	return true;
}

static bool take_frozen(const xt_value *row, void *data)
{
	(void)row;
	((struct check *)data)->frozen = true;
	return false;
}

/* The columns params_… that the last run's first rows fill, up to AT_ONCE from c->first on; the next one to
 * begin with in *ret_next. */
static int ask_row_params(struct check *c, size_t *ret_next)
{
	char *sql = NULL;
	size_t size = 0, n = 0, i = c->first;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return XT_ENOMEM;
	fputs("SELECT ", f);
	for (; i < c->rel->n && n < AT_ONCE; i++)
		if (has_prefix(c->rel->columns[i].name))
			sql_print(f, n++ ? ", count(%n)" : "count(%n)", c->rel->columns[i].name);
	*ret_next = i;
	sql_print(f, " FROM (SELECT * FROM %n WHERE track_id = ?1 LIMIT " FIRST_ROWS ")", c->rel->name);
	int r = fclose(f) == 0 ? XT_OK : XT_ENOMEM;
	if (r == XT_OK && n > 0)
		r = schema_rows(c->p->client, sql, (const char *const *)&c->run, 1, take_row_params, c);
	free(sql);
	return r;
}

/* The last run that is recorded; in a table of another program that of its last row. */
static int find_run(struct check *c)
{
	const char *table = c->rel->name;
	int r = schema_rows(c->p->client,
			    "SELECT track_id FROM xt_runs WHERE table_name = ?1 COLLATE NOCASE AND status <> "
			    "'deleted' ORDER BY start_time DESC LIMIT 1",
			    &table, 1, take_run, c);

	if (r != XT_OK || c->run || !relation_find(c->rel, "track_id"))
		return r;
	char *sql = sql_format("SELECT track_id FROM %n ORDER BY rowid DESC LIMIT 1", table);
	r = sql ? schema_rows(c->p->client, sql, NULL, 0, take_run, c) : XT_ENOMEM;
	free(sql);
	/* A table WITHOUT ROWID has no last row. */
	return r == XT_EREQUEST && strcmp(xt_error_code(c->p->client), "sql_error") == 0 ? XT_OK : r;
}

static int learn(struct check *c)
{
	const char *table = c->rel->name;

	for (size_t i = 0; i < c->rel->n; i++)
		c->marks[i].param = has_prefix(c->rel->columns[i].name);
	int r = find_run(c);
	if (r == XT_OK && c->run)
		r = schema_rows(
			c->p->client,
			"SELECT j.key FROM xt_runs, json_each(CASE WHEN json_valid(params) THEN params "
			"ELSE '{}' END) j WHERE track_id = ?1",
			(const char *const *)&c->run, 1, take_param, c);
	for (size_t next = 0;
	     r == XT_OK && c->run && relation_find(c->rel, "track_id") && next < c->rel->n;) {
		c->first = next;
		r = ask_row_params(c, &next);
	}
	if (r == XT_OK)
		r = schema_rows(c->p->client, "SELECT name FROM xt_required WHERE table_name = ?1", &table, 1,
				take_required, c);
	if (r == XT_OK)
		r = schema_rows(c->p->client, "SELECT 1 FROM xt_frozen WHERE table_name = ?1", &table, 1,
				take_frozen, c);
	return r;
}

/* ---- keys that there are no columns for ---------------------------------- */

/* The column that a key may mean under another name: a parameter whose name is alike, or any one that is
 * mistyped by a letter or so. */
static const struct relation_column *find_meant(const struct check *c, const char *key)
{
	const struct relation_column *best = NULL;
	struct similar wanted, other;
	struct near near;
	double most = 0;

	similar_of(&wanted, span_str(without_prefix(key)));
	near_init(&near, key, strlen(key));
	for (size_t i = 0; i < c->rel->n; i++) {
		const char *name = c->rel->columns[i].name;
		if (c->marks[i].listed || meaning_of(name) & (MEANS_SYSTEM | MEANS_FAILURE))
			continue;
		near_try(&near, name);
		if (!c->marks[i].param)
			continue;
		similar_of(&other, span_str(without_prefix(name)));
		double alike = similar_names(&wanted, &other, NULL);
		if (alike > most) {
			most = alike;
			best = &c->rel->columns[i];
		}
	}
	return best ? best : near.found[0] ? relation_find(c->rel, near.found) : NULL;
}

static void say_unknown(struct check *c, const char *key)
{
	const char *table = c->rel->name, *program = c->p->ctl->program, *db = ctl_db(c->p->ctl);
	const struct relation_column *meant = find_meant(c, key);
	const char *prefix = meant && has_prefix(meant->name) && !has_prefix(key) ? PREFIX : "";

	if (meant) {
		c->marks[meant - c->rel->columns].renamed = true;
		findings_add(
			&c->p->found, true, "unknown_parameter", table, meant->name, 1,
			"table '%s' has no column '%s%s'; did you mean '%s'? If it was renamed: '%s "
			"schema rename %s %s %s%s --table %s'; if both are logged, let --params name both",
			table, prefix, key, meant->name, program, db, meant->name, prefix, key, table);
	} else if (c->frozen) {
		findings_add(&c->p->found, true, "unknown_parameter", table, NULL, 1,
			     "table '%s' has no column '%s' and is frozen, so rows with it are rejected; '%s "
			     "schema thaw %s --table %s' lets it in",
			     table, key, program, db, table);
	} else {
		findings_add(&c->p->found, false, "new_parameter", table, NULL, 1,
			     "'%s' is new in table '%s', and like no other column: its first row adds it",
			     key, table);
	}
}

static bool take_alias(const xt_value *row, void *data)
{
	struct check *c = data;
	char *name = schema_text(&row[0]);
	struct mark *mark = name ? mark_of(c, name) : NULL;

	if (mark)
		mark->listed = c->found = true;
	free(name);
	return false;
}

/* Marks the column of a key; *ret_known false: there is none. */
static int list_key(struct check *c, const char *key, bool *ret_known)
{
	struct mark *mark = mark_of_key(c, key);
	const char *args[] = {c->rel->name, key};

	c->found = mark != NULL;
	if (mark)
		mark->listed = true;
	int r = mark ? XT_OK
		     : schema_rows(
			       c->p->client,
			       "SELECT name FROM xt_aliases WHERE table_name = ?1 AND key IN (?2, 'params_' "
			       "|| ?2)",
			       args, 2, take_alias, c);
	*ret_known = c->found;
	return r;
}

/* Calls `each` for the keys of --params. The library's status. */
static int each_key(struct check *c, int each(struct check *c, const char *key))
{
	int r = XT_OK;

	for (const char *at = c->p->opt->params; at && r == XT_OK;) {
		size_t len = strcspn(at, ","), blank = strspn(at, " ");
		char *key = blank < len ? strndup(at + blank, len - blank) : NULL;
		for (size_t n = key ? strlen(key) : 0; n > 0 && key[n - 1] == ' '; n--)
			key[n - 1] = '\0';
		if (key && key[0])
			r = each(c, key);
		else if (blank < len && !key)
			r = XT_ENOMEM;
		free(key);
		at = at[len] ? at + len + 1 : NULL;
	}
	return r;
}

static int list_one(struct check *c, const char *key)
{
	bool known;

	return list_key(c, key, &known);
}

static int judge_one(struct check *c, const char *key)
{
	bool known = false;
	int r = list_key(c, key, &known);

	if (r == XT_OK && !known)
		say_unknown(c, key);
	return r;
}

/* ---- keys that are missing ------------------------------------------------ */

static void say_missing(struct check *c)
{
	const char *table = c->rel->name;

	for (size_t i = 0; i < c->rel->n; i++) {
		const struct mark *m = &c->marks[i];
		const char *name = c->rel->columns[i].name;
		if (m->listed || m->renamed)
			continue;
		if (m->required && m->param)
			findings_add(&c->p->found, true, "missing_parameter", table, name, 1,
				     "--params lacks '%s', which table '%s' requires, so rows are rejected; "
				     "'%s schema require %s %s --drop --table %s' if that is over",
				     name, table, c->p->ctl->program, ctl_db(c->p->ctl), name, table);
		else if (m->last)
			findings_add(&c->p->found, false, "missing_parameter", table, name, 1,
				     "--params lacks '%s', which run '%s', the last one, had", name, c->run);
	}
}

static int check_table(struct preflight *p, const struct relation *rel)
{
	struct check c = {.p = p, .rel = rel, .marks = calloc(rel->n + 1, sizeof(*c.marks))};

	int r = c.marks ? learn(&c) : XT_ENOMEM;
	if (r == XT_OK)
		r = each_key(&c, list_one);
	if (r == XT_OK)
		r = each_key(&c, judge_one);
	if (r == XT_OK)
		say_missing(&c);
	free(c.marks);
	free(c.run);
	return r == XT_OK ? CTL_OK : r == XT_ENOMEM ? ctl_no_memory(p->ctl) : ctl_fail(p->ctl, p->client, r);
}

int preflight_params(struct preflight *p)
{
	const struct preflight_table *best = NULL;

	if (!p->opt->params || p->n_tables == 0)
		return CTL_OK;
	best = preflight_table(p, p->only ? p->only : "events");
	if (!best && !p->only)
		for (size_t i = 0; i < p->n_tables; i++)
			if (!best || p->tables[i].rows > best->rows)
				best = &p->tables[i];
	if (best && !p->only)
		findings_add(&p->found, false, "params_table", best->rel.name, NULL, 0,
			     "--params is held against table '%s'; --table names another", best->rel.name);
	return best ? check_table(p, &best->rel) : CTL_OK;
}
