#include "preflight.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "schema.h"
#include "sql.h"
#include "text.h"

struct preflight_table *preflight_table(const struct preflight *p, const char *name)
{
	for (size_t i = 0; i < p->n_tables; i++)
		if (strcasecmp(p->tables[i].rel.name, name) == 0)
			return &p->tables[i];
	return NULL;
}

int preflight_unreadable(struct preflight *p, const char *error)
{
	if (ctl_interrupted())
		return CTL_INTERRUPTED;
	p->unreadable = true;
	findings_add(&p->found, true, "repository_unreadable", NULL, NULL, 0, "%s", error);
	return CTL_OK;
}

/* ---- names ------------------------------------------------------------ */

void names_add(struct names *names, const char *name)
{
	char *longer = NULL;

	if (names->n++ >= NAMES_SHOWN)
		return;
	if (asprintf(&longer, "%s%s'%s'", names->text ? names->text : "", names->text ? ", " : "", name) < 0)
		return;
	free(names->text);
	names->text = longer;
}

void names_done(struct names *names)
{
	free(names->text);
	*names = (struct names){0};
}

const char *names_more(char ret[NAMES_BYTES], const struct names *names)
{
	char count[COUNT_BYTES];

	ret[0] = '\0';
	if (names->n > NAMES_SHOWN)
		snprintf(ret, NAMES_BYTES, " and %s more", text_count(count, names->n - NAMES_SHOWN));
	return ret;
}

/* ---- the last version that was logged ---------------------------------- */

void logged_done(struct logged *l)
{
	free(l->table);
	free(l->column);
	free(l->value);
	free(l->time);
	*l = (struct logged){0};
}

static void replace(char **text, char *with)
{
	free(*text);
	*text = with;
}

/* value, time: of the row of a table that has the greatest time. */
static int take_later(struct logged *ret, const struct relation *rel, const char *column, const xt_value *row)
{
	struct logged one = {0};

	if (row[0].type != XT_T_TEXT || row[1].type != XT_T_TEXT)
		return XT_OK;
	one.time = schema_text(&row[1]);
	if (one.time && ret->time && strcmp(one.time, ret->time) <= 0) {
		logged_done(&one);
		return XT_OK;
	}
	one.table = strdup(rel->name);
	one.column = strdup(column);
	one.value = schema_text(&row[0]);
	if (!one.time || !one.table || !one.column || !one.value) {
		logged_done(&one);
		return XT_ENOMEM;
	}
	replace(&ret->table, one.table);
	replace(&ret->column, one.column);
	replace(&ret->value, one.value);
	replace(&ret->time, one.time);
	return XT_OK;
}

/* SQLite takes the value from the row that has the maximum. A short hash of nothing but decimal digits may
 * have become a number where it was logged. */
static int ask_last(struct preflight *p, const struct relation *rel, const struct relation_column *c,
		    const struct relation_column *time, struct logged *ret)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	char *sql = sql_format("SELECT substr(trim(%n), 1, 100), substr(max(%n), 1, 26) FROM %n WHERE "
			       "typeof(%n) IN ('text', 'integer') AND trim(%n) <> ''",
			       c->name, time->name, rel->name, c->name, c->name);
	int r = ctl_summarise(p->client, sql, &cursor);
	free(sql);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK)
		r = take_later(ret, rel, c->name, row);
	xt_cursor_close(cursor);
	return r;
}

int preflight_logged(struct preflight *p, const char *const *names, struct logged *ret)
{
	int r = XT_OK;

	for (size_t i = 0; i < p->n_tables && r == XT_OK; i++) {
		const struct relation *rel = &p->tables[i].rel;
		const struct relation_column *time = relation_find(rel, "timestamp");
		for (size_t k = 0; names[k] && time && r == XT_OK; k++) {
			const struct relation_column *c = relation_find(rel, names[k]);
			if (c)
				r = ask_last(p, rel, c, time, ret);
		}
	}
	return r == XT_OK ? CTL_OK : r == XT_ENOMEM ? ctl_no_memory(p->ctl) : ctl_fail(p->ctl, p->client, r);
}
