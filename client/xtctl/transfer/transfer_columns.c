/* The columns of a table that is copied. */
#include "transfer.h"

#include <stdlib.h>
#include <strings.h>

#include "sql.h"

static char *text_of(const xt_value *v)
{
	return v->type == XT_T_TEXT ? strndup(v->as.text, v->n) : strdup("");
}

/* Runs a writing statement. CTL_OK, or the failure is reported. */
static int change(struct source *s, char *sql, const xt_value *args, size_t n)
{
	if (!sql)
		return ctl_no_memory(&s->ctl);
	int r = xt_exec(s->client, sql, args, n, 0, NULL);
	free(sql);
	return r == XT_OK ? CTL_OK : source_fail(s, r);
}

int transfer_is_unique(struct source *s, const char *table, bool *ret)
{
	xt_value name = xt_text(table);

	return source_has(s, "SELECT 1 FROM pragma_table_info(?) WHERE name = 'timestamp' AND pk > 0", &name,
			  1, ret);
}

void transfer_column_done(struct transfer_column *c)
{
	free(c->name);
	free(c->type);
	free(c->key);
	free(c->mapped);
}

/* ---- the source's ----------------------------------------------------- */

static int add_column(const xt_value *row, void *data)
{
	struct transfer *t = data;
	struct transfer_column *more = reallocarray(t->columns, t->n + 1, sizeof(*more));

	if (!more)
		return ctl_no_memory(&t->from->ctl);
	t->columns = more;
	struct transfer_column *c = &t->columns[t->n++];
	*c = (struct transfer_column){.name = text_of(&row[0]),
				      .type = text_of(&row[1]),
				      .key = text_of(&row[0]),
				      .generated = row[2].as.integer != 0};
	return c->name && c->type && c->key ? CTL_OK : ctl_no_memory(&t->from->ctl);
}

static int set_key(const xt_value *row, void *data)
{
	struct transfer *t = data;

	for (size_t i = 0; i < t->n; i++) {
		struct transfer_column *c = &t->columns[i];
		if (strlen(c->name) != row[0].n || memcmp(c->name, row[0].as.text, row[0].n) != 0)
			continue;
		free(c->key);
		c->key = text_of(&row[1]);
		return c->key ? CTL_OK : ctl_no_memory(&t->from->ctl);
	}
	return CTL_OK;
}

static int read_source(struct transfer *t)
{
	xt_value table = xt_text(t->table);

	/* Generated ones come as values, for the target's table does not compute them. */
	int status = source_each(t->from,
				 "SELECT name, type, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 AND "
				 "lower(name) NOT IN ('track_id', 'timestamp') ORDER BY cid",
				 &table, 1, add_column, t);
	if (status == CTL_OK && t->from->client)
		status = source_each(t->from,
				     "SELECT name, key FROM xt_columns WHERE table_name = ? COLLATE NOCASE",
				     &table, 1, set_key, t);
	return status;
}

/* ---- the target's ----------------------------------------------------- */

/* As the source has it: with local time if it is of the Python library. */
static int make_table(struct transfer *t)
{
	xt_value name = xt_text(t->table);
	bool there, unique;

	int status = source_has(t->to, "SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE", &name, 1,
				&there);
	if (status != CTL_OK || there)
		return status;
	status = transfer_is_unique(t->from, t->table, &unique);
	if (status == CTL_OK)
		status = change(t->to,
				sql_format("CREATE TABLE IF NOT EXISTS %n(track_id TEXT, timestamp TEXT%s)",
					   t->table, unique ? ", PRIMARY KEY (track_id, timestamp)" : ""),
				NULL, 0);
	if (status != CTL_OK || unique)
		return status;
	char *index = sql_format("index_%s", t->table);
	if (!index)
		return ctl_no_memory(&t->to->ctl);
	status = change(t->to, sql_format("CREATE INDEX IF NOT EXISTS %n ON %n(track_id)", index, t->table),
			NULL, 0);
	free(index);
	return status;
}

/* A column that the target has; all owned. Keys that lead to it since it was renamed come behind. */
struct have {
	char *key, *name;
	char *type; /* NULL: nothing but NULL came yet */
};

struct target {
	struct transfer *t; /* borrowed */
	struct have *list;  /* owned: n of them */
	size_t n;
};

static int add_have(const xt_value *row, void *data)
{
	struct target *target = data;
	struct have *more = reallocarray(target->list, target->n + 1, sizeof(*more));

	if (!more)
		return ctl_no_memory(&target->t->to->ctl);
	target->list = more;
	struct have *h = &target->list[target->n++];
	bool typed = row[3].type == XT_T_NULL;
	*h = (struct have){text_of(&row[2]), text_of(&row[0]), typed ? text_of(&row[1]) : NULL};
	return h->key && h->name && (h->type || !typed) ? CTL_OK : ctl_no_memory(&target->t->to->ctl);
}

static void target_done(struct target *target)
{
	for (size_t i = 0; i < target->n; i++) {
		free(target->list[i].key);
		free(target->list[i].name);
		free(target->list[i].type);
	}
	free(target->list);
	target->list = NULL;
	target->n = 0;
}

static int read_target(struct target *target)
{
	xt_value table = xt_text(target->t->table);

	target_done(target);
	/* The last value: it has no type yet. */
	return source_each(target->t->to,
			   "WITH have AS (SELECT i.name AS name, i.type AS type, coalesce(c.key, i.name) AS "
			   "key, CASE WHEN "
			   "c.name IS NOT NULL AND c.type IS NULL THEN 1 END AS open FROM "
			   "pragma_table_info(?1) i LEFT JOIN "
			   "xt_columns c ON c.table_name = ?1 AND c.name = i.name) SELECT name, type, key, "
			   "open FROM have "
			   "UNION ALL SELECT h.name, h.type, a.key, h.open FROM xt_aliases a JOIN have h ON "
			   "h.name = a.name "
			   "COLLATE NOCASE WHERE a.table_name = ?1",
			   &table, 1, add_have, target);
}

/* Leaves out what both databases generate. */
static int drop_generated(struct transfer *t)
{
	int status = CTL_OK;
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct transfer_column *c = &t->columns[i];
		const xt_value args[] = {xt_text(t->table), xt_text(c->name)};
		bool both = false;
		if (c->generated && status == CTL_OK)
			status = source_has(
				t->to,
				"SELECT 1 FROM pragma_table_xinfo(?) WHERE name = ? COLLATE NOCASE "
				"AND hidden > 1",
				args, 2, &both);
		if (both)
			transfer_column_done(c);
		else
			t->columns[kept++] = *c;
	}
	t->n = kept;
	return status;
}

/* NULL: it has no column of that key. */
static const struct have *find_have(const struct target *target, const char *key)
{
	for (size_t i = 0; i < target->n; i++)
		if (strcmp(target->list[i].key, key) == 0)
			return &target->list[i];
	return NULL;
}

/* ---- values that show the daemon what a column must hold -------------- */

#define MOST_SAMPLES 5

struct samples {
	xt_value list[MOST_SAMPLES];
	size_t n;
};

static void add_sample(struct samples *s, xt_value v)
{
	s->list[s->n++] = v;
}

static bool sample_of_type(struct samples *s, const char *type)
{
	static const struct {
		const char *type;
		xt_value value;
	} known[] = {
		{"INTEGER", {XT_T_INT, {.integer = 0}, 0}},	 {"REAL", {XT_T_REAL, {.real = 0.5}, 0}},
		{"TEXT", {XT_T_TEXT, {.text = "text"}, 4}},	 {"BLOB", {XT_T_BLOB, {.blob = "blob"}, 4}},
		{"BOOLEAN", {XT_T_BOOL, {.boolean = false}, 0}},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcasecmp(known[i].type, type) == 0) {
			add_sample(s, known[i].value);
			return true;
		}
	return false;
}

static int read_storage(const xt_value *row, void *data)
{
	/* In the order of the statement's columns. */
	static const xt_value values[] = {{XT_T_REAL, {.real = 0.5}, 0},
					  {XT_T_TEXT, {.text = "text"}, 4},
					  {XT_T_BLOB, {.blob = "blob"}, 4}};
	struct samples *s = data;

	for (size_t i = 0; i < 3; i++)
		if (row[i].type != XT_T_NULL && row[i].as.integer > 0)
			add_sample(s, values[i]);
	if (row[3].type != XT_T_NULL && row[3].as.integer > 0) /* beyond 2^53 they are no reals */
		add_sample(s, xt_int(row[4].as.integer > 0 ? INT64_C(1) << 62 : 0));
	return CTL_OK;
}

/* What occurs in the source's column, where its declaration does not tell or the target's differs. */
static int look(struct transfer *t, const struct transfer_column *c, struct samples *ret)
{
	char *sql = sql_format(
		"SELECT max(typeof(%n) = 'real'), max(typeof(%n) = 'text'), max(typeof(%n) = 'blob'), "
		"max(typeof(%n) = 'integer'), max(typeof(%n) = 'integer' AND abs(%n / 2) > "
		"4503599627370496) FROM %n",
		c->name, c->name, c->name, c->name, c->name, c->name, t->table);

	if (!sql)
		return ctl_no_memory(&t->from->ctl);
	int status = source_each(t->from, sql, NULL, 0, read_storage, ret);
	free(sql);
	for (size_t i = 0; i < ret->n; i++)
		if (strcasecmp(c->type, "BOOLEAN") == 0 && ret->list[i].type == XT_T_INT)
			ret->list[i] = xt_bool(false);
	return status;
}

static int find_samples(struct transfer *t, const struct transfer_column *c, const struct have *have,
			struct samples *ret)
{
	const char *type = have ? have->type : NULL;

	*ret = (struct samples){.n = 0};
	if (type && (type[0] == '\0' || strcasecmp(type, c->type) == 0))
		return CTL_OK;
	if (!type && sample_of_type(ret, c->type))
		return CTL_OK;
	int status = look(t, c, ret);
	if (status == CTL_OK && ret->n == 0 && !have)
		add_sample(ret, xt_null());
	return status;
}

/* ---- adding and widening ---------------------------------------------- */

/* Has the daemon add the column, or widen it, as for values that are logged. No row is touched. */
static int declare(struct transfer *t, const struct transfer_column *c, const struct samples *samples)
{
	int r = XT_OK;

	for (size_t i = 0; i < samples->n && r == XT_OK; i++)
		r = xt_declare(t->to->client, t->table, c->key, samples->list[i]);
	return r == XT_OK ? CTL_OK : source_fail(t->to, r);
}

static int map_columns(struct transfer *t, const struct target *target)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct have *have = find_have(target, t->columns[i].key);
		if (!have)
			return ctl_error(&t->to->ctl, "column '%s' of table '%s' was not added",
					 t->columns[i].key, t->table);
		for (size_t k = 0; k < i; k++)
			if (strcmp(t->columns[k].mapped, have->name) == 0)
				return ctl_error(
					&t->to->ctl,
					"columns '%s' and '%s' of table '%s' are one in '%s', column "
					"'%s'; to make them one here too: xtctl schema rename",
					t->columns[k].name, t->columns[i].name, t->table, t->to->ctl.database,
					have->name);
		t->columns[i].mapped = strdup(have->name);
		if (!t->columns[i].mapped)
			return ctl_no_memory(&t->to->ctl);
	}
	return CTL_OK;
}

int transfer_columns(struct transfer *t)
{
	struct target target = {.t = t};
	struct samples samples;
	bool declared = false;
	int status = read_source(t);

	if (status == CTL_OK)
		status = make_table(t);
	if (status == CTL_OK)
		status = drop_generated(t);
	if (status == CTL_OK)
		status = read_target(&target);
	for (size_t i = 0; i < t->n && status == CTL_OK; i++) {
		status = find_samples(t, &t->columns[i], find_have(&target, t->columns[i].key), &samples);
		if (status == CTL_OK)
			status = declare(t, &t->columns[i], &samples);
		declared = declared || samples.n > 0;
	}
	if (status == CTL_OK && declared)
		status = read_target(&target);
	if (status == CTL_OK)
		status = map_columns(t, &target);
	target_done(&target);
	return status;
}
